"""The three sums that every path of the analysis produces."""

from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray


@dataclass
class Sums:
    """Running totals per scale, each of shape (k,); `cross` is E[X e]."""

    rounding: FloatArray
    low: FloatArray
    high: FloatArray
    mean_error: FloatArray
    cross: FloatArray

    @classmethod
    def zeros(cls, size: int) -> "Sums":
        """Return empty totals for `size` scales."""
        return cls(*np.zeros((5, size)))
