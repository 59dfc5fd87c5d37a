"""Differentiable soft quantization: DSQ."""

import math

from torch import Tensor

from qerror.exceptions import InvalidValue
from qerror.pytorch.functional.shared import Number, affine, like, with_step


def dsq(
    x: Tensor, s: Number, zero_point: Number = 0.0, *, low: int, high: int, alpha: float = 0.4
) -> Tensor:
    """Quantize to integers; on the way back the step is a smooth staircase (DSQ).

    y = s (clip(Q(x/s + z), low, high) - z).

    Parameters
    ----------
    x : Tensor
    s : Tensor or float
        The step; it receives no gradient.
    zero_point : Tensor or float
        The code of 0, an integer; it receives no gradient.
    low, high : int
        The smallest and the largest code.
    alpha : float
        In (0, 1): how far the staircase is from steps.

    Returns
    -------
    Tensor

    Raises
    ------
    InvalidValue
        If `alpha` does not lie between 0 and 1.

    Notes
    -----
    dy/dx = (S k/2) sech^2(k (u - 1/2)) at u = v - floor(v), S = 1/(1 - alpha),
    k = ln(2/alpha - 1), where low <= v + z <= high, else 0.

    References
    ----------
    Gong et al. 2019 (arXiv 1908.05033), equations 3 to 8.
    """
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must lie between 0 and 1, got {alpha:g}")
    wide, step = with_step(x, s, low, high, False)
    k = math.log(2 / alpha - 1)
    slope = k / (2 * (1 - alpha)), k
    z = None
    if isinstance(zero_point, Tensor) or zero_point != 0.0:
        z = like("zero_point", zero_point, wide)
    return affine(x, wide, step, z, None, (low, high), "closed", "none", slope)
