"""Run the notebooks and write them with their outputs.

``python docs/make_notebooks.py [NAME ...]``: each .ipynb is made from the .py beside it.
"""

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient

from qerror.storage import write_atomically

FOLDER = Path(__file__).parents[1] / "notebooks"


def executed(path: Path) -> str:
    """Return the notebook of a script with its outputs."""
    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # else random, and another one every time
    NotebookClient(notebook, timeout=600, record_timing=False).execute(cwd=str(FOLDER))
    # What the kernel says about itself differs from machine to machine.
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    return str(jupytext.writes(notebook, fmt="ipynb"))


if __name__ == "__main__":
    for script in sorted(FOLDER.glob("*.py")):
        if len(sys.argv) == 1 or script.stem in sys.argv[1:]:
            write_atomically(script.with_suffix(".ipynb"), executed(script).encode())
