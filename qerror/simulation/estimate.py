"""Sampled errors: what the analysis says, found out by trying."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from qerror._arrays import BoolArray, FloatArray, integer, positive
from qerror.densities.density import Density
from qerror.densities.names import parse_density
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress
from qerror.formats.format import Format
from qerror.formats.names import as_scalar_format
from qerror.simulation._arguments import require_rng
from qerror.simulation._tails import Tails, tails_of
from qerror.simulation.quantize import quantize

CHUNK = 1 << 16  # values drawn at a time
MOST_SAMPLES = 10**15
_CUT = 1e-4  # probability that a heavy tail loses for the truncated figures
_CUT_SAMPLES = 300  # or as much as leaves so many samples beyond

BASIC: tuple[str, ...] = (
    "rounding",
    "clipping_low",
    "clipping_high",
    "mean_error",
    "cross_moment",
    "signal_power",
    "signal_mean",
)
"""The figures that are plain means; all others follow from them."""

# Orders of the moments of X that must exist for the variance of each mean to do so.
_ORDERS = {"rounding": 0, "mean_error": 2, "signal_mean": 2}


@dataclass(frozen=True)
class Figures:
    """One number for every figure of an error report."""

    rounding: float
    clipping_low: float
    clipping_high: float
    clipping: float
    mse: float
    sqnr_db: float
    mean_error: float
    cross_moment: float
    signal_power: float
    signal_mean: float

    def to_dict(self) -> dict[str, float]:
        """Return every figure by its name, in reading order."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class Estimate:
    """The errors of a quantizer on samples of a density, e = Q(X) - X.

    The figures are those of `ErrorReport`.
    """

    rounding: float
    clipping_low: float
    clipping_high: float
    clipping: float
    mse: float
    sqnr_db: float
    mean_error: float
    cross_moment: float
    signal_power: float
    signal_mean: float
    standard_error: Figures
    """Of every figure, from the samples' own variances. Infinite where the variance is: then
    no number of samples makes an interval, and `truncated` has figures that can be compared."""
    size: int
    """Number of samples."""
    clipped: tuple[int, int]
    """How many of them lay below and above the range of the grid."""
    tails: Tails
    """The exponents of the density's tails."""
    truncated: "TruncatedEstimate | None"
    """The same without the far tails, where the fourth moment does not exist; else None."""
    covariance: FloatArray = field(repr=False, compare=False)
    """Of the means named by `BASIC`, shape (7, 7)."""
    settled: Mapping[str, bool] = field(repr=False)
    """Whether so many samples had a part in a figure that its standard error can be relied on."""

    def to_dict(self) -> dict[str, float]:
        """Return every figure by its name, in reading order."""
        return {name: getattr(self, name) for name in NAMES}

    @property
    def note(self) -> str:
        """What to know before using the standard errors; may be empty."""
        if self.truncated is None:
            return ""
        low, high = self.truncated.cut
        return (
            f"the fourth moment does not exist (tail exponent {self.tails.heaviest:g}): squared "
            "errors of the tails have infinite variance, so their standard errors are infinite; "
            f"truncated to [{low:.6g}, {high:.6g}] they are finite"
        )


@dataclass(frozen=True)
class TruncatedEstimate:
    """The figures of the samples within `cut`: an estimate for the truncated density."""

    cut: tuple[float, float]
    estimate: Estimate


NAMES = tuple(each.name for each in fields(Figures))
"""The figures of an estimate, in reading order."""


def estimate_error(
    format: Format | str,  # noqa: A002 - the field's word
    density: Density | str,
    *,
    scale: float = 1.0,
    size: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Estimate:
    """Quantize samples of a density and return their mean errors with standard errors.

    Samples are drawn, quantized and forgotten in chunks: memory does not grow with `size`.

    Parameters
    ----------
    format : ScalarFormat or str
        The format or its name.
    density : Density or str
        The density, or its text.
    scale : float
        Multiplies the levels; positive.
    size : int
        Number of samples, at least 2.
    rng : numpy.random.Generator
        Where the samples come from.
    progress : callable, optional
        Called with (done, total) samples.

    Returns
    -------
    Estimate
        Standard errors come from the samples' own variances. That of an MSE exists only if
        E[X^4] does: where it does not, it is infinite, and `truncated` has the figures of the
        samples within an interval that leaves out 1e-4 of each heavy tail (more for few samples).

    Raises
    ------
    InvalidValue, InvalidType
        If the scale is not positive and finite, `size` is too small, or `rng` no generator.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> found = estimate_error("4M3E", "gaussian", scale=0.25, size=100_000, rng=rng)
    >>> abs(found.sqnr_db - 37.278) < 5 * found.standard_error.sqnr_db
    True
    """
    form, density = as_scalar_format(format), _as_density(density)
    scale = positive("scale", scale)
    size = integer("size", size, 2, MOST_SAMPLES)
    require_rng(rng)
    grid = form.grid(scale)
    tails = tails_of(density)
    cut = _cut(density, tails, size)
    whole, within = _Sums(), _Sums()
    done = 0
    while done < size:
        count = min(CHUNK, size - done)
        x = density.sample(count, rng)
        with np.errstate(over="ignore", invalid="ignore"):
            error = quantize(x, form, scale) - x
            below, above = x < grid.min, x > grid.max
            terms = _terms(x, error, below, above)
            whole.add(terms, below, above)
            if cut is not None:
                kept = (x >= cut[0]) & (x <= cut[1])
                within.add(terms[:, kept], below[kept], above[kept])
        done += count
        if progress is not None:
            progress(done, size)
    truncated = None
    if cut is not None:
        bounded = Tails(math.inf, math.inf)
        truncated = TruncatedEstimate(cut, within.estimate(bounded, None))
    return whole.estimate(tails, truncated)


def figures_of_data(
    errors: Iterable[tuple[FloatArray, FloatArray]], limits: tuple[float, float]
) -> tuple[Figures, int, tuple[int, int]]:
    """Return the mean errors of data, the number of values, and how many lie below and above.

    Parameters
    ----------
    errors : iterable of (x, e)
        Finite values and their errors, piece by piece.
    limits : (float, float)
        The range of the grid.
    """
    sums = _Sums()
    for x, error in errors:
        for start in range(0, x.size, CHUNK):
            part, of_part = x[start : start + CHUNK], error[start : start + CHUNK]
            with np.errstate(over="ignore", invalid="ignore"):
                below, above = part < limits[0], part > limits[1]
                sums.add(_terms(part, of_part, below, above), below, above)
    return sums.figures()


def _as_density(value: Density | str) -> Density:
    if isinstance(value, str):
        return parse_density(value)
    if not isinstance(value, Density):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected a density such as Gaussian(std=2) or its name, got {value!r}")
    return value


def _cut(density: Density, tails: Tails, size: int) -> tuple[float, float] | None:
    """Return the interval that leaves out what has no fourth moment, or None."""
    if tails.heaviest > 4:
        return None
    share = min(max(_CUT, _CUT_SAMPLES / size), 0.05)
    low, high = density.ppf(np.array([share, 1 - share])).tolist()
    low = low if tails.low <= 4 else -math.inf
    high = high if tails.high <= 4 else math.inf
    if not low < high:
        raise InvalidValue("the density is too narrow to cut its heavy tails off")
    return low, high


def _terms(x: FloatArray, error: FloatArray, below: BoolArray, above: BoolArray) -> FloatArray:
    """Return what is averaged for each of the basic figures, shape (7, n)."""
    square = error * error
    low, high = np.where(below, square, 0.0), np.where(above, square, 0.0)
    inside = np.where(below | above, 0.0, square)
    return np.stack([inside, low, high, error, x * error, x * x, x])


class _Sums:
    """Means, products about the means, and raw powers, updated chunk by chunk."""

    def __init__(self) -> None:
        self._count = 0
        self._clipped = [0, 0]
        self._mean = np.zeros(len(BASIC))
        self._products = np.zeros((len(BASIC), len(BASIC)))
        self._unit = np.zeros(len(BASIC))
        self._powers = np.zeros((3, len(BASIC)))

    def add(self, terms: FloatArray, below: BoolArray, above: BoolArray) -> None:
        """Take in a chunk (Chan, Golub, LeVeque 1983, for the products)."""
        count = terms.shape[1]
        if not count:
            return
        self._clipped[0] += int(below.sum())
        self._clipped[1] += int(above.sum())
        mean = terms.mean(axis=1)
        centred = terms - mean[:, None]
        gap = mean - self._mean
        total = self._count + count
        self._products += centred @ centred.T
        self._products += np.outer(gap, gap) * (self._count * count / total)
        self._mean += gap * (count / total)
        self._count = total
        # In units of the first chunk's largest values: eighth powers would overflow.
        fresh = self._unit == 0
        self._unit[fresh] = np.abs(terms[fresh]).max(axis=1, initial=0.0)
        unit = np.where(self._unit > 0, self._unit, 1.0)
        y = terms / unit[:, None]
        squares = y * y
        self._powers += [y.sum(axis=1), squares.sum(axis=1), (squares * squares).sum(axis=1)]

    def figures(self) -> tuple[Figures, int, tuple[int, int]]:
        """Return the means alone, the number of values and how many were clipped."""
        mean = self._mean if self._count else np.full(len(BASIC), np.nan)
        values, _ = _figures(mean, self._products)
        return Figures(**values), self._count, (self._clipped[0], self._clipped[1])

    def estimate(self, tails: Tails, truncated: TruncatedEstimate | None) -> Estimate:
        """Turn the sums into figures."""
        if self._count < 2:
            raise InvalidValue("fewer than two samples lie within the truncated density; draw more")
        covariance = self._products / (self._count - 1) / self._count
        values, errors = _figures(self._mean, covariance)
        settled = self._settled()
        return Estimate(
            **values,
            standard_error=Figures(**_unless_infinite(errors, tails)),
            size=self._count,
            clipped=(self._clipped[0], self._clipped[1]),
            tails=tails,
            truncated=truncated,
            covariance=covariance,
            settled=settled,
        )

    def _settled(self) -> dict[str, bool]:
        """Tell which variances rest on enough samples.

        With y = x^2 for mean squares, (sum y)^2 / sum y^2 is the number of samples of equal size
        that would make the same mean, and the same of y^2 that for the variance.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second, fourth = self._powers
            for_mean = first * first / second
            for_variance = second * second / fourth
        enough = dict(zip(BASIC, for_variance >= _FOR_VARIANCE, strict=True))
        squares = {"rounding", "clipping_low", "clipping_high", "signal_power"}
        for name, effective in zip(BASIC, for_mean, strict=True):
            if name in squares:
                enough[name] &= effective >= _FOR_MEAN
        settled = {name: bool(enough[name]) for name in BASIC}
        shares = {name: max(self._mean[i], 0.0) for i, name in enumerate(BASIC[:3])}
        for name, parts in {"clipping": BASIC[1:3], "mse": BASIC[:3]}.items():
            settled[name] = self._are_settled(parts, shares, settled)
        settled["sqnr_db"] = settled["mse"] and settled["signal_power"]
        return settled

    def _are_settled(
        self, parts: tuple[str, ...], shares: Mapping[str, float], settled: Mapping[str, bool]
    ) -> bool:
        """Tell whether the parts of a sum that are not settled matter little to its variance."""
        variance = {name: self._products[i, i] for i, name in enumerate(BASIC)}
        open_ = sum(variance[name] for name in parts if not settled[name])
        total = sum(variance[name] for name in parts)
        return total > 0 and open_ <= _OPEN_SHARE * total and any(shares[name] for name in parts)


_FOR_MEAN = 400
_FOR_VARIANCE = 25
_OPEN_SHARE = 0.05


def _figures(mean: FloatArray, covariance: FloatArray) -> tuple[dict[str, float], dict[str, float]]:
    """Return every figure and its standard error: sums exactly, the SQNR by the delta method."""
    value = dict(zip(BASIC, mean.tolist(), strict=True))
    value["clipping"] = value["clipping_low"] + value["clipping_high"]
    value["mse"] = value["rounding"] + value["clipping"]
    weights = {name: np.eye(len(BASIC))[i] for i, name in enumerate(BASIC)}
    weights["clipping"] = weights["clipping_low"] + weights["clipping_high"]
    weights["mse"] = weights["rounding"] + weights["clipping"]
    power, mse = value["signal_power"], value["mse"]
    with np.errstate(divide="ignore", invalid="ignore"):
        db = 10 * (np.log10(power) - np.log10(mse))
        relative = weights["signal_power"] / power - weights["mse"] / mse
    value["sqnr_db"] = float(db)
    weights["sqnr_db"] = relative * 10 / math.log(10)
    with np.errstate(invalid="ignore"):
        error = {name: float(np.sqrt(w @ covariance @ w)) for name, w in weights.items()}
    return {name: value[name] for name in NAMES}, {name: error[name] for name in NAMES}


def _unless_infinite(errors: Mapping[str, float], tails: Tails) -> dict[str, float]:
    """Replace the standard errors whose variance does not exist by infinity."""
    sides = {"clipping_low": tails.low, "clipping_high": tails.high}
    return {
        name: error if sides.get(name, tails.heaviest) > _ORDERS.get(name, 4) else math.inf
        for name, error in errors.items()
    }
