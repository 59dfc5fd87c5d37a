"""Additive powers of two: APoT."""

from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.pytorch.functional.shared import Form, Number, check_form, positive_like, spread
from qerror.pytorch.gradients import Ranged, apply
from qerror.pytorch.levels import working
from qerror.pytorch.rounders import ListedRounder

_POWERS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    1: ((0.0, 1.0), (0.0,)),
    3: ((0.0, 1 / 16, 1 / 4, 1 / 2), (0.0, 1 / 8)),
    4: ((0.0, 1.0, 1 / 4, 1 / 16), (0.0, 1 / 2, 1 / 8, 1 / 32)),
}


def apot_levels(bits: int, form: Form) -> tuple[float, ...]:
    """Return the levels of additive powers of two, from the lowest to the largest, which is 1.

    Parameters
    ----------
    bits : int
        2 .. 5 for weights, whose sign is one of them; 1 .. 4 for activations. Two bits of
        magnitude are uniform.
    form : {"weight", "activation"}
    """
    check_form(form)
    sign = form == "weight"
    size = integer("bits", bits, 1 + sign, 4 + sign) - sign
    if size == 2:
        found = {0.0, 1 / 3, 2 / 3, 1.0}
    else:
        # In whole multiples of the smallest power, so that equal sums are equal.
        first, second = _POWERS[size]
        whole = sorted({round(64 * (a + b)) for a in first for b in second})
        found = {each / whole[-1] for each in whole}
    return tuple(sorted(found | ({-each for each in found if each} if sign else set())))


def apot(
    x: Tensor,
    alpha: Number,
    *,
    form: Form = "weight",
    bits: int = 4,
    standardise: bool = False,
) -> Tensor:
    """Quantize to additive powers of two with a learnable clip (APoT): alpha P(clip(x / alpha)).

    Parameters
    ----------
    x : Tensor
    alpha : Tensor or float
        The clip, positive.
    form : {"weight", "activation"}
        Levels on both sides of 0, or from 0.
    bits : int
        See `apot_levels`.
    standardise : bool
        First (x - mean)/std over the tensor, std unbiased; both constants for the gradient. The
        output stays in these units. Equal values, and a single one, become 0.

    Returns
    -------
    Tensor

    Raises
    ------
    InvalidValue
        If `standardise` is asked for activations.

    Notes
    -----
    Inside means abs(x) <= alpha (0 <= x <= alpha), the ends included: dy/dx = 1 and
    dy/dalpha = P(v) - v; outside 0 and the level. A tie goes to the even place in the list.

    References
    ----------
    Li et al. 2020 (arXiv 1909.13144), equations 3 to 8.
    """
    levels = apot_levels(bits, form)
    wide = working(x)
    if standardise:
        if form != "weight":
            raise InvalidValue("standardise is for form='weight'")
        values = wide.detach()
        wide = (wide - values.mean()) / spread(values)
    rounder = ListedRounder(levels, even_first=True, negative_zero=False, factor=1.0)
    clip = positive_like("alpha", alpha, wide)
    return apply(Ranged, wide, clip, rounder, True, "residual").to(x.dtype)
