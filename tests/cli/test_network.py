"""``qerror network``: studies on networks, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from qerror.pytorch import ModelRecipe, TensorRecipe
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are trained once for all tests here."""
    folder = tmp_path_factory.getbasetemp() / "networks"
    monkeypatch.setenv("QERROR_CACHE", str(folder))


def document(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("network", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema"] == "qerror.network/1"
    return found


QUICK = ("--model", "digits-resnet", "--calibration", "minmax", "--quick")


def test_ptq_has_a_row_a_case(run: Run) -> None:
    rows = document(run, "ptq", *QUICK, "--formats", "int8,5M2E,int2")["rows"]
    assert [row["format"] for row in rows] == ["INT8", "5M2E", "INT2"]
    for row in rows:
        assert {"model", "bits", "calibration", "seed", "fp32_accuracy", "accuracy"} <= set(row)
        assert row["fp32_accuracy"] > 95
    assert abs(rows[0]["accuracy"] - rows[0]["fp32_accuracy"]) < 1
    assert rows[2]["accuracy"] < rows[2]["fp32_accuracy"] - 10
    assert [row["bits"] for row in rows] == [8, 8, 2]


def test_ptq_reads_well(run: Run) -> None:
    result = run("network", "ptq", *QUICK, "--formats", "int8", "--exclude", "head")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "digits-resnet" in result.stdout


def test_predict_has_weights_inputs_and_outputs(run: Run, tmp_path: Path) -> None:
    plot = ("--plot", "layers.svg")
    rows = document(run, "predict", *QUICK, "--formats", "int8,3M4E", *plot)["rows"]
    assert {row["kind"] for row in rows} == {"weight", "activation", "output"}
    for row in rows:
        assert {"model", "layer", "format", "predicted_sqnr_db", "measured_sqnr_db"} <= set(row)
        if row["kind"] == "weight":
            assert row["predicted_sqnr_db"] == pytest.approx(row["measured_sqnr_db"], abs=2)
    assert (tmp_path / "layers.svg").exists()
    assert (tmp_path / "layers.csv").read_text().count("\n") == len(rows) + 1


@pytest.mark.slow
def test_qat_has_a_row_a_case_and_goes_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    what = ("--model", "digits-resnet", "--formats", "int3", "--start", "norm", "--quick")
    arguments = (*what, "--epochs", "2", "--checkpoints", "kept")
    (row,) = document(run, "qat", *arguments)["rows"]
    assert row["accuracy"] > row["ptq_accuracy"] + 3
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [
        "digits-resnet-INT3-norm-range-0.checkpoint"
    ]
    assert document(run, "qat", *arguments)["rows"] == [row]
    (next((tmp_path / "kept").iterdir())).write_bytes(b"broken")
    refused = run("network", "qat", *arguments)
    assert refused.exit_code == 2
    assert "was not written by qerror" in refused.stderr


def test_recipes_go_around(run: Run, tmp_path: Path) -> None:
    options = ("best:8", "--granularity", "channel", "--last", "int8", "--exclude", "stem*")
    for suffix, more in ((".toml", ()), (".json", ("--json",))):
        written = run("network", "recipe", *options, *more)
        assert written.exit_code == 0
        (tmp_path / f"own{suffix}").write_text(written.stdout)
    known = [ModelRecipe.read(tmp_path / name) for name in ("own.toml", "own.json")]
    assert known[0] == known[1]
    assert known[0].exclude == ("stem*",)


def test_studies_take_a_recipe(run: Run, tmp_path: Path) -> None:
    recipe = ModelRecipe(TensorRecipe("4M3E", "minmax"), TensorRecipe("int8", "minmax"))
    (tmp_path / "own.toml").write_text(recipe.to_toml())
    what = ("--model", "digits-resnet", "--recipe", "own.toml", "--quick")
    (row,) = document(run, "ptq", *what)["rows"]
    assert (row["format"], row["calibration"]) == ("4M3E x INT8", "minmax")
    rows = document(run, "predict", *what)["rows"]
    assert {row["format"] for row in rows} == {"4M3E", "INT8", "4M3E x INT8"}
    given = ("--granularity", "tensor", "--formats", "int8")
    refused = run("network", "ptq", *what, *given)
    assert refused.exit_code == 2
    assert "leave out --formats, --granularity" in refused.stderr
    (tmp_path / "own.toml").write_text(recipe.to_toml().replace("calibration", "calibraton"))
    refused = run("network", "predict", *what)
    assert refused.exit_code == 2
    assert "unknown key 'weights.calibraton'" in refused.stderr
    assert "did you mean calibration" in refused.stderr


@pytest.mark.exhaustive
def test_formats_of_every_tensor(run: Run, tmp_path: Path) -> None:
    arguments = ("formats", "--model", "digits-resnet", "--formats", "int8,4M3E", "--quick")
    rows = document(run, *arguments, "--plot", "formats.svg")["rows"]
    assert len(rows) == 2 * 2 * 10
    assert "own bias" in (tmp_path / "formats.svg").read_text()
    assert (tmp_path / "formats.csv").read_text().count("\n") == len(rows) + 1


@pytest.mark.slow
def test_tails_before_and_after(run: Run, tmp_path: Path) -> None:
    what = ("int3", "--model", "digits-resnet", "--quick", "--epochs", "1")
    rows = document(run, "tails", *what, "--plot", "tails.svg")["rows"]
    assert {row["when"] for row in rows} == {"before", "after", "without"}
    assert (tmp_path / "tails.svg").exists()


def test_the_list_and_the_help(run: Run) -> None:
    listed = run("network", "list")
    assert listed.exit_code == 0
    assert "minilm" in listed.stdout
    for words in (("network", "--help"), ("network", "ptq", "--help")):
        assert "digits-resnet" in run(*words).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ptq", "--model", "digits-renset"), "did you mean digits-resnet"),
        (("ptq", "--model", "resnet", "--formats", "int8x"), "unknown format"),
        (("ptq", "--model", "resnet", "--calibration", "mmse"), "did you mean mse"),
        (("ptq", "--model", "resnet", "--seeds", "0"), "--seeds must be at least 1"),
        (("ptq", "--model", ","), "names nothing"),
        (("ptq",), "Missing option '--model'"),
        (("predict", "--model", "resnet", "--seed", "-1"), "--seed must not be negative"),
        ((*("predict", *QUICK), "--formats", "mxfp4"), "values stand alone"),
        ((*("ptq", *QUICK), "--exclude", "tail"), "matches no module"),
        (("pqt",), "No such command"),
        (("qat", "--model", "resnet"), "give --formats, or --recipe"),
        (("qat", "--model", "resnet", "--recipe", "no.toml"), "there is no such file"),
        (("ptq", "--model", "resnet", "--recipe", "own.yaml"), "must be a .json or .toml file"),
        (("tails", "int3", "--model", "resnet", "--epochs", "0"), "at least 1"),
        (("tails", "int3", "--model", "minilm"), "comes trained"),
        (("formats", "--model", "resnet", "--seed", "-1"), "must not be negative"),
        (("recipe", "int8x"), "unknown format"),
        (("recipe", "best:40"), "needs 3 to 12 bits"),
        (("qat", "--model", "resnet", "--formats", "int3", "--epochs", "0"), "at least 1"),
        (
            ("qat", "--model", "resnet", "--formats", "int3", "--learn", "rang"),
            "did you mean range",
        ),
        (("qat", "--model", "minilm", "--formats", "int3"), "comes trained"),
    ],
)
def test_bad_input_ends_with_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("network", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
