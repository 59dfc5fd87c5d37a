"""Write docs/findings.md: ``python docs/make_findings.py``."""

from pathlib import Path

from qerror.storage import write_atomically
from qerror.studies.page import page

if __name__ == "__main__":
    write_atomically(Path(__file__).with_name("findings.md"), page().encode())
