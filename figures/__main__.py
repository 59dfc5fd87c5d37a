"""Regenerate every figure in this folder: ``python -m figures [NAME ...]``."""

import sys
import time
from pathlib import Path

from qerror.plotting.papers import FIGURES, paper_files
from qerror.storage import write_atomically
from qerror.studies import captions

HERE = Path(__file__).parent


def main() -> None:
    """Write SVG and CSV of the figures named on the command line, or of all, and the captions."""
    for name in sys.argv[1:] or list(FIGURES):
        start = time.perf_counter()
        for file, content in paper_files(name, ("svg",)).items():
            write_atomically(HERE / file, content)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    write_atomically(HERE / "README.md", captions().encode())


if __name__ == "__main__":
    main()
