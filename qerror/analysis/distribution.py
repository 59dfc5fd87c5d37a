"""How the error itself is distributed: its density, its tails, its quantiles."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, Immutable, IntArray, frozen, numbers
from qerror.analysis._arguments import grid_and_scales
from qerror.analysis._error_atoms import ErrorAtoms, error_atoms
from qerror.analysis._half_cells import HalfCells, half_cells_of
from qerror.analysis._inverse import quantile_of
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density, density_name
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.grids import Grid
from qerror.rounding import as_rule

_TOGETHER = 2**15  # half cells times values, at a time


@final
@dataclass(frozen=True)
class ErrorDistribution(Immutable):
    """The distribution of the error e = Q(X) - X of one quantizer on one density.

    All probabilities are sums of non-negative masses, each over an interval whose ends are
    offsets from a level: far out and in narrow cells they keep their digits.

    Raises
    ------
    InvalidValue
        If the rounding draws from few bits, as "stochastic:8".
    """

    grid: Grid
    """The levels, scaled."""
    density: Density
    """What X follows."""
    rounding: str = "nearest-even"
    """Under stochastic rounding, e is distributed over X and the draws alike."""

    def __post_init__(self) -> None:
        rule = as_rule(self.rounding)
        if rule.bits is not None:
            raise InvalidValue(
                f"the distribution of the error is for draws of all bits, got {rule.name!r}: take "
                "'stochastic'; moments know both: quantization_error"
            )
        object.__setattr__(self, "rounding", rule.name)
        half_cells_of(self.grid, rule)  # refuses a grid of too many points here

    def pdf(self, error: npt.ArrayLike) -> FloatArray:
        """Return the density of e, any shape; at a jump the mean of both sides.

        Point masses of X leave atoms of e besides.
        """
        return self._each(error, lambda cells, t: self._density_at(cells, -t * cells.side, 1.0))

    def cdf(self, error: npt.ArrayLike) -> FloatArray:
        """Return P(e <= error), any shape."""

        def continuous(cells: HalfCells, t: FloatArray) -> FloatArray:
            return self._mass(cells, *_below(cells, t))

        return self._each(error, continuous, lambda atoms, t: atoms.error <= t)

    def exceedance(self, atol: npt.ArrayLike = 0.0, rtol: npt.ArrayLike = 0.0) -> FloatArray:
        """Return P(|e| > atol + rtol |X|), to relative accuracy however small it is.

        Parameters
        ----------
        atol, rtol : float or array_like
            Non-negative; they broadcast against each other.
        """
        a, r = np.broadcast_arrays(_tolerance("atol", atol), _tolerance("rtol", rtol))
        found = [
            self._exceeding(float(x), float(y)) for x, y in zip(a.ravel(), r.ravel(), strict=True)
        ]
        return frozen(np.array(found).reshape(a.shape))

    def relative_exceedance(self, ratio: npt.ArrayLike) -> FloatArray:
        """Return P(|e| > ratio |X|), any shape; what is rounded to 0 has the ratio 1."""
        return self.exceedance(0.0, ratio)

    def relative_cdf(self, ratio: npt.ArrayLike) -> FloatArray:
        """Return P(|e| <= ratio |X|), any shape."""
        return frozen(1 - self.relative_exceedance(ratio))

    def relative_pdf(self, ratio: npt.ArrayLike) -> FloatArray:
        """Return the density of |e| / |X|, any shape; at 1 lies an atom besides, `zeroed`."""
        ratio = _tolerance("ratio", ratio)

        def continuous(cells: HalfCells, r: FloatArray) -> FloatArray:
            # |g - x| = r |x| at x = g / (1 + r) and at x = g / (1 - r).
            q = np.abs(cells.level)
            with np.errstate(divide="ignore", invalid="ignore"):
                inner, outer = q * r / (1 + r), q * r / np.abs(1 - r)
                across = np.where(r > 1, q * r / (r - 1), np.inf)
                outer = np.where(r < 1, outer, np.inf)
                rates = q / (1 + r) ** 2, q / (1 - r) ** 2
            inward = cells.side * cells.level < 0
            total = self._density_at(cells, np.where(inward, inner, np.inf), rates[0])
            total += self._density_at(cells, np.where(inward, np.inf, outer), rates[1])
            return total + self._density_at(cells, np.where(inward, across, np.inf), rates[1])

        return self._each(ratio, continuous)

    def step_cdf(self, share: npt.ArrayLike) -> FloatArray:
        """Return P(e <= share times the step), any shape.

        The step is the distance between the two levels around X; beyond the range, that of the
        last two levels.
        """

        def continuous(cells: HalfCells, t: FloatArray) -> FloatArray:
            return self._mass(cells, *_below(cells, t * cells.gap))

        return self._each(share, continuous, lambda atoms, t: atoms.error <= t * atoms.step)

    def step_pdf(self, share: npt.ArrayLike) -> FloatArray:
        """Return the density of e in units of the step, any shape."""

        def continuous(cells: HalfCells, t: FloatArray) -> FloatArray:
            return self._density_at(cells, -t * cells.gap * cells.side, cells.gap)

        return self._each(share, continuous)

    def quantile(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the smallest error with P(e <= it) >= probability, any shape."""
        return self._inverse(self.cdf, probability, self.support, self._atoms.error)

    def absolute_quantile(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the smallest t with P(|e| <= t) >= probability, any shape."""
        high = max(map(abs, self.support))

        def cdf(t: npt.ArrayLike) -> FloatArray:
            t = np.asarray(t)
            return np.where(t < 0, 0.0, 1 - self.exceedance(np.maximum(t, 0.0)))

        return self._inverse(cdf, probability, (0.0, high), np.abs(self._atoms.error))

    @cached_property
    def support(self) -> tuple[float, float]:
        """The smallest and the largest error that X can have."""
        low, high = self.density.support
        inside = self._cells.within(low, high)
        ends = [(-s * w, 0.0) if s > 0 else (0.0, w) for s, w in inside]
        ends += [(float(e), float(e)) for e in self._atoms.error]
        return min((a for a, _ in ends), default=0.0), max((b for _, b in ends), default=0.0)

    @cached_property
    def largest_inside(self) -> float:
        """The largest |e| within the range: half of the widest step X reaches; where drawn, all."""
        low, high = max(self.density.support[0], self.grid.min), self.density.support[1]
        high = min(high, self.grid.max)
        inside = self._cells.finite().within(low, high) if low < high else []
        inner = (self._atoms.x >= self.grid.min) & (self._atoms.x <= self.grid.max)
        atoms = np.abs(self._atoms.error[inner])
        return max(max((w for _, w in inside), default=0.0), float(atoms.max(initial=0.0)))

    @cached_property
    def mean_absolute(self) -> float:
        """E|e|; infinite where E|X| is."""
        total = float(self._atoms.probability @ np.abs(self._atoms.error))
        cells = self._cells
        # of drawn levels the nearer half, where 2 u (1 - u / gap) subtracts nothing near
        width = np.where(cells.drawn, cells.gap / 2, cells.width)
        left, right = np.where(cells.side < 0, -width, 0.0), np.zeros(cells.size)
        right = np.where(cells.side > 0, width, right)
        for piece in self.density.pieces():
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                local = piece.integrals(cells.level, left, right, cells.rest)
                first = np.abs(local.first)
                drawn = 2 * (first - local.second / cells.gap)
            total += float(np.where(cells.drawn, drawn, first).sum())
        return total

    @cached_property
    def zeroed(self) -> float:
        """P(Q(X) = 0, X != 0): there |e| / |X| is 1."""
        cells = self._cells
        at_zero = cells.at(np.flatnonzero(cells.level == 0))
        total = self._mass(at_zero, np.zeros(at_zero.size), at_zero.width)
        atoms = self._atoms
        gone = (atoms.error == -atoms.x) & (atoms.x != 0)
        return float(total) + float(atoms.probability[gone].sum())

    def __repr__(self) -> str:
        where = f"{self.grid!r} on {density_name(self.density)}"
        return f"<ErrorDistribution of {where}, rounding {self.rounding}>"

    @property
    def _cells(self) -> HalfCells:
        return half_cells_of(self.grid, as_rule(self.rounding))

    @cached_property
    def _atoms(self) -> ErrorAtoms:
        return error_atoms(self.grid, self.density, as_rule(self.rounding))

    def _each(
        self,
        values: npt.ArrayLike,
        continuous: Callable[[HalfCells, FloatArray], FloatArray],
        discrete: Callable[[ErrorAtoms, FloatArray], npt.NDArray[np.bool_]] | None = None,
    ) -> FloatArray:
        """Return a sum over half cells, and point masses, for every value."""
        given = numbers("the error", values)
        if np.isnan(given).any():
            raise InvalidValue("the error must not be nan")
        t, cells, atoms = given.reshape(-1, 1), self._cells, self._atoms
        found = np.zeros(given.size)
        rows = max(1, _TOGETHER // cells.size)
        for start in range(0, given.size, rows):
            at = slice(start, start + rows)
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                if self.density.pieces():
                    found[at] = continuous(cells, t[at])
                if discrete is not None and atoms.x.size:
                    found[at] += discrete(atoms, t[at]) @ atoms.probability
        return frozen(found.reshape(given.shape))

    def _mass(self, cells: HalfCells, start: FloatArray, stop: FloatArray) -> FloatArray:
        """Return the probability of offsets start..stop outwards of their levels, summed."""
        start, stop = np.broadcast_arrays(np.maximum(start, 0.0), np.minimum(stop, cells.width))
        shape = start.shape
        up = np.broadcast_to(cells.side > 0, shape)
        left, right = np.where(up, start, -stop), np.where(up, stop, -start)
        alive = stop > start
        index: IntArray = np.nonzero(np.broadcast_to(alive, shape))[-1]
        total = np.zeros(shape)
        # A drawn level's share is the distance from the other one, in steps: integrated about it.
        drawn = cells.drawn[index]
        shift = np.where(drawn, cells.side[index] * cells.gap[index], 0.0)
        origin = np.where(drawn, cells.far[index], cells.level[index])
        rest = np.where(drawn, cells.far_rest[index], cells.rest[index])
        for piece in self.density.pieces():
            local = piece.integrals(origin, left[alive] - shift, right[alive] - shift, rest)
            share = np.abs(local.first) / cells.gap[index]
            total[alive] += np.where(drawn, share, local.mass)
        summed: FloatArray = total.sum(axis=-1)
        return summed

    def _density_at(
        self, cells: HalfCells, offset: FloatArray, rate: FloatArray | float
    ) -> FloatArray:
        """Return the density at offsets outwards of the levels, where the cells hold them."""
        inside = (offset >= 0) & (offset <= cells.width) & np.isfinite(offset)
        x = (cells.level + cells.side * np.where(inside, offset, 0.0)) + cells.rest
        total = sum((piece.pdf(x) for piece in self.density.pieces()), np.zeros(x.shape))
        # Where two half cells meet each counts half: at a jump, the mean of both sides.
        share = np.where((offset == 0) | (offset == cells.width), 0.5, 1.0)
        share = np.where(cells.drawn, share * (1 - offset / cells.gap), share)
        found: FloatArray = np.where(inside, total * share * rate, 0.0).sum(axis=-1)
        return found

    def _exceeding(self, atol: float, rtol: float) -> float:
        """Return P(|e| > atol + rtol |X|) for one pair."""
        cells, atoms = self._cells, self._atoms
        total = 0.0
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if self.density.pieces():
                for start, stop in cells.exceeding(atol, rtol):
                    total += float(self._mass(cells, start, stop))
            over = np.abs(atoms.error) > atol + rtol * np.abs(atoms.x)
        return total + float(atoms.probability[over].sum())

    def _inverse(
        self,
        cdf: Callable[[npt.ArrayLike], FloatArray],
        probability: npt.ArrayLike,
        ends: tuple[float, float],
        jumps: FloatArray,
    ) -> FloatArray:
        """Invert a distribution function between two ends, with jumps in some places."""
        given = numbers("probability", probability)
        if not ((given >= 0) & (given <= 1)).all():
            raise InvalidValue(f"a probability must lie in [0, 1], got {probability!r}")
        places = np.unique(jumps)
        after, before = cdf(places), cdf(np.nextafter(places, -np.inf))
        unit = self.largest_inside or 1.0
        found = np.empty(given.size)
        for i, p in enumerate(given.ravel().tolist()):
            jump = np.flatnonzero((before < p) & (p <= after))
            found[i] = places[jump[0]] if jump.size else quantile_of(cdf, p, ends, unit)
        return frozen(found.reshape(given.shape))


def _below(cells: HalfCells, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the offsets outwards of which the error is at most t: it is -offset above a level."""
    up = cells.side > 0
    return np.where(up, -t, 0.0), np.where(up, np.inf, t)


def _tolerance(name: str, value: npt.ArrayLike) -> FloatArray:
    array = numbers(name, value)
    if not (array >= 0).all():
        raise InvalidValue(f"{name} must not be negative, got {value!r}")
    return array


def error_distribution(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = 1.0,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    rounding: str = "nearest-even",
) -> ErrorDistribution:
    """Return how the error of a quantizer is distributed on a density.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        A format whose values stand alone, its name, or any grid of at most 2^20 points.
    density : Density, str or array_like
        What X follows; an array of data stands for `Empirical`.
    scale, max_value, bias : float
        As for `quantization_error`, a single one.
    rounding : str
        Any mode. Under "stochastic" e is distributed over X and the draws alike; without the
        bits of "stochastic:8".

    Returns
    -------
    ErrorDistribution

    Raises
    ------
    InvalidValue
        If a scale is none, or stochastic rounding has few bits.
    TooLarge
        If the grid has more than 2^20 points.

    Examples
    --------
    >>> from qerror import error_distribution
    >>> found = error_distribution("int8", "gaussian", max_value=4.0)
    >>> round(float(found.exceedance(0.0157)), 7)
    0.0031091
    """
    grid, scales = grid_and_scales(format_or_grid, scale, max_value, bias)
    if scales.ndim:
        raise InvalidValue("an error distribution is that of one scale, got an array of them")
    return ErrorDistribution(grid.scaled(float(scales)), as_density(density), rounding)
