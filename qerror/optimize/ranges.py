"""Ways to choose a range, side by side: what each loses against the optimum."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qerror._arrays import integer, real
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.optimize._interval import search_interval
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.scale import optimal_scale
from qerror.optimize.search import search_octaves
from qerror.optimize.zero_point import searched
from qerror.tables import short

_MOST_BITS = 16  # of an unsigned integer whose zero points are tried


@dataclass(frozen=True, repr=False)
class RangeChoice:
    """One way to choose the range of a format on a density."""

    rule: str
    """How the range was chosen, in words."""
    scale: float
    max_value: float
    bias: float | None
    """The exponent bias that gives the same grid at scale 1; None but for floating point."""
    zero_point: int | None
    """The code of 0, where it was chosen too."""
    report: ErrorReport[float]
    loss_db: float
    """How far the SQNR lies below that of the format's best real scale; negative where a zero
    point does better than any symmetric range."""

    def __repr__(self) -> str:
        zero = "" if self.zero_point is None else f", zero_point={self.zero_point}"
        return (
            f"<RangeChoice by {self.rule}: max_value={short(self.max_value, 6)}, "
            f"scale={short(self.scale, 6)}{zero}, sqnr_db={short(self.report.sqnr_db, 6)}, "
            f"loss_db={short(self.loss_db, 4)}>"
        )


@np.errstate(under="ignore")
def compare_ranges(
    format: Format | str,  # noqa: A002 - the field's word
    density: DensityLike,
    quantiles: Sequence[float] = (0.999, 0.9999, 0.99999),
    *,
    best: OptimalScale | None = None,
) -> tuple[RangeChoice, ...]:
    """Return the usual ways to choose a range, each with its exact loss.

    The best real scale comes first; then the best power-of-two scale (for floating point the
    best integer bias), the best scale and zero point of an unsigned integer of the same width
    (integers only), the density's own limits if it has any, three standard deviations about
    the mean, and the given quantiles.

    Parameters
    ----------
    format : ScalarFormat or str
    density : Density, str or array_like
        With a finite second moment.
    quantiles : sequence of float
        Probabilities in (0.5, 1): the range reaches to the larger of the quantile at p and
        minus that at 1 - p.
    best : OptimalScale, optional
        What `optimal_scale` has found, where it was asked already.

    Raises
    ------
    InvalidValue
        If the second moment is infinite or a quantile is not in (0.5, 1).

    References
    ----------
    Li et al. 2021 (MQBench), section 3, names the calibrations.
    """
    form, density = as_scalar_format(format), as_density(density)
    for p in quantiles:
        if not 0.5 < real("a quantile", p) < 1:
            raise InvalidValue(f"a quantile must lie in (0.5, 1), got {p:g}")
    if not math.isfinite(density.second_moment):
        raise InvalidValue("E[x^2] is infinite: no range has a finite error to compare")
    best = best or optimal_scale(form, density)
    found = [_choice("best scale", form, density, best.scale, best.report)]
    found += _rounded(form, density)
    if isinstance(form, Integer):
        found.append(best_zero_point(form.bits, density))
    for rule, limit in _limits(density, quantiles):
        scale = form.scale_for(limit)
        found.append(_choice(rule, form, density, scale))
    return tuple(_against(choice, best.report.sqnr_db) for choice in found)


@np.errstate(under="ignore")
def best_zero_point(bits: int, density: DensityLike) -> RangeChoice:
    """Return the best scale and zero point of an unsigned integer: levels s (code - z).

    Both parameters are searched: the zero point over all codes, up to 4 bits one by one and
    beyond that by shrinking steps from the best of a coarse look at all ranges; for each zero
    point the scale as in `optimal_scale`.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 16.
    density : Density, str or array_like

    Raises
    ------
    InvalidValue
        If `bits` is outside its range or E[X^2] is infinite.
    """
    bits, density = integer("bits", bits, 1, _MOST_BITS), as_density(density)
    if not math.isfinite(density.second_moment):
        raise InvalidValue("E[x^2] is infinite: no zero point has a finite error")
    zero, scale = searched(bits, density)
    form = Integer(bits, signed=False, zero_point=zero)
    return _choice("best scale and zero point", form, density, scale)


def _rounded(form: ScalarFormat, density: Density) -> Iterator[RangeChoice]:
    """Yield the best power-of-two scale, and the best integer bias where it is another one."""
    interval = search_interval(form, density)
    offset = 0.0
    if isinstance(form, FloatingPoint):
        offset = form.bias - math.floor(form.bias)
        best = search_octaves(form, density, interval, offset)
        yield _choice("best integer bias", form, density, best.scale, best.report)
    if offset or not isinstance(form, FloatingPoint):
        best = search_octaves(form, density, interval)
        yield _choice("best power-of-two scale", form, density, best.scale, best.report)


def _limits(density: Density, quantiles: Sequence[float]) -> Iterator[tuple[str, float]]:
    low, high = density.support
    limit = max(abs(low), abs(high))
    if 0 < limit < math.inf:
        yield "min-max", limit
    limit = abs(density.mean) + 3 * math.sqrt(density.variance)
    if limit > 0:
        yield "mean +- 3 std", limit
    for p in quantiles:
        low, high = (float(x) for x in density.ppf([1 - p, p]))
        if max(-low, high) > 0:
            yield f"quantile {p:g}", max(-low, high)


def _choice(
    rule: str,
    form: ScalarFormat,
    density: Density,
    scale: float,
    report: ErrorReport[float] | None = None,
) -> RangeChoice:
    return RangeChoice(
        rule,
        scale,
        scale * form.max_value,
        form.bias_at(scale),
        form.zero_point if isinstance(form, Integer) and not form.signed else None,
        report or quantization_error(form, density, scale),
        0.0,
    )


def _against(choice: RangeChoice, best_db: float) -> RangeChoice:
    same = choice.report.sqnr_db == best_db
    return RangeChoice(
        choice.rule,
        choice.scale,
        choice.max_value,
        choice.bias,
        choice.zero_point,
        choice.report,
        0.0 if same else best_db - choice.report.sqnr_db,
    )
