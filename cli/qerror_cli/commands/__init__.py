"""The commands, one a module; each holds a click command called ``command``."""
