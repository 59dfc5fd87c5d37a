"""The search of one best range: what is scanned, how far, and which minimum counts."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray, positive
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.location_scale import LocationScale
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize import _points, _values
from qerror.optimize._interval import promising, search_interval
from qerror.optimize._scan import lowest
from qerror.optimize.optimum import NEAREST, LocalMinimum, OptimalScale
from qerror.rounding import as_rule

_WIDE = 2**12  # levels beyond which point masses pass too many of them for a scan
_SHOWN, _TRIED = 64, 512  # point masses and scales
_TIE = 1e-13  # minima that differ by less are equal, and the smallest range wins
_WIDENED = 8  # times by which an end that beats every minimum is moved out, as far as is known
_SMALLEST = 1e-120  # sizes about which the squares of all ranges of a search stay within float64
_TINIEST = 1e-153  # sizes whose own do


def best_scale(
    format: Format | str,  # noqa: A002 - the field's word
    density: DensityLike,
    *,
    low: float | None = None,
    high: float | None = None,
    exhaustive: bool = False,
    rounding: str = "nearest-even",
) -> OptimalScale:
    """Return the best range of one density; see `optimal_scale`."""
    form, density = as_scalar_format(format), as_density(density)
    form.scale_for(1.0)
    for name, limit in (("low", low), ("high", high)):
        if limit is not None:
            positive(name, limit)
    if exhaustive and density.pieces():
        raise InvalidValue(
            "an exhaustive search visits values one by one, and this density has a continuous "
            "part; leave it out: the default search is exact there"
        )
    rule = as_rule(rounding)
    # On a continuous density ties have no part in it.
    mode = NEAREST if rule.is_nearest and not density.atoms().positions.size else rule.name
    if exhaustive and mode != NEAREST:
        raise InvalidValue(f"an exhaustive search is for rounding to nearest even, got {mode!r}")
    if not math.isfinite(density.second_moment):
        return _undefined(form, density, mode)
    if rule.is_nearest and mode != NEAREST:  # a tie errs alike either way, but in its sign
        found = best_scale(form, density, low=low, high=high)
        report = quantization_error(form, density, found.scale, rounding=mode)
        return replace(found, report=report, rounding=mode)
    limits, scaled = (low, high), isinstance(form, FixedPoint)
    if limits == (None, None) and mode == NEAREST and not scaled:
        unit = _unit_of_family(density)
        if unit != 1:
            return _moved(_standard(form, _at_spread_1(density)), density, unit)
    unit = 1.0 if mode != NEAREST or scaled else _unit_of_size(math.sqrt(density.second_moment))
    if unit != 1:
        limits = low and low / unit, high and high / unit
        found = _searched(form, density.affine(1 / unit), limits, exhaustive, mode)
        return _moved(found, density, unit)
    return _searched(form, density, limits, exhaustive, mode)


def _searched(
    form: ScalarFormat,
    density: Density,
    limits: tuple[float | None, float | None],
    exhaustive: bool,
    mode: str,
) -> OptimalScale:
    """Search an interval, and beyond it where one end is the best of all."""
    low, high = limits
    interval = search_interval(form, density, low, high)
    search = search_octaves if isinstance(form, FixedPoint) else _search_reals
    found = search(form, density, interval, exhaustive=exhaustive, rounding=mode)
    for _ in range(_WIDENED):
        wider = _wider(found, low is None, high is None)
        if not found.at_edge or wider is None:
            break
        beyond = search(form, density, wider, exhaustive=exhaustive, rounding=mode)
        if not beyond.report.mse <= found.report.mse * (1 - _TIE if beyond.at_edge else 1 + _TIE):
            break
        found = beyond
    return found


@lru_cache(maxsize=128)
def _standard(form: ScalarFormat, density: Density) -> OptimalScale:
    """Return the best range on a law at spread 1, from which those at other spreads follow."""
    return _searched(form, density, (None, None), exhaustive=False, mode=NEAREST)


def _unit_of_family(density: Density) -> float:
    """Return the spread of a law about 0, in whose units its best range is the same; else 1."""
    if isinstance(density, LocationScale) and density.location == 0:
        spread = density.spread
        return spread if _TINIEST < spread < 1 / _TINIEST else 1.0
    return 1.0


def _unit_of_size(size: float) -> float:
    """Return the power of two in whose units a search stays away from the ends of float64."""
    if size == 0 or _SMALLEST < size < 1 / _SMALLEST:
        return 1.0
    return math.ldexp(1.0, math.frexp(size)[1])


def _at_spread_1(density: Density) -> Density:
    """Return the same law at spread 1, to the last bit."""
    while isinstance(density, LocationScale) and density.spread != 1:
        density = density.affine(1 / density.spread)
    return density


def _moved(best: OptimalScale, density: Density, unit: float) -> OptimalScale:
    """Return the best range on a density that is `unit` times as wide."""
    scale, form = best.scale * unit, best.format
    report = quantization_error(form, density, scale)
    return OptimalScale(
        scale,
        scale * form.max_value,
        form.bias_at(scale),
        report,
        tuple(
            LocalMinimum(
                each.scale * unit,
                each.max_value * unit,
                report.mse if each.scale == best.scale else each.mse * unit * unit,
            )
            for each in best.local_minima
        ),
        best.at_edge,
        (best.searched[0] * unit, best.searched[1] * unit),
        form,
        density,
        best.rounding,
        None if best.scan is None else best.scan.moved(unit),
    )


def _wider(found: OptimalScale, left: bool, right: bool) -> tuple[float, float] | None:
    """Return a larger interval where one end is the best of all and may be moved.

    The upper end stays where a tail that never gets negligible put it.
    """
    a, b = found.searched
    if found.max_value < math.sqrt(a * b):
        return (a / 256, b) if left and a > _TINIEST else None
    bounded = all(math.isfinite(end) for end in found.density.support)
    return (a, 4 * b) if right and bounded and b < 1 / _TINIEST else None


def _search_reals(
    form: ScalarFormat,
    density: Density,
    interval: tuple[float, float],
    exhaustive: bool = False,
    rounding: str = NEAREST,
) -> OptimalScale:
    top = form.max_value
    if rounding != NEAREST:
        low, high = (limit / top for limit in interval)
        found, mse = _values.minima(form, density, rounding, low, high)
        ends = quantization_error(form, density, np.array([low, high]), rounding=rounding)
        edge = int(ends.mse[1] < ends.mse[0])
        at_edge = (low, high)[edge], float(ends.mse[edge])
        return best_of(form, density, found, mse, *at_edge, interval, rounding)
    stretch, scan = promising(form, density, interval), None
    if density.pieces():
        found, mse, scan = lowest(form, density, stretch.low, stretch.high)
    else:
        found, mse = _points.lowest(form, density, stretch.low, stretch.high, exhaustive)
    found, mse = _with_ends_on_levels(form, density, (found, mse), (stretch.low, stretch.high))
    best = best_of(form, density, found, mse, stretch.edge, stretch.edge_mse, interval)
    return replace(best, scan=scan)


def _with_ends_on_levels(
    form: ScalarFormat,
    density: Density,
    known: tuple[FloatArray, FloatArray],
    interval: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """Add scales of wide formats at which an end of the density is an edge of the grid.

    Point masses there ripple too often for any scan, and are exact at such scales.
    """
    grid = form.grid()
    places = np.array([*density.support, *density.atoms().positions[:_SHOWN]])
    places = places[np.isfinite(places) & (places != 0)]
    if grid.size <= _WIDE or not density.pieces() or not places.size:
        return known
    edges = grid.edges[grid.edges != 0] * grid.factor
    with np.errstate(over="ignore", under="ignore"):
        scales = np.unique(np.divide.outer(places, edges))
    scales = scales[(scales >= interval[0]) & (scales <= interval[1])][:_TRIED]
    mse = quantization_error(grid, density, scales).mse
    lower = mse < known[1].min(initial=np.inf)
    found, least = np.append(known[0], scales[lower]), np.append(known[1], mse[lower])
    order = np.argsort(found)
    return found[order], least[order]


def search_octaves(  # noqa: PLR0917 - as all searches
    form: ScalarFormat,
    density: Density,
    interval: tuple[float, float],
    offset: float = 0.0,
    exhaustive: bool = False,
    rounding: str = NEAREST,
) -> OptimalScale:
    """Try every scale 2^(k + offset) whose largest value lies in the interval."""
    del exhaustive  # it always is
    first = math.ceil(math.log2(interval[0] / form.max_value) - offset)
    last = math.floor(math.log2(interval[1] / form.max_value) - offset)
    if first > last:
        raise InvalidValue(
            f"no power-of-two scale of {form.name} has its largest value in "
            f"[{interval[0]:g}, {interval[1]:g}]; widen low and high"
        )
    scales = np.ldexp(2.0**offset, np.arange(first, last + 1))
    mse = quantization_error(form, density, scales, rounding=rounding).mse
    padded = np.concatenate([[-np.inf], mse, [-np.inf]])
    at = np.flatnonzero((mse < padded[:-2]) & (mse <= padded[2:]))
    edge = 0 if mse[0] <= mse[-1] else -1
    least = float(scales[edge]), float(mse[edge])
    return best_of(form, density, scales[at], mse[at], *least, interval, rounding)


def best_of(  # noqa: PLR0917 - the candidates of one search
    form: ScalarFormat,
    density: Density,
    scales: FloatArray,
    mse: FloatArray,
    edge: float,
    edge_mse: float,
    interval: tuple[float, float],
    rounding: str = NEAREST,
) -> OptimalScale:
    """Choose among the minima and the better end of the interval searched."""
    at_edge = not (mse <= edge_mse * (1 + _TIE)).any()
    tied = scales[mse <= mse.min(initial=edge_mse) * (1 + _TIE)]
    scale = edge if at_edge else float(tied[0])
    top = form.max_value
    report = quantization_error(form, density, scale, rounding=rounding)
    # The best one is told once: a batch and a single scale differ in the last bit.
    mse = np.where(scales == scale, report.mse, mse)
    minima = zip(scales.tolist(), (scales * top).tolist(), mse.tolist(), strict=True)
    return OptimalScale(
        scale,
        scale * top,
        form.bias_at(scale),
        report,
        tuple(LocalMinimum(*minimum) for minimum in minima),
        at_edge,
        interval,
        form,
        density,
        rounding,
    )


def _undefined(form: ScalarFormat, density: Density, rounding: str) -> OptimalScale:
    nothing = math.nan
    report = quantization_error(form, density, 1.0, rounding=rounding)
    bias, limits = form.bias_at(nothing), (nothing, nothing)
    return OptimalScale(nothing, nothing, bias, report, (), True, limits, form, density, rounding)
