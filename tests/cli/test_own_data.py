"""Data instead of a density, from the command line."""

import json
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

from qerror import FixedPoint, optimal_fractional_length, quantization_error, quantize
from qerror.analysis import scalar_product_error
from qerror.optimize import optimal_scale
from qerror_cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32))
    return path


def test_the_best_range_of_data(file: Path) -> None:
    found = CliRunner().invoke(main, ["optimize", "int8", "--data", str(file), "--json"])
    assert found.exit_code == 0, found.output
    row = json.loads(found.stdout)["rows"][0]
    assert row["mse"] == pytest.approx(
        optimal_scale("int8", np.load(file)).report.mse, rel=1e-12, abs=0
    )


def test_formats_ranked_and_swept_on_data(file: Path) -> None:
    for arguments in (["optimize", "--bits", "4"], ["sweep", "--formats", "int4,e2m1"]):
        found = CliRunner().invoke(main, [*arguments, "--data", str(file), "--json"])
        assert found.exit_code == 0, found.output
        assert len(json.loads(found.stdout)["rows"]) >= 2


@pytest.mark.parametrize(
    "more", [["--dist", "gaussian"], ["--nu", "3"], ["--data", "missing.npy"]], ids=str
)
def test_refused(file: Path, more: list[str]) -> None:
    data = [] if "--data" in more else ["--data", str(file)]
    found = CliRunner().invoke(main, ["optimize", "int8", *data, *more])
    assert found.exit_code == 2
    assert found.stdout == ""


# ---- channels, ranges, narrow types


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with arrays of several kinds."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 64)) * np.geomspace(0.1, 10, 6)[:, None]
    np.save("x.npy", x.astype(np.float32))
    np.save("bf.npy", x.astype(ml_dtypes.bfloat16))
    np.save("f8.npy", x.astype(ml_dtypes.float8_e4m3fn))
    np.savez("m.npz", a=x, steps=np.arange(3), when=np.array(["2020-01-01"], "datetime64[D]"))
    with zipfile.ZipFile("m.npz", "a") as archive:
        archive.writestr("read.me", "text")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="qerror")


def rows_of(*arguments: str) -> list[dict[str, Any]]:
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    rows: list[dict[str, Any]] = json.loads(found.stdout)["rows"]
    return rows


def test_a_range_for_every_channel(folder: Path) -> None:
    x = np.load(folder / "x.npy")
    best = optimal_scale("int8", x, axis=0)
    rows = rows_of("optimize", "int8", "--data", "x.npy", "--axis", "0")
    assert [row["scale"] for row in rows] == best.scale.reshape(-1).tolist()
    assert [row["channel"] for row in rows] == list(range(6))
    text = run("optimize", "int8", "--data", "x.npy", "--axis", "-1").stdout
    assert "64 channels along axis 1" in text
    assert "one range for all: max value" in text


@pytest.mark.parametrize("rule", ["best", "absmax"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantize_at_the_range_of_a_rule(folder: Path, rule: str, axis: int | None) -> None:
    x = np.load(folder / "x.npy")
    if rule == "absmax":
        over = None if axis is None else 1 - axis
        scale = np.abs(x).max(axis=over, keepdims=axis is not None).astype(float) / 127
    elif axis is None:
        scale = np.float64(optimal_scale("int8", x).scale)
    else:
        scale = optimal_scale("int8", x, axis=axis).scale
    line = ["quantize", "int8", "x.npy", "-o", "y.npy", "--max-value", rule]
    (row,) = rows_of(*line, *([] if axis is None else ["--axis", str(axis)]))
    wanted = quantize(x, "int8", scale)
    assert (np.load("y.npy") == wanted).all()
    assert row["scale"] == pytest.approx(
        scale.reshape(-1).tolist() if scale.ndim else float(scale), rel=1e-12, abs=0
    )
    error = wanted.astype(float) - x
    assert row["mse"] == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
    assert row["predicted_mse"] > 0
    assert (row["channel_axis"], row["axis"]) == (0, axis)


def test_what_scale_1_costs(folder: Path) -> None:
    x = np.load(folder / "x.npy")
    best = optimal_scale("int8", x)
    loss = 10 * np.log10(quantization_error("int8", x).mse / best.report.mse)
    for line in (
        ["error", "int8", "--data", "x.npy"],
        ["quantize", "int8", "x.npy", "-o", "y.npy"],
    ):
        said = run(*line).stderr
        assert f"that costs {loss:.2f} dB against the best range, --max-value" in said
        assert "that costs" not in run(*line, "--max-value", "3").stderr


@pytest.mark.parametrize(
    "form",
    [
        *("nvfp4", "mxfp4", "mxfp8_e4m3:rceil", "nf4:g64"),
        pytest.param("int4:g32:affine", marks=pytest.mark.exhaustive),
    ],
)
def test_block_formats_on_files(folder: Path, form: str) -> None:
    x = np.load(folder / "x.npy")
    (row,) = rows_of("quantize", form, "x.npy", "-o", "y.npy")
    wanted = quantize(x, form)
    assert (np.load("y.npy") == wanted).all()
    assert row["mse"] == pytest.approx(np.mean((wanted.astype(float) - x) ** 2), rel=1e-12, abs=0)
    assert row["scale"] is None
    (again,) = rows_of("error", form, "--data", "x.npy")
    assert again["mse"] == row["mse"]
    assert again["predicted_mse"] == pytest.approx(row["mse"], rel=0.5, abs=0)
    assert "bits a value" in run("error", form, "--data", "x.npy").stdout


@pytest.mark.usefixtures("folder")
def test_narrow_types_by_name() -> None:
    for name, kind in (("bf.npy", "bfloat16"), ("f8.npy", "torch.float8_e4m3fn")):
        x = np.load(name).view(getattr(ml_dtypes, kind.removeprefix("torch."))).astype(np.float32)
        (row,) = rows_of("error", "int8", "--data", name, "--dtype", kind, "--max-value", "best")
        best = optimal_scale("int8", x)
        assert row["scale"] == best.scale
        assert row["dtype"] == kind.removeprefix("torch.")
        found = rows_of("optimize", "int8", "--data", name, "--dtype", kind)[0]
        assert found["scale"] == best.scale
        run("quantize", "int8", name, "--dtype", kind, "--scale", "0.1", "-o", "y.npy")
        assert (np.load("y.npy") == quantize(x, "int8", 0.1)).all()


@pytest.mark.usefixtures("folder")
def test_what_has_no_part_is_named() -> None:
    listed = "left out: 'steps' (int64), 'when' (datetime64[D]), 'read.me' (no array)"
    assert listed in run("error", "int8", "--data", "m.npz", "--scale", "1").stderr
    said = run("quantize", "int8", "m.npz", "--scale", "1", "-o", "n.npz").stderr
    assert listed.replace("left out", "copied as they are") in said
    said = run("sweep", "--data", "m.npz", "--formats", "int8").stderr
    assert "left out: 'when' (datetime64[D]), 'read.me' (no array)" in said
    assert "left out" not in run("error", "int8", "--data", "x.npy", "--scale", "1").stderr


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.ones(3, "c8"), (), "it holds complex64; real numbers of at most 64 bits are needed"),
        (np.array(["a"]), (), "it holds <U1; real numbers of at most 64 bits are needed"),
        (np.ones(3, "V2"), (), "it holds |V2; if these are numbers, name them by --dtype"),
        (np.ones(3, "V1"), ("--dtype", "bfloat16"), "as two bytes a value without a type"),
        (np.ones(3, "V2"), ("--dtype", "float8_e5m2"), "as one byte a value without a type"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_no_number_is_refused(
    x: npt.NDArray[Any], options: tuple[str, ...], message: str
) -> None:
    np.save("z.npy", x)
    found = run("optimize", "int8", "--data", "z.npy", *options)
    assert found.exit_code == 2
    assert message in found.stderr


@pytest.mark.usefixtures("folder")
def test_refused_files_are_not_said_to_be_copied() -> None:
    np.save("z.npy", np.arange(5))
    found = run("quantize", "int8", "z.npy", "-o", "y.npy")
    assert found.exit_code == 2
    assert "'z.npy' holds int64" in found.stderr
    assert "copied" not in found.stderr


@pytest.mark.usefixtures("folder")
def test_a_single_number_has_no_channels() -> None:
    np.save("z.npy", np.float64(3.5))
    line = ("quantize", "int8", "z.npy", "-o", "y.npy", "--max-value", "best", "--axis", "0")
    found = run(*line)
    assert found.exit_code == 2
    assert "'z.npy' is a single number" in found.stderr


@pytest.mark.usefixtures("folder")
def test_sweep_names_the_arrays_of_its_tables() -> None:
    np.savez("two.npz", b=np.arange(4.0), a=np.arange(5.0))
    said = run("sweep", "--data", "two.npz", "--formats", "int4").stderr
    assert "in this order: 'b', 'a'" in said
    assert "in this order" not in run("sweep", "--data", "x.npy", "--formats", "int4").stderr


def test_fixed_point_of_data(folder: Path) -> None:
    x = np.load(folder / "x.npy")
    rows = rows_of("fixed-point", "--data", "x.npy")
    (best,) = [row["fractional_length"] for row in rows if row["is_best"]]
    assert best == optimal_fractional_length(x, 8)
    for row in rows:
        form = FixedPoint(8, row["fractional_length"])
        assert row["mse"] == pytest.approx(quantization_error(form, x).mse, rel=1e-12, abs=0)
        rms = np.sqrt(np.mean(x.astype(float) ** 2))
        assert row["relative_error"] == pytest.approx(np.sqrt(row["mse"]) / rms, rel=1e-9, abs=0)
    assert all(row["signed"] for row in rows)
    np.save("r.npy", np.maximum(x, 0))
    assert {row["signed"] for row in rows_of("fixed-point", "--data", "r.npy")} == {True, False}
    assert "F8Net: floor(log2(40 / std))" in run("fixed-point", "--data", "r.npy").stdout


@pytest.mark.usefixtures("folder")
def test_scalar_products_of_data() -> None:
    x = np.load("x.npy")
    w = np.random.default_rng(2).normal(size=(3, 40))
    np.save("w.npy", w)
    line = (
        "dot --weight 4M3E --weight-data w.npy --axis 0 --activation int8 --activation-data x.npy"
    )
    (row,) = rows_of(*line.split(), "--length", "40")
    side = optimal_scale("int8", x).report
    reports = [optimal_scale("4M3E", channel).report for channel in w]
    assert row["mse"] == scalar_product_error(reports, side, 40).mse
    assert row["weight_channels"] == 3
    assert row["weight_channel_scales"] == [optimal_scale("4M3E", each).scale for each in w]
    assert "3 channels at max values" in run(*line.split()).stdout


BAD = [
    ("optimize int8 --data x.npy --axis 2", "axis must lie in -2..1"),
    ("optimize int8 --dist gaussian --axis 0", "--axis goes with --data"),
    ("optimize --bits 8 --data x.npy --axis 0 --over max-value=1:2", "leave out --axis"),
    ("optimize mxfp4 --data x.npy --axis 0", "takes a scale for every block"),
    ("optimize --formats mxfp4 --data x.npy --axis 0", "share scales"),
    ("optimize --bits-per-value 4.5 --data x.npy --axis 2", "axis must lie in -2..1"),
    ("optimize --bits-per-value 3 --data x.npy", "no format fits 3 bits"),
    ("optimize --bits-per-value 4.5 --data x.npy --binade-average", "data have their own spread"),
    ("optimize int8 --dist gaussian --exhaustive", "this density has a continuous part"),
    ("optimize --bits 8 --data x.npy --exhaustive", "the range of one FORMAT"),
    ("optimize mxfp4 --data x.npy --exhaustive", "a scale for every block"),
    ("sweep --dist gaussian --axis 0", "--axis goes with --data"),
    ("sweep --data x.npy --axis 0 --over max-value=1,2", "leave out --over"),
    ("sweep --data x.npy --axis 0 --formats mxfp4", "takes its scales from the data"),
    ("sweep --data m.npz --axis 0", "arrays of as many each, got 3 to 6"),
    ("sweep --dist gaussian --max-value absmax", "gaussian is not bounded"),
    ("sweep --data x.npy --max-value bets", "did you mean best?"),
    ("fixed-point --std 1 --axis 0", "--axis says what --data have"),
    ("fixed-point --data x.npy --axis 0 --word-length 1", "one bit cannot hold a sign"),
    ("quantize int8 none.npy -o y.npy --max-value best", "'none.npy' holds no finite value"),
    ("quantize int8 none.npy -o y.npy --max-value absmax", "'none.npy' holds no finite value"),
    ("quantize int8 nans.npy -o y.npy --max-value best", "'nans.npy' holds no finite value"),
    ("quantize int8 tiny.npy -o y.npy --max-value best", "squares leave float64"),
    ("quantize int8 tiny.npy -o y.npy --max-value absmax", "squares leave float64"),
    ("error int8 --data none.npy", "'none.npy' holds no finite value"),
    ("optimize int8 --data bf.npy", "name them by --dtype"),
    ("optimize int8 --data x.npy --dtype bfloat16", "'x.npy' holds float32"),
    ("optimize int8 --data bf.npy --dtype bfloat17", "did you mean bfloat16?"),
    ("optimize int8 --dist gaussian --dtype bfloat16", "--dtype says what --data are"),
    ("quantize int8 x.npy -o y.npy --axis 0", "--max-value best or --max-value absmax"),
    ("quantize int8 x.npy -o y.npy --axis 5 --max-value best", "axis must lie in -2..1"),
    ("quantize int8 x.npy -o y.npy --max-value bets", "did you mean best?"),
    ("quantize int8 x.npy -o y.npy --max-value best --scale 1", "each set the range"),
    ("quantize mxfp4 x.npy -o y.npy --scale 2", "takes its scales from the data"),
    ("quantize mxfp4 x.npy -o y.npy --axis 0", "do not divide"),
    ("error mxfp4 --data x.npy --max-value best", "takes its scales from the data"),
    ("error int8 --dist gaussian --max-value absmax", "absmax is for --data"),
    ("error int8 --dist student-t(nu=2) --max-value best", "no range is the best"),
    ("error int8 --dist gaussian --axis 0", "--axis goes with --data"),
    ("error int8 --data x.npy --binade-average", "--binade-average is for densities"),
    ("error int8 --data f8.npy --dtype bfloat16", "--dtype bfloat16 is for arrays"),
    ("fixed-point", "give one of --std and --data"),
    ("fixed-point --std 1 --data x.npy", "give one of --std and --data"),
    ("fixed-point --std 1 --dtype bfloat16", "--dtype says what --data are"),
    ("fixed-point --data m.npz", "this command takes one array"),
    ("dot --weight int8 --activation int8 --activation-dist gaussian", "--weight-dist DENSITY or"),
    (
        "dot --weight int8 --weight-dist gaussian --weight-data x.npy --activation int8 "
        "--activation-dist gaussian",
        "each say what the side holds",
    ),
    (
        "dot --weight int8 --weight-dist gaussian --axis 0 --activation int8 "
        "--activation-dist gaussian",
        "--weight-axis goes with --weight-data",
    ),
    (
        "dot --weight int8 --weight-data x.npy --weight-nu 3 --activation int8 "
        "--activation-dist gaussian",
        "leave out --weight-nu",
    ),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_what_does_not_go_together_is_refused(folder: Path, line: str, words: str) -> None:
    np.save("none.npy", np.empty(0))
    np.save("nans.npy", np.full(3, np.nan))
    np.save("tiny.npy", np.array([1e-199, -3e-199]))
    before = sorted(folder.iterdir())
    found = run(*line.split())
    assert found.exit_code == 2, found.output
    assert found.stdout == ""
    assert words in " ".join(found.stderr.split())
    assert sorted(folder.iterdir()) == before
