"""Learnable steps: LSQ and LSQ+."""

from torch import Tensor

from qerror.pytorch.functional.shared import (
    Number,
    Rule,
    affine,
    like,
    scale_rule,
    scaled,
    with_step,
)
from qerror.pytorch.gradients import RoundThrough, apply


def lsq(
    x: Tensor,
    s: Number,
    zero_point: Number = 0.0,
    *,
    low: int,
    high: int,
    scale_gradient: bool = True,
    rule: Rule = "straight-through",
) -> Tensor:
    """Quantize to integers with a learnable step (LSQ).

    y = s (clip(Q(x/s + z), low, high) - z); a tie goes to the even code.

    Parameters
    ----------
    x : Tensor
    s : Tensor or float
        The step, positive.
    zero_point : Tensor or float
        The code of 0. One that learns is rounded here, straight through.
    low, high : int
        The smallest and the largest code.
    scale_gradient : bool
        Multiply the gradients of `s` and `zero_point` by 1/sqrt(M high), M the number of values
        that one of them serves.
    rule : {"straight-through", "exact"}
        dy/ds inside: Q(v) - v, or the code, which makes the gradient of the mean squared error
        its true derivative.

    Returns
    -------
    Tensor

    Notes
    -----
    Inside means low < x/s + z < high, on the value before rounding. There dy/dx = 1 and
    dy/ds = Q(v) - v; below dy/ds = low - z, above high - z. dy/dz = 0 inside, -s outside.

    References
    ----------
    Esser et al. 2020 (arXiv 1902.08153), equations 1 to 5.
    """
    wide, step = with_step(x, s, low, high, scale_gradient)
    z = None
    if isinstance(zero_point, Tensor) or zero_point != 0:
        z = scaled(like("zero_point", zero_point, wide), wide, high, scale_gradient)
        z = apply(RoundThrough, z, 1.0)
    return affine(x, wide, step, z, None, (low, high), "open", scale_rule(rule))


def lsq_plus(
    x: Tensor,
    s: Number,
    beta: Number,
    *,
    low: int,
    high: int,
    scale_gradient: bool = True,
    rule: Rule = "straight-through",
) -> Tensor:
    """Quantize to integers with a learnable step and a real offset (LSQ+).

    y = s clip(Q((x - beta)/s), low, high) + beta.

    Parameters
    ----------
    x : Tensor
    s, beta : Tensor or float
        The step, positive, and the offset.
    low, high, scale_gradient, rule
        As in `lsq`.

    Returns
    -------
    Tensor

    Notes
    -----
    As `lsq` with v = (x - beta)/s; dy/dbeta = 0 inside, 1 outside (exact rule: 1 everywhere).

    References
    ----------
    Bhalgat et al. 2020 (arXiv 2004.09576), equations 1 to 4.
    """
    wide, step = with_step(x, s, low, high, scale_gradient)
    offset = scaled(like("beta", beta, wide), wide, high, scale_gradient)
    return affine(x, wide, step, None, offset, (low, high), "open", scale_rule(rule))
