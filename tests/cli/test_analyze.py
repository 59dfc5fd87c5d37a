"""``qerror analyze``: rows, tables, damage, and runs that are stopped."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.storage.safetensors_files import entries, saved, written

COLUMNS = {
    *("tensor", "shape", "dtype", "density", "format", "bits_per_value", "absmax_sqnr_db"),
    *("best_max_value", "best_sqnr_db", "predicted_sqnr_db", "note"),
}


@pytest.fixture
def model(tmp_path: Path) -> str:
    rng = np.random.default_rng(2)
    saved(
        tmp_path / "m.safetensors",
        {
            "layer.weight": rng.normal(size=(32, 64)).astype(np.float16),
            "layer.bias": rng.normal(size=7).astype(np.float32),
            "ids": np.arange(3),
        },
    )
    return "m.safetensors"


def test_rows_have_the_schema(run: Run, model: str) -> None:
    result = run("analyze", model, "--formats", "int8,mxfp4", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "qerror.analyze/1"
    rows = document["rows"]
    assert [(row["tensor"], row["format"]) for row in rows] == [
        ("layer.weight", "INT8"),
        ("layer.weight", "MXFP4"),
        ("layer.bias", "INT8"),
        ("layer.bias", "MXFP4"),
    ]
    assert set(rows[0]) >= COLUMNS
    assert rows[0]["shape"] == [32, 64]
    assert rows[0]["absmax_sqnr_db"] <= rows[0]["best_sqnr_db"]
    assert rows[1]["absmax_sqnr_db"] == rows[1]["best_sqnr_db"]
    assert rows[3]["best_sqnr_db"] is None
    assert "do not divide" in rows[3]["note"]
    (total, _) = document["params"]["totals"]
    noise = sum(row["size"] * row["best_mse"] for row in rows if row["format"] == "INT8")
    power = sum(row["size"] * row["signal_power"] for row in rows if row["format"] == "INT8")
    assert total["best_sqnr_db"] == pytest.approx(10 * math.log10(power / noise), rel=1e-12, abs=0)
    assert document["params"]["skipped"] == ["ids: I64"]


def test_tables_and_csv(run: Run, model: str) -> None:
    plain = run("analyze", model, "--formats", "int8,mxfp4").stdout
    assert "2,055 values in 2 tensors" in plain
    assert "1 tensor holds no floating-point numbers" in plain
    assert "all tensors together" in plain
    details = run("analyze", model, "--formats", "int8,mxfp4", "--details").stdout
    assert "MXFP4, 4.25 bits a value" in details
    assert "blocks of 32 do not divide" in " ".join(details.split())
    shown = run("analyze", model, "--format", "csv", "--fit", "none").stdout
    rows = list(csv.DictReader(io.StringIO(shown)))
    assert set(rows[0]) >= COLUMNS
    assert rows[0]["density"] == rows[0]["predicted_sqnr_db"] == ""


def test_damage_exits_with_1_and_all_damage_with_2(run: Run, tmp_path: Path) -> None:
    header, body = entries({"good": np.ones(4, np.float32), "bad": np.ones(4, np.float16)})
    header["bad"]["data_offsets"] = [16, 99]
    written(tmp_path / "x.safetensors", json.dumps(header), body)
    result = run("analyze", "x.safetensors", "--formats", "int8", "--json")
    assert result.exit_code == 1
    assert [row["tensor"] for row in json.loads(result.stdout)["rows"]] == ["good"]
    assert "damaged: 'x.safetensors': tensor 'bad': data_offsets" in result.stderr
    strict = run("analyze", "x.safetensors", "--strict")
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert "tensor 'bad'" in strict.stderr
    (tmp_path / "y.safetensors").write_bytes(b"\x01")
    result = run("analyze", "y.safetensors")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "y.safetensors" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["gone.safetensors"], "there is no such file"),
        (["m.safetensors", "--formats", "int9000"], "int9000"),
        (["m.safetensors", "--fit", "gauss"], "gauss"),
        (["m.safetensors", "--jobs", "2", "--executor", "dask:x"], "give one of them"),
        (["m.safetensors", "--executor", "slurm:x"], "unknown executor"),
        (["m.safetensors", "--jobs", "0"], "--jobs"),
        (["m.safetensors", "--journal", "m.safetensors"], "named twice"),
    ],
)
def test_bad_input(run: Run, model: str, arguments: list[str], reason: str) -> None:
    del model
    result = run("analyze", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_a_journal_and_processes(run: Run, model: str) -> None:
    first = run("analyze", model, "--journal", "run.jsonl", "--json")
    again = run("analyze", model, "--journal", "run.jsonl", "--json", "--jobs", "2")
    assert first.exit_code == again.exit_code == 0
    assert first.stdout == again.stdout
    other = run("analyze", model, "--journal", "run.jsonl", "--formats", "int8")
    assert other.exit_code == 2
    assert "belongs to other work: formats" in other.stderr


def test_a_budget_is_shown_and_written(run: Run, model: str) -> None:
    result = run(
        *("analyze", model, "--formats", "mxfp4,int8", "--budget", "6", "--json"),
        *("--keep", "layer.bias=int8", "--plan", "plan.json", "--recipe", "recipe.json"),
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert {row["assigned"] for row in document["rows"]} == {True, False}
    plan = json.loads(Path("plan.json").read_text())
    assert {each["tensor"]: each["format"] for each in plan["tensors"]} == {
        "layer.weight": "MXFP4",
        "layer.bias": "INT8",
    }
    assert document["params"]["plan"]["gap"] == plan["gap"] >= 0
    assert json.loads(Path("recipe.json").read_text())["weights"]["format"] == "MXFP4"
    shown = run("analyze", model, "--formats", "mxfp4,int8", "--budget", "6").stdout
    assert "no assignment is better" in shown
    for more in (["--keep", "x=int8"], ["--plan", "p.json"]):
        refused = run("analyze", model, *more)
        assert refused.exit_code == 2
        assert "goes with --budget" in refused.stderr
    assert run("analyze", model, "--budget", "1").exit_code == 2
    assert run("analyze", model, "--budget", "6", "--keep", "int8").exit_code == 2


def test_a_page_is_written(run: Run, model: str) -> None:
    result = run("analyze", model, "--formats", "int8", "--report", "page.html")
    assert result.exit_code == 0
    assert "layer.weight" in Path("page.html").read_text(encoding="utf-8")
    refused = run("analyze", model, "--report", "page.txt")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "must end in .html" in refused.stderr


def test_rows_by_channel_of_chosen_tensors(run: Run, model: str) -> None:
    chosen = "--formats", "int8", "--fit", "none", "--only", "*.weight"
    result = run("analyze", model, *chosen, "--by", "channel", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [row["tensor"] for row in document["rows"]] == [f"layer.weight[{i}]" for i in range(32)]
    assert document["params"]["by"] == "channel"
    assert document["params"]["only"] == ["*.weight"]
    shown = run("analyze", model, *chosen, "--by", "group:32").stdout
    assert "2,048 values in 64 groups" in shown
    for wrong, message in (
        (("--by", "row"), "rows are by 'channel' or 'group:N'"),
        (("--by", "channel", "--budget", "4"), "--by does not go with --budget"),
        (("--by", "channel", "--against", model), "--by does not go with --against"),
        (("--only", "head"), "the pattern 'head' fits no tensor"),
    ):
        refused = run("analyze", model, *wrong)
        assert refused.exit_code == 2
        assert message in " ".join(refused.stderr.split())
        assert not refused.stdout
