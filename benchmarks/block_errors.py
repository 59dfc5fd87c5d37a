"""Times the exact errors of block formats beside simulation: ``python -m benchmarks.block_errors``.

Simulation draws some blocks; by their standard error its time is carried on to a relative standard
error of a thousandth of the mean squared error: for ever, where the fourth moment is infinite.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.rows import Row, speedup
from benchmarks.timing import interleaved
from qerror import Density, Gaussian, StudentT, parse_format, quantization_error
from qerror.simulation import estimate_error

PRECISION = 1e-3
# Milliseconds that a quiet machine should not exceed.
CASES: tuple[tuple[str, Density, float], ...] = (
    ("mxfp4", Gaussian(), 3),
    ("mxfp8_e4m3:rceil", StudentT(3), 10),
    ("nvfp4:tensor=0.002", Gaussian(), 6),
    ("nf4:g64", Gaussian(), 6),
    ("int4:g64:affine", Gaussian(), 20),
    ("nvfp4:of=65536", Gaussian(), 60),
    ("nvfp4:4over6:tensor=0.00167", Gaussian(), 1000),
)


def rows(rounds: int, size: int) -> list[Row]:
    """Measure every case; simulations draw `size` values."""
    found: list[Row] = []
    for name, density, bar in CASES:
        form = parse_format(name)
        ours = interleaved({name: partial(quantization_error, form, density)}, rounds)[name]
        other = _simulated(name, density, size)
        row = speedup(f"{name}, {density}", ours, "simulation", other, note=f"{1e3 * ours:.2f} ms")
        found.append(row)
        verdict = "" if 1e3 * ours <= bar else f"  above {bar:g} ms"
        print(f"{name:28} {1e3 * ours:9.2f} ms {other:9.3g} s {other / ours:9.3g}{verdict}")
    return found


def _simulated(name: str, density: Density, size: int) -> float:
    """Return the seconds that simulation needs to the precision."""
    start = time.process_time()
    found = estimate_error(name, density, size=size, rng=np.random.default_rng(1))
    spent = time.process_time() - start
    relative = found.standard_error.mse / found.mse
    return float(spent * (relative / PRECISION) ** 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line a case: exact, simulated, and the ratio."""
    quick = "--quick" in (sys.argv[1:] if arguments is None else arguments)
    print(f"{'format':28} {'exact':>12} {'simulation':>11} {'ratio':>9}")
    rows(1 if quick else 15, 131_072 if quick else 1_310_720)


if __name__ == "__main__":
    main()
