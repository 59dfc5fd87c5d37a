"""Weights through a hyperbolic tangent: DoReFa."""

import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.pytorch.functional.shared import wide_codes
from qerror.pytorch.gradients import RoundThrough, apply


def dorefa_weight(w: Tensor, *, bits: int) -> Tensor:
    """Quantize weights through a hyperbolic tangent, to [-1, 1] (DoReFa).

    u = tanh(w)/max abs(tanh(w)), y = Q(u P)/P with P = 2^(bits - 1) - 1.

    Parameters
    ----------
    w : Tensor
    bits : int

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
    return apply(RoundThrough, u, float(steps)).to(w.dtype)
