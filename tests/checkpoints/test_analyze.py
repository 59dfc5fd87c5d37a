"""Checkpoints: measured is what plain NumPy computes on the decoded values."""

import json
import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qerror import CheckpointReport, analyze_checkpoint
from qerror.checkpoints import TOLERANCE_DB, in_parts, job, plan_budget
from qerror.exceptions import InvalidValue
from qerror.formats import parse_format
from qerror.simulation.block_sums import block_sums
from qerror.simulation.counting import bin_values, count_units
from qerror.storage import open_checkpoint
from tests.storage.safetensors_files import entries, saved, written

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
E4M3 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)


def model(path: Path) -> Path:
    torch.manual_seed(3)
    base = torch.randn(64, 96) * 0.02
    tensors = {f"w.{name}": base.to(kind) for name, kind in TORCH.items()}
    tensors["w.F32"] = base * torch.linspace(0.1, 4, 64)[:, None]
    tensors["out"] = base.clone()
    tensors["out"][3, 5] = 3.0
    tensors["bias"] = torch.randn(50)
    tensors["zeros"] = torch.zeros(32)
    tensors["nothing"] = torch.empty(0, 32)
    tensors["nan"] = torch.full((2, 32), math.nan)
    tensors["some"] = torch.where(torch.arange(64) < 3, math.inf, torch.randn(2, 64)).half()
    tensors["ids"] = torch.arange(8)
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("checkpoint") / "m.safetensors")


FORMATS = "int8,e4m3,int4:g32,mxfp4"


@pytest.fixture(scope="module")
def report(path: Path) -> CheckpointReport:
    return analyze_checkpoint(path, FORMATS)


def values_of(path: Path, tensor: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    from safetensors.torch import load_file

    return load_file(path)[tensor].double().numpy()


def int8(x: Any, top: float) -> Any:
    scale = top / 127
    return np.clip(np.rint(x / scale), -127, 127) * scale


def e4m3(x: Any, top: float) -> Any:
    scale = top / 448
    q = np.clip(x / scale, -448, 448)
    return q.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * scale


ORACLES = {"INT8": int8, "E4M3FN": e4m3}
MEASURED = ["w.BF16", "w.F16", "w.F8_E4M3", "w.F8_E5M2", "w.F32", "out", "bias"]


@pytest.mark.parametrize("tensor", MEASURED)
@pytest.mark.parametrize("name", ORACLES)
def test_scalar_formats_are_measured_as_numpy_does(
    report: CheckpointReport, path: Path, tensor: str, name: str
) -> None:
    x = values_of(path, tensor)
    (found,) = [each for each in report[tensor].formats if each.format == name]
    absmax = float(np.abs(x).max())
    assert report[tensor].absmax == absmax

    def sqnr(top: float) -> float:
        mse = np.mean((ORACLES[name](x, top) - x) ** 2)
        return math.inf if mse == 0 else 10 * math.log10(np.mean(x**2) / mse)

    assert found.best_max_value is not None
    # A scale of its own rounding decides a tie at most.
    assert found.absmax_sqnr_db == pytest.approx(sqnr(absmax), rel=1e-12, abs=1e-12)
    assert found.best_sqnr_db == pytest.approx(sqnr(found.best_max_value), rel=1e-12, abs=1e-9)
    tried = [sqnr(float(top)) for top in np.geomspace(absmax / 16, 2 * absmax, 300)]
    assert found.best_sqnr_db >= max(tried) - 2e-4
    assert found.best_sqnr_db >= found.absmax_sqnr_db


def int4_groups(x: Any) -> Any:
    blocks = x.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / np.float32(7)).astype(np.float32)
    safe = np.where(scale == 0, np.float32(1), scale)
    return (np.clip(np.rint(blocks / safe), -7, 7) * scale).reshape(x.shape)


def mxfp4(x: Any) -> Any:
    blocks = x.reshape(-1, 32)
    most = np.abs(blocks).max(axis=1, keepdims=True)
    scale = np.exp2(np.floor(np.log2(np.where(most == 0, 1, most))) - 2)
    q = np.clip(blocks / scale, -6, 6).astype(ml_dtypes.float4_e2m1fn).astype(np.float64)
    return (q * scale).reshape(x.shape)


@pytest.mark.parametrize("tensor", ["w.BF16", "w.F16", "w.F8_E4M3", "w.F32", "out"])
@pytest.mark.parametrize("name", ["INT4:g32", "MXFP4"])
def test_block_formats_are_measured_as_numpy_does(
    report: CheckpointReport, path: Path, tensor: str, name: str
) -> None:
    x = values_of(path, tensor)
    (found,) = [each for each in report[tensor].formats if each.format == name]
    q = int4_groups(x.astype(np.float32)) if name == "INT4:g32" else mxfp4(x)
    mse = float(np.mean((q.astype(np.float64) - x) ** 2))
    assert found.best_mse == pytest.approx(mse, rel=1e-12, abs=0)
    assert found.best_sqnr_db == found.absmax_sqnr_db
    assert found.best_sqnr_db == pytest.approx(
        10 * math.log10(np.mean(x**2) / mse), rel=1e-12, abs=0
    )
    assert found.best_max_value is None


def test_what_stands_beside_the_formats(report: CheckpointReport, path: Path) -> None:
    x = values_of(path, "w.BF16")
    found = report["w.BF16"]
    assert found.shape == x.shape
    assert found.dtype == "BF16"
    assert found.mean == pytest.approx(x.mean(), rel=1e-12, abs=0)
    assert found.signal_power == pytest.approx(np.mean(x**2), rel=1e-12, abs=0)
    d = x - x.mean()
    assert found.kurtosis == pytest.approx(np.mean(d**4) / np.mean(d**2) ** 2, rel=1e-12, abs=0)
    assert found.largest_over_rms == pytest.approx(
        np.abs(x).max() / np.sqrt(np.mean(x**2)), rel=1e-12, abs=0
    )
    assert found.density.startswith("gaussian")
    assert found.parameters["std"] == pytest.approx(x.std(), rel=1e-9, abs=0)
    assert [each.holds for each in found.formats] == [False, True, True, True]
    assert "its 6,144 values do not reach as far" in found.formats[0].note


def test_why_predictions_fail_is_said(report: CheckpointReport) -> None:
    assert report["w.F32"].channel_ratio > 10
    assert "channels of different spread" in report["w.F32"].note
    assert "outliers: the largest value is" in report["out"].note
    assert "on a grid already" in report["w.F8_E4M3"].note
    assert not report["w.BF16"].note
    (found,) = [each for each in report["out"].formats if each.format == "INT8"]
    assert found.holds is False
    assert abs(found.predicted_sqnr_db - found.best_sqnr_db) > TOLERANCE_DB
    assert "outliers" in found.note


def test_tensors_without_a_figure_are_reported_all_the_same(report: CheckpointReport) -> None:
    notes = {
        "zeros": "all its finite values are 0",
        "nothing": "it has no values",
        "nan": "none of its values is finite",
    }
    for name, note in notes.items():
        assert report[name].note == note
        assert all(math.isnan(each.best_sqnr_db) for each in report[name].formats)
    some = report["some"]
    assert (some.infinite, some.nan, some.finite) == (6, 0, 122)
    assert "6 infinite" in some.note
    assert "29 finite values share a block" in "".join(each.note for each in some.formats) or (
        "58 finite values share a block" in "".join(each.note for each in some.formats)
    )
    (blocks,) = [each for each in report["bias"].formats if each.format == "MXFP4"]
    assert "32 do not divide" in blocks.note
    assert [each.tensor for each in report.skipped] == ["ids"]


def test_totals_are_those_of_all_values_together(path: Path) -> None:
    names = ["w.BF16", "w.F16", "out"]
    report = analyze_checkpoint(path, "int8")
    everything = [each for each in report if not math.isnan(each.formats[0].best_mse)]
    power = sum(each.finite * each.signal_power for each in everything)
    noise = sum(each.finite * each.formats[0].best_mse for each in everything)
    (total,) = report.totals
    assert total.best_sqnr_db == pytest.approx(10 * math.log10(power / noise), rel=1e-12, abs=0)
    assert total.tensors == len(everything) > len(names)


def rows(report: CheckpointReport) -> str:
    return json.dumps([each.to_dict() for each in report])


def test_where_the_work_is_done_does_not_matter(path: Path, report: CheckpointReport) -> None:
    with ThreadPoolExecutor(3) as threads:
        assert rows(analyze_checkpoint(path, FORMATS, executor=threads)) == rows(report)


@pytest.mark.slow
def test_processes_return_the_same(path: Path, report: CheckpointReport) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert rows(analyze_checkpoint(path, FORMATS, executor=pool)) == rows(report)


@pytest.mark.parametrize("exact", [False, True])
def test_a_large_tensor_in_parts_is_the_same_as_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    rng = np.random.default_rng(5)
    x: dict[str, np.ndarray[Any, Any]] = {
        "half": rng.normal(size=(60, 64)).astype(np.float16),
        "single": rng.normal(size=(2112, 64)).astype(np.float32),
    }
    place = saved(tmp_path / "x.safetensors", x)
    formats = "int8,mxfp4,nvfp4:of=tensor"
    whole = analyze_checkpoint(place, formats, exact=exact, families=())
    monkeypatch.setattr(job, "PART", 50_000)
    by_part = analyze_checkpoint(place, formats, exact=exact, families=())
    monkeypatch.setattr("qerror.checkpoints.analyze.LARGE", 60_000)
    with ThreadPoolExecutor(2) as pool:
        split = analyze_checkpoint(place, formats, executor=pool, exact=exact, families=())
    assert rows(split) == rows(by_part)
    for a, b in zip(whole, split, strict=True):
        for one, other in zip(a.formats, b.formats, strict=True):
            assert one.best_mse == pytest.approx(other.best_mse, rel=1e-9 if exact else 1e-6, abs=0)
            assert one.absmax_mse == pytest.approx(
                other.absmax_mse, rel=1e-9 if exact else 1e-6, abs=0
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_summary_says_how_far_off_it_may_be(tmp_path: Path, dtype: Any) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_t(4, size=150_016).astype(dtype)
    place = saved(tmp_path / "x.safetensors", {"x": x})
    summary = analyze_checkpoint(place, "int8,int16,4M3E", families=())
    exact = analyze_checkpoint(place, "int8,int16,4M3E", families=(), exact=True)
    wide = x.astype(np.float64)
    assert summary["x"].signal_power == pytest.approx(np.mean(wide**2), rel=1e-12, abs=0)
    d = wide - wide.mean()
    assert summary["x"].kurtosis == pytest.approx(
        np.mean(d**4) / np.mean(d**2) ** 2, rel=1e-6, abs=0
    )
    for short, known in zip(summary["x"].formats, exact["x"].formats, strict=True):
        assert known.bound_db == 0 < short.bound_db < (6 if short.format == "INT16" else 0.01)
        # At the same range, which a summary and all values may choose differently by a little.
        assert short.absmax_sqnr_db <= known.absmax_sqnr_db + 1e-9
        assert known.absmax_sqnr_db <= short.absmax_sqnr_db + 2 * short.bound_db
        assert known.best_sqnr_db >= short.best_sqnr_db - 1e-9
        assert known.best_sqnr_db <= short.best_sqnr_db + 2 * short.bound_db + 1e-4
        if short.format == "INT8":
            assert short.best_max_value is not None
            measured = 10 * math.log10(
                np.mean(wide**2) / np.mean((int8(wide, short.best_max_value) - wide) ** 2)
            )
            assert short.best_sqnr_db <= measured + 1e-9
            assert measured <= short.best_sqnr_db + short.bound_db


def test_few_distinct_values_of_32_bits_are_known_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    x = (rng.integers(-100, 100, size=140_000) * 0.01).astype(np.float32)
    found = analyze_checkpoint(saved(tmp_path / "x.safetensors", {"x": x}), "int8")["x"]
    assert found.formats[0].bound_db == 0
    assert "uniform grid" in found.note
    assert found.formats[0].best_sqnr_db > 120


def test_a_journal_goes_on_where_a_run_was_stopped(
    path: Path, report: CheckpointReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "run.jsonl"

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze_checkpoint(path, FORMATS, journal=notes, progress=stop)
    lines = notes.read_bytes().splitlines()
    assert 1 < len(lines) < 13
    notes.write_bytes(b"\n".join(lines) + b'\n{"key": "torn')
    counted: list[str] = []
    plain = job.whole

    def watched(given: job.Job) -> job.Outcome:
        counted.append(given.tensor.name)
        return plain(given)

    monkeypatch.setattr("qerror.checkpoints.analyze.whole", watched)
    again = analyze_checkpoint(path, FORMATS, journal=notes)
    assert rows(again) == rows(report)
    assert len(counted) == len(report) - (len(lines) - 1)
    counted.clear()
    assert rows(analyze_checkpoint(path, FORMATS, journal=notes)) == rows(report)
    assert not counted
    with pytest.raises(InvalidValue, match="belongs to other work: formats"):
        analyze_checkpoint(path, "int8", journal=notes)
    with pytest.raises(InvalidValue, match="is no journal"):
        analyze_checkpoint(path, FORMATS, journal=path)
    with pytest.raises(InvalidValue, match=r"cannot write .*No such file"):
        analyze_checkpoint(path, FORMATS, journal=tmp_path / "none" / "run.jsonl")


@pytest.mark.parametrize("kind", ["f2", "f4"])
@pytest.mark.parametrize("at", [0.3, 0.8])
def test_a_journal_goes_on_inside_a_large_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, at: float
) -> None:
    monkeypatch.setattr(job, "PART", 10_000)
    monkeypatch.setattr(job, "DIRECT", 1000)  # so that 32 bits go into bins
    monkeypatch.setattr("qerror.checkpoints.analyze.LARGE", 60_000)
    monkeypatch.setattr(in_parts, "NOTED", 3)
    x = np.random.default_rng(15).normal(size=(1200, 128)).astype(kind)
    place = saved(tmp_path / "x.safetensors", {"x": x})
    formats, notes = "int8,mxfp4,nvfp4:of=tensor", tmp_path / "run.jsonl"
    wanted = rows(analyze_checkpoint(place, formats, families=()))
    seen: list[str] = []
    for name in ("tally_part", "block_part"):
        plain = getattr(in_parts, name)

        def watched(given: Any, plain: Any = plain, name: str = name) -> Any:
            seen.append(name)
            return plain(given)

        monkeypatch.setattr(in_parts, name, watched)

    def stop(done: int, total: int) -> None:
        if done > at * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze_checkpoint(place, formats, families=(), journal=notes, progress=stop)
    with notes.open("ab") as file:
        file.write(b'{"begun": "x", "sta')  # killed while it wrote
    first = len(seen)
    told: list[int] = []

    def tell(done: int, total: int) -> None:
        assert total == x.nbytes
        told.append(done)

    again = analyze_checkpoint(place, formats, families=(), journal=notes, progress=tell)
    assert rows(again) == wanted
    parts = len(job.Job(_all(place)[0], (), ()).parts())
    assert 2 * parts <= len(seen) < 2 * parts + 4  # at most what was not noted yet is done again
    assert 0 < len(seen) - first < 2 * parts
    assert told == sorted(told)
    assert told[-1] == x.nbytes


def test_rows_by_channel_and_by_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(16)
    x = (rng.normal(size=(5, 3, 50)) * np.arange(1, 6)[:, None, None]).astype(np.float16)
    b = rng.normal(size=4).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, b=b)
    place = saved(tmp_path / "x.safetensors", {"x": x, "b": b})
    for source in (place, tmp_path / "x.npz"):
        found = analyze_checkpoint(source, "int8", by="channel")
        assert sorted(each.tensor for each in found) == ["b", *(f"x[{i}]" for i in range(5))]
        assert found.by == "channel"
        for i in range(5):
            alone = x[i].astype(np.float64)
            assert found[f"x[{i}]"].shape == (3, 50)
            assert found[f"x[{i}]"].signal_power == pytest.approx(
                np.mean(alone**2), rel=1e-14, abs=0
            )
            top = float(np.abs(alone).max())
            mse = np.mean((int8(alone, top) - alone) ** 2)
            assert found[f"x[{i}]"].formats[0].absmax_mse == pytest.approx(mse, rel=1e-12, abs=0)
    found = analyze_checkpoint(place, "int8", by="group:32", only=["x"], families=())
    assert len(found) == 5 * 3 * 2
    assert found["x[4,2,32:50]"].size == 18
    wanted = np.mean(x[4, 2, 32:50].astype(np.float64) ** 2)
    assert found["x[4,2,32:50]"].signal_power == pytest.approx(wanted, rel=1e-14, abs=0)
    with pytest.raises(InvalidValue, match="a budget is for whole tensors"):
        plan_budget(found, 6)
    with pytest.raises(InvalidValue, match="fits no tensor; they are called"):
        analyze_checkpoint(place, "int8", only=["y"])
    for wrong in ("row", "group:", "group:0", "group:-3", "group:x", ""):
        with pytest.raises(InvalidValue, match="rows are by 'channel' or 'group:N'"):
            analyze_checkpoint(place, "int8", by=wrong)


def test_channels_that_share_bytes_are_faults(tmp_path: Path) -> None:
    header = {"x": {"dtype": "F4", "shape": [4, 3], "data_offsets": [0, 6]}}
    place = written(tmp_path / "x.safetensors", json.dumps(header), bytes(range(6)))
    assert len(analyze_checkpoint(place, "int8")) == 1
    for by in ("channel", "group:2"):
        with pytest.raises(InvalidValue, match=rf"{by}: \d values do not fill units of 2"):
            analyze_checkpoint(place, "int8", by=by)


def test_progress_counts_bytes(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    analyze_checkpoint(path, "int8", progress=lambda *each: seen.append(each))
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] == sum(each.size * _width(each.dtype) for each in _all(path))
    assert seen == sorted(seen)


def _all(path: Path) -> Any:
    return open_checkpoint(path).tensors


def _width(dtype: str) -> int:
    return {"F32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)


def test_damage_is_reported_and_good_tensors_too(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "a": np.ones((2, 32), np.float32),
        "b": np.arange(32.0, dtype=np.float16),
    }
    header, body = entries(arrays)
    header["a"]["dtype"] = "F9"
    place = written(tmp_path / "x.safetensors", json.dumps(header), body)
    report = analyze_checkpoint(place, "int8")
    assert [each.tensor for each in report] == ["b"]
    assert "x.safetensors" in str(report.faults[0])
    assert "tensor 'a': dtype: 'F9' is unknown" in str(report.faults[0])
    with pytest.raises(InvalidValue, match="tensor 'a'"):
        analyze_checkpoint(place, "int8", strict=True)
    ids = saved(tmp_path / "ids.safetensors", {"ids": np.arange(3)})
    with pytest.raises(InvalidValue, match="no floating-point tensor"):
        analyze_checkpoint(ids, "int8")


def test_a_file_that_shrinks_meanwhile_is_a_fault(tmp_path: Path) -> None:
    arrays = {"a": np.ones((2, 32), np.float32), "b": np.ones((2, 64), np.float32)}
    place = saved(tmp_path / "x.safetensors", arrays)

    def shrink(done: int, total: int) -> None:
        del total
        if not done:
            place.write_bytes(place.read_bytes()[:-512])

    report = analyze_checkpoint(place, "int8", progress=shrink)
    assert [each.tensor for each in report] == ["a"]
    assert report.faults[0].tensor == "b"


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_counting_compiled_and_not_is_the_same(kind: str) -> None:
    units = np.random.default_rng(8).integers(0, 200, 100_003).astype(kind)
    counts = [np.zeros(256 ** np.dtype(kind).itemsize, np.int64) for _ in range(2)]
    count_units(units, counts[0], "numpy")
    count_units(units, counts[1], "numba")
    np.testing.assert_array_equal(counts[0], counts[1])
    np.testing.assert_array_equal(counts[0][:200], np.bincount(units, minlength=200))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_compiled_and_not_are_the_same(dtype: Any) -> None:
    x = np.random.default_rng(9).normal(size=20_001).astype(dtype)
    x[:3] = math.nan, math.inf, -math.inf
    a, b = bin_values(x, "numpy"), bin_values(x, "numba")
    assert (a.nan, a.infinite) == (b.nan, b.infinite) == (1, 2)
    for one, other in zip(a.bins, b.bins, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4:g32", "int4:g32:affine"])
def test_block_sums_compiled_and_not_are_the_same(name: str) -> None:
    x = np.random.default_rng(10).normal(size=3 * 4096 + 64).astype(np.float32)
    x[77] = math.nan
    form: Any = parse_format(name)
    assert block_sums(x, form, "numpy") == block_sums(x, form, "numba")
    assert block_sums(x, form, "numpy").spoiled == form.block_size - 1


@pytest.mark.parametrize(
    "state",
    [
        {"part": 3, "tally": {"counts": "AAAA"}},
        {"tally": {}},
        {"part": 99, "sums": 5},
        {"part": 10**6, "tally": {"counts": in_parts._text(np.zeros(1 << 16, np.int64))}},
    ],
)
def test_a_journal_with_damaged_notes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any
) -> None:
    monkeypatch.setattr("qerror.checkpoints.analyze.LARGE", 1000)
    x = np.random.default_rng(15).normal(size=(40, 128)).astype("f2")
    place, notes = saved(tmp_path / "x.safetensors", {"x": x}), tmp_path / "run.jsonl"
    analyze_checkpoint(place, "int8", families=(), journal=notes)
    first, *_ = notes.read_text().splitlines()
    notes.write_text("\n".join([first, json.dumps({"begun": "x", "state": state}), ""]))
    with pytest.raises(InvalidValue, match=r"is damaged .*remove it to start anew"):
        analyze_checkpoint(place, "int8", families=(), journal=notes)
