"""Every method's forward and gradients by its printed rules, in exact rational arithmetic.

One value at a time, with fractions.Fraction for all that is rational and mpmath at 50 digits for
the rest; nothing is shared with the library. A rule returns (y, dy/dx, {parameter: dy/dparameter}).
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import mpmath

Exact: TypeAlias = Fraction
Rule: TypeAlias = tuple[Exact, Exact, dict[str, Exact]]

ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)


def mp(x: Exact) -> Any:
    return mpmath.mpf(x.numerator) / x.denominator


def fraction(x: Any) -> Exact:
    """Return the fraction that an mpmath number is."""
    sign, man, exp, _ = x._mpf_
    return (-1 if sign else 1) * Fraction(int(man)) * Fraction(2) ** int(exp)


def even(v: Exact) -> int:
    """Round half to even."""
    return round(v)


def clip(k: Exact | int, low: Exact | int, high: Exact | int) -> Exact:
    return Fraction(min(max(k, low), high))


def lsq(  # noqa: PLR0917 - the formula's letters
    x: Exact, s: Exact, z: Exact, low: int, high: int, exact: bool = False
) -> Rule:
    v = x / s
    code = clip(even(v + z), low, high)
    y = s * (code - z)
    if low < v + z < high:
        return y, ONE, {"s": code - z if exact else code - z - v, "z": -s if exact else ZERO}
    return y, ZERO, {"s": code - z, "z": -s}


def lsq_plus(  # noqa: PLR0917 - the formula's letters
    x: Exact, s: Exact, beta: Exact, low: int, high: int, exact: bool = False
) -> Rule:
    v = (x - beta) / s
    code = clip(even(v), low, high)
    y = s * code + beta
    if low < v < high:
        return y, ONE, {"s": code if exact else code - v, "beta": ONE if exact else ZERO}
    return y, ZERO, {"s": code, "beta": ONE}


def fp_levels(m: int, e: int) -> list[Exact]:
    """Return the levels from 0 up, at the bias 2^(e - 1)."""
    bias = 2 ** (e - 1)
    found = []
    for exponent in range(2**e):
        for mantissa in range(2**m):
            whole = Fraction(mantissa, 2**m) + (1 if exponent else 0)
            found.append(whole * Fraction(2) ** (max(exponent, 1) - bias))
    return found


def nearest(v: Exact, levels: Sequence[Exact]) -> int:
    """Return the index of the nearest level, of the even one at a tie."""
    return min(range(len(levels)), key=lambda i: (abs(levels[i] - v), i % 2))


def fp(x: Exact, c: Exact, m: Exact, bits: int, exact: bool = False) -> Rule:
    used = min(max(even(m), 1), bits - 2)
    e = bits - 1 - used
    levels = fp_levels(used, e)
    gamma = c / levels[-1]
    size = gamma * levels[nearest(min(abs(x), c) / gamma, levels)]
    y = -size if x < 0 else size
    if abs(x) > c:
        return y, ZERO, {"c": ONE if x > 0 else -ONE, "m": ZERO}
    ln2 = mpmath.log(2)
    slope = ln2 * (2**e * ln2 - mpmath.mpf(1) / (2 ** (used + 1) - 1) - 1)
    share = (y - x) * fraction(slope) if even(m) == used else ZERO  # a clamp passes nothing
    return y, ONE, {"c": (y if exact else y - x) / c, "m": share}


def pact(x: Exact, alpha: Exact, beta: Exact, bits: int, form: str) -> Rule:
    if form == "symmetric":
        high = 2 ** (bits - 1) - 1
        s = alpha / high
        y = s * even(clip(x, -alpha, alpha) / s)
        dalpha = ONE if x >= alpha else -ONE if x <= -alpha else ZERO
        return y, ONE if abs(x) < alpha else ZERO, {"alpha": dalpha}
    high = 2**bits - 1
    if form == "unsigned":
        s = alpha / high
        y = s * even(clip(x, 0, alpha) / s)
        return y, ONE if 0 <= x < alpha else ZERO, {"alpha": ONE if x >= alpha else ZERO}
    s = (alpha - beta) / high
    z = -even(beta / s)
    y = s * (clip(even(x / s + z), 0, high) - z)
    grads = {"alpha": ONE if x >= alpha else ZERO, "beta": ONE if x <= beta else ZERO}
    return y, ONE if beta < x < alpha else ZERO, grads


def dsq(x: Exact, s: Exact, low: int, high: int, alpha: float) -> Rule:
    v = x / s
    y = s * clip(even(v), low, high)
    if not low <= v <= high:
        return y, ZERO, {}
    k = mpmath.log(2 / mpmath.mpf(alpha) - 1)
    u = mp(v - math.floor(v))
    return y, fraction(k / (2 * (1 - mpmath.mpf(alpha))) * mpmath.sech(k * (u - 0.5)) ** 2), {}


def qil(  # noqa: PLR0917 - the formula's letters
    x: Exact, c: Exact, d: Exact, bits: int, form: str, gamma: float
) -> Rule:
    weight = form == "weight"
    steps = 2 ** (bits - weight) - 1
    size = abs(x) if weight else x
    sign = -1 if weight and x < 0 else 1
    none = {"c": ZERO, "d": ZERO}
    if size <= c - d:
        return ZERO, ZERO, none
    if size >= c + d:
        return Fraction(sign), ZERO, none
    t = HALF + (size - c) / (2 * d)
    bent = t if gamma == 1 else fraction(mp(t) ** mpmath.mpf(gamma))
    y = Fraction(sign * even(bent * steps), steps)
    j = ONE if gamma == 1 else fraction(mpmath.mpf(gamma) * mp(t) ** (mpmath.mpf(gamma) - 1))
    grads = {"c": -sign * j / (2 * d), "d": -sign * j * (size - c) / (2 * d * d)}
    return y, j / (2 * d), grads


def apot(x: Exact, alpha: Exact, levels: Sequence[Exact]) -> Rule:
    v = x / alpha
    p = levels[nearest(clip(v, levels[0], levels[-1]), levels)]
    if levels[0] <= v <= levels[-1]:
        return alpha * p, ONE, {"alpha": p - v}
    return alpha * p, ZERO, {"alpha": p}


def tqt(x: Exact, log2_t: Exact, bits: int, signed: bool) -> Rule:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    s = Fraction(2) ** (math.ceil(log2_t) - bits + signed)
    v = x / s
    code = Fraction(even(v))
    inside = low <= code <= high
    code = clip(code, low, high)
    slope = s * fraction(mpmath.log(2)) * (code - v if inside else code)
    return s * code, ONE if inside else ZERO, {"log2_t": slope}


def f8net(x: Exact, alpha: Exact, word: int, ratio: int, signed: bool) -> Rule:
    """PACT over fixed point; `ratio` is the buffer's length less the batch's."""
    high = 2 ** (word - signed) - 1
    low = -high if signed else 0
    gain = Fraction(2) ** ratio
    step = abs(alpha) * gain / high
    v = x / step
    code = clip(even(v), low, high)
    inside = low < even(v) < high
    slope = (1 if alpha > 0 else -1) * gain * (code - v if inside else code) / high
    return step * code, ONE if inside else ZERO, {"alpha": slope}


def fixed(x: Exact, word: int, length: int, signed: bool) -> Rule:
    high = 2 ** (word - signed) - 1
    low = -high if signed else 0
    v = x * Fraction(2) ** length
    inside = ONE if low < even(v) < high else ZERO
    return clip(even(v), low, high) / Fraction(2) ** length, inside, {}
