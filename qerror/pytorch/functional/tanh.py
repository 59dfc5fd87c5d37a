"""Weights through a hyperbolic tangent: DoReFa."""

import math

import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.pytorch.functional.shared import FLOOR, affine, wide_codes
from qerror.pytorch.gradients import RoundThrough, apply
from qerror.pytorch.scales import PowerOfTwo


def dorefa_weight(
    w: Tensor, *, bits: int, asymmetric: bool = False, power_of_two: bool = False
) -> Tensor:
    """Quantize weights through a hyperbolic tangent, to [-1, 1] (DoReFa).

    u = tanh(w)/max abs(tanh(w)), y = Q(u P)/P with P = 2^(bits - 1) - 1.

    Parameters
    ----------
    w : Tensor
    bits : int
    asymmetric, power_of_two : bool
        As in `unit_levels`.

    Returns
    -------
    Tensor
        In [-1, 1]; 0 where every weight is 0.

    Notes
    -----
    The rounding is straight through and the maximum a constant for the gradient.

    References
    ----------
    Zhou et al. 2016 (arXiv 1606.06160), equation 9, on a grid with 0.
    """
    steps = 2 ** (integer("bits", bits, 2, 32) - 1) - 1
    wide = wide_codes(w, -steps, steps)
    squeezed = torch.tanh(wide)
    most = squeezed.detach().abs().amax()
    # Weights that are all 0 stay 0; the bound is no float that they could reach otherwise.
    u = squeezed / most.clamp(min=torch.finfo(wide.dtype).tiny)
    if asymmetric or power_of_two:
        return unit_levels(u, bits=bits, asymmetric=asymmetric, power_of_two=power_of_two).to(
            w.dtype
        )
    return apply(RoundThrough, u, float(steps)).to(w.dtype)


def tanh_weight(
    w: Tensor,
    largest: Tensor | None = None,
    *,
    bits: int,
    asymmetric: bool = False,
    power_of_two: bool = False,
) -> Tensor:
    """Quantize weights through a hyperbolic tangent, in their own unit.

    y = m Q(tanh(w) P/m)/P with m = max abs(tanh(w)): DoReFa's levels, not divided by m, so that
    small weights stay what they are.

    Parameters
    ----------
    w : Tensor
    largest : Tensor, optional
        max abs(w) of the weights that share a step, in a shape that broadcasts against `w`; by
        default that of all weights. An m below 2^-100 counts as 2^-100.
    bits : int
    asymmetric, power_of_two : bool
        As in `unit_levels`, with m times its step.

    Returns
    -------
    Tensor

    Notes
    -----
    dy/dw = 1 - tanh(w)^2 where the rounded value is within the codes; m is a constant for the
    gradient.

    References
    ----------
    Zhou et al. 2016 (arXiv 1606.06160), equation 9, without its division.
    """
    high = 2 ** (integer("bits", bits, 2, 32) - 1) - 1
    wide = wide_codes(w, -high - 1, high)
    most = w.detach().abs().amax() if largest is None else largest.detach()
    size = torch.tanh(most.to(wide.dtype)).clamp(min=FLOOR)
    squeezed = torch.tanh(wide)
    s = 2 * size / (2 * high + 1) if asymmetric else size / high
    s = PowerOfTwo()(s) if power_of_two else s
    if not asymmetric:
        return affine(w, squeezed, s, None, None, (-high, high), "closed-rounded", "none")
    codes = (0, 2 * high + 1)
    return affine(w, squeezed, s, torch.round(size / s), None, codes, "closed-rounded", "none")


def unit_levels(
    u: Tensor, *, bits: int, asymmetric: bool = False, power_of_two: bool = False
) -> Tensor:
    """Quantize values of [-1, 1] to signed codes, as deployed DoReFa does.

    Parameters
    ----------
    u : Tensor
    bits : int
    asymmetric : bool
        s (clip(Q(u/s) + z, 0, 2^bits - 1) - z) with s = 2/(2^bits - 1) and z = Q(1/s), instead of
        P = 2^(bits - 1) - 1 steps of 1/P on both sides of 0.
    power_of_two : bool
        Take the power of two nearest to s in the logarithm.

    Returns
    -------
    Tensor

    Notes
    -----
    dy/du = 1 where the rounded value is within the codes. One of the ends may be cut by half a
    step, or by a share of the range where the power of two is below 1/P.

    References
    ----------
    Li et al. 2021 (MQBench, arXiv 2111.03759), appendix F.
    """
    high = 2 ** (integer("bits", bits, 2, 32) - 1) - 1
    step, zero = unit_step(bits, asymmetric=asymmetric, power_of_two=power_of_two)
    codes = (-zero, 2 * high + 1 - zero) if asymmetric else (-high, high)
    wide = wide_codes(u, *codes)
    s = torch.full((), step, dtype=wide.dtype, device=wide.device)
    return affine(u, wide, s, None, None, codes, "closed-rounded", "none")


def unit_step(bits: int, *, asymmetric: bool, power_of_two: bool) -> tuple[float, int]:
    """Return the step and the zero point of `unit_levels`."""
    high = 2 ** (bits - 1) - 1
    step = 2.0 / (2 * high + 1) if asymmetric else 1.0 / high
    if power_of_two:
        step = 2.0 ** round(math.log2(step))
    return step, round(1 / step) if asymmetric else 0
