"""What is measured on a sample, from its means of x^2, x e, e^2 and |e| along the last axis."""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, FrozenMapping

Statistic: TypeAlias = Callable[[FloatArray, float], FloatArray]


def _sqnr(mean: FloatArray, peak: float) -> FloatArray:
    del peak
    return 10 * np.log10(mean[..., 0] / mean[..., 2])


def _cosine(mean: FloatArray, peak: float) -> FloatArray:
    del peak
    x, cross, e = mean[..., 0], mean[..., 1], mean[..., 2]
    return (x + cross) / np.sqrt(x * np.maximum(x + 2 * cross + e, 0.0))


def _relative(mean: FloatArray, peak: float) -> FloatArray:
    del peak
    return np.sqrt(mean[..., 2] / mean[..., 0])


def _mse(mean: FloatArray, peak: float) -> FloatArray:
    del peak
    return mean[..., 2]


def _absolute(mean: FloatArray, peak: float) -> FloatArray:
    del peak
    return mean[..., 3]


def _psnr(mean: FloatArray, peak: float) -> FloatArray:
    return 10 * (2 * math.log10(peak) - np.log10(mean[..., 2]))


FIGURES: Mapping[str, Statistic] = FrozenMapping(
    {
        "sqnr_db": _sqnr,
        "cosine_similarity": _cosine,
        "relative_l2": _relative,
        "mse": _mse,
        "mean_absolute": _absolute,
        "psnr_db": _psnr,
    }
)
"""The figures that have bands. The peak of the PSNR is the largest level in size."""
