"""What is kept of a tensor's values after one pass: sums that add up, part by part."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.densities.empirical import Empirical
from qerror.simulation.counting import (
    Binned,
    Engine,
    bin_values,
    count_units,
    inner_edges,
    outer_edges,
)
from qerror.storage.encodings import Coded, Encoding, Real
from qerror.storage.tensor import StoredTensor

DIRECT = 1 << 17
"""Values of 32 and 64 bits up to which every one of them is kept."""


@final
@dataclass(frozen=True, eq=False)
class Distribution:
    """The finite values of a tensor as far as they are known: distinct ones, or means of bins."""

    values: FloatArray
    """Strictly increasing."""
    counts: IntArray
    nan: int
    infinite: int
    low: float
    """The least value; inf where none is finite."""
    high: float
    """The largest value; -inf where none is finite."""
    precision: float
    """Half a unit in the last place of 1 in the type of the values."""
    edges: tuple[FloatArray, FloatArray] | None = None
    """Between which limits the values of each bin lie; None where every value is known."""
    spread: float = 0.0
    """The mean squared distance of the values from the means of their bins."""

    @property
    def size(self) -> int:
        """How many values are finite."""
        return int(self.counts.sum())

    @property
    def absmax(self) -> float:
        """The largest magnitude; 0 where no value is finite."""
        return max(self.high, -self.low, 0.0)

    @property
    def is_exact(self) -> bool:
        """Whether every value is known."""
        return self.edges is None

    @cached_property
    def sample(self) -> Empirical:
        """The values, or the means of their bins, as a density."""
        return Empirical(self.values, self.counts)

    @cached_property
    def power(self) -> float:
        """The mean of x^2."""
        return self.sample.second_moment + self.spread


@final
@dataclass(frozen=True, eq=False)
class CodeTally:
    """How often each code occurs."""

    encoding: Coded
    counts: IntArray

    def merged(self, other: "CodeTally") -> "CodeTally":
        """Return the counts of both parts."""
        return CodeTally(self.encoding, self.counts + other.counts)

    def distribution(self) -> Distribution:
        """Return the values with their counts, exactly."""
        values, counts = self.encoding.distribution(self.counts)
        nan = int(counts[np.isnan(values)].sum())
        infinite = int(counts[np.isinf(values)].sum())
        used = np.isfinite(values) & (counts > 0)
        return _of_values(values[used], counts[used], nan, infinite, self.encoding.precision)


@final
@dataclass(frozen=True, eq=False)
class ValueTally:
    """Every distinct value, and how often it occurs."""

    values: FloatArray
    counts: IntArray
    nan: int
    infinite: int
    precision: float

    def merged(self, other: "ValueTally") -> "ValueTally":
        """Return the values of both parts."""
        values, place = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(values.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        missing = self.nan + other.nan, self.infinite + other.infinite
        return ValueTally(values, counts, *missing, self.precision)

    def distribution(self) -> Distribution:
        """Return the values with their counts, exactly."""
        return _of_values(self.values, self.counts, self.nan, self.infinite, self.precision)


@final
@dataclass(frozen=True, eq=False)
class BinTally:
    """Values in bins 2^-11 wide and less, relative to their size, with sums within each."""

    found: Binned
    precision: float

    def merged(self, other: "BinTally") -> "BinTally":
        """Return the bins of both parts."""
        a, b = self.found, other.found
        found = Binned(
            a.bins.merged(b.bins),
            a.nan + b.nan,
            a.infinite + b.infinite,
            min(a.low, b.low),
            max(a.high, b.high),
        )
        return BinTally(found, self.precision)

    def distribution(self) -> Distribution:
        """Return the means of the bins, or the values themselves where no bin has two of them."""
        found = self.found
        keys, counts, first, second = found.bins
        inner, outer = inner_edges(keys), outer_edges(keys)
        offset = first / counts
        inside = np.maximum(second - first * offset, 0.0)
        values = inner + offset
        missing = found.nan, found.infinite
        # Where a bin holds one value alone its sums say so to the last bit.
        same = (second * counts == first * first) & (offset * counts == first)
        if same.all():
            return _of_values(values, counts, *missing, self.precision)
        order = np.argsort(values, kind="stable")
        low, high = np.minimum(inner, outer)[order], np.maximum(inner, outer)[order]
        edges = np.maximum(low, found.low), np.minimum(high, found.high)
        size = int(counts.sum())
        return Distribution(
            values[order],
            counts[order],
            *missing,
            found.low,
            found.high,
            self.precision,
            edges,
            float(inside.sum()) / max(size, 1),
        )


Tally: TypeAlias = CodeTally | ValueTally | BinTally


def tally_of(tensor: StoredTensor, start: int, stop: int, exact: bool, engine: Engine) -> Tally:
    """Count the values of a tensor from `start` up to `stop`.

    Parameters
    ----------
    exact : bool
        Whether to keep every value of 32 and 64 bits.
    engine : {"numpy", "numba"}
        The results are the same.
    """
    encoding = tensor.encoding
    stored = tensor.stored(start, stop)
    if isinstance(encoding, Coded):
        counts = np.zeros(encoding.units, np.int64)
        count_units(encoding.stored_units(stored), counts, engine)
        return CodeTally(encoding, counts)
    x = encoding.decode(stored)
    if exact:
        return _values_of(x, encoding)
    return BinTally(bin_values(x, engine), encoding.precision)


def _values_of(x: Real, encoding: Encoding) -> ValueTally:
    nan, infinite = int(np.isnan(x).sum()), int(np.isinf(x).sum())
    finite: npt.NDArray[Any] = x[np.isfinite(x)] if nan or infinite else x
    values, counts = np.unique(finite, return_counts=True)
    wide = values.astype(np.float64)
    return ValueTally(wide, counts.astype(np.int64), nan, infinite, encoding.precision)


def _of_values(
    values: FloatArray, counts: IntArray, nan: int, infinite: int, precision: float
) -> Distribution:
    """Sort values, and make one of both zeros."""
    values, place = np.unique(values + 0.0, return_inverse=True)
    total = np.zeros(values.size, np.int64)
    np.add.at(total, place, counts)
    low = float(values[0]) if values.size else np.inf
    high = float(values[-1]) if values.size else -np.inf
    return Distribution(values, total, nan, infinite, low, high, precision)
