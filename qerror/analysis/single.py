"""The exact expected errors of one quantizer on one density."""

import math
import reprlib
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.analysis._arguments import grid_and_scales, require_default, require_own_scales
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._closed_form import closed_form_sums
from qerror.analysis._float64 import beyond_float64
from qerror.analysis._level_moments import LevelSource, cancels
from qerror.analysis._samples import sample_sums
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.dispatch import piece_sums
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format
from qerror.grids import Grid
from qerror.rounding import RoundingRule, as_rule

if TYPE_CHECKING:
    from qerror.rigorous import EnclosureReport, HighPrecisionReport

_SMALL, _LARGE = 2.0**-400, 2.0**400  # sizes whose squares and cubes float64 holds
_LEAST = float(np.finfo(np.float64).tiny)  # below, digits are lost
METHODS = ("quadrature", "closed-form")
RIGOROUS = ("enclosure", "high-precision")
"""The methods that answer by `qerror.rigorous`."""
_DEFAULT: Final = "nearest-even"
_NEAREST = RoundingRule(_DEFAULT)
_FAR = 2.0**250  # sizes of a density: what lies beyond is nothing, even of a power law
_LARGEST = 1e300  # of a scale, with room for products in float64


@overload
def quantization_error(  # type: ignore[overload-overlap]  # a block format never meets an array
    format_or_grid: BlockFormat,
    density: DensityLike,
    *,
    rounding: str = ...,
    method: str = ...,
    binade_average: bool = ...,
) -> BlockErrorReport: ...
@overload
def quantization_error(  # type: ignore[overload-overlap]  # one method answers in intervals
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = ...,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    rounding: str = ...,
    method: Literal["enclosure"],
) -> "EnclosureReport": ...
@overload
def quantization_error(  # type: ignore[overload-overlap]  # and one in long numbers
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = ...,
    *,
    max_value: float | None = None,
    bias: float | None = None,
    rounding: str = ...,
    method: Literal["high-precision"],
    digits: int = ...,
) -> "HighPrecisionReport": ...
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
    binade_average: bool = ...,
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
    binade_average: bool = ...,
) -> ErrorReport[FloatArray]: ...
def quantization_error(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: npt.ArrayLike = 1.0,
    *,
    max_value: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    rounding: str = _DEFAULT,
    method: str = "quadrature",
    digits: int = 50,
    binade_average: bool = False,
) -> "ErrorReport[float] | ErrorReport[FloatArray] | EnclosureReport | HighPrecisionReport":
    """Return the exact expected errors of rounding X to a point of a grid, by default the nearest.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        The number format, its name, or any grid. A block-scaled format takes its scales from
        the data: it needs no scale, and the report is a `BlockErrorReport`. A tensor scale that
        follows from all values ("nvfp4:of=tensor") is that of 2^20 values, or of a sample's own
        size; another number is said as "nvfp4:of=4096". Errors of blocks are right to about 1e-13,
        of four-over-six to 1e-12 (see `FourOverSix`).
    density : Density, str or array_like
        The density of X, its text as `parse_density` reads it, a frozen distribution of
        `scipy.stats` (see `as_density`), or an array of data, which stands for `Empirical`.
    scale : float or array_like, any shape
        Multiplies the grid; positive. With an array, every field of the report has its shape.
        At most one of `scale`, `max_value` and `bias` is given; they are three views of it.
    max_value : float or array_like, any shape, optional
        The largest level instead of the scale; positive.
    bias : float or array_like, any shape, optional
        The exponent bias instead of the scale, for floating-point formats.
    rounding : str
        "nearest-even", "nearest-away", "toward-zero", "up", "down", "to-odd" or "stochastic", or
        a short name such as RNE or SR; "stochastic:8" draws 8 random bits, as hardware does, up
        to 23. Even and odd are the codes. Under stochastic rounding the figures are expectations
        over X and the draws alike. A block format rounds to nearest even.
    method : {"quadrature", "closed-form", "enclosure", "high-precision"}
        The default integrates positive functions and is right to about 1e-14 relative.
        "closed-form" evaluates the papers' differences of partial moments, for comparison: it
        loses digits as cells get narrow. It covers gaussian, uniform and student-t, also cut,
        clipped and mixed. "enclosure" returns an `EnclosureReport`, intervals with a proof (needs
        qerror[rigorous]), "high-precision" a `HighPrecisionReport`: see `qerror.rigorous`.
    digits : int
        Of "high-precision".
    binade_average : bool
        For block formats: average over densities of 2^u times the spread, 0 <= u < 1, each error
        in units of its own density. Scales that are powers of two depend on that phase.

    Returns
    -------
    ErrorReport
        Rounding and clipping are sums of non-negative terms; values exactly between two points
        (point masses only) go to the even code.

    Raises
    ------
    InvalidValue
        If a scale is not positive and finite, more than one of `scale`, `max_value` and `bias`
        is given, the format has no bias, there is no such rounding, the method is unknown or
        has no formula for the density, or the case lies so near the ends of float64's range that
        squares leave it; for blocks also if a density is narrower than 1e-10 of its place, which
        takes 10 of the 16 digits, or its tails have maxima beyond float64.
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
    if isinstance(format_or_grid, str):
        format_or_grid = as_format(format_or_grid)
    if isinstance(format_or_grid, BlockFormat):
        require_own_scales(format_or_grid, scale, max_value, bias)
        require_default(format_or_grid, rounding, method)
        # A third of the analysis is for blocks: imported for them alone.
        from qerror.analysis.block import block_error  # noqa: PLC0415

        return block_error(format_or_grid, density, binade_average=binade_average)
    if binade_average:
        raise InvalidValue("binade_average is for block-scaled formats such as mxfp4")
    grid, scales = grid_and_scales(format_or_grid, scale, max_value, bias)
    # Whoever says nothing else skips the parser; an equal text gives an equal rule.
    rule = _NEAREST if rounding is _DEFAULT else as_rule(rounding)
    way: object = method
    if isinstance(way, str) and way in RIGOROUS:  # pyright: ignore[reportUnnecessaryIsInstance]
        return _rigorous(grid, density, scales, method, digits, rounding)
    if not isinstance(way, str) or way not in METHODS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(
            f"unknown method {reprlib.repr(method)}; known: {', '.join((*METHODS, *RIGOROUS))}"
        )
    if method == "closed-form" and not rule.is_nearest:
        raise InvalidValue(
            f"the papers give closed forms for rounding to the nearest level, got {rule.name!r}; "
            "use the default method, quadrature"
        )
    size = _size(density)
    if _SMALL < size < _LARGE or size == 0:
        return _report_at(grid, density, scales, size, method, rule)
    unit = _unit(size)
    moved = density.affine(1 / unit)
    found = _in_units(_report_at(grid, moved, scales / unit, size / unit, method, rule), unit)
    return _with_levels(found, grid, density, scales, rule)


def _rigorous(  # noqa: PLR0917 - what was asked for, checked
    grid: Grid, density: Density, scales: FloatArray, method: str, digits: int, rounding: str
) -> "EnclosureReport | HighPrecisionReport":
    """Return the figures with a proof, or with many digits, of a single scale."""
    from qerror.rigorous import enclosure, high_precision  # noqa: PLC0415 - few ask for it

    if scales.ndim:
        raise InvalidValue(f"{method} is for a single scale, got an array of them")
    if method == "enclosure":
        return enclosure(grid, density, float(scales), rounding=rounding)
    return high_precision(grid, density, float(scales), digits=digits, rounding=rounding)


def _report_at(  # noqa: PLR0917 - what was asked for, checked
    grid: Grid,
    density: Density,
    scales: FloatArray,
    size: float,
    method: str,
    rule: RoundingRule,
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Return the errors at all scales, of a density of a size whose squares float64 holds."""
    flat = scales.reshape(-1)
    if rule.is_nearest or rule.mode == "toward-zero":  # other modes move what is beside 0
        flat = _within_reach(grid, size, flat)
    sums = Sums()
    # Infinite levels and empty cells at the ends of float64's range are what they should be;
    # where they are not, the sum is nan and _report refuses it.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if flat.size:
            sums = _sums(grid, density, flat, method, rule)
    report = _report(sums, density, scales.shape)
    return _with_levels(report, grid, density, scales, rule)


def _with_levels(
    report: ErrorReport[float] | ErrorReport[FloatArray],
    grid: Grid,
    density: Density,
    scales: FloatArray,
    rule: RoundingRule,
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Add what the levels' moments are computed of, where the figures would cancel."""
    if not cancels(report.signal_power, report.cross_moment, report.mse):
        return report
    source = LevelSource(grid, density, scales, rule)
    return report.with_levels(source) if source.is_listed else report


def _within_reach(grid: Grid, size: float, scales: FloatArray) -> FloatArray:
    """Limit scales beyond which all of the density rounds to 0, whose cubes would overflow."""
    if not 0 < grid.dead_zone < math.inf:
        return scales
    return np.minimum(scales, min(_FAR * size / grid.dead_zone, _LARGEST))


def _size(density: Density) -> float:
    """Return a size of the density's values."""
    sizes = [max(piece.spread, abs(piece.location)) for piece in density.pieces()]
    x = density.atoms().positions
    return max([*sizes, -float(x[0]), float(x[-1])] if x.size else sizes)


def _unit(size: float) -> float:
    """Return the power of two in whose units squares stay away from the ends of float64."""
    return math.ldexp(1.0, min(max(math.frexp(size)[1], -1021), 1023))


def _in_units(
    report: ErrorReport[float] | ErrorReport[FloatArray], unit: float
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Return a report's figures times the unit or its square; refuse what float64 cannot hold."""
    given: dict[str, Any] = {name.name: getattr(report, name.name) for name in fields(report)}
    with np.errstate(over="ignore", under="ignore"):
        moved = {
            name: value * unit if name in {"mean_error", "signal_mean"} else value * unit * unit
            for name, value in given.items()
        }
        made: ErrorReport[Any] = ErrorReport(**moved)
    for before, after in ((report.mse, made.mse), (report.signal_power, made.signal_power)):
        old, new = np.asarray(before), np.asarray(after)
        if ((new < _LEAST) & (old > 0) | np.isinf(new) & np.isfinite(old)).any():
            raise beyond_float64()
    return made


def _sums(
    grid: Grid, density: Density, scales: FloatArray, method: str, rule: RoundingRule
) -> Sums:
    """Add up what the density's pieces and its point masses contribute."""
    if rule.mode == "nearest-even":
        atoms = sample_sums(grid, density, scales)
    else:
        # Their paths are imported by those who ask for them.
        from qerror.analysis._modes import atom_sums, mode_sums  # noqa: PLC0415

        if not rule.is_nearest:
            return mode_sums(grid, density, scales, rule)
        atoms = atom_sums(grid, density, scales, rule)
    if method == "closed-form":
        return closed_form_sums(grid, density, scales) + atoms
    mirrored = grid.is_symmetric and density.is_symmetric
    batches = (Batch.of(piece, grid.factor * scales, mirrored) for piece in density.pieces())
    return sum((piece_sums(grid, batch) for batch in batches), atoms)


def _report(
    sums: Sums, density: Density, shape: tuple[int, ...]
) -> ErrorReport[float] | ErrorReport[FloatArray]:
    """Name the sums; an infinite error settles the cross moment, whatever inf - inf gave."""
    # Samples, which may be large, are not kept alive by the cache.
    power, mean = (_signal if density.pieces() else _signal.__wrapped__)(density)
    if not shape:
        rounding, low, high, mean_error, cross = sums.numbers()
        total = rounding + low + high
        lost = math.isnan(cross) and math.isfinite(total)
        if math.isnan(total) or lost or (math.isinf(total) and math.isfinite(power)):
            raise beyond_float64()
        cross = -math.inf if math.isinf(total) else cross
        return ErrorReport(rounding, low, high, mean_error, cross, power, mean)
    figures = sums.rows(math.prod(shape))
    mse = figures[:3].sum(axis=0)
    lost = np.isnan(figures[4]) & np.isfinite(mse)
    if np.isnan(mse).any() or lost.any() or (np.isinf(mse).any() and math.isfinite(power)):
        raise beyond_float64()
    figures[4, np.isinf(mse)] = -math.inf
    rounding, low, high, mean_error, cross = figures.reshape(5, *shape)
    signal = np.full(shape, power), np.full(shape, mean)
    # The report makes copies that are its own.
    return ErrorReport(rounding, low, high, mean_error, cross, *signal)


@lru_cache(maxsize=128)
def _signal(density: Density) -> tuple[float, float]:
    """Return E[X^2] and E[X], which cost more than a small grid's error where limits cut."""
    return density.second_moment, density.mean
