"""The exact expected errors of one quantizer on one density."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import overload

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray, positive_array, real_array
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._cells import cell_sums
from qerror.analysis._closed_form import closed_form_sums
from qerror.analysis._flat import flat_shares, flat_sums, one_flat_sum, suits_flat
from qerror.analysis._lattice import lattice_sums
from qerror.analysis._runs import segments_of, upper_segments_of
from qerror.analysis._samples import sample_sums
from qerror.analysis._tails import one_tail_sum, tail_sums
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.formats.names import as_grid, as_scalar_format
from qerror.grids import Grid
from qerror.rounding import as_rounding

METHODS = ("quadrature", "closed-form")
_FEW_POINTS = 512  # below, visiting every cell is as fast as cutting segments into zones
_LONG_RUNS = 8  # points per segment that make a segment worth its overhead


@overload
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = ...,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    rounding: str = ...,
    method: str = ...,
) -> ErrorReport[float]: ...
@overload
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: npt.ArrayLike = ...,
    *,
    max_value: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    rounding: str = ...,
    method: str = ...,
) -> ErrorReport[FloatArray]: ...
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: npt.ArrayLike = 1.0,
    *,
    max_value: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    rounding: str = "nearest-even",
    method: str = "quadrature",
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Return the exact expected errors of rounding X to the nearest point of a grid.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        The number format, its name, or any grid.
    density : Density, str or array_like
        The density of X, its text as `parse_density` reads it, a frozen distribution of
        `scipy.stats`, or an array of data, which stands for `Empirical`.
    scale : float or array_like, any shape
        Multiplies the grid; positive. With an array, every field of the report has its shape.
        At most one of `scale`, `max_value` and `bias` is given; they are three views of it.
    max_value : float or array_like, any shape, optional
        The largest level instead of the scale; positive.
    bias : float or array_like, any shape, optional
        The exponent bias instead of the scale, for floating-point formats.
    rounding : str
        "nearest-even" or another name of it, the only mode that is analysed.
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
        If a scale is not positive and finite, more than one of `scale`, `max_value` and `bias`
        is given, the format has no bias, the rounding is another one, the method is unknown or
        has no formula for the density, or the case lies so near the ends of float64's range that
        squares leave it.
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
    >>> quantization_error("int8", Gaussian(), max_value=[[2.0], [3.0], [4.0]]).mse.shape
    (3, 1)
    """
    density = as_density(density)
    grid, scales = _grid_and_scales(format_or_grid, scale, max_value, bias)
    if rounding != "nearest-even":
        _require_nearest_even(rounding)
    if method not in METHODS:
        raise InvalidValue(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    flat = scales.reshape(-1)
    sums = Sums()
    # Infinite levels and empty cells at the ends of float64's range are what they should be;
    # where they are not, the sum is nan and _report refuses it.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if flat.size:
            sums = _sums(grid, density, flat, method)
    return _report(sums, density, scales.shape)


def _sums(grid: Grid, density: Density, scales: FloatArray, method: str) -> Sums:
    """Add up what the density's pieces and its point masses contribute."""
    atoms = sample_sums(grid, density, scales)
    if method == "closed-form":
        return closed_form_sums(grid, density, scales) + atoms
    mirrored = grid.is_symmetric and density.is_symmetric
    batches = (Batch.of(piece, grid.factor * scales, mirrored) for piece in density.pieces())
    return sum((piece_sums(grid, batch) for batch in batches), atoms)


def piece_sums(grid: Grid, batch: Batch) -> Sums:
    """Integrate one piece of a density by the path that suits it: the one dispatch.

    - Many points in long uniform runs go by runs, in constant time a run (`_lattice`).
    - Few points on a smooth law go by one fixed set of nodes (`_flat`); rows with a cell too
      wide for that go cell by cell, as does everything else (`_cells`). A single scale of a
      symmetric piece takes the same nodes without an array of rows.
    - What lies beyond the grid's ends is the same for all (`_tails`).
    """
    law = batch.piece.law
    lowest, highest = float(grid.edges[0]), float(grid.edges[-1])
    smooth = law if isinstance(law, SmoothLaw) else None
    if smooth and grid.size > max(_FEW_POINTS, _LONG_RUNS * grid.steps.size):
        return _by_runs(grid, batch, smooth) + tail_sums(batch, lowest, highest)
    cells = grid.upper_cells if batch.mirrored else grid.cells
    if smooth is None or not suits_flat(batch, cells, smooth):
        return cell_sums(batch, cells) + tail_sums(batch, lowest, highest)
    if batch.mirrored and batch.factors.size == 1:
        one = one_flat_sum(batch, cells, smooth)
        if one is not None:
            return one + one_tail_sum(batch, highest, smooth)
    tails = tail_sums(batch, lowest, highest)
    shares = flat_shares(batch, cells, smooth)
    if shares.min() > 0:
        return flat_sums(batch, cells, smooth, shares) + tails
    wide, narrow = np.flatnonzero(shares == 0), np.flatnonzero(shares)
    parts: list[tuple[slice | IntArray, Sums]] = [(wide, cell_sums(batch.rows(wide), cells))]
    if narrow.size:
        parts.append((narrow, flat_sums(batch.rows(narrow), cells, smooth, shares[narrow])))
    return Sums.joined(shares.size, parts) + tails


def _by_runs(grid: Grid, batch: Batch, law: SmoothLaw) -> Sums:
    """Go by runs, over both halves where the middle of a symmetric grid is no point."""
    upper = upper_segments_of(grid) if batch.mirrored else None
    if upper is not None:
        return lattice_sums(batch, upper, law)
    whole = lattice_sums(replace(batch, mirrored=False), segments_of(grid), law)
    return replace(whole, mean_error=0.0) if batch.mirrored else whole


def _grid_and_scales(
    target: Format | Grid | str,
    scale: npt.ArrayLike,
    max_value: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
) -> tuple[Grid, FloatArray]:
    """Return the grid at scale 1 and the scales, whichever way they are given."""
    if max_value is None and bias is None:
        return as_grid(target), positive_array("scale", scale)
    if (max_value is not None and bias is not None) or np.ndim(scale) or scale != 1:
        raise InvalidValue(
            "scale, max_value and bias are three views of one number: give one of them, got "
            f"scale={scale!r}, max_value={max_value!r}, bias={bias!r}"
        )
    if max_value is not None:
        grid = as_grid(target)
        if not grid.max > 0:
            raise InvalidValue("the format has no positive level, so no scale gives it max_value")
        return grid, positive_array("max_value", max_value) / grid.max
    form = None if isinstance(target, Grid) else as_scalar_format(target)
    own = None if form is None else form.bias_at(1.0)
    if form is None or own is None:
        name = "a grid" if form is None else form.name
        raise InvalidValue(
            f"bias is for floating-point formats, and {name} has none: give scale or max_value"
        )
    with np.errstate(over="ignore", under="ignore"):
        scales = np.exp2(own - real_array("bias", bias if bias is not None else ()))
    return form.grid(), positive_array("the scale 2^(own bias - bias)", scales)


def _require_nearest_even(rounding: str) -> None:
    mode = as_rounding(rounding)
    if mode != "nearest-even":
        raise InvalidValue(
            f"the exact error is for rounding='nearest-even', got {rounding!r}; the other modes "
            "can be simulated: qerror.estimate_error"
        )


def _report(
    sums: Sums, density: Density, shape: tuple[int, ...]
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Name the sums; an infinite error settles the cross moment, whatever inf - inf gave."""
    # Samples, which may be large, are not kept alive by the cache.
    power, mean = (_signal if density.pieces() else _signal.__wrapped__)(density)
    size = math.prod(shape)
    if not shape:
        values = [float(x) if isinstance(x, float) else float(x[0]) for x in sums.figures()]
        rounding, low, high, mean_error, cross = values
        total = rounding + low + high
        if math.isnan(total):
            raise _beyond_float64()
        cross = -math.inf if math.isinf(total) else cross
        return ErrorReport(rounding, low, high, mean_error, cross, power, mean)
    figures = sums.rows(size)
    mse = figures[:3].sum(axis=0)
    if np.isnan(mse).any():
        raise _beyond_float64()
    figures[4, np.isinf(mse)] = -math.inf
    fields = (*figures, np.full(size, power), np.full(size, mean))
    return ErrorReport(*(_shaped(field, shape) for field in fields))


@lru_cache(maxsize=128)
def _signal(density: Density) -> tuple[float, float]:
    """Return E[X^2] and E[X], which cost more than a small grid's error where limits cut."""
    return density.second_moment, density.mean


def _shaped(field: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return a figure in the shape that was asked for, as an array of its own."""
    field = field.reshape(shape).copy()
    field.setflags(write=False)
    return field


def _beyond_float64() -> InvalidValue:
    return InvalidValue(
        "float64 cannot hold the squares of this case: the scale, or the density's spread or "
        "location, is near the ends of its range (1e-308 to 1e308); choose other units"
    )
