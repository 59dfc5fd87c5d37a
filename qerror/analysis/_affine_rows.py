"""Rows of equally spaced levels between two limits, which may start anywhere."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray


class Rows(NamedTuple):
    """Levels and limits, a row each."""

    low: FloatArray
    high: FloatArray
    anchor: FloatArray
    """The lowest level."""
    step: FloatArray
    steps: int
    """How many steps from the lowest to the highest level, of all rows."""

    zero: FloatArray | None = None
    """The rank of the level 0; None where levels start anywhere."""

    @classmethod
    def between(cls, low: FloatArray, high: FloatArray, steps: int, *, integer: bool) -> "Rows":
        """Return the levels that pairs of extremes set; with an integer zero point 0 is one."""
        step = (high - low) / steps
        if not integer:
            return cls(low, high, low, step, steps)
        zero = np.rint(-low / step)
        return cls(low, high, -zero * step, step, steps, zero)

    @property
    def top(self) -> FloatArray:
        """The highest level."""
        return self.anchor + self.steps * self.step

    def at(self, some: slice | IntArray) -> "Rows":
        """Return some of the rows."""
        low, high, anchor, step, count, zero = self
        parts = low[some], high[some], anchor[some], step[some]
        return Rows(*parts, count, None if zero is None else zero[some])

    @property
    def column(self) -> "Rows":
        """The rows as columns, to broadcast against values beside each other."""
        low, high, anchor, step = (part[:, None] for part in self[:4])
        zero = None if self.zero is None else self.zero[:, None]
        return Rows(low, high, anchor, step, self.steps, zero)

    def errors(self, x: FloatArray) -> FloatArray:
        """Return Q(x) - x; a tie goes to the even multiple of the step, from 0 or the anchor."""
        if self.zero is None:
            rank = np.rint((x - self.anchor) / self.step)
        else:
            rank = np.rint(x / self.step) + self.zero
        return (self.anchor - x) + np.clip(rank, 0, self.steps) * self.step
