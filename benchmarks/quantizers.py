"""How fast arrays are quantized, as multiples of ``np.copyto`` in the same run.

One thread, float32, ten million values. Every contender runs once a round, in turn, so that a
busy machine is busy for all; the shortest time of each counts.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qerror.formats import ScalarFormat, as_scalar_format
from qerror.simulation import quantize

SIZE = 10_000_000
ROUNDS = 15

NUMPY_BAR = 6.0  # at most so many times np.copyto
NUMBA_BAR = 1.6
TORCH_BAR = 2.0  # at least so many times faster than torch's cast there and back
ML_DTYPES_BAR = 4.0
PAPER_BAR = 10.0


class Case(NamedTuple):
    """A format at a scale, and the casts of other libraries that do the same."""

    name: str
    format: str
    scale: float
    torch_dtype: str = ""
    ml_dtype: str = ""


CASES = [
    Case("E4M3", "e4m3", 1.0, "float8_e4m3fn", "float8_e4m3fn"),
    Case("5M2E, real scale", "5M2E", 0.1),
    Case("INT8", "int8", 2.0**-5),
    Case("INT8, real scale", "int8", 0.03),
    Case("FIXED8.4", "fixed8.4", 1.0),
    Case("E2M1", "e2m1", 1.0, "", "float4_e2m1fn"),
]


def run(size: int = SIZE, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Time and print every case; one row a contender, with its bar and whether it was met."""
    import torch

    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    rows: list[dict[str, Any]] = []
    for case in CASES:
        found = _rows(case, x, rounds)
        print("\n".join(map(_shown, found)), flush=True)
        rows += found
    return rows


def _rows(case: Case, x: np.ndarray[Any, Any], rounds: int) -> list[dict[str, Any]]:
    seconds = _times(_contenders(case, x), rounds)
    copy = seconds["np.copyto"]
    rows: list[dict[str, Any]] = []
    for name, best in seconds.items():
        bar, met = _judged(name, seconds)
        rows.append(
            {
                "benchmark": "quantizers",
                "case": case.name,
                "contender": name,
                "milliseconds": 1e3 * best,
                "times_copyto": best / copy,
                "times_numpy": best / seconds["qerror, numpy"],
                "bar": bar,
                "met": met,
            }
        )
    return rows


def _judged(name: str, seconds: dict[str, float]) -> tuple[str, bool | None]:
    """Return what is asked of a contender, and whether it holds."""
    copy, own = seconds["np.copyto"], seconds["qerror, numpy"]
    times = seconds[name]
    return {
        "qerror, numpy": (f"<= {NUMPY_BAR:g} np.copyto", own <= NUMPY_BAR * copy),
        "qerror, numba": (f"<= {NUMBA_BAR:g} np.copyto", times <= NUMBA_BAR * copy),
        "torch cast": (f">= {TORCH_BAR:g} qerror, numpy", times >= TORCH_BAR * own),
        "ml_dtypes": (f">= {ML_DTYPES_BAR:g} qerror, numpy", times >= ML_DTYPES_BAR * own),
        "FP8 paper, torch": (f">= {PAPER_BAR:g} qerror, numpy", times >= PAPER_BAR * own),
    }.get(name, ("", None))


def _contenders(case: Case, x: np.ndarray[Any, Any]) -> dict[str, Callable[[], object]]:
    form, out = as_scalar_format(case.format), np.empty_like(x)
    found: dict[str, Callable[[], object]] = {
        "np.copyto": lambda: np.copyto(out, x),
        "qerror, numpy": lambda: quantize(x, form, case.scale, out=out, threads=1, engine="numpy"),
        "qerror, numba": lambda: quantize(x, form, case.scale, out=out, threads=1, engine="numba"),
    }
    return found | _peers(case, form, x)


def _peers(
    case: Case, form: ScalarFormat, x: np.ndarray[Any, Any]
) -> dict[str, Callable[[], object]]:
    import ml_dtypes
    import torch

    tensor = torch.from_numpy(x)
    found: dict[str, Callable[[], object]] = {}
    if case.torch_dtype:
        kind = getattr(torch, case.torch_dtype)
        found["torch cast"] = lambda: tensor.to(kind).to(torch.float32)
    if case.ml_dtype:
        small = getattr(ml_dtypes, case.ml_dtype)
        found["ml_dtypes"] = lambda: x.astype(small).astype(np.float32)
    if "M" in form.name and case.format != "e2m1":
        bits = (5, 2) if case.format == "5M2E" else (3, 4)
        top = form.max_value * case.scale
        found["FP8 paper, torch"] = lambda: _paper(tensor, *bits, top)
    return found


def _paper(x: Any, mantissa_bits: int, exponent_bits: int, max_value: float) -> Any:
    """Quantize as Kuzmin et al. 2022, eq. 6 to 8, in torch: a scale per value by log2 and pow."""
    import torch

    top = torch.tensor(max_value)
    bias = 2.0**exponent_bits - torch.log2(top) + np.log2(2 - 2.0**-mantissa_bits) - 1
    clipped = torch.minimum(torch.maximum(x, -top), top)
    exponent = torch.clamp(torch.floor(torch.log2(torch.abs(clipped)) + bias), 1.0)
    scale = 2.0 ** (exponent - mantissa_bits - bias)
    return torch.round(clipped / scale) * scale


def _times(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each, after a first run that compiles and touches memory."""
    best = dict.fromkeys(contenders, float("inf"))
    for turn in range(rounds + 1):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def _shown(row: dict[str, Any]) -> str:
    verdict = {True: "ok", False: "no", None: ""}[row["met"]]
    times = f"{row['times_copyto']:6.2f} x copyto {row['times_numpy']:6.2f} x ours"
    line = f"{row['case']:17} {row['contender']:17} {row['milliseconds']:7.1f} ms {times}"
    return f"{line}  {row['bar']:25} {verdict}".rstrip()


if __name__ == "__main__":
    run()
