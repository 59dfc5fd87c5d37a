"""Times own data beside sorting and brute force: ``python -m benchmarks.own_data [SIZE ...]``.

Brute force rounds every value at every scale that is tried; what it finds is compared with the
exact figures, so that both compute the same thing.
"""

import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.rows import Row, speedup
from benchmarks.timing import interleaved
from qerror import Empirical, optimal_scale, quantization_error, quantize
from qerror._arrays import FloatArray
from qerror.formats import as_scalar_format

FORMATS = ("int8", "4M3E", "e4m3")
SIZES = (65_536, 1_000_000)
BARS = {65_536: 0.060, 1_000_000: 1.0}  # seconds for the best range of 8 bits, sorting included
_TRIED = 200  # scales of a scan by brute force


def rows(rounds: int, sizes: Sequence[int] = SIZES, tried: int = _TRIED) -> list[Row]:
    """Measure every format on Student-t samples of each size."""
    found: list[Row] = []
    for size in sizes:
        x = np.random.default_rng(size).standard_t(4, size)
        x = x.astype(np.float32).astype(np.float64)  # values of float32, as tensors have
        data = Empirical(x)
        for name in FORMATS:
            form = as_scalar_format(name)
            scale = optimal_scale(form, data).scale
            agree(name, x, scale)
            times = interleaved(
                {
                    "sort": partial(np.sort, x),
                    "one": partial(quantization_error, form, data, scale),
                    "brute one": partial(brute_force, x, name, scale),
                    "best": partial(optimal_scale, form, x),
                },
                rounds,
            )
            title = f"{name}, {size:,} values"
            one = speedup(f"one error, {title}", times["one"], "brute force", times["brute one"])
            scan = tried * times["brute one"]
            best = speedup(f"best range, {title}", times["best"], f"{tried} scales", scan)
            found += [one, best]
            print(
                f"{title:26} one {1e6 * times['one']:8.1f} us ({one.ratio:.0f}x brute force)   "
                f"best {1e3 * times['best']:7.1f} ms ({best.ratio:.0f}x {tried} scales by brute "
                f"force, {times['best'] / times['sort']:.1f} times numpy.sort)"
                + (f"   bar {1e3 * BARS[size]:g} ms" if size in BARS else "")
            )
    return found


def brute_force(x: FloatArray, name: str, scale: float) -> float:
    """Return the mean squared error by rounding every value."""
    error = quantize(x, name, scale) - x
    return float(np.mean(error * error))


def agree(name: str, x: FloatArray, scale: float) -> None:
    """Check that brute force and the exact figure are one."""
    ours, theirs = quantization_error(name, x, scale).mse, brute_force(x, name, scale)
    if abs(ours - theirs) > 1e-9 * theirs:
        raise AssertionError(f"{name}: {ours!r} is not {theirs!r}")


if __name__ == "__main__":
    rows(5, [int(each) for each in sys.argv[1:]] or SIZES)
