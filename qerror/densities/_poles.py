"""Places where a density grows without end, and the power law that stands for it there."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray


class Pole(NamedTuple):
    """A place where the density grows like u^-(1 - power), u being the distance on one side.

    Next to it, where quadrature would not end, the power law stands for the density.
    """

    place: float
    side: float
    """1.0 where the density lies above the place, -1.0 where below."""
    width: float
    power: float
    mass: float
    """The probability within the width."""

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and the upper end of what is replaced."""
        far = self.place + self.side * self.width
        return min(self.place, far), max(self.place, far)

    def integrals(self, q: FloatArray, start: FloatArray, stop: FloatArray) -> FloatArray:
        """Integrate (x - q)^k over the part of [start, stop] within the width, k = 0, 1, 2."""
        with np.errstate(invalid="ignore"):
            ends = np.clip(self.side * (np.stack([start, stop]) - self.place), 0.0, self.width)
        near, far = np.sort(ends / self.width, axis=0)
        b = self.power
        m = [
            self.mass * self.width**k * b / (b + k) * (far ** (b + k) - near ** (b + k))
            for k in range(3)
        ]
        away = self.place - q
        first = away * m[0] + self.side * m[1]
        return np.stack([m[0], first, away * (first + self.side * m[1]) + m[2]])
