"""A learnable clip: PACT."""

from typing import Literal, TypeAlias

from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.pytorch.functional.shared import Number, like, positive_like, wide_codes
from qerror.pytorch.gradients import Clipped, apply

PactForm: TypeAlias = Literal["unsigned", "symmetric", "asymmetric"]


def pact(
    x: Tensor, alpha: Number, beta: Number | None = None, *, bits: int, form: PactForm
) -> Tensor:
    """Clip at a learnable end and quantize uniformly (PACT).

    Parameters
    ----------
    x : Tensor
    alpha : Tensor or float
        The upper end of the clip.
    beta : Tensor or float, optional
        The lower end, for "asymmetric" alone.
    bits : int
    form : {"unsigned", "symmetric", "asymmetric"}
        [0, alpha] in 2^bits - 1 steps; [-alpha, alpha] in steps of alpha/(2^(bits-1) - 1);
        [beta, alpha] in 2^bits - 1 steps with the integer zero point -Q(beta/s).

    Returns
    -------
    Tensor

    Raises
    ------
    InvalidValue
        If there is no such form, or `beta` does not suit it.

    Notes
    -----
    The gradient is that of the clip: dy/dx = 1 for 0 <= x < alpha (abs(x) < alpha;
    beta < x < alpha), dy/dalpha = 1 for x >= alpha, dy/dbeta = 1 for x <= beta; symmetric
    dy/dalpha = -1 for x <= -alpha.

    References
    ----------
    Choi et al. 2018 (arXiv 1805.06085), equations 1 to 3.
    """
    if form not in {"unsigned", "symmetric", "asymmetric"}:
        raise InvalidValue(f"form must be unsigned, symmetric or asymmetric, got {form!r}")
    if (beta is None) == (form == "asymmetric"):
        raise InvalidValue(f"beta belongs to form='asymmetric' alone, got form={form!r}")
    bits = integer("bits", bits, 2 if form == "symmetric" else 1, 32)
    high = 2 ** (bits - 1) - 1 if form == "symmetric" else 2**bits - 1
    low = -high if form == "symmetric" else 0
    wide = wide_codes(x, low, high)
    if beta is None:
        return apply(Clipped, wide, None, positive_like("alpha", alpha, wide), low, high).to(
            x.dtype
        )
    if not isinstance(alpha, Tensor) and not isinstance(beta, Tensor) and not beta < alpha:
        raise InvalidValue(f"beta must be below alpha, got {beta:g} and {alpha:g}")
    ends = like("beta", beta, wide), like("alpha", alpha, wide)
    return apply(Clipped, wide, *ends, low, high).to(x.dtype)
