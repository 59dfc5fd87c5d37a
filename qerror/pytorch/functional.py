"""One pure function a method: the levels on the way forward, its own gradient on the way back.

Every function takes float16, bfloat16, float32 or float64; half precision is quantized in
float32 and cast once at the end. That cast moves levels which the narrow dtype does not hold:
most INT8 values at a real scale are no bfloat16 numbers.

Parameters of a range are tensors (or numbers) that broadcast against `x`: a scalar for the
tensor, shape (n, 1, 1, 1) for the channels of a convolution's weight. Their gradients are summed
over what they serve. Nothing here reads a value back to the host.
"""

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.pytorch.gradients import (
    Affine,
    Clipped,
    Floating,
    Interval,
    Mask,
    PowerOfTwo,
    Ranged,
    RoundThrough,
    ScaledGradient,
    ScaleRule,
    apply,
)
from qerror.pytorch.levels import DOUBLE, SINGLE, Layout, ListedRounder, layout_of, working

Rule: TypeAlias = Literal["straight-through", "exact"]
PactForm: TypeAlias = Literal["unsigned", "symmetric", "asymmetric"]
Form: TypeAlias = Literal["weight", "activation"]
Number: TypeAlias = Tensor | float

_MOST_CODE = 2.0 ** (DOUBLE.digits - 2)
_WIDEST_EXPONENT = 10
_WIDEST_SINGLE = 7
"""Exponent bits of the widest grids whose normal levels are normal numbers of float64, float32."""


# ---- paper 1


def fp(
    x: Tensor,
    c: Number,
    mantissa_bits: Number,
    *,
    bits: int = 8,
    signed: bool = True,
    rule: Rule = "straight-through",
) -> Tensor:
    """Quantize to floating point with a learnable largest level and number of mantissa bits.

    Levels are those of the format with m mantissa and E = bits - 1 - m exponent bits, no code
    reserved, scaled so that the largest is c. m is `mantissa_bits` rounded (half to even,
    straight through) and clamped to 1 .. bits - 2.

    Parameters
    ----------
    x : Tensor
    c : Tensor or float
        The largest level, positive.
    mantissa_bits : Tensor or float
        A tensor may learn.
    bits : int
        Of a code with its sign: 3 .. 12 if `mantissa_bits` is a tensor. Unsigned levels are those
        of the signed format that are not negative.
    signed : bool
    rule : {"straight-through", "exact"}
        dF/dc inside: (F - x)/c as in the paper, or F/c, which makes the gradient of the mean
        squared error its true derivative.

    Returns
    -------
    Tensor
        F(x), of the dtype and shape of `x`.

    Notes
    -----
    Inside means abs(x) <= c, the ends included. There dF/dx = 1 and, with the straight-through
    rule, dF/dc = (F - x)/c; outside they are 0 and sign(x). dF/dm = (F - x) ln 2 (2^E ln 2 -
    1/(2^(m+1) - 1) - 1) inside, else 0.

    References
    ----------
    Kuzmin et al. 2022, equations 8 to 12 and appendix H.
    """
    scale_rule = _scale_rule(rule)
    bits = integer("bits", bits, 3, 64)
    learns = isinstance(mantissa_bits, Tensor)
    m: Tensor | int = min(max(round(float(mantissa_bits)), 1), bits - 2) if not learns else 0
    widest = (bits - 2, bits - 2) if learns else (int(m), bits - 1 - int(m))
    wide = _wide_enough(x, *widest)
    layout = layout_of(wide.dtype)
    rounded: Tensor | None = None
    if isinstance(mantissa_bits, Tensor):
        rounded = torch.clamp(apply(RoundThrough, mantissa_bits, 1.0), 1, bits - 2).to(wide.dtype)
        m = rounded.detach().to(layout.integer)
    first, largest = _grid(m, bits - 1 - m, layout)
    slope = None if isinstance(m, int) else _mantissa_slope(m, bits - 1 - m, wide.dtype)
    limit = _like(c, wide)
    gamma = limit.detach() / largest
    if isinstance(c, float | int):
        gamma = _like(c / largest, wide)  # one rounding to the dtype, as in `qerror.quantize`
    # Compiled code would divide c anew for every few values: a strided view makes it store gamma.
    gamma = gamma.as_strided(gamma.shape, gamma.stride())
    arguments = (wide, limit, rounded, m, gamma, first, largest, slope, signed, scale_rule)
    return apply(Floating, *arguments).to(x.dtype)


def _wide_enough(x: Tensor, mantissa_bits: int, exponent_bits: int) -> Tensor:
    """Return x in a dtype that holds every step on a grid of this width."""
    wide = working(x)
    if exponent_bits > _WIDEST_EXPONENT or mantissa_bits > DOUBLE.digits - 2:
        raise InvalidValue(
            f"fp works with at most {_WIDEST_EXPONENT} exponent and {DOUBLE.digits - 2} mantissa "
            f"bits, got up to {exponent_bits} and {mantissa_bits}; use fewer bits, or a number "
            "for mantissa_bits"
        )
    single = exponent_bits <= _WIDEST_SINGLE and mantissa_bits <= SINGLE.digits - 2
    return wide if single else wide.to(torch.float64)


def _grid(
    m: Tensor | int, exponent_bits: Tensor | int, layout: Layout
) -> tuple[Tensor | int, Tensor | float]:
    """Return the exponent field of the smallest normal level at bias 2^(E - 1), and the largest.

    The largest, (2 - 2^-m) 2^(2^E - 1 - bias), is put together from its bits: exact for a tensor.
    """
    if isinstance(m, int):
        bias = 2 ** (int(exponent_bits) - 1)
        largest = math.ldexp(2 - 2.0**-m, bias - 1)
        return (1 - bias + layout.bias) << layout.digits, largest
    one = torch.ones_like(m)
    bias_ = one << (exponent_bits - 1)
    ones = ((one << m) - 1) << (layout.digits - m)
    field = ((bias_ - 1 + layout.bias) << layout.digits) | ones
    dtype = torch.float64 if layout is DOUBLE else torch.float32
    return (1 - bias_ + layout.bias) << layout.digits, field.view(dtype)


def _mantissa_slope(m: Tensor, exponent_bits: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (dF/dm)/(F - x) = ln 2 (2^E ln 2 - 1/(2^(m+1) - 1) - 1)."""
    one = torch.ones_like(m)
    power = (one << exponent_bits).to(dtype)
    codes = ((one << (m + 1)) - 1).to(dtype)
    return math.log(2) * (power * math.log(2) - 1 / codes - 1)


# ---- uniform steps


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
    wide, step = _uniform(x, s, low, high, scale_gradient)
    z = None
    if isinstance(zero_point, Tensor) or zero_point != 0:
        z = _scaled(_like(zero_point, wide), wide, high, scale_gradient)
        z = apply(RoundThrough, z, 1.0)
    return _affine(x, wide, step, z, None, (low, high), "open", _scale_rule(rule))


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
    wide, step = _uniform(x, s, low, high, scale_gradient)
    offset = _scaled(_like(beta, wide), wide, high, scale_gradient)
    return _affine(x, wide, step, None, offset, (low, high), "open", _scale_rule(rule))


def dsq(x: Tensor, s: Number, *, low: int, high: int, alpha: float = 0.4) -> Tensor:
    """Quantize to integers; on the way back the step is a smooth staircase (DSQ).

    y = s clip(Q(x/s), low, high).

    Parameters
    ----------
    x : Tensor
    s : Tensor or float
        The step; it receives no gradient.
    low, high : int
        The smallest and the largest code.
    alpha : float
        In (0, 1): how far the staircase is from steps.

    Returns
    -------
    Tensor

    Notes
    -----
    dy/dx = (S k/2) sech^2(k (u - 1/2)) at u = v - floor(v), S = 1/(1 - alpha),
    k = ln(2/alpha - 1), where low <= v <= high, else 0.

    References
    ----------
    Gong et al. 2019 (arXiv 1908.05033), equations 3 to 8.
    """
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must lie between 0 and 1, got {alpha:g}")
    wide, step = _uniform(x, s, low, high, False)
    k = math.log(2 / alpha - 1)
    slope = k / (2 * (1 - alpha)), k
    return _affine(x, wide, step, None, None, (low, high), "closed", "none", slope)


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
    wide = _wide_codes(x, low, high)
    step = apply(PowerOfTwo, _like(log2_t, wide)) * 2.0 ** -(bits - signed)
    return _affine(x, wide, step, None, None, (low, high), "closed-rounded", "residual")


def fixed_point(
    x: Tensor, *, word_length: int, fractional_length: int | Tensor, signed: bool = True
) -> Tensor:
    """Quantize to fixed point as F8Net does: 2^-FL Q(clip(x 2^FL, low, K)).

    Parameters
    ----------
    x : Tensor
    word_length : int
        Bits of a code.
    fractional_length : int or Tensor
        FL; a tensor of integers serves channels or a batch's own statistic. No gradient.
    signed : bool
        K = 2^(word_length - 1) - 1 and low = -K; or K = 2^word_length - 1 and low = 0.

    Returns
    -------
    Tensor

    Notes
    -----
    dy/dx = 1 where the rounded value is strictly between the ends: the saturating codes and, if
    unsigned, the zero bin receive nothing.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), section 3 and its public code.
    """
    low, high = _fixed_codes(word_length, signed)
    wide = _wide_codes(x, low, high)
    step = _power(-_exponent(fractional_length, wide), wide)
    return _affine(x, wide, step, None, None, (low, high), "open-rounded", "none")


def f8net_pact(
    x: Tensor,
    alpha: Number,
    *,
    word_length: int,
    fractional_length: int | Tensor,
    buffer_length: int | Tensor | None = None,
    signed: bool = False,
) -> Tensor:
    """Quantize as F8Net's PACT: eta fixed_point(x / eta), eta = 2^FL' abs(alpha)/K.

    Parameters
    ----------
    x : Tensor
    alpha : Tensor or float
        The learnable clip, used as its absolute value; not 0.
    word_length, fractional_length, signed
        As in `fixed_point`.
    buffer_length : int or Tensor, optional
        FL' of eta; by default FL, and then y does not depend on it. In training F8Net quantizes
        with the batch's FL and takes the running one here: the clip is abs(alpha) 2^(FL' - FL).

    Returns
    -------
    Tensor

    Notes
    -----
    Masks as in `fixed_point`. dy/dalpha = sign(alpha) 2^(FL' - FL) times (Q(v) - v)/K inside,
    code/K outside.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), equations 4 and 14.
    """
    low, high = _fixed_codes(word_length, signed)
    wide = _wide_codes(x, low, high)
    size = _like(alpha, wide)
    step = torch.where(size < 0, -size, size) / high
    if buffer_length is not None:
        ratio = _exponent(buffer_length, wide) - _exponent(fractional_length, wide)
        step = step * _power(ratio, wide)
    return _affine(x, wide, step, None, None, (low, high), "open-rounded", "residual")


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
    wide = _wide_codes(x, low, high)
    bottom = None if beta is None else _like(beta, wide)
    return apply(Clipped, wide, bottom, _like(alpha, wide), low, high).to(x.dtype)


# ---- transforms before uniform steps


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
    wide = _wide_codes(w, -steps, steps)
    squeezed = torch.tanh(wide)
    most = squeezed.detach().abs().amax()
    # Weights that are all 0 stay 0; the bound is no float that they could reach otherwise.
    u = squeezed / most.clamp(min=torch.finfo(wide.dtype).tiny)
    return apply(RoundThrough, u, float(steps)).to(w.dtype)


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
    _check_form(form)
    steps = 2 ** (integer("bits", bits, 2, 32) - (form == "weight")) - 1
    wide = _wide_codes(x, -steps, steps)
    ends = (_scaled(_like(end, wide), wide, steps, scale_gradient) for end in (c, d))
    t = apply(Interval, wide, *ends, float(gamma), form == "weight")
    return apply(RoundThrough, t, float(steps)).to(x.dtype)


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
    _check_form(form)
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
        output stays in these units.

    Returns
    -------
    Tensor

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
        spread = values.std().clamp(min=torch.finfo(wide.dtype).tiny)
        wide = (wide - values.mean()) / spread
    rounder = ListedRounder(levels, even_first=True, negative_zero=False, factor=1.0)
    return apply(Ranged, wide, _like(alpha, wide), rounder, True, "residual").to(x.dtype)


# ---- what they share


def _uniform(
    x: Tensor, s: Number, low: int, high: int, scale_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Return x and s in the dtype to work in, the gradient of s scaled."""
    wide = _wide_codes(x, low, high)
    return wide, _scaled(_like(s, wide), wide, high, scale_gradient)


def _affine(
    x: Tensor,
    wide: Tensor,
    step: Tensor,
    z: Tensor | None,
    beta: Tensor | None,
    codes: tuple[int, int],
    mask: Mask,
    rule: ScaleRule,
    slope: tuple[float, float] | None = None,
) -> Tensor:
    low, high = float(codes[0]), float(codes[1])
    return apply(Affine, wide, step, z, beta, low, high, mask, rule, slope).to(x.dtype)


def _wide_codes(x: Tensor, low: int, high: int) -> Tensor:
    """Return x in a dtype whose rounding constant holds all codes."""
    if not low < high:
        raise InvalidValue(f"low must be below high, got {low} and {high}")
    wide, most = working(x), float(max(abs(low), abs(high), high - low))
    if most > _MOST_CODE:
        raise InvalidValue(f"codes must stay within {_MOST_CODE:.0f}, got {low} .. {high}")
    return wide if most < 2.0 ** (SINGLE.digits - 1) else wide.to(torch.float64)


def _like(value: Number, x: Tensor) -> Tensor:
    """Return a parameter as a tensor in the dtype of x."""
    if isinstance(value, Tensor):
        return value.to(x.dtype)
    return torch.full((), value, dtype=x.dtype, device=x.device)


def _scaled(parameter: Tensor, x: Tensor, high: int, wanted: bool) -> Tensor:
    """Return the parameter with its gradient multiplied by 1/sqrt(M high)."""
    if not wanted:
        return parameter
    served = max(x.numel() // max(parameter.numel(), 1), 1)
    return apply(ScaledGradient, parameter, 1 / math.sqrt(served * high))


def _fixed_codes(word_length: int, signed: bool) -> tuple[int, int]:
    high = 2 ** (integer("word_length", word_length, 1 + signed, 32) - signed) - 1
    return (-high if signed else 0), high


def _exponent(length: int | Tensor, x: Tensor) -> Tensor:
    return torch.as_tensor(length, dtype=torch.int32, device=x.device)


def _power(exponent: Tensor, x: Tensor) -> Tensor:
    """Return 2^exponent in the dtype of x, exact."""
    return torch.ldexp(torch.ones_like(exponent, dtype=x.dtype), exponent)


def _scale_rule(rule: str) -> ScaleRule:
    if rule not in {"straight-through", "exact"}:
        raise InvalidValue(f"rule must be 'straight-through' or 'exact', got {rule!r}")
    return "exact" if rule == "exact" else "residual"


def _check_form(form: str) -> None:
    if form not in {"weight", "activation"}:
        raise InvalidValue(f"form must be 'weight' or 'activation', got {form!r}")
