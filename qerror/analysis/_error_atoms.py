"""What point masses of X leave of the error: where they are rounded, or both ways drawn."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.analysis._modes import rounded_atoms
from qerror.densities.density import Density
from qerror.grids import Grid
from qerror.rounding import RoundingRule


class ErrorAtoms(NamedTuple):
    """Where point masses of X leave the error."""

    x: FloatArray
    error: FloatArray
    step: FloatArray
    probability: FloatArray


def error_atoms(grid: Grid, density: Density, rule: RoundingRule) -> ErrorAtoms:
    """Return the errors of a density's point masses; of drawn levels both that each may have."""
    x, probability = density.atoms()
    if rule.mode != "stochastic":
        error, step = rounded_atoms(grid, x, rule)
        return ErrorAtoms(x, frozen(error), frozen(step), probability)
    (below, step), (above, _) = (
        rounded_atoms(grid, x, RoundingRule(mode)) for mode in ("down", "up")
    )
    apart = above != below
    up = np.where(apart, -below / np.where(apart, above - below, 1.0), 0.0)
    chance = np.concatenate([probability * (1 - up), probability * up])
    kept = chance > 0
    pairs = (x, x), (below, above), (step, step)
    values, errors, steps = (frozen(np.concatenate(pair)[kept]) for pair in pairs)
    return ErrorAtoms(values, errors, steps, frozen(chance[kept]))
