"""Blocks of point masses alone: signs of their sums from the sums of both halves of a block.

A block of n of k values has too many sums to be listed, C(n + k - 1, n) of them, where its halves
have few: that one half outweighs the other is then one search in sorted sums. Of the figures the
value that they are about lies in the first half, and of pairs the other one in the second.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_choice_points import SAME, merged

_MOST = 2**19  # sums of half a block, before equal ones are merged


def halves_suffice(values: int, n: int) -> bool:
    """Tell whether the sums of half a block of so many values can be listed."""
    m = n - n // 2
    return values > 0 and math.comb(values + m - 2, m - 1) * values <= _MOST


def by_halves(gain: FloatArray, columns: FloatArray, n: int) -> FloatArray:
    """Return the eight figures of all blocks of these values, with the sign of their gain.

    Parameters
    ----------
    gain : array of shape (k,)
        In units of the largest.
    columns : array of shape (k, 9)
        As those of `Nodes`.
    n : int
        At least 2.
    """
    found = np.zeros(8)
    if not columns[:, 0].any():
        return found
    one = _Half.of(gain, columns, n // 2)
    other = one if n % 2 == 0 else _Half.of(gain, columns, n - n // 2)
    # The sum of both halves is 0 where they differ by no more than rounding: a tie is -1.
    place = np.searchsorted(other.sums, 0.5 * SAME - one.sums, "right")
    of_all = other.signs(place, 0)
    found[:6] = [one.with_column(k) @ of_all for k in range(6)]
    if columns[:, 6:].any():
        six, four = (other.signs(place, k) for k in (6, 7))
        found[6] = 0.5 * (one.with_column(7) @ four - one.with_column(6) @ six)
        found[7] = 0.5 * (one.with_column(8) @ (four - six))
    return found


class _Half(NamedTuple):
    """The sums of m values, of which one is set apart."""

    sums: FloatArray
    """Ascending."""
    rest: FloatArray
    """The probability of the other m - 1 values."""
    own: IntArray
    """Which value is set apart."""
    columns: FloatArray

    @classmethod
    def of(cls, gain: FloatArray, columns: FloatArray, m: int) -> "_Half":
        """List the sums."""
        law = np.zeros(1), np.ones(1)
        for _ in range(m - 1):
            law = merged(*_with_one_more(law, (gain, columns[:, 0])))
        sums = np.add.outer(law[0], gain).ravel()
        order = np.argsort(sums, kind="stable")
        before, own = np.divmod(order, gain.size)
        return cls(sums[order], law[1][before], own, columns)

    def with_column(self, k: int) -> FloatArray:
        """Return the column of the value that is set apart, times the probability of the rest."""
        found: FloatArray = self.rest * self.columns[self.own, k]
        return found

    def signs(self, place: IntArray, k: int) -> FloatArray:
        """Sum `with_column` with 1 from a place on and -1 before it."""
        below = np.concatenate([[0.0], np.cumsum(self.with_column(k))])
        found: FloatArray = below[-1] - 2 * below[place]
        return found


def _with_one_more(
    law: tuple[FloatArray, FloatArray], one: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    return np.add.outer(law[0], one[0]).ravel(), np.multiply.outer(law[1], one[1]).ravel()
