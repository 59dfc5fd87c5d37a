"""What is measured: the rows of the table, and time against the size of the grid."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.peers import (
    SAMPLES,
    Cells,
    Moments,
    by_quad,
    closed_form,
    gaussian_moments,
    gaussian_pdf,
    samples_needed,
    squared_errors,
    student_moments,
    student_pdf,
)
from benchmarks.timing import Task, interleaved
from qerror import (
    Density,
    FloatingPoint,
    Gaussian,
    Integer,
    ScalarFormat,
    StudentT,
    Truncated,
    lloyd_max,
    optimal_scale,
    quantization_error,
)
from qerror._arrays import FloatArray
from qerror.formats import as_scalar_format

ROOT = Path(__file__).parents[1]
EIGHT_BITS = ("int8", "5M2E", "4M3E", "3M4E", "2M5E")
WIDE = (("int16", 8), ("int32", 8), ("fp16", 15), ("bf16", 40), ("fp32", 40))


@dataclass(frozen=True)
class Effort:
    """How much time a run may take."""

    rounds: int
    scales: int
    widest: int
    """Bits of the largest grid."""
    peer_samples: int
    processes: int
    """How many tasks to measure the memory of, each in a process of its own."""


FULL = Effort(rounds=15, scales=1000, widest=32, peer_samples=500_000, processes=5)
QUICK = Effort(rounds=1, scales=20, widest=12, peer_samples=100, processes=1)


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is what the bar is about: a speed-up, a slow-down, s or MB."""

    what: str
    ours: float
    unit: str
    """Of `ours` and `other`: "s" or "MB"."""
    against: str
    other: float | None
    ratio: float | None
    bar: float | None
    at_least: bool
    """Whether the bar is a least (speed-up) or a most."""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the ratio stands on the right side of the bar; None without a bar."""
        if self.bar is None or self.ratio is None:
            return None
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar


@dataclass(frozen=True)
class Law:
    """A density with what its peers need."""

    name: str
    density: Density
    moments: Moments
    pdf: Callable[[float], float]

    def draw(self, size: int) -> FloatArray:
        """Draw values from the density."""
        return self.density.sample(size, np.random.default_rng())


LAWS = (
    Law("gaussian", Gaussian(), gaussian_moments, gaussian_pdf),
    Law("t(8)", StudentT(8), student_moments(8), student_pdf(8)),
)


def speedup(  # noqa: PLR0917 - the columns of the table
    what: str, ours: float, against: str, other: float, bar: float | None = None, note: str = ""
) -> Row:
    """Return a row whose ratio says how many times faster this library is."""
    return Row(what, ours, "s", against, other, other / ours, bar, True, note)


def slowdown(what: str, ours: float, against: str, other: float, bar: float) -> Row:
    """Return a row whose ratio says how many times slower this library is."""
    return Row(what, ours, "s", against, other, ours / other, bar, False)


def limit(what: str, value: float, unit: str, bar: float, note: str = "") -> Row:
    """Return a row with a bar on a figure itself."""
    return Row(what, value, unit, "", None, value, bar, False, note)


# ---- the ways to compute one thing


def ours(form: ScalarFormat, law: Law, scales: npt.ArrayLike) -> Task:
    """Return the exact error by this library."""
    return lambda: quantization_error(form, law.density, scales)


def best_range(form: ScalarFormat, law: Law) -> Task:
    """Return the best range by this library."""
    return lambda: optimal_scale(form, law.density)


def theirs(form: ScalarFormat, law: Law, scales: FloatArray) -> Task:
    """Return the papers' closed form in NumPy."""
    cells = Cells(form)
    return lambda: closed_form(cells, law.moments, scales)


def quadrature(form: ScalarFormat, law: Law, scale: float) -> Task:
    """Return the error by `scipy.integrate.quad`."""
    return lambda: by_quad(form, law.pdf, scale)


def simulated(form: ScalarFormat, law: Law, scale: float) -> Task:
    """Return squared errors of samples."""
    return lambda: squared_errors(form, law.draw, scale)


# ---- rows


def single_errors(effort: Effort) -> Iterator[Row]:
    """Compare one 8-bit error with the closed form, quadrature and simulation."""
    for law in LAWS:
        for name in ("int8", "4M3E"):
            form = as_scalar_format(name)
            scale = optimal_scale(form, law.density).scale
            one = np.array([scale])
            _check(form, law, scale)
            times = interleaved(
                {
                    "ours": ours(form, law, scale),
                    "closed": theirs(form, law, one),
                    "quad": quadrature(form, law, scale),
                    "sample": simulated(form, law, scale),
                },
                effort.rounds,
            )
            what = f"one error, {form.name}, {law.name}"
            yield slowdown(what, times["ours"], "closed form", times["closed"], 3)
            yield speedup(what, times["ours"], "quad", times["quad"], 25)
            needed = samples_needed(form, law.pdf, scale)
            yield speedup(
                what,
                times["ours"],
                "simulation",
                times["sample"] * needed / SAMPLES,
                note=f"the time of {SAMPLES:,} samples, extrapolated to {needed:.2g}",
            )


def _check(form: ScalarFormat, law: Law, scale: float) -> None:
    """Make sure that all ways compute the same thing."""
    exact = quantization_error(form, law.density, scale).mse
    cells = Cells(form)
    for other in (
        float(closed_form(cells, law.moments, np.array([scale]))[0]),
        by_quad(form, law.pdf, scale),
    ):
        if not math.isclose(exact, other, rel_tol=1e-6):
            raise AssertionError(f"{form.name} on {law.name}: {exact} here, {other} there")


def batches(effort: Effort) -> Iterator[Row]:
    """Compare many scales at once: 8 bits, then grids that the closed form cannot hold."""
    for law in LAWS:
        for name in ("int8", "4M3E", "3M4E"):
            form = as_scalar_format(name)
            scales = _around_best(form, law, effort.scales)
            times = interleaved(
                {"ours": ours(form, law, scales), "closed": theirs(form, law, scales)},
                max(1, effort.rounds // 3),
            )
            own, other = times["ours"] / scales.size, times["closed"] / scales.size
            yield slowdown(f"{form.name} per scale, {law.name}", own, "closed form", other, 2)
    small = Integer(8, symmetric=True)
    for law in LAWS:
        for name, bar in WIDE:
            form = as_scalar_format(name)
            scales = _around_best(form, law, max(1, effort.scales // 4))
            other_scales = _around_best(small, law, scales.size)
            times = interleaved(
                {"ours": ours(form, law, scales), "closed": theirs(small, law, other_scales)},
                max(1, effort.rounds // 3),
            )
            own, other = times["ours"] / scales.size, times["closed"] / scales.size
            what = f"{form.name} per scale, {law.name}"
            yield slowdown(what, own, "closed 8bit", other, bar)


def _around_best(form: ScalarFormat, law: Law, count: int) -> FloatArray:
    """Return scales over two octaves around the best one."""
    best = optimal_scale(form, law.density).scale
    return best * np.geomspace(0.5, 2.0, count)


def _error(form: ScalarFormat, density: Density, scales: npt.ArrayLike) -> Task:
    return lambda: quantization_error(form, density, scales)


def truncated(effort: Effort) -> Iterator[Row]:
    """Compare a density between limits with the whole one, alone and in a batch."""
    whole, cut = Gaussian(), Truncated(Gaussian(), -3.0, 3.0)
    for name in ("int8", "4M3E"):
        form = as_scalar_format(name)
        scales = form.scale_for(3.0) * np.geomspace(0.5, 2.0, effort.scales)
        for what, some, bar in (
            ("one", float(scales[0]), 3),
            ("tail cut", form.scale_for(2.9), 3),
            ("per scale", scales, 2),
        ):
            times = interleaved(
                {"cut": _error(form, cut, some), "whole": _error(form, whole, some)}, effort.rounds
            )
            size = np.size(some)
            yield slowdown(
                f"{what}, {form.name}, cut gaussian",
                times["cut"] / size,
                "whole",
                times["whole"] / size,
                bar,
            )


def optima(effort: Effort, peer: dict[str, dict[str, float]] | None) -> Iterator[Row]:
    """Time best ranges, and the FP8 paper's search if its code is at hand."""
    for law in LAWS:
        times = interleaved(
            {name: best_range(as_scalar_format(name), law) for name in EIGHT_BITS},
            max(1, effort.rounds // 3),
        )
        worst = max(times, key=lambda name: times[name])
        yield limit(f"slowest range: {worst}, {law.name}", times[worst], "s", 0.020)
        if peer is not None:
            found, own = peer[law.name], times["4M3E"]
            note = f"{effort.peer_samples:,} samples, where the paper takes 5,000,000"
            what = f"best range of 4M3E, {law.name}"
            yield speedup(what, own, "FP8 paper", found["search_s"], 1000, note)
            one = {"ours": ours(as_scalar_format("4M3E"), law, 0.3)}
            error = interleaved(one, effort.rounds)
            what = f"one error, 4M3E, {law.name}"
            yield speedup(what, error["ours"], "FP8 paper", found["error_s"])
    density = StudentT(3)
    seconds = interleaved({"lm": lambda: lloyd_max(density, 256)}, max(1, effort.rounds // 3))
    yield limit("Lloyd-Max, 256 levels, t(3)", seconds["lm"], "s", 0.5)


def fp8_paper(path: Path, effort: Effort) -> dict[str, dict[str, float]]:
    """Time the FP8 paper's code from a checkout, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fp8_paper", str(path), str(effort.peer_samples)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the code at {path} does not run:\n{done.stderr.strip()[-1000:]}")
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def whole_command(effort: Effort) -> Iterator[Row]:
    """Time the main job from the shell, start-up included."""
    command = [sys.executable, "-m", "qerror_cli", "sweep", "--dist", "student-t", "--nu", "3"]
    times: list[float] = []
    for _ in range(max(1, effort.rounds // 3)):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True, env=_environment())
        times.append(time.perf_counter() - start)
    yield limit("sweep from the shell, t(3)", median(times), "s", 1.5)


def memory(effort: Effort) -> Iterator[Row]:
    """Find the peak of single errors and optima over the import, each in its own process."""
    for name, task in islice(MEMORY_TASKS.items(), effort.processes):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env=_environment(),
        )
        traced, resident = map(float, done.stdout.split())
        note = f"by the process's resident size {resident:.1f} MB"
        yield limit(f"peak: {task[0]}", traced, "MB", 64, note)


MEMORY_TASKS: dict[str, tuple[str, Callable[[], object]]] = {
    "int32-error": (
        "INT32 error, t(3)",
        lambda: quantization_error("int32", StudentT(3), 1e-7),
    ),
    "fp32-error": (
        "FP32 error, t(3)",
        lambda: quantization_error("fp32", StudentT(3), 1e-30),
    ),
    "fp32-range": ("FP32 best range, gaussian", lambda: optimal_scale("fp32", Gaussian())),
    "8-bit-ranges": (
        "8-bit best ranges, t(3)",
        lambda: [optimal_scale(name, StudentT(3)) for name in EIGHT_BITS],
    ),
    "lloyd-max": (
        "Lloyd-Max, 65536 levels",
        lambda: lloyd_max(Gaussian(), 2**16),
    ),
}


def _environment() -> dict[str, str]:
    import os

    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return {**os.environ, "PYTHONPATH": paths}


# ---- scaling


def scaling(effort: Effort) -> list[dict[str, object]]:
    """Return the time of one error, per scale in a batch, against the bits of the grid."""
    law = LAWS[0]
    found: list[dict[str, object]] = []
    for bits in range(4, effort.widest + 1, 2):
        for family, form in _of_width(bits):
            scales = _around_best(form, law, max(2, effort.scales // 8))
            tasks = {
                "one error": ours(form, law, float(scales[0])),
                "in a batch": ours(form, law, scales),
            }
            if bits <= 16:
                tasks["closed form"] = theirs(form, law, scales[:1])
            if bits <= 10:
                tasks["quad"] = quadrature(form, law, float(scales[0]))
            times = interleaved(tasks, max(1, effort.rounds // 3))
            times["in a batch"] /= scales.size
            for what, seconds in times.items():
                place: dict[str, object] = {"family": family, "format": form.name, "bits": bits}
                found.append({**place, "what": what, "seconds": seconds})
    return found


def _of_width(bits: int) -> Sequence[tuple[str, ScalarFormat]]:
    exponent_bits = min(5, bits - 2)
    return (
        ("integer", Integer(bits)),
        ("floating point", FloatingPoint(bits - 1 - exponent_bits, exponent_bits)),
    )
