"""Characteristic functions of gains at the multiples of one frequency, by a fast Fourier transform.

Sums of n gains within [-1, 1] lie within (-L, L), L > n, where the sign is its Fourier series:

    sign(s) = 4 / L sum_k sin(t_k s) / t_k,  t_k = (2 k - 1) pi / L

so that no integral over t is left. The nodes of the gains are spread over a uniform grid by the
kernel exp(b (sqrt(1 - z^2) - 1)) (Barnett, Magland and af Klinteberg, "A parallel nonuniform fast
Fourier transform library based on an exponential of semicircle kernel", 2019), whose own transform
divides what the grid's fast Fourier transform gives.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, frozen
from qerror.densities.quadrature import gauss_legendre

_WIDTH = 16  # points of the grid that a node is spread over
_SHAPE = 2.30 * _WIDTH  # b
_KERNEL_NODES = 64

Complex = npt.NDArray[np.complex128]


def frequencies_of(n: int, limit: float) -> FloatArray:
    """Return t_1, ... up to the limit."""
    period = half_period(n)
    k = np.arange(max(1, math.ceil(0.5 * limit * period / math.pi)), dtype=np.float64)
    found: FloatArray = (2 * k + 1) * (math.pi / period)
    return found


def half_period(n: int) -> float:
    """Return L: a little more than n, for sums at the very ends too."""
    return n + 0.25


def transforms(gain: FloatArray, columns: FloatArray, n: int, count: int) -> Complex:
    """Return sum_i exp(i t_k gain_i) columns[i] for the first t_k, shape (count, columns)."""
    from scipy.fft import next_fast_len  # noqa: PLC0415 - loaded for this alone
    from scipy.sparse import csr_array  # noqa: PLC0415

    size = next_fast_len(8 * count + 2 * _WIDTH, real=True)  # twice what they need
    place = gain * (0.5 * size / half_period(n))
    first = np.ceil(place - 0.5 * _WIDTH).astype(np.int64)
    index = first[:, None] + np.arange(_WIDTH)
    z = (index - place[:, None]) * (2.0 / _WIDTH)
    kernel = np.exp(_SHAPE * (np.sqrt(np.maximum(1.0 - z * z, 0.0)) - 1.0))
    starts = np.arange(0, index.size + 1, _WIDTH)
    spread = csr_array((kernel.ravel(), (index % size).ravel(), starts), (gain.size, size))
    spread_out: FloatArray = np.asarray(spread.T.dot(columns))
    grid = np.fft.rfft(spread_out, axis=0)[1 : 2 * count : 2]
    found: Complex = grid.conj() / _of_kernel(size, count)[:, None]
    return found


@lru_cache(maxsize=16)
def _of_kernel(size: int, count: int) -> FloatArray:
    """Return the transform of the kernel at every other of a grid's frequencies."""
    t, w = gauss_legendre(_KERNEL_NODES)
    kernel = np.exp(_SHAPE * (np.sqrt(1.0 - t * t) - 1.0)) * w
    k = 2 * np.arange(count) + 1
    return frozen(_WIDTH * (np.cos(np.multiply.outer(k, t) * (math.pi * _WIDTH / size)) @ kernel))
