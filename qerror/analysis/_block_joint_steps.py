"""The steps of two stored scales at once."""

import numpy as np

from qerror._arrays import IntArray
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.formats.scale_rule import ScaleSteps
from qerror.grids import Grid


def joint_steps(six: ScaleSteps, four: ScaleSteps) -> tuple[ScaleSteps, ScaleSteps]:
    """Return both candidates' scales between the edges of both.

    Where an edge of one is an edge of the other, and a largest value on it takes one scale up and
    the other down, that value is a step of its own.
    """
    own = six, four
    inner = np.unique(np.concatenate([steps.edges[1:-1] for steps in own]))
    # Which scale of each holds just above an edge, and on it.
    above = [np.searchsorted(steps.edges, inner, "right") - 1 for steps in own]
    on: list[IntArray] = []
    for steps, index in zip(own, above, strict=True):
        is_edge = steps.edges[index] == inner
        up = np.append(True, steps.upward)[index]
        on.append(np.where(is_edge & ~up, index - 1, index))
    parted = np.ones(inner.size, dtype=bool)  # M on the edge has neither the scales above
    whole = np.ones(inner.size, dtype=bool)  # nor those below
    for steps, index, at in zip(own, above, on, strict=True):
        below = np.where(steps.edges[index] == inner, index - 1, index)
        parted &= at == index
        whole &= at == below
    upward, alone = parted, ~parted & ~whole
    times = np.where(alone, 2, 1)
    edges = np.concatenate([[0.0], np.repeat(inner, times), [np.inf]])
    second = np.zeros(int(times.sum()), dtype=bool)  # the upper one of two equal edges
    second[np.cumsum(times)[alone] - 1] = True
    ups = np.repeat(upward, times)
    ups[np.cumsum(times)[alone] - 2] = True
    ups[second] = False
    found: list[ScaleSteps] = []
    for steps, index, at in zip(own, above, on, strict=True):
        rows = np.repeat(index, times)
        rows[np.cumsum(times)[alone] - 2] = at[alone]
        rows = np.append(0, rows)
        found.append(ScaleSteps(edges, steps.scales[rows], steps.codes[rows], ups))
    return found[0], found[1]


def check_ends(
    grid: Grid, largest: float, scales: tuple[float, float], scale_format: ScalarFormat
) -> None:
    """Refuse scale formats in which a tensor's largest value is no level at one of its scales."""
    for scale in scales:
        if abs(float(grid.error_half_even(np.array([largest]), scale)[0])) > 1e-14 * largest:
            raise InvalidValue(
                f"4over6 with a tensor scale from the data needs scales in the ratio 2 : 3, and "
                f"{scale_format.name} has only one of 256 and 384; pass tensor=<real>, or "
                "simulate with estimate_error"
            )
