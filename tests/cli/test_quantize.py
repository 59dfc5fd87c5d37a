"""``qerror quantize`` and ``qerror error --data``: real arrays in files."""

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import parse_density
from qerror.simulation import quantize
from tests.cli.conftest import Run


@pytest.fixture
def weights(tmp_path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    x = np.random.default_rng(3).standard_t(5, (300, 70)).astype(np.float32)
    np.save(tmp_path / "w.npy", x)
    return x


def rows(text: str) -> Any:
    return json.loads(text)["rows"]


def test_the_file_holds_what_the_library_returns(
    run: Run, tmp_path: Path, weights: np.ndarray[Any, Any]
) -> None:
    result = run("quantize", "4M3E", "w.npy", "--max-value", "4", "-o", "out.npy")
    assert result.exit_code == 0, result.stderr
    wanted = quantize(weights, "4M3E", 4 / 15.5)
    got = np.load(tmp_path / "out.npy")
    assert got.dtype == np.float32
    assert (got == wanted).all()
    assert result.stderr == "wrote out.npy\n"
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "predicted for student-t(nu=" in result.stdout
    assert result.stdout.count("log-likelihood of") == 3


def test_measured_and_predicted_figures(run: Run, weights: np.ndarray[Any, Any]) -> None:
    result = run("quantize", "int8", "w.npy", "--scale", "0.03", "-o", "o.npy", "--json")
    (row,) = rows(result.stdout)
    x = weights.astype(np.float64)
    e = quantize(weights, "int8", 0.03).astype(np.float64) - x
    assert row["mse"] == pytest.approx((e * e).mean(), rel=1e-12, abs=0)
    assert row["mean_error"] == pytest.approx(e.mean(), rel=1e-9, abs=0)
    assert row["cross_moment"] == pytest.approx((x * e).mean(), rel=1e-9, abs=0)
    db = 10 * np.log10((x * x).mean() / (e * e).mean())
    assert row["sqnr_db"] == pytest.approx(db, rel=1e-12, abs=0)
    report = quantization_error("int8", parse_density(row["fitted"]), 0.03)
    assert row["predicted_sqnr_db"] == report.sqnr_db
    assert row["predicted_rounding"] == pytest.approx(row["rounding"], rel=0.02, abs=0)
    assert row["clipped_high"] == int((x > 3.81).sum())
    assert (row["shape"], row["dtype"], row["size"]) == ([300, 70], "float32", 21000)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_order(run: Run, tmp_path: Path, kind: Any, order: Any) -> None:
    x = np.asarray(np.random.default_rng(1).normal(size=(40, 30)), dtype=kind, order=order)
    np.save(tmp_path / "x.npy", x)
    assert run("quantize", "e4m3", "x.npy", "-o", "y.npy").exit_code == 0
    got = np.load(tmp_path / "y.npy")
    assert got.dtype == x.dtype
    assert (got == quantize(x, "e4m3")).all()
    assert got.flags.f_contiguous == x.flags.f_contiguous


def test_npz_keeps_names_compression_and_integers(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "a": rng.normal(size=1000),
        "b/c": rng.normal(size=(3, 4)).astype("f4"),
    }
    np.savez_compressed(tmp_path / "m.npz", **arrays, steps=np.arange(7), none=np.zeros(0))
    result = run("quantize", "int8", "m.npz", "--scale", "0.02", "-o", "n.npz", "--json")
    assert result.exit_code == 0, result.stderr
    with np.load(tmp_path / "n.npz") as found:
        assert sorted(found.files) == ["a", "b/c", "none", "steps"]
        for name, x in arrays.items():
            assert (found[name] == quantize(x, "int8", 0.02)).all()
            assert found[name].dtype == x.dtype
        assert (found["steps"] == np.arange(7)).all()
    with zipfile.ZipFile(tmp_path / "n.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    listed = {row["array"]: row for row in rows(result.stdout)}
    assert list(listed) == ["a", "b/c", "none"]
    assert listed["none"]["mse"] == "nan"
    assert listed["none"]["fitted"] is None


def test_nan_and_infinities_are_counted_and_left_out(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=1000)
    x[:3] = np.nan
    x[3:5] = np.inf, -np.inf
    np.save(tmp_path / "x.npy", x)
    result = run("error", "int4", "--data", "x.npy", "--scale", "0.4", "--json")
    (row,) = rows(result.stdout)
    assert (row["nan"], row["infinite"], row["size"]) == (3, 2, 995)
    e = quantize(x[5:], "int4", 0.4) - x[5:]
    assert row["mse"] == pytest.approx((e * e).mean(), rel=1e-12, abs=0)
    text = run("error", "int4", "--data", "x.npy", "--scale", "0.4").stdout
    assert "note: 3 NaN and 2 infinite values have no part in this" in text


def test_zeros_become_a_point_mass(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=10_000)
    x[:4000] = 0
    np.save(tmp_path / "x.npy", x)
    result = run("error", "int8", "--data", "x.npy", "--max-value", "4")
    assert "point masses: 0 (40.0%)" in result.stdout


def test_error_data_writes_nothing_but_its_report(
    run: Run, tmp_path: Path, weights: np.ndarray[Any, Any]
) -> None:
    del weights
    result = run("error", "4M3E", "--data", "w.npy", "--fit", "none", "-o", "r.json")
    assert result.exit_code == 0
    assert "scale 1" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "w.npy"]
    (row,) = rows((tmp_path / "r.json").read_text())
    assert row["fitted"] is None
    assert "predicted_mse" not in row


def test_a_file_may_replace_itself_by_force(
    run: Run, tmp_path: Path, weights: np.ndarray[Any, Any]
) -> None:
    (tmp_path / "w.npy").chmod(0o640)
    line = ["quantize", "int4", "w.npy", "-o", "w.npy", "--scale", "0.3", "--json"]
    refused = run(*line)
    assert refused.exit_code == 2
    assert "it is read as INPUT" in refused.stderr
    assert (np.load(tmp_path / "w.npy") == weights).all()
    first = run(*line, "--force")
    assert first.exit_code == 0
    assert (np.load(tmp_path / "w.npy") == quantize(weights, "int4", 0.3)).all()
    assert (tmp_path / "w.npy").stat().st_mode & 0o777 == 0o640
    assert rows(first.stdout)[0]["fitted"].startswith("student-t")  # to what was there before
    assert [path.name for path in tmp_path.iterdir()] == ["w.npy"]


@pytest.mark.parametrize("mode", ["SR", "RTZ"])
def test_rounding_and_seed(
    run: Run, tmp_path: Path, weights: np.ndarray[Any, Any], mode: str
) -> None:
    seed = "--seed 5" if mode == "SR" else ""
    line = f"quantize e2m1 w.npy --rounding {mode} {seed} -o {{}}.npy --fit none"
    assert run(*line.format("a").split()).exit_code == 0
    assert run(*line.format("b").split()).exit_code == 0
    a, b = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert (a == b).all()
    wanted = quantize(weights, "e2m1", rounding=mode, rng=np.random.default_rng(5))
    assert (a == wanted).all()


BAD = [
    ("quantize int8 w.npy", ["-o"]),
    ("quantize int8 none.npy -o y.npy", ["'none.npy'", "no such file"]),
    ("quantize int8 w.txt -o y.npy", ["'w.txt'", ".npy or .npz"]),
    ("quantize int8 w.npy -o y.npz", ["'y.npz' must end in .npy"]),
    ("quantize int8 w.npy -o no/y.npy", ["no folder"]),
    ("quantize int8 w.npy -o y.npy --scale 0", ["scale must be positive", "0"]),
    ("quantize int8 w.npy -o y.npy --scale nan", ["scale must be finite", "nan"]),
    ("quantize int8 w.npy -o y.npy --scale 1 --max-value 2", ["--scale and --max-value"]),
    ("quantize int8 w.npy -o y.npy --bias 2", ["INT8 has no exponent bias"]),
    ("quantize int8 w.npy -o y.npy --rounding nearst", ["did you mean nearest"]),
    ("quantize int8 w.npy -o y.npy --seed -1", ["--seed must not be negative"]),
    ("quantize int8 w.npy -o y.npy --seed 1", ["--rounding stochastic", "nearest-even draws"]),
    ("quantize int8 w.npy -o y.npy --fit gausian", ["'gausian'", "gaussian"]),
    ("quantize int8 w.npy -o y.npy --fit mixture", ["no fit for mixture"]),
    ("quantize e4m9 w.npy -o y.npy", ["'e4m9'"]),
    ("quantize int8 short.npy -o y.npy", ["'short.npy'", "ends after"]),
    ("quantize int8 text.npy -o y.npy", ["'text.npy'", "not a valid .npy file"]),
    ("quantize int8 empty.npy -o y.npy", ["'empty.npy'", "not a valid .npy file"]),
    ("quantize int8 integers.npy -o y.npy", ["int64", "float16, float32, float64"]),
    ("quantize int8 complex.npy -o y.npy", ["complex128", "astype(np.float32)"]),
    ("quantize int8 objects.npy -o y.npy", ["Python objects"]),
    ("quantize int8 short.npz -o y.npz", ["'short.npz'", "not a valid .npz file"]),
    ("quantize int8 integers.npz -o y.npz", ["int64", "convert"]),
    ("error int8 --data none.npy", ["no such file"]),
    ("error int8 --data w.npy --dist gaussian", ["--data and --dist"]),
    ("error int8 --data w.npy --nu 3", ["--nu", "--data"]),
    ("error int8 --data w.npy --method quadrature", ["--method is for densities"]),
    ("error int8 --data w.npy --method closed-form", ["--method is for densities"]),
    ("error int8 --dist gaussian --fit laplace", ["--fit goes with --data"]),
]


@pytest.fixture
def damaged(tmp_path: Path, weights: np.ndarray[Any, Any]) -> Path:
    content = (tmp_path / "w.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(content[:-100])
    (tmp_path / "w.txt").write_bytes(content)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "integers.npy", np.arange(4))
    np.save(tmp_path / "complex.npy", np.zeros(4, complex))
    np.save(tmp_path / "objects.npy", np.array([None, 1], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "integers.npz", a=np.arange(4))
    np.savez(tmp_path / "whole.npz", a=weights)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_bad_input(run: Run, damaged: Path, line: str, words: list[str]) -> None:
    before = sorted(damaged.iterdir())
    result = run(*line.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(damaged.iterdir()) == before


def test_a_damaged_member_leaves_the_old_output(run: Run, tmp_path: Path) -> None:
    """The archive's list is whole, but one of its arrays is not."""
    np.savez(tmp_path / "m.npz", a=np.zeros(10), b=np.ones(100_000))
    content = bytearray((tmp_path / "m.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "m.npz").write_bytes(content)
    (tmp_path / "o.npz").write_text("precious")
    result = run("quantize", "int8", "m.npz", "-o", "o.npz", "--fit", "none")
    assert result.exit_code == 2
    assert "not a valid .npz file" in result.stderr
    assert (tmp_path / "o.npz").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.npz", "o.npz"]


def test_a_full_disk_leaves_the_old_output(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: np.ndarray[Any, Any]
) -> None:
    del weights
    (tmp_path / "o.npy").write_text("precious")

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qerror.simulation.files._write", full)
    result = run("quantize", "int8", "w.npy", "-o", "o.npy", "--fit", "none")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert result.stdout == ""
    assert (tmp_path / "o.npy").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.npy", "w.npy"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file of 64 MB passes through in pieces."""
    from qerror.simulation import quantize_file

    x = np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32)
    np.save(tmp_path / "x.npy", np.tile(x, 16))
    np.savez(tmp_path / "x.npz", a=np.tile(x, 16))
    for name in ("x.npy", "x.npz"):
        tracemalloc.start()
        quantize_file(tmp_path / name, tmp_path / f"y{name}", "e4m3", 0.01)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6
    assert (np.load(tmp_path / "yx.npy")[-(1 << 20) :] == quantize(x, "e4m3", 0.01)).all()
