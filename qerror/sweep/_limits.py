"""How far an MSE lies above what any code of as many bits can reach."""

import math

from qerror.analysis.decibels import decibels_above
from qerror.densities.density import Density

_MOST_LIMIT_BITS = 16  # what lloyd_max takes


class Limits:
    """What the best codes of as many bits reach: searched once for each density and width."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._found: dict[tuple[Density, int], tuple[float, float]] = {}

    def above(self, density: Density, bits: int, mse: float) -> tuple[float | None, float | None]:
        """Return the dB above Lloyd-Max and above Shannon's bound; None if not asked for."""
        if not self._wanted:
            return None, None
        key = density, bits
        if key not in self._found:
            self._found[key] = _reached(*key)
        lloyd, shannon = self._found[key]
        return decibels_above(mse, lloyd), decibels_above(mse, shannon)


def _reached(density: Density, bits: int) -> tuple[float, float]:
    """Return the least MSE of 2^bits levels, nan where it is not to be had, and the bound."""
    # Few sweeps ask for the limits.
    from qerror.codebooks.bounds import shannon_bound  # noqa: PLC0415
    from qerror.codebooks.lloyd_max import lloyd_max  # noqa: PLC0415

    can_be_found = bits <= _MOST_LIMIT_BITS and math.isfinite(density.second_moment)
    lloyd = lloyd_max(density, 2**bits).report.mse if can_be_found else math.nan
    return lloyd, shannon_bound(density, bits)
