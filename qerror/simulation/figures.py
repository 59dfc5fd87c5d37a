"""Means of errors with standard errors, from sums that grow chunk by chunk."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from qerror._arrays import BoolArray, FloatArray, FrozenMapping, Immutable, read_only
from qerror.exceptions import InvalidValue
from qerror.simulation._tails import Tails

CHUNK = 1 << 16  # values drawn at a time

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
class Estimate(Immutable):
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "covariance", read_only(self.covariance))
        object.__setattr__(self, "settled", FrozenMapping(self.settled))

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
    """The ends of the interval."""
    estimate: Estimate


NAMES = tuple(each.name for each in fields(Figures))
"""The figures of an estimate, in reading order."""

OF_BLOCKS: tuple[str, ...] = ("pair_error", "pair_cross", "clipped_blocks", "zero_blocks")
"""The figures that blocks have besides."""


@dataclass(frozen=True)
class BlockFigures(Figures):
    """One number for every figure of an error report of blocks."""

    pair_error: float
    pair_cross: float
    clipped_blocks: float
    zero_blocks: float


@dataclass(frozen=True)
class ScaleShares(Mapping[float, float]):
    """How often each stored scale occurred: a mapping from code to its share of the blocks."""

    codes: tuple[float, ...]
    """Ascending: exponents of powers of two, or levels of the scale format."""
    shares: tuple[float, ...]
    covariance: FloatArray = field(repr=False, compare=False)
    """Of the shares, shape (k, k); empty where more than 1,024 scales occurred."""

    def __getitem__(self, code: float) -> float:
        try:
            return self.shares[self.codes.index(code)]
        except ValueError:
            raise KeyError(code) from None

    def __iter__(self) -> Iterator[float]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class BlockEstimate(Estimate):
    """The errors of a block-scaled format on samples: those of `BlockErrorReport`.

    The values of a block depend on each other by their scale, and blocks by a tensor scale from
    the data. So the independent samples, from which standard errors come, are means over blocks,
    or over tensors.
    """

    pair_error: float
    pair_cross: float
    clipped_blocks: float
    zero_blocks: float
    standard_error: BlockFigures
    """nan from a single sample."""
    samples: int
    """Number of independent samples: of tensors where a tensor scale comes from the data, of
    blocks elsewhere."""
    blocks: int
    """Number of blocks."""
    scales: ScaleShares
    """How often each stored scale occurred; empty for real scales."""

    def to_dict(self) -> dict[str, float]:
        """Return every figure by its name, in reading order."""
        return {name: getattr(self, name) for name in (*NAMES, *OF_BLOCKS)}


def error_terms(x: FloatArray, error: FloatArray, below: BoolArray, above: BoolArray) -> FloatArray:
    """Return what is averaged for each of the basic figures, shape (7, n)."""
    square = error * error
    low, high = np.where(below, square, 0.0), np.where(above, square, 0.0)
    inside = np.where(below | above, 0.0, square)
    return np.stack([inside, low, high, error, x * error, x * x, x])


class Sums:
    """Means, products about the means, and raw powers, updated chunk by chunk.

    Rows are the basic figures, in order; more may follow them.
    """

    def __init__(self, rows: int = len(BASIC)) -> None:
        self._count = 0
        self._clipped = [0, 0]
        self._mean = np.zeros(rows)
        self._products = np.zeros((rows, rows))
        self._unit = np.zeros(rows)
        self._powers = np.zeros((3, rows))

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
        basic = slice(len(BASIC))
        mean = self._mean[basic] if self._count else np.full(len(BASIC), np.nan)
        values, _ = _figures(mean, self._products[basic, basic])
        return Figures(**values), self._count, self.clipped

    def estimate(self, tails: Tails, truncated: TruncatedEstimate | None) -> Estimate:
        """Turn the sums into figures."""
        if self._count < 2:
            raise InvalidValue("fewer than two samples lie within the truncated density; draw more")
        covariance = self.covariance
        values, errors = _figures(self._mean, covariance)
        return Estimate(
            **values,
            standard_error=Figures(**_unless_infinite(errors, tails)),
            size=self._count,
            clipped=self.clipped,
            tails=tails,
            truncated=truncated,
            covariance=covariance,
            settled=self.settled(),
        )

    @property
    def clipped(self) -> tuple[int, int]:
        """How many values lay below and above the range."""
        return self._clipped[0], self._clipped[1]

    @property
    def means(self) -> FloatArray:
        """The mean of every row."""
        return self._mean

    @property
    def covariance(self) -> FloatArray:
        """The covariance of the means; nan from a single sample."""
        if self._count < 2:
            return np.full_like(self._products, np.nan)
        return self._products / (self._count - 1) / self._count

    def figures_and_errors(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return every figure and its standard error, infinite moments or not."""
        basic = slice(len(BASIC))
        return _figures(self._mean[basic], self.covariance[basic, basic])

    def effective(self) -> tuple[FloatArray, FloatArray]:
        """Return how many samples of equal size would make each mean, and each variance.

        With y = x^2 for mean squares, they are (sum y)^2 / sum y^2, and the same of y^2.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second, fourth = self._powers
            return first * first / second, second * second / fourth

    def settled(self) -> dict[str, bool]:
        """Tell which variances rest on enough samples."""
        for_mean, for_variance = (part[: len(BASIC)] for part in self.effective())
        enough = dict(zip(BASIC, for_variance >= FOR_VARIANCE, strict=True))
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


_FOR_MEAN = 400  # effective values from which a mean's z-score is nearly normal
FOR_VARIANCE = 25
_OPEN_SHARE = 0.05  # of the squares: what the sample's largest values may leave undecided


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
