"""The documentation site: its pages run, every public name has an entry, every column a meaning."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import qerror
from docs.make_reference import names_of, rooms, write_reference
from docs.pages import BLOCK, executed, pages
from qerror_cli.main import main

DOCS = Path(__file__).parents[2] / "docs"


# `make docs` runs all pages, and fails where one shows something else.
def test_a_page_that_shows_something_else_is_noticed(tmp_path: Path) -> None:
    shown = "```pycon\n>>> x = 2\n>>> x + 1\n4\n```\n```console\n$ echo a\nb\n```\n"
    assert executed(shown, tmp_path) == shown.replace("4", "3").replace("\nb", "\na")
    with pytest.raises(RuntimeError, match="1 / 0"):
        executed("```pycon\n>>> 1 / 0\n```\n", tmp_path)
    with pytest.raises(RuntimeError, match="false"):
        executed("```console\n$ false\n```\n", tmp_path)


def test_every_page_with_examples_is_run() -> None:
    fences = {"pycon", "console"}
    for page in [*DOCS.glob("tutorials/*.md"), *DOCS.glob("theory/*.md")]:
        kinds = re.findall(r"^```(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert page in pages()
        assert set(kinds) <= {*fences, "sh"}
    assert sum(len(BLOCK.findall(page.read_text(encoding="utf-8"))) for page in pages()) > 20


def test_every_public_name_has_an_entry(tmp_path: Path) -> None:
    listed = {name for room in rooms() for name in names_of(room.module)}
    public = {name for name in dir(qerror) if name[0] != "_"} - {"TYPE_CHECKING", "later"}
    modules = {path.stem for path in Path(qerror.__file__).parent.iterdir()}
    assert not public - listed - modules
    write_reference(tmp_path)
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md"))
    for name in ("optimal_scale", "StudentT", "FakeQuantize", "lloyd_max"):
        assert re.search(rf"auto(class|function):: qerror\.[\w.]+\.{name}$", text, re.MULTILINE)


COMMANDS = (
    "sweep --dist gaussian --formats int8,mxfp4",
    "error mxfp4 --dist gaussian",
    "error int8 --dist gaussian --max-value 4 --distribution",
    "error int8 --data x.npy --max-value best --axis 0",
    "optimize int8 --dist gaussian",
    "optimize --bits 4 --dist gaussian",
    "optimize --bits-per-value 4.5 --dist gaussian --formats nf4:g64,int4:g64",
    "optimize --formats int4,e2m1 --dist student-t --over nu=3:9",
    "optimize int8 --data x.npy --axis 0",
    "expect int8 --dist gaussian --max-value 4 --size 100",
    "formats",
    "densities",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_column_is_explained(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32))
    result = CliRunner().invoke(main, [*line.split(), "--json"], prog_name="qerror")
    assert result.exit_code == 0, result.stderr
    explained = set(re.findall(r"`(\w+)`", (DOCS / "columns.md").read_text(encoding="utf-8")))
    keys = {key for row in json.loads(result.stdout)["rows"] for key in row}
    assert not {key.removeprefix("predicted_") for key in keys} - explained


def test_columns_of_networks_are_explained() -> None:
    from qerror.pytorch.networks.predict import LayerPrediction
    from qerror.pytorch.studies import fixed, formats, noise, ptq, qat, tails, weights
    from qerror.pytorch.studies.bench_case import BenchRow

    rows = (BenchRow, formats.FormatRow, noise.NoiseRow, ptq.PtqRow, qat.QatRow)
    explained = set(re.findall(r"`(\w+)`", (DOCS / "columns.md").read_text(encoding="utf-8")))
    for kind in (*rows, tails.TailRow, weights.WeightRow, fixed.FixedRow, LayerPrediction):
        names = {each.name.removeprefix("predicted_") for each in fields(kind)}
        assert not names - explained, kind
