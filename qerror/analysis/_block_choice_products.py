"""Products of characteristic functions: blocks of n values, less what is known of them.

They are phi^n, psi phi^(n-1) for five figures, and psi psi phi^(n-2) for two of pairs.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.analysis._block_choice_orders import (
    all_orders,
    by_factors,
    has_pairs,
    signs,
)
from qerror.analysis._block_frequencies import Complex

Parts = npt.NDArray[Any]


def remaining(  # noqa: PLR0917 - one product's description
    parts: tuple[FloatArray, Complex],
    fixed: FloatArray,
    gains: FloatArray,
    order: int,
    t: FloatArray,
    n: int,
    log: float | None,
    *,
    first: bool = False,
) -> FloatArray:
    """Return the imaginary parts that are divided by t, less what is known; (t, 8).

    `parts` are the sums of the columns, and what they become at t less those. The first figure
    may be asked for alone; the others are 0 then.
    """
    whole, turned = parts
    if whole[0] <= 0:
        return np.zeros((t.size, 8))
    phi = whole + turned
    still: Parts = fixed[None, 0] if gains.size == 1 else np.exp(1j * np.outer(t, gains)) @ fixed
    with np.errstate(divide="ignore"):
        power = (math.log(whole[0]) if log is None else log) + log1p(turned[:, 0] / whole[0])
    atoms, pair = by_factors(still, phi - still)
    if first:
        found = np.zeros((t.size, 8))
        found[:, 0] = np.imag(phi[:, 0] ** 2 * np.exp((n - 2) * power))
        found[:, 0] -= np.imag(signs(n, order, atoms, pair))
        if gains.size > 1:
            found[:, 0] -= np.imag(_integer_power(still[:, 0], n))
        return found
    found = np.imag(_products(phi, n, power))
    some = all_orders(n, order, atoms, pair, pairs=has_pairs(whole))
    found[:, : len(some)] -= np.imag(np.stack(some, axis=-1))
    return found if gains.size == 1 else found - np.imag(_products(still, n))


class PartOf(Protocol):
    """What lies below one of the four places, all figures or the first one alone."""

    def __call__(self, k: int, *, first: bool) -> FloatArray: ...


def four_places(places: Sequence[float], part: PartOf) -> FloatArray:
    """Return what lies below the four places; of those of clipping the first figure counts.

    Where nothing clips its place is an end of the step.
    """
    low, high = part(0, first=False), part(3, first=False)
    found = {places[0]: low, places[3]: high}
    for k in (1, 2):
        if places[k] not in found:
            found[places[k]] = part(k, first=True)
    return np.stack([low, found[places[1]], found[places[2]], high])


def without_sign(whole: FloatArray, n: int, log: float | None) -> FloatArray:
    """Return the eight figures of all blocks of values below a place."""
    known = None if log is None or whole[0] <= 0 else np.array([log])
    found: FloatArray = _products(whole[None], n, known)[0]
    return found


def between(parts: FloatArray) -> FloatArray:
    """Return the ten figures from what lies below a, both places of clipping, and b."""
    low, six, four, high = parts
    clips = 0.5 * np.stack([high[..., 0] - four[..., 0], high[..., 0] - six[..., 0]], axis=-1)
    found: FloatArray = np.concatenate([high - low, clips], axis=-1)
    return found


def _products(parts: Parts, n: int, log: Parts | None = None) -> Parts:
    """Return phi^n, psi phi^(n-1) for five figures and the pairs' psi psi phi^(n-2).

    `log` is log phi, where that is known better than phi.
    """
    phi = parts[:, :1]
    rest = _integer_power(phi, n - 2) if log is None else np.exp((n - 2) * log[:, None])
    others = rest * phi
    found: Parts = np.zeros((parts.shape[0], 8), dtype=others.dtype)
    found[:, :6] = parts[:, :6] * others
    if has_pairs(parts):
        six, four, x = (parts[:, k] for k in (6, 7, 8))
        found[:, 6] = 0.5 * (four * four - six * six) * rest[:, 0]
        found[:, 7] = 0.5 * x * (four - six) * rest[:, 0]
    return found


def _integer_power(phi: Parts, n: int) -> Parts:
    """Return phi^n, n >= 0, 0^0 = 1."""
    found: Parts = np.where(phi == 0, 0.0 if n else 1.0, phi) ** n
    return found


def log1p(z: Complex) -> Complex:
    """Return log(1 + z), small real parts included."""
    a, b = z.real, z.imag
    return 0.5 * np.log1p(a * (2 + a) + b * b) + 1j * np.arctan2(b, 1 + a)
