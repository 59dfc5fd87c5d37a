"""Ways to choose a range, side by side: what each loses against the optimum."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qerror._arrays import real
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
from qerror.optimize.scale import optimal_scale, search_octaves
from qerror.tables import short

_TAILS = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
_ALL_BITS = 4  # widths at which every zero point is tried
_STEPS = (1, 2, 4, 8, 16, 32)


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


def compare_ranges(
    format: Format | str,  # noqa: A002 - the field's word
    density: DensityLike,
    quantiles: Sequence[float] = (0.999, 0.9999, 0.99999),
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
    best = optimal_scale(form, density)
    found = [_choice("best scale", form, density, best.scale, best.report)]
    found += _rounded(form, density)
    if isinstance(form, Integer):
        found.append(best_zero_point(form.bits, density))
    for rule, limit in _limits(density, quantiles):
        scale = form.scale_for(limit)
        found.append(_choice(rule, form, density, scale))
    return tuple(_against(choice, best.report.sqnr_db) for choice in found)


def best_zero_point(bits: int, density: DensityLike) -> RangeChoice:
    """Return the best scale and zero point of an unsigned integer: levels s (code - z).

    Both parameters are searched: the zero point over all codes, up to 4 bits one by one and
    beyond that from ranges between quantiles by shrinking steps; for each zero point the scale
    as in `optimal_scale`.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 16.
    density : Density, str or array_like
    """
    density = as_density(density)
    mirrored = density.affine(-1.0)
    top = 2**bits - 1
    tried: dict[int, RangeChoice] = {}

    def attempt(zero: int, step: float | None = None) -> RangeChoice:
        """Return the best scale at this zero point, near this step if one is given."""
        if zero not in tried:
            # From the longer side, so that the largest level is never 0.
            side, flipped = (density, zero) if 2 * zero <= top else (mirrored, top - zero)
            form = Integer(bits, signed=False, zero_point=flipped)
            low, high = (None, None) if step is None else (step / 4, step * 4)
            reach = top - flipped
            best = optimal_scale(form, side, low=low and low * reach, high=high and high * reach)
            if best.at_edge and step is not None:
                best = optimal_scale(form, side)
            form = Integer(bits, signed=False, zero_point=zero)
            tried[zero] = _choice("best scale and zero point", form, density, best.scale)
        return tried[zero]

    if bits <= _ALL_BITS:
        return min(map(attempt, range(top + 1)), key=_mse)
    best = min((attempt(*start) for start in _starts(density, top)), key=_mse)
    for step in reversed(_STEPS):
        while True:
            zero = best.zero_point or 0
            near = [z for z in (zero - step, zero + step) if 0 <= z <= top]
            better = min((attempt(z, best.scale) for z in near), key=_mse, default=best)
            if not _mse(better) < _mse(best):
                break
            best = better
    return best


def _mse(choice: RangeChoice) -> float:
    return choice.report.mse


def _starts(density: Density, top: int) -> set[tuple[int, float]]:
    """Return zero points and steps that span quantiles of the density and 0."""
    found: dict[int, float] = {}
    for p in _TAILS:
        low, high = (float(x) for x in density.ppf([p, 1 - p]))
        low, high = min(low, 0.0), max(high, 0.0)
        if math.isfinite(high - low) and high > low:
            zero = round(-low / (high - low) * top)
            found.setdefault(zero, (high - low) / top)
    return set(found.items())


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
