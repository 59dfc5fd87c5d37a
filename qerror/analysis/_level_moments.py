"""E[Q^2], E[X Q] and E[Q] level by level, for quantizers that send nearly all of X to 0.

There S + 2 E[X e] + E[e^2] would be a difference of nearly equal numbers. Each stretch between
two thresholds has a positive share instead: with q its reference point and t = x - q,

    E[Q^2 | x] = q^2 + variance D^2 where Q is settled, or scattered about q;
    E[Q^2 | x] = q^2 + (2 q + lean D) t where it is drawn with E[Q | x] = x.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, two_product
from qerror.densities.density import Density
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_MOST = 2**18  # stretches
LITTLE = 0.1  # of E[X^2]: below, a digit of E[Q^2] or more would be lost


def cancels(power: float | FloatArray, cross: float | FloatArray, mse: float | FloatArray) -> bool:
    """Whether E[Q^2] is little of E[X^2], so that it cannot be told from the errors."""
    if isinstance(power, float):  # without arrays, nothing warns
        return bool(power + 2 * cross + mse < LITTLE * power)
    with np.errstate(invalid="ignore"):  # inf - inf where powers are infinite
        return bool(np.any(power + 2 * cross + mse < LITTLE * power))


class LevelMoments(NamedTuple):
    """Moments of the quantized value, each of the report's shape."""

    power: FloatArray
    """E[Q^2]."""
    cross: FloatArray
    """E[X Q]."""
    mean: FloatArray
    """E[Q]."""


@dataclass(frozen=True, eq=False)
class LevelSource:
    """What a report is of, so that its levels' moments can be computed when they are asked for."""

    grid: Grid
    density: Density
    scales: FloatArray
    rule: RoundingRule

    @property
    def is_listed(self) -> bool:
        """Whether the levels are few enough to be visited one by one."""
        parts = self.rule.parts
        return 1 < self.grid.size <= _MOST // parts

    def moments(self) -> LevelMoments:
        """Integrate level by level, at every scale."""
        flat = self.scales.reshape(-1)
        found = np.array([self._at(scale) for scale in flat.tolist()]).reshape(flat.size, 3)
        return LevelMoments(*(part.reshape(self.scales.shape) for part in found.T))

    def _at(self, scale: float) -> FloatArray:
        # Asked for by few: the paths of all modes need not be imported for a report.
        from qerror.analysis._modes import intervals  # noqa: PLC0415

        unit = self.grid.factor * scale
        total = self._of_atoms(unit)
        form = intervals(self.grid, self.rule, upper=False)
        gap = np.concatenate([[0.0], unit * form.gap, [0.0]])
        lowest, highest = self.grid.base_points[[0, -1]]
        q, rest = two_product(np.array(unit), np.concatenate([[lowest], form.level, [highest]]))
        (left, right), lost = two_product(np.array(-unit), np.stack([form.left, -form.right]))
        left = np.concatenate([[-np.inf], left, [0.0]])
        right = np.concatenate([[0.0], right, [np.inf]])
        lost = np.pad(lost, ((0, 0), (1, 1)))
        lean, variance, bend = (
            np.concatenate([[end], part, [end]])
            for part, end in ((form.lean, 0.0), (form.variance, 0.0), (form.bend, 1.0))
        )
        drawn = bend < 0
        for piece in self.density.pieces():
            mass, first, second = piece.integrals(q, left, right, rest, None, (lost[0], lost[1]))
            # A tail may have no mean: it is settled by its mass, but not multiplied with x.
            value = np.where(drawn, q * mass + first, q * mass)
            slope = np.where(drawn, (2 * q + np.sign(lean) * gap) * first, 0.0)
            settled = (q * q + unit * unit * variance) * mass
            lever = q * (q * mass + first)
            cross = np.where(drawn, lever + q * first + second, np.where(q == 0, 0.0, lever))
            square = np.where(drawn, q * q * mass, settled) + slope
            total += [square.sum(), cross.sum(), value.sum()]
        return total

    def _of_atoms(self, unit: float) -> FloatArray:
        from qerror.analysis._modes import around  # noqa: PLC0415

        x, p = self.density.atoms()
        if not x.size:
            return np.zeros(3)
        base = replace(self.grid, factor=1.0)
        _, low, high, up = around(base, x, np.asarray(unit), self.rule)
        low, high = low * unit, high * unit
        level = (1 - up) * low + up * high
        square = (1 - up) * low * low + up * high * high
        return np.array([square @ p, (x * level) @ p, level @ p])
