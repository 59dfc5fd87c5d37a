"""Means over seeds, with confidence intervals."""

import math
from collections.abc import Sequence

from scipy import special


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None]:
    """Return the mean and half of the width of its confidence interval by Student's t.

    One value has no interval: None.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    quantile = float(special.stdtrit(count - 1, 0.5 + 0.5 * confidence))
    return mean, quantile * math.sqrt(variance / count)


def shown(values: Sequence[float], digits: int = 2) -> str:
    """Return the mean with its interval as text: "98.70 +- 0.21"."""
    mean, half = mean_interval(values)
    return f"{mean:.{digits}f}" + ("" if half is None else f" +- {half:.{digits}f}")
