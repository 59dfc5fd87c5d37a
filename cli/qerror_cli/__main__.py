"""Run the command line by ``python -m qerror_cli``."""

from qerror_cli.process import run

if __name__ == "__main__":
    run()
