"""Run the command line by ``python -m qerror_cli``."""

from qerror_cli.main import main

main(prog_name="qerror")
