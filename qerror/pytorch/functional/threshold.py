"""Trained thresholds: TQT."""

from torch import Tensor

from qerror._arrays import integer
from qerror.pytorch.functional.shared import Number, affine, like, wide_codes
from qerror.pytorch.gradients import PowerOfTwo, apply


def tqt(x: Tensor, log2_t: Number, *, bits: int, signed: bool = True) -> Tensor:
    """Quantize to integers with a learnable threshold and a power of two as the step (TQT).

    s = 2^ceil(log2 t)/2^(bits - 1), or /2^bits unsigned; y = s clip(Q(x/s), n, p) with all codes
    of two's complement.

    Parameters
    ----------
    x : Tensor
    log2_t : Tensor or float
        The binary logarithm of the clipping threshold.
    bits : int
    signed : bool

    Returns
    -------
    Tensor

    Notes
    -----
    Inside means n <= Q(v) <= p, on the rounded value. dy/dlog2_t = s ln 2 times Q(v) - v inside,
    n below, p above; the ceiling is straight through.

    References
    ----------
    Jain et al. 2020 (arXiv 1903.08066), equations 4 to 8.
    """
    bits = integer("bits", bits, 2 if signed else 1, 32)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    wide = wide_codes(x, low, high)
    step = apply(PowerOfTwo, like("log2_t", log2_t, wide)) * 2.0 ** -(bits - signed)
    return affine(x, wide, step, None, None, (low, high), "closed-rounded", "residual")
