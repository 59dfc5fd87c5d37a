"""Run the command line by ``python -m qerror``."""

import importlib

if __name__ == "__main__":
    # By name: the library never imports its command line, which stands above it.
    importlib.import_module("qerror_cli.process").run()
