"""A learnable interval: QIL."""

from torch import Tensor

from qerror._arrays import integer
from qerror.pytorch.functional.shared import (
    Form,
    Number,
    check_form,
    like,
    positive_like,
    scaled,
    wide_codes,
)
from qerror.pytorch.gradients import Interval, RoundThrough, apply


def qil(
    x: Tensor,
    c: Number,
    d: Number,
    *,
    bits: int,
    form: Form = "weight",
    gamma: float = 1.0,
    scale_gradient: bool = True,
) -> Tensor:
    """Quantize through a learnable interval: pruned below, clipped above (QIL).

    t = (abs(x) - c)/(2 d) + 1/2; 0 where abs(x) <= c - d, 1 where abs(x) >= c + d, else t^gamma,
    with the sign of x; then uniform steps. An activation is taken without absolute value.

    Parameters
    ----------
    x : Tensor
    c, d : Tensor or float
        Centre and half width of the interval; d is positive.
    bits : int
    form : {"weight", "activation"}
        P = 2^(bits - 1) - 1 steps on both sides of 0, or 2^bits - 1 from 0.
    gamma : float
        The power; not learnable.
    scale_gradient : bool
        Multiply the gradients of c and d by 1/sqrt(M P), M the number of values that one serves.

    Returns
    -------
    Tensor
        In [-1, 1], or [0, 1] for activations.

    References
    ----------
    Jung et al. 2019 (arXiv 1808.05779), equations 1 to 5.
    """
    check_form(form)
    steps = 2 ** (integer("bits", bits, 2, 32) - (form == "weight")) - 1
    wide = wide_codes(x, -steps, steps)
    ends = (like("c", c, wide), positive_like("d", d, wide))
    learnt = (scaled(end, wide, steps, scale_gradient) for end in ends)
    t = apply(Interval, wide, *learnt, float(gamma), form == "weight")
    return apply(RoundThrough, t, float(steps)).to(x.dtype)
