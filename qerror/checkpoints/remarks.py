"""What stands out in a tensor, and why a prediction fails."""

import math

from qerror.checkpoints.tally import Distribution
from qerror.densities.density import Density
from qerror.fitting.result import FitResult
from qerror.tables import short

_RARE = 1e-3  # probability of so large a value among all that makes it an outlier
_FEW = 1 << 15  # values, whose own extremes decide
_UNEVEN = 2.0  # times by which spreads of channels differ before they are mentioned


def remarks_on(found: Distribution, fitted: FitResult | None, ratio: float) -> str:
    """Return what is to be known about the values, parted by semicolons; empty if nothing is."""
    notes: list[str] = []
    if found.nan or found.infinite:
        notes.append(f"{found.nan:,} NaN and {found.infinite:,} infinite values left out")
    if fitted is not None and fitted.lattice is not None and fitted.lattice.is_coarse:
        notes.append(f"on a grid already: {fitted.lattice.description}")
    if _has_outliers(found, fitted):
        rms = found.absmax / math.sqrt(found.power)
        notes.append(f"outliers: the largest value is {short(rms)} RMS")
    if ratio >= _UNEVEN:
        notes.append(f"channels of different spread: up to {short(ratio, 3)} times")
    return "; ".join(notes)


def why_it_fails(found: Distribution, fitted: FitResult | None, ratio: float) -> str:
    """Return the likely reason why the fitted density predicts another error."""
    if ratio >= _UNEVEN:
        return "its channels have different spreads"
    if _has_outliers(found, fitted):
        return "outliers"
    if fitted is not None and fitted.lattice is not None:
        return "the values lie on a grid already"
    if found.size < _FEW:
        return f"its {found.size:,} values do not reach as far as the density"
    return "no fitted family has this shape"


def _has_outliers(found: Distribution, fitted: FitResult | None) -> bool:
    """Tell whether the largest value is farther out than so many of the density would be."""
    if fitted is None or not fitted.candidates or not found.size:
        return False
    density: Density = fitted.candidates[0].density
    low, high = (float(each) for each in density.cdf([-found.absmax, found.absmax]))
    # The complement is precise enough: fewer than 1e15 values are ever counted.
    beyond = max(low + (1 - high), 0.0)
    return found.size * beyond < _RARE and found.absmax > 3 * math.sqrt(found.power)
