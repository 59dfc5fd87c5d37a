"""How fast arrays are quantized in blocks, as multiples of ``np.copyto`` in the same run.

One thread, float32, ten million values. Every contender runs once a round, in turn, so that a
busy machine is busy for all; the shortest time of each counts, in time of the process.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from qerror.formats import parse_format
from qerror.simulation import quantize

SIZE = 10_000_000
ROUNDS = 7

CASES = ("mxfp4", "mxfp8_e4m3", "nvfp4", "nf4:g64", "int4:g64", "int4:g64:affine")
JUDGED = ("mxfp4", "mxfp8_e4m3", "nvfp4")

NUMPY_BAR, NUMBA_BAR = 20.0, 6.0  # at most so many times np.copyto
MICROXCALING_BARS = {"qerror, numpy": 8.0, "qerror, numba": 30.0}  # at least so many times faster
TORCHAO_BAR = 4.0


def run(size: int = SIZE, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Time and print every case; one row a contender, with its bars and whether they were met."""
    import torch

    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal(size // 64 * 64).astype(np.float32)
    rows: list[dict[str, Any]] = []
    for case in CASES:
        found = _rows(case, x, rounds)
        print("\n".join(map(_shown, found)), flush=True)
        rows += found
    return rows


def _rows(case: str, x: np.ndarray[Any, Any], rounds: int) -> list[dict[str, Any]]:
    seconds = _times(_contenders(case, x), rounds)
    return [
        {
            "benchmark": "block quantizers",
            "case": case,
            "contender": name,
            "milliseconds": 1e3 * best,
            "times_copyto": best / seconds["np.copyto"],
            "times_numpy": best / seconds["qerror, numpy"],
            "times_numba": best / seconds["qerror, numba"],
            "bar": (judged := _judged(case, name, seconds))[0],
            "met": judged[1],
        }
        for name, best in seconds.items()
    ]


def _judged(case: str, name: str, seconds: dict[str, float]) -> tuple[str, bool | None]:
    """Return what is asked of a contender, and whether it holds."""
    ratio = {own: seconds[name] / seconds[own] for own in MICROXCALING_BARS}
    if case not in JUDGED:
        return "", None
    if name in MICROXCALING_BARS:
        bar = NUMPY_BAR if name.endswith("numpy") else NUMBA_BAR
        return f"<= {bar:g} np.copyto", seconds[name] <= bar * seconds["np.copyto"]
    if name == "microxcaling":
        met = all(ratio[own] >= bar for own, bar in MICROXCALING_BARS.items())
        return ">= 8 numpy, 30 numba", met
    if name == "torchao":
        return f">= {TORCHAO_BAR:g} numpy", ratio["qerror, numpy"] >= TORCHAO_BAR
    return "", None


def _contenders(case: str, x: np.ndarray[Any, Any]) -> dict[str, Callable[[], object]]:
    from benchmarks.block_peers import contenders

    form, out = parse_format(case), np.empty_like(x)
    found: dict[str, Callable[[], object]] = {
        "np.copyto": lambda: np.copyto(out, x),
        "qerror, numpy": lambda: quantize(x, form, out=out, engine="numpy"),
        "qerror, numba": lambda: quantize(x, form, out=out, engine="numba"),
    }
    return found | contenders(x, case)


def _times(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each, after a first run that compiles and touches memory."""
    best = dict.fromkeys(contenders, float("inf"))
    for turn in range(rounds + 1):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            if turn:
                best[name] = min(best[name], time.process_time() - start)
    return best


def _shown(row: dict[str, Any]) -> str:
    verdict = {True: "ok", False: "no", None: ""}[row["met"]]
    times = (
        f"{row['times_copyto']:6.2f} x copyto {row['times_numpy']:6.2f} x numpy "
        f"{row['times_numba']:6.2f} x numba"
    )
    line = f"{row['case']:15} {row['contender']:13} {row['milliseconds']:7.1f} ms {times}"
    return f"{line}  {row['bar']:20} {verdict}".rstrip()


if __name__ == "__main__":
    run()
