"""Write docs/findings.md: ``python -m docs.make_findings``."""

from pathlib import Path

from docs.network_findings import network_findings
from qerror.storage import write_atomically
from qerror.studies.page import page

if __name__ == "__main__":
    text = page(network_findings())
    write_atomically(Path(__file__).with_name("findings.md"), text.encode())
