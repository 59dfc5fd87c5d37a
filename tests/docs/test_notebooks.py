"""Notebooks are pairs: the .ipynb is the .py beside it, without outputs."""

from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [
    "choosing_an_fp8_format",
    "deriving_the_closed_forms",
    "fixed_point",
    "using_qerror_in_research_code",
]


def test_every_notebook_is_a_pair() -> None:
    for suffix in (".py", ".ipynb"):
        assert sorted(path.stem for path in NOTEBOOKS.glob(f"*{suffix}")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_in_sync(name: str) -> None:
    script = jupytext.read(NOTEBOOKS / f"{name}.py")
    notebook = jupytext.read(NOTEBOOKS / f"{name}.ipynb")
    assert notebook.metadata.kernelspec.name == "python3"
    cells = [[(cell.cell_type, cell.source) for cell in pair.cells] for pair in (script, notebook)]
    assert cells[0] == cells[1], f"run: jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_no_output_is_committed(name: str) -> None:
    for cell in jupytext.read(NOTEBOOKS / f"{name}.ipynb").cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", NAMES)
def test_warnings_are_errors_and_paths_are_relative(name: str) -> None:
    text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    assert 'warnings.simplefilter("error")' in text
    for absolute in ('"/', "'/", "Path.home", "expanduser"):
        assert absolute not in text
