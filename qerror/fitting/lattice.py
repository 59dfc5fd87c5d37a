"""Data that lie on a grid: quantized already, so that a continuous density is no model of them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import scalar_formats
from qerror.tables import short

Parts: TypeAlias = Callable[[], Iterator[npt.NDArray[Any]]]

MOST_DISTINCT = 1 << 16
"""Distinct values up to which a grid is looked for."""

_LEAST_NAMED = 5  # distinct values: any three lie on some format
_SURE = 16  # distinct values that lie on no format by chance, though they do not repeat
_FEW = 256  # distinct values that need no grid to be point masses, if they repeat
_MOST_MASSES = 4096  # values of a coarse lattice, which are predicted as point masses
_REPEATED = 4  # times that a value occurs, on average, in data of point masses
_COARSE_BITS = 6  # mantissa bits of a grid on which a continuous density misleads
_MOST_BITS = 10  # of a grid worth naming: float16's
_MOST_STEPS = 1 << 17  # a uniform grid of more is that of the dtype
_GCD_STEPS = 64  # of Euclid's: float64 has 53 bits
_WELL_KNOWN = frozenset({"E2M1", "E2M3", "E3M2", "E4M3FN", "E5M2"})  # the OCP's
_TRIED = 12  # values that a scale is tried on before all are
_STRANGE = 1.25  # times as many levels as it has: another format must be that much smaller


@dataclass(frozen=True)
class Lattice:
    """The grid that all values of data lie on."""

    kind: Literal["uniform", "floating-point", "few values"]
    count: int
    """How many distinct values there are."""
    step: float
    """Of a uniform grid; of floating point the unit of the smallest values; else nan."""
    origin: float
    """A point of a uniform grid, 0 if that is one; else 0."""
    mantissa_bits: int | None
    """Of floating point."""
    format: str
    """The name of a format whose levels, times `scale`, hold all values; empty if none is known."""
    scale: float
    """Times which the format's own levels are taken; 1 without a format."""
    is_coarse: bool
    """Whether the values repeat so often that they are point masses, and no continuous density
    predicts what another quantizer does to them."""

    @property
    def description(self) -> str:
        """The grid in words."""
        if self.format:
            at = "" if self.scale == 1 else f" at scale {short(self.scale, 6)}"
            return f"{self.count:,} distinct values, all levels of {self.format}{at}"
        if self.kind == "uniform":
            through = "" if self.origin == 0 else f" through {short(self.origin, 6)}"
            return (
                f"{self.count:,} distinct values on a uniform grid of step "
                f"{short(self.step, 6)}{through}"
            )
        if self.kind == "floating-point":
            return f"{self.count:,} distinct values with at most {self.mantissa_bits} mantissa bits"
        return f"{self.count:,} distinct values"


class Distinct(NamedTuple):
    """The distinct values of data, ascending, and how often each occurs."""

    values: FloatArray
    counts: IntArray
    precision: float
    """Half a unit in the last place of 1 in the dtype of the data."""

    @property
    def repeat(self) -> bool:
        """Whether they occur often enough to be point masses."""
        return int(self.counts.sum()) >= _REPEATED * self.values.size


def distinct_values(parts: Parts, probe: FloatArray, most: int = MOST_DISTINCT) -> Distinct | None:
    """Return the distinct values, None if they are more than `most` or hardly repeat.

    Parameters
    ----------
    parts : callable
        Returns the pieces of the data.
    probe : ndarray
        Some of the values: if most of these differ, the data are not read.
    """
    if np.unique(probe).size > max(_FEW, probe.size // 2):
        return None
    values, counts = np.empty(0), np.empty(0, dtype=np.int64)
    precision = 2.0**-53
    for part in parts():
        if part.dtype.kind == "f":
            precision = float(np.finfo(part.dtype).eps) / 2
        own, often = np.unique(part, return_counts=True)
        both = np.concatenate([values, own.astype(np.float64) + 0.0])
        values, place = np.unique(both, return_inverse=True)
        counts = np.bincount(
            place.reshape(-1), np.concatenate([counts, often]), minlength=values.size
        ).astype(np.int64)
        if values.size > most:
            return None
    return Distinct(values, counts, precision)


@np.errstate(over="ignore", invalid="ignore")  # a step that is not finite fits nothing
def lattice_of(found: Distinct) -> Lattice | None:
    """Return the grid that distinct values lie on; of several the one with the fewest points."""
    if found.values.size < 2:
        return None
    hypotheses = [*_uniform(found), *_formats(found)]
    if hypotheses:
        return min(hypotheses, key=lambda each: each[0])[1]
    return _binary(found) or _few(found)


def _few(found: Distinct) -> Lattice | None:
    if found.values.size > _FEW or not found.repeat:
        return None
    return Lattice("few values", found.values.size, math.nan, 0.0, None, "", 1.0, True)


# ---- uniform grids


def _uniform(found: Distinct) -> Iterator[tuple[float, Lattice]]:
    """Yield the coarsest uniform grid, with the number of its points between the ends."""
    x = found.values
    if x.size < 3:
        return
    step = _common_step(x, found.precision)
    if step is None:
        return
    index = np.concatenate([[0.0], np.cumsum(np.rint(np.diff(x) / step))])
    step, origin = _line(index, x)
    if not _fits(origin + step * index, found):
        return
    from_zero = np.rint(x / step)
    if np.abs(x / step - from_zero).max() < _OFF_ZERO + 4 * found.precision * _size(x) / step:
        through_zero = float(from_zero @ x) / float(from_zero @ from_zero)
        if _fits(through_zero * from_zero, found):
            step, origin = through_zero, 0.0
    points = int(index[-1]) + 1
    coarse = x.size <= _MOST_MASSES and found.repeat
    lattice = Lattice("uniform", x.size, step, origin, None, "", 1.0, coarse)
    yield points, lattice


_OFF_ZERO = 1e-3  # of a step: a grid nearer to 0 goes through it, up to roundings


def _common_step(x: FloatArray, precision: float) -> float | None:
    """Return the largest step of which all differences are multiples, up to roundings."""
    with np.errstate(over="ignore"):  # values at both ends of float64: infinitely far apart
        gaps = np.diff(x)
        least = float(x[-1] - x[0]) / _MOST_STEPS
    noise = 4 * precision * _size(x)
    step = float(gaps.min())
    for _ in range(_GCD_STEPS):
        if step < max(least, 4 * noise):
            return None
        rest = np.abs(gaps - step * np.rint(gaps / step))
        # The step itself is known to within `noise`, so that long gaps are to within more.
        wrong = rest > np.minimum(noise * (1 + gaps / step), step / 4)
        if not wrong.any():
            return step
        step = float(rest[wrong].min())
    return None


def _line(index: FloatArray, x: FloatArray) -> tuple[float, float]:
    """Return slope and intercept of the least squares through points at whole numbers."""
    middle, mean = index.mean(), x.mean()
    centred = index - middle
    slope = float(centred @ (x - mean)) / float(centred @ centred)
    return slope, float(mean - slope * middle)


def _fits(points: FloatArray, found: Distinct) -> bool:
    x = found.values
    span = float(x[-1] - x[0])
    room = found.precision * (4 * np.abs(x) + 2 * span)
    return bool((np.abs(points - x) <= room).all())


def _size(x: FloatArray) -> float:
    return float(np.abs(x).max())


# ---- formats


def _formats(found: Distinct) -> Iterator[tuple[float, Lattice]]:
    """Yield the formats whose levels at some scale hold all values, with how many they have."""
    x = found.values
    if not _LEAST_NAMED <= x.size <= _FEW or not (found.repeat or x.size >= _SURE):
        return
    for form in scalar_formats().values():
        if not isinstance(form, FloatingPoint) or form.bits > 8:
            continue
        levels = form.grid().points
        if x.size > levels.size:
            continue
        scale = _scale_on(levels, found)
        if scale is not None:
            step = scale * float(form.grid().steps.min())
            bits = form.mantissa_bits
            weight = 1.0 if form.name in _WELL_KNOWN else _STRANGE
            yield (
                weight * levels.size,
                Lattice("floating-point", x.size, step, 0.0, bits, form.name, scale, True),
            )


def _scale_on(levels: FloatArray, found: Distinct) -> float | None:
    """Return the scale at which levels hold all values: 1, or the smallest."""
    x = found.values
    farthest = x[np.abs(x).argmax()]
    same_side = levels[levels * farthest > 0]
    descending = same_side[np.argsort(-np.abs(same_side))]
    # The levels as they are come first, then the smallest scale.
    scales = farthest / np.append(farthest, descending)
    few = x[np.unique(np.linspace(0, x.size - 1, _TRIED).astype(np.int64))]
    for scale in scales[_holds(levels, scales, few, found.precision)].tolist():
        if _holds(levels, np.array([scale]), x, found.precision)[0]:
            return _rounded(scale, found.precision)
    return None


def _holds(levels: FloatArray, scales: FloatArray, x: FloatArray, precision: float) -> BoolArray:
    """Return at which scales the levels hold all values, up to roundings."""
    wanted = x / scales[:, None]
    at = np.clip(np.searchsorted(levels, wanted), 1, levels.size - 1)
    off = np.minimum(np.abs(levels[at - 1] - wanted), np.abs(levels[at] - wanted))
    held: BoolArray = off * np.abs(scales[:, None]) <= 4 * precision * np.abs(x)
    all_held: BoolArray = np.logical_and.reduce(held, axis=1)
    return all_held


def _rounded(scale: float, precision: float) -> float:
    """Return a power of two where the scale is one, up to roundings."""
    power = 2.0 ** round(math.log2(scale))
    return power if abs(scale / power - 1) <= 4 * precision else scale


def _binary(found: Distinct) -> Lattice | None:
    """Return the grid of numbers with few mantissa bits, if all values have no more."""
    x = found.values[found.values != 0]
    if not x.size:
        return None
    fraction, exponent = np.frexp(x)
    whole = np.ldexp(np.abs(fraction), 53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    bits = 52 - int(trailing.min())
    if bits > min(_MOST_BITS, round(-math.log2(found.precision)) - 2):
        return None  # or the dtype itself has no more
    lowest = int((exponent + trailing - 53).min())
    coarse = bits <= _COARSE_BITS and x.size <= _MOST_MASSES and found.repeat
    name = _name_of(bits, lowest, float(np.abs(x).max()))
    step = math.ldexp(1.0, lowest)
    return Lattice("floating-point", found.values.size, step, 0.0, bits, name, 1.0, coarse)


def _name_of(bits: int, lowest: int, most: float) -> str:
    """Return the narrowest well-known format that holds numbers of so many mantissa bits."""
    known = [
        each
        for each in scalar_formats().values()
        if isinstance(each, FloatingPoint) and 8 < each.bits <= 16 and each.signed
    ]
    for form in sorted(known, key=lambda each: each.mantissa_bits):
        held = form.grid()
        if (
            bits <= form.mantissa_bits
            and math.ldexp(1.0, lowest) >= float(held.steps.min())
            and most <= form.max_value
        ):
            return form.name
    return ""
