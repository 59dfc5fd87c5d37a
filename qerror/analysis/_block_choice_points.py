"""Signs of sums of point masses: what values add that gain one of a few exact amounts.

With values that all come from point masses of gains d_1, ..., d_q the sum S of m of them is one of
finitely many numbers. They are listed, equal ones merged, so that E[sign(y + S)] is exact at any
y, ties included: S + y = 0 keeps the first scale and counts as -1.
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray

SAME = 2.0**-42  # of the largest gain: sums that differ by less are equal but for rounding
_UNLIKELY = 1e-24  # sums
_ONE_BY_ONE = 64  # values: more are added by doubling
_MOST_SUMS = 2**15
_MOST_PAIRS = 2**18


class Sums(NamedTuple):
    """The sums of some values, ascending, and their probabilities added up."""

    values: FloatArray
    below: FloatArray
    """P(S < values[i]), one more entry for the end."""

    def sign(self, y: FloatArray) -> FloatArray:
        """Return E[sign(y + S)], -1 where y + S = 0."""
        at = np.searchsorted(self.values, 0.5 * SAME - y, "right")
        signs: FloatArray = self.below[-1] - 2 * self.below[at]
        return signs


class PointSums(NamedTuple):
    """Sums of n - 3, n - 2 and n - 1 values of a block of n."""

    fewer: tuple[Sums, Sums, Sums]

    @classmethod
    def of(cls, gain: FloatArray, probability: FloatArray, n: int) -> "PointSums | None":
        """List the sums of values of these gains, in units of the largest; None if too many."""
        if not gain.any():
            total = float(probability.sum())
            return cls((_of_zeros(total, n - 3), _of_zeros(total, n - 2), _of_zeros(total, n - 1)))
        one = merged(gain, probability)
        nothing = np.empty(0), np.empty(0)
        found = _power(one, n - 3) if n > 3 else (np.zeros(1), np.ones(1))
        if found is None:
            return None
        listed: list[Sums] = []
        for m in (n - 3, n - 2, n - 1):
            if m > max(n - 3, 0):
                found = _sum(found, one)
                if found is None:
                    return None
            values, p = found if m >= 0 else nothing
            listed.append(Sums(values, np.concatenate([[0.0], np.cumsum(p)])))
        return cls((listed[0], listed[1], listed[2]))

    @property
    def support(self) -> FloatArray:
        """Every sum of n - 1 values."""
        return self.fewer[2].values

    def sign(self, less: int, y: FloatArray) -> FloatArray:
        """Return E[sign(y + S)] for the sum of n - less values; 0 where there are none."""
        return self.fewer[3 - less].sign(y)


def _of_zeros(probability: float, m: int) -> Sums:
    """Return the sum of m values without gain."""
    if m < 0:
        return Sums(np.empty(0), np.zeros(1))
    return Sums(np.zeros(1), np.array([0.0, probability**m]))


def merged(values: FloatArray, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Merge equal values and leave out unlikely ones; probabilities may be weighed, with a sign."""
    keys, first, place = np.unique(np.rint(values / SAME), return_index=True, return_inverse=True)
    total: FloatArray = np.bincount(place.reshape(-1), probability, keys.size).astype(np.float64)
    keep: IntArray = np.flatnonzero(np.abs(total) > _UNLIKELY)
    return values[first][keep], total[keep]


_Law = tuple[FloatArray, FloatArray]


def _sum(a: _Law, b: _Law) -> _Law | None:
    if a[0].size * b[0].size > _MOST_PAIRS:
        return None
    values = np.add.outer(a[0], b[0]).ravel()
    found = merged(values, np.multiply.outer(a[1], b[1]).ravel())
    return found if found[0].size <= _MOST_SUMS else None


def _power(one: _Law, m: int) -> _Law | None:
    """Return the law of the sum of m values."""
    if m <= _ONE_BY_ONE:
        found: _Law | None = np.zeros(1), np.ones(1)
        for _ in range(m):
            found = None if found is None else _sum(found, one)
        return found
    half = _power(one, m // 2)
    found = None if half is None else _sum(half, half)
    return _sum(found, one) if found is not None and m % 2 else found


def exactly(
    gains: FloatArray, fixed: FloatArray, moving: tuple[FloatArray, FloatArray], n: int
) -> FloatArray:
    """Return the figures of blocks with at most one value whose gain is none of the given."""
    sums = PointSums.of(gains, fixed[:, 0], n)
    if sums is None:  # with fewer of them than the whole step has, they are known too
        raise AssertionError
    found = np.zeros(8)
    one, two = sums.sign(1, gains), sums.sign(2, np.add.outer(gains, gains))
    found[:6] = one @ fixed[:, :6]
    six, four, x = fixed[:, 6:].T
    found[6] = 0.5 * (four @ two @ four - six @ two @ six)
    found[7] = 0.5 * (x @ two @ (four - six))
    d, columns = moving
    if not d.size:
        return found
    alone, beside = sums.sign(1, d), sums.sign(2, np.add.outer(gains, d))
    mass = columns[:, 0]
    found[0] += n * (alone @ mass)
    found[1:6] += alone @ columns[:, 1:6] + (n - 1) * (fixed[:, 1:6].T @ (beside @ mass))
    if not (fixed[:, 6:].any() or columns[:, 6:].any()):
        return found
    d_six, d_four, d_x = (beside @ columns[:, k] for k in (6, 7, 8))
    found[6] += four @ d_four - six @ d_six
    found[7] += 0.5 * (x @ (d_four - d_six) + (four - six) @ d_x)
    if n > 2 and (six.any() or four.any()):
        both = np.stack([sums.sign(3, np.add.outer(gains + g, d)) @ mass for g in gains.tolist()])
        found[6] += 0.5 * (n - 2) * (four @ both @ four - six @ both @ six)
        found[7] += 0.5 * (n - 2) * (x @ both @ (four - six))
    return found
