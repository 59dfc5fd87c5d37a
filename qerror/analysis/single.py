"""The exact expected errors of one quantizer on one density."""

import math
from collections.abc import Callable
from typing import overload

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, positive_array
from qerror.analysis._atoms import add_atoms
from qerror.analysis._closed_form import add_closed_form
from qerror.analysis._exact import add_exact
from qerror.analysis._sums import Sums
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.formats.names import as_grid
from qerror.grids import Grid

_Path = Callable[[Sums, Grid, Density, FloatArray], None]
METHODS: dict[str, _Path] = {"quadrature": add_exact, "closed-form": add_closed_form}


@overload
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: Density | str,
    scale: float = 1.0,
    *,
    method: str = "quadrature",
) -> ErrorReport[float]: ...
@overload
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: Density | str,
    scale: npt.ArrayLike,
    *,
    method: str = "quadrature",
) -> ErrorReport[FloatArray]: ...
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: Density | str,
    scale: npt.ArrayLike = 1.0,
    *,
    method: str = "quadrature",
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Return the exact expected errors of rounding X to the nearest point of a grid.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        The number format, its name, or any grid.
    density : Density or str
        The density of X, or its text as `parse_density` reads it.
    scale : float or array_like, shape (k,)
        Multiplies the grid; positive. With an array, every field of the report has its shape.
    method : {"quadrature", "closed-form"}
        The default integrates positive functions and is right to about 1e-14 relative.
        "closed-form" evaluates the papers' differences of partial moments, for comparison: it
        loses digits as cells get narrow. It covers gaussian, uniform and student-t, also cut,
        clipped and mixed.

    Returns
    -------
    ErrorReport
        Rounding and clipping are sums of non-negative terms; values exactly between two points
        (point masses only) go to the even code.

    Raises
    ------
    InvalidValue
        If a scale is not positive and finite, the method is unknown or has no formula for the
        density, or the case lies so near the ends of float64's range that squares leave it.
    TooLarge
        If the grid has more points than can be visited one by one.

    References
    ----------
    Kuzmin et al. 2022, eq. 4 and 14 to 17 (the sums), appendix A.3 (the closed forms).

    Examples
    --------
    >>> from qerror import FloatingPoint, Gaussian, quantization_error
    >>> round(quantization_error(FloatingPoint(4, 3), Gaussian(), 0.25).sqnr_db, 6)
    37.278409
    """
    grid, density = as_grid(format_or_grid), as_density(density)
    scales = positive_array("scale", scale)
    if method not in METHODS:
        raise InvalidValue(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    sums = Sums.zeros(scales.size)
    flat = np.atleast_1d(scales)
    # Infinite levels and empty cells at the ends of float64's range are what they should be;
    # where they are not, the sum is nan and _report refuses it.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if flat.size:
            METHODS[method](sums, grid, density, flat)
            add_atoms(sums, grid, density, flat)
    return _report(sums, density, scales.ndim == 0)


def _report(
    sums: Sums, density: Density, single: bool
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Name the sums; an infinite error settles the cross moment, whatever inf - inf gave."""
    power, mean = density.second_moment, density.mean
    mse = sums.rounding + sums.low + sums.high
    if single:
        total = float(mse[0])
        if math.isnan(total):
            raise _beyond_float64()
        return ErrorReport(
            float(sums.rounding[0]),
            float(sums.low[0]),
            float(sums.high[0]),
            float(sums.mean_error[0]),
            -math.inf if math.isinf(total) else float(sums.cross[0]),
            power,
            mean,
        )
    if np.isnan(mse).any():
        raise _beyond_float64()
    cross = np.where(np.isinf(mse), -np.inf, sums.cross)
    powers, means = np.full(mse.shape, power), np.full(mse.shape, mean)
    return ErrorReport(sums.rounding, sums.low, sums.high, sums.mean_error, cross, powers, means)


def _beyond_float64() -> InvalidValue:
    return InvalidValue(
        "float64 cannot hold the squares of this case: the scale, or the density's spread or "
        "location, is near the ends of its range (1e-308 to 1e308); choose other units"
    )
