"""Times the exact errors of block formats beside simulation: ``python -m benchmarks.block_errors``.

Simulation draws some blocks; by their standard error its time is carried on to a relative standard
error of a thousandth of the mean squared error: for ever, where the fourth moment is infinite. A
cold call finds no law of a maximum kept from calls before; the memory is what it takes at most.
"""

import sys
import time
import tracemalloc
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.rows import Row, speedup
from benchmarks.timing import interleaved
from qerror import Density, Format, Gaussian, StudentT, parse_format, quantization_error
from qerror.simulation import estimate_error

PRECISION = 1e-3
# Milliseconds that a quiet machine should not exceed.
CASES: tuple[tuple[str, Density, float], ...] = (
    ("mxfp4", Gaussian(), 3),
    ("mxfp8_e4m3:rceil", Gaussian(), 3),
    ("mxint8", Gaussian(), 3),
    ("mxfp8_e4m3:rceil", StudentT(3), 10),
    ("nvfp4:tensor=0.002", Gaussian(), 6),
    ("nf4:g64", Gaussian(), 6),
    ("nf4:g64", StudentT(5), 6),
    ("int4:g64:affine", Gaussian(), 20),
    ("int4:g64:affine", StudentT(5), 20),
    ("int4:g64:affine=integer", Gaussian(), 20),
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
        cold, memory = _cold(form, density)
        verdict = "" if 1e3 * cold <= bar else f"  above {bar:g} ms"
        print(
            f"{name:28} {1e3 * ours:7.2f} ms {1e3 * cold:7.2f} ms {memory:5.1f} MiB "
            f"{other:9.3g} s {other / ours:9.3g}{verdict}"
        )
    return found


def _cold(form: Format, density: Density) -> tuple[float, float]:
    """Return the seconds of the fastest of three calls without caches, and the MiB of one."""
    spent: list[float] = []
    for _ in range(3):
        _forget()
        start = time.process_time()
        quantization_error(form, density)
        spent.append(time.process_time() - start)
    _forget()
    tracemalloc.start()
    quantization_error(form, density)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return min(spent), peak / 2**20


def _forget() -> None:
    """Empty the caches of the library."""
    for name, module in list(sys.modules.items()):
        if name.startswith("qerror."):
            for member in list(vars(module).values()):
                if hasattr(member, "cache_clear"):
                    member.cache_clear()


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
    print(f"{'format':28} {'exact':>10} {'cold':>10} {'memory':>9} {'simulation':>11} {'ratio':>9}")
    rows(1 if quick else 15, 131_072 if quick else 1_310_720)


if __name__ == "__main__":
    main()
