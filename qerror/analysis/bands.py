"""Where a measurement on n values should lie: intervals from the moments of x and its error.

A measured SQNR, cosine similarity and their like are functions of the means of x^2, x e, e^2 and
|e| over the sample. Where the sample is large and no rare value decides, those means are jointly
normal and the function is linear (the delta method). Otherwise samples are drawn: the few values
with the largest influence one by one, the many others by their normal sum.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, FrozenMapping, IntArray, integer, real
from qerror.analysis._arguments import grid_and_scales
from qerror.analysis._measure import Measure, measure_of
from qerror.analysis.measurements import FIGURES, Statistic
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats.format import Format
from qerror.grids import Grid
from qerror.rounding import as_rule

_DRAWS = 8192  # samples that are drawn: 0.25 points of coverage
_RARE = 512.0  # values of a sample that are drawn one by one
_SKEW, _EXCESS = 0.02, 0.02  # of the measurement itself: below, the delta method will do
_LIGHT = 12.0  # tail exponent from which the moments of the delta method's own check exist
_TOGETHER = 512  # samples drawn at a time
_MOST = 2**52  # counts are exact in float64


class Band(NamedTuple):
    """The interval in which a measurement lies with the given confidence."""

    low: float
    """The lower end, in the unit of the figure."""
    high: float
    """The upper end."""
    centre: float
    """Half of all measurements lie below, half above."""
    method: str
    """"delta" or "simulation"."""

    def holds(self, measured: float) -> bool:
        """Tell whether a measurement lies inside."""
        return self.low <= measured <= self.high


@dataclass(frozen=True)
class Bands:
    """Where measurements on `size` independent values of a density should lie."""

    size: int
    """How many values a measurement has."""
    confidence: float
    """The probability that a measurement lies inside."""
    bands: Mapping[str, Band]
    """By the name of the figure, in the order of `FIGURES`."""

    def __getitem__(self, figure: str) -> Band:
        return self.bands[as_figure(figure)]

    def __repr__(self) -> str:
        low, high = self["sqnr_db"][:2]
        return (
            f"<Bands of {self.size:,} values, {self.confidence:g}: SQNR {low:.4f} to {high:.4f} dB>"
        )


def as_figure(name: str) -> str:
    """Return the name of a figure that has a band; "-" and "_" do not matter."""
    found = str(name).lower().replace("-", "_")
    if found not in FIGURES:
        raise UnknownName(f"unknown figure {name!r}; known: {', '.join(FIGURES)}")
    return found


def expected_bands(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = 1.0,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    size: int,
    confidence: float = 0.95,
    rounding: str = "nearest-even",
    rng: np.random.Generator | None = None,
) -> Bands:
    """Return the intervals in which measurements on `size` independent values lie.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        A format whose values stand alone, its name, or a grid; of at most 2^17 levels.
    density : Density, str or array_like
        What the values follow.
    scale, max_value, bias : float
        As for `quantization_error`, a single one.
    size : int
        How many values are measured; at least 2.
    confidence : float
        The share of measurements inside, between 0 and 1: as many lie below as above.
    rounding : str
        As for `quantization_error`; under stochastic rounding the measurement scatters with the
        values and the draws alike. Random bits times levels are at most 2^18 thresholds.
    rng : numpy.random.Generator, optional
        For figures that are simulated; by default always the same draws.

    Returns
    -------
    Bands
        Of the SQNR in dB, the cosine similarity of x and Q(x), the relative L2 error, the MSE, the
        mean absolute error, and the PSNR in dB against the largest level. Each says whether it
        comes from the delta method or from 8192 simulated measurements, whose quantiles are right
        to about 0.3 points of confidence.

    Raises
    ------
    InvalidValue
        If the confidence is not between 0 and 1.
    TooLarge
        If the grid has more than 2^17 levels, or random bits make more than 2^18 thresholds.

    Examples
    --------
    >>> from qerror import expected_bands
    >>> found = expected_bands("int8", "gaussian", max_value=4.0, size=100_000)
    >>> [round(end, 2) for end in found["sqnr_db"][:2]]
    [39.82, 40.82]
    """
    count = integer("size", size, 2, _MOST)
    inner = real("confidence", confidence)
    if not 0 < inner < 1:
        raise InvalidValue(f"confidence must lie between 0 and 1, got {inner:g}")
    rule = as_rule(rounding)
    grid, scales = grid_and_scales(format_or_grid, scale, max_value, bias)
    if scales.ndim:
        raise InvalidValue("a band is that of one scale, got an array of them")
    grid, law = grid.scaled(float(scales)), as_density(density)
    peak = max(abs(grid.min), abs(grid.max))
    drawn: FloatArray | None = None
    bands: dict[str, Band] = {}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sample, light = _Sample.of(measure_of(grid, law, rule), count), is_light(law)
        for name, statistic in FIGURES.items():
            found = sample.delta(statistic, peak, inner) if light else None
            if found is None:
                drawn = sample.draws(rng or np.random.default_rng(0)) if drawn is None else drawn
                found = _quantiles(statistic(drawn, peak), inner)
            bands[name] = found
    return Bands(count, inner, FrozenMapping(bands))


def band_of_blocks(
    figure: str,
    terms: FloatArray,
    blocks: int,
    confidence: float = 0.95,
    *,
    light: bool,
    peak: float = math.nan,
) -> Band:
    """Return where a measurement on so many independent blocks lies, of which a sample is known.

    Parameters
    ----------
    figure : str
        One of `FIGURES`.
    terms : ndarray, shape (m, 4)
        The means of x^2, x e, e^2 and |e| over each of m blocks. Of blocks rarer than one in m
        the band knows nothing.
    blocks : int
        How many blocks are measured.
    confidence : float
        The share of measurements inside.
    light : bool
        Whether the density has the moments of the delta method's own check.
    peak : float
        The largest level, for the PSNR.
    """
    statistic = FIGURES[as_figure(figure)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sample = _Sample(terms, np.full(len(terms), 1 / len(terms)), blocks)
        found = sample.delta(statistic, peak, confidence) if light else None
        if found is None:
            drawn = sample.draws(np.random.default_rng(0))
            found = _quantiles(statistic(drawn, peak), confidence)
    return found


def sqnr_band(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = 1.0,
    size: int = 2**20,
    confidence: float = 0.95,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    rounding: str = "nearest-even",
) -> tuple[float, float]:
    """Return where a measured SQNR in dB should lie, from the lower to the upper end.

    The parameters are those of `expected_bands`.

    Examples
    --------
    >>> from qerror import sqnr_band
    >>> low, high = sqnr_band("int8", "gaussian", size=1000, max_value=4.0)
    >>> low < 40.5 < high
    True
    """
    found = expected_bands(
        format_or_grid,
        density,
        scale,
        max_value=max_value,
        bias=bias,
        size=size,
        confidence=confidence,
        rounding=rounding,
    )
    return found["sqnr_db"].low, found["sqnr_db"].high


def is_light(density: Density) -> bool:
    """Tell whether a density has the moments that the delta method's own check needs."""
    exponents = [
        piece.law.tail_exponent(side)
        for piece in density.pieces()
        for side, end in ((-1.0, piece.low), (1.0, piece.high))
        if math.isinf(end)
    ]
    return min(exponents, default=math.inf) > _LIGHT


@dataclass(frozen=True, eq=False)
class _Sample:
    """The terms of a measurement at weighted points, and how many values are measured."""

    terms: FloatArray
    """x^2, x e, e^2 and |e| at each point, shape (m, 4)."""
    weight: FloatArray
    size: int

    @classmethod
    def of(cls, measure: Measure, size: int) -> "_Sample":
        x, e, weight = measure
        return cls(np.stack([x * x, x * e, e * e, np.abs(e)], axis=-1), weight, size)

    def delta(self, statistic: Statistic, peak: float, confidence: float) -> Band | None:
        """Return the band of a statistic that is as good as linear and normal, else None."""
        mean = self.weight @ self.terms
        if not mean[2] > 0:
            return None
        centre = float(statistic(mean, peak))
        slope = _slope(statistic, mean, peak)
        influence = (self.terms - mean) @ slope
        variance = float(self.weight @ influence**2)
        if not (math.isfinite(variance) and variance > 0):
            return None
        skew = float(self.weight @ influence**3) / variance**1.5 / math.sqrt(self.size)
        excess = float(self.weight @ influence**4) / variance**2 / self.size
        if not (abs(skew) < _SKEW and excess < _EXCESS):
            return None
        from scipy.special import ndtri  # noqa: PLC0415

        spread = float(ndtri(0.5 * (1 + confidence))) * math.sqrt(variance / self.size)
        return Band(centre - spread, centre + spread, centre, "delta")

    def draws(self, rng: np.random.Generator) -> FloatArray:
        """Return the means of so many simulated measurements, shape (draws, 4)."""
        if self.size <= _RARE:
            return _sums(self.terms, self.weight, np.full(_DRAWS, self.size), rng) / self.size
        rare = self._rare()
        counts = rng.binomial(self.size, min(float(self.weight[rare].sum()), 1.0), _DRAWS)
        total = _sums(self.terms[rare], self.weight[rare], counts, rng)
        rest, weight = self.terms[~rare], self.weight[~rare] / self.weight[~rare].sum()
        mean = weight @ rest
        away = rest - mean
        covariance = (away * weight[:, None]).T @ away
        left = (self.size - counts)[:, None]
        normal = rng.standard_normal((_DRAWS, 4)) @ _root(covariance).T
        found: FloatArray = (total + left * mean + np.sqrt(left) * normal) / self.size
        return found

    def _rare(self) -> BoolArray:
        """Tell which points are drawn one by one: those of most influence on some mean."""
        finite = np.minimum(self.weight @ self.terms, 1e300)
        relative = np.abs(self.terms) / np.where(finite == 0, 1.0, np.abs(finite))
        relative[:, 1] = 0.0  # bounded by the other two
        order = np.argsort(-relative.max(axis=1), kind="stable")
        enough = np.cumsum(self.weight[order]) <= _RARE / self.size
        rare = np.zeros(self.weight.size, dtype=bool)
        rare[order[enough]] = True
        return rare


def _sums(
    terms: FloatArray, weight: FloatArray, counts: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Return the sums of so many terms each, drawn by their weights, shape (k, 4)."""
    upto = np.cumsum(weight)
    total = np.zeros((counts.size, 4))
    if not weight.size:
        return total
    for start in range(0, counts.size, _TOGETHER):
        part = counts[start : start + _TOGETHER]
        at = upto.searchsorted(float(upto[-1]) * rng.random(int(part.sum())), "right")
        drawn = terms[np.minimum(at, weight.size - 1)]
        some = np.flatnonzero(part)
        if some.size:
            starts = (np.cumsum(part) - part)[some]
            total[start + some] = np.add.reduceat(drawn, starts, axis=0)
    return total


def _slope(statistic: Statistic, mean: FloatArray, peak: float) -> FloatArray:
    """Return the gradient of a statistic in the means, by central differences."""
    slope = np.zeros(4)
    for k in range(4):
        step = 1e-5 * (abs(mean[k]) or mean[2])
        move = np.zeros(4)
        move[k] = step
        up, down = statistic(mean + move, peak), statistic(mean - move, peak)
        slope[k] = float(up - down) / (2 * step)
    return slope


def _root(covariance: FloatArray) -> FloatArray:
    """Return a matrix whose product with its transpose is the covariance: always the same one."""
    size = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), range(4)])
    root: FloatArray = size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _quantiles(values: FloatArray, confidence: float) -> Band:
    ends = [0.5 * (1 - confidence), 0.5, 0.5 * (1 + confidence)]
    low, centre, high = np.quantile(values, ends).tolist()
    return Band(low, high, centre, "simulation")
