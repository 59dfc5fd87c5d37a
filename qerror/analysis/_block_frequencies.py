"""Characteristic functions of gains within [-1, 1], at fixed frequencies, by their moments.

exp(i t d) - 1 = (J_0(t) - 1) + 2 sum_k i^k J_k(t) T_k(d) for |d| <= 1 (DLMF 10.12.2): the
Chebyshev moments of a measure give its characteristic function at every t, and the Bessel
functions do not depend on the measure.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, frozen
from qerror.densities.quadrature import gauss_legendre

_ORDER = 12  # nodes of a panel
_TURN = 6.0  # radians that the first panel turns the product of n factors
_GROWTH = 1.25  # of panels
_WIDEST = 4.0
_ROWS = 64  # frequencies whose Bessel functions are found together
_CHUNK = 2**17  # Chebyshev polynomials at a time: 1 MiB

Complex = npt.NDArray[np.complex128]


class Frequencies(NamedTuple):
    """Nodes t, up to a limit, with weights, and what turns moments into integrals."""

    nodes: FloatArray
    weights: FloatArray
    even: FloatArray
    """Of exp(i t d) - 1: the real part's coefficients of T_0, T_2, ..., shape (t, k)."""
    odd: FloatArray
    """The imaginary part's coefficients of T_1, T_3, ...."""

    @property
    def terms(self) -> int:
        """How many Chebyshev moments are needed."""
        return int(self.even.shape[1] + self.odd.shape[1])

    def turned(self, moments: FloatArray) -> Complex:
        """Return the integrals of exp(i t d) - 1, from moments of shape (..., terms, columns)."""
        found: Complex = self.even @ moments[..., ::2, :] + 1j * (self.odd @ moments[..., 1::2, :])
        return found


def chebyshev_moments(
    gain: FloatArray, columns: FloatArray, terms: int, ends: Sequence[int]
) -> FloatArray:
    """Return sum_i T_k(gain_i) columns[i] over i < each end, ascending; (ends, terms, columns)."""
    used = np.flatnonzero(columns.any(axis=0))
    if used.size < columns.shape[1]:  # errors of a symmetric density are 0 on average
        found: FloatArray = np.zeros((len(ends), terms, columns.shape[1]))
        if used.size:
            found[..., used] = chebyshev_moments(gain, columns[:, used], terms, ends)
        return found
    total = np.zeros((len(ends), terms, columns.shape[1]))
    size = max(1, _CHUNK // terms)
    for start in range(0, ends[-1], size):
        d = gain[start : min(start + size, ends[-1])]
        t = np.empty((terms, d.size))
        t[0] = 1.0
        t[1] = d
        twice = 2 * d
        for k in range(2, terms):
            np.multiply(twice, t[k - 1], out=t[k])
            t[k] -= t[k - 2]
        low = 0
        for j, end in enumerate(ends):
            first, last = max(low - start, 0), min(end - start, d.size)
            if last > first:
                total[j] += t[:, first:last] @ columns[start + first : start + last]
            low = end
    return np.cumsum(total, axis=0)


def frequencies(n: int, limit: float) -> Frequencies:
    """Return the frequencies up to a limit for products of n factors."""
    # Blocks of similar sizes share them.
    return _frequencies(1 << (n - 1).bit_length(), limit)


@lru_cache(maxsize=32)
def _frequencies(n: int, limit: float) -> Frequencies:
    edges, width = [0.0], min(_TURN / (n + 3 * math.sqrt(n) + 1), limit)
    while edges[-1] < limit:
        end = edges[-1] + width
        edges.append(limit if end + 0.5 * width > limit else end)
        width = min(_GROWTH * width, _WIDEST)
    t, w = gauss_legendre(_ORDER)
    low, span = np.array(edges[:-1])[:, None], np.diff(edges)[:, None]
    nodes, weights = (low + span * t).ravel(), (span * w).ravel()
    terms = 2 * math.ceil(0.5 * (limit + 14 * limit ** (1 / 3) + 14))
    parts = [_bessel(nodes[k : k + _ROWS], terms) for k in range(0, nodes.size, _ROWS)]
    whole = np.concatenate(parts)
    return Frequencies(
        frozen(nodes),
        frozen(weights),
        frozen(np.ascontiguousarray(whole[:, ::2].real)),
        frozen(np.ascontiguousarray(whole[:, 1::2].imag)),
    )


def _bessel(t: FloatArray, terms: int) -> Complex:
    """Return J_0(t) - 1 and 2 i^k J_k(t), by the Fourier series of exp(i t cos x) - 1."""
    size = 1 << (2 * terms + 1).bit_length()
    half = 0.5 * np.multiply.outer(t, np.cos(2 * math.pi / size * np.arange(size)))
    sine = np.sin(half)
    values = -2 * sine * sine + 2j * sine * np.cos(half)
    found: Complex = np.fft.fft(values, axis=1)[:, :terms] / size
    found[:, 1:] *= 2
    return found
