"""The command line of qerror: parse, one library call, print."""
