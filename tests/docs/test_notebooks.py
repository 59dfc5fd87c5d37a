"""Notebooks are pairs: the .ipynb is the .py beside it, with its outputs."""

import re
from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [
    "choosing_a_4_bit_format",
    "choosing_an_fp8_format",
    "deriving_the_closed_forms",
    "fixed_point",
    "formats_in_real_networks",
    "formats_of_a_checkpoint",
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
    assert cells[0] == cells[1], f"run: python docs/make_notebooks.py {name}"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_one_clean_run(name: str) -> None:
    notebook = jupytext.read(NOTEBOOKS / f"{name}.ipynb")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert len(outputs) >= 5
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
    text = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.search(r"/(work|home|tmp|root)/", text)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_how_to_run_it(name: str) -> None:
    first = jupytext.read(NOTEBOOKS / f"{name}.py").cells[0]
    assert "pip install 'qerror[notebooks]'" in first.source


@pytest.mark.parametrize("name", NAMES)
def test_warnings_are_errors_and_paths_are_relative(name: str) -> None:
    text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    assert 'warnings.simplefilter("error")' in text
    for absolute in ('"/', "'/", "Path.home", "expanduser"):
        assert absolute not in text
