"""The figures of one tensor: every format at two ranges, measured and predicted."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from qerror._arrays import FrozenMapping
from qerror.analysis.report import decibels
from qerror.analysis.single import quantization_error
from qerror.checkpoints.bound import most_too_large
from qerror.checkpoints.remarks import remarks_on, why_it_fails
from qerror.checkpoints.report import Bin, FormatFigures, TensorReport
from qerror.checkpoints.spread import channel_ratio
from qerror.checkpoints.tally import Distribution
from qerror.densities.density import Density
from qerror.densities.names import density_name, parameter_values
from qerror.exceptions import QErrorException
from qerror.fitting.counted import fit_counted
from qerror.fitting.result import FitResult
from qerror.formats.block import BlockFormat
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.scale import optimal_scale
from qerror.simulation.block_sums import BlockSums, at_largest
from qerror.storage.tensor import StoredTensor

TOLERANCE_DB = 0.5
"""By how much a prediction may miss the measured SQNR and still hold."""

_REACH, _CELLS = 5.0, 50  # of histograms, in roots of the mean of x^2
_MOST_SEARCHED = 1 << 29  # levels times values
_TRIED = 49
_SMALLEST, _LARGEST = 1e-140, 1e150  # magnitudes whose squares float64 holds


def report_of(  # noqa: PLR0917 - what is known of one tensor
    tensor: StoredTensor,
    formats: tuple[Format, ...],
    families: tuple[str, ...],
    found: Distribution | None,
    blocks: Mapping[int, BlockSums],
    why_not: Callable[[Format], str],
) -> TensorReport:
    """Return the report of a tensor.

    Parameters
    ----------
    tensor : StoredTensor
        Its name, shape and place.
    formats : tuple of Format
        The formats, in the order of the rows.
    families : tuple of str
        Of the densities that are fitted.
    found : Distribution or None
        Its values; None where it has none.
    blocks : mapping
        What was measured for formats that share scales, by their places.
    why_not : callable
        Returns why a format cannot hold the tensor; empty if it can.
    """
    empty = _why_empty(found)
    rows: tuple[FormatFigures, ...]
    if found is None or empty:
        fitted, ratio, note = None, math.nan, empty
        rows = tuple(_nothing(form) for form in formats)
    else:
        fitted, ratio = fitted_to(found, families), channel_ratio(tensor)
        note, why = remarks_on(found, fitted, ratio), why_it_fails(found, fitted, ratio)
        rows = tuple(
            _explained(_figures(form, found, fitted, blocks.get(i), why_not(form)), why)
            for i, form in enumerate(formats)
        )
    name, parameters = _described(fitted)
    mean, power, kurtosis = _moments(found) if found is not None else (math.nan,) * 3
    return TensorReport(
        tensor=tensor.name,
        file=tensor.path.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        bits_per_value=tensor.encoding.bits,
        size=tensor.size,
        nan=0 if found is None else found.nan,
        infinite=0 if found is None else found.infinite,
        absmax=found.absmax if found is not None and found.size else math.nan,
        mean=mean,
        signal_power=power,
        kurtosis=kurtosis,
        density=name,
        parameters=parameters,
        channel_ratio=ratio,
        note=note,
        formats=rows,
        histogram=() if found is None or empty else _histogram(found, fitted),
    )


def _histogram(found: Distribution, fitted: FitResult | None) -> tuple[Bin, ...]:
    edges = np.linspace(-_REACH, _REACH, _CELLS + 1)
    rms = math.sqrt(found.power)
    counts, _ = np.histogram(found.values, edges * rms, weights=found.counts.astype(np.float64))
    shares = counts / found.size
    smooth = np.zeros(_CELLS)
    if fitted is not None:
        smooth = np.diff(np.asarray(fitted.predictive.cdf(edges * rms)))
    centres = 0.5 * (edges[:-1] + edges[1:])
    rows = zip(centres.tolist(), shares.tolist(), smooth.tolist(), strict=True)
    return tuple(Bin(*row) for row in rows)


def _figures(
    form: Format,
    found: Distribution,
    fitted: FitResult | None,
    sums: BlockSums | None,
    why_not: str,
) -> FormatFigures:
    if isinstance(form, BlockFormat):
        return _blocks(form, found, fitted, sums, why_not)
    return _scalar(as_scalar_format(form), found, fitted)


def _why_empty(found: Distribution | None) -> str:
    """Return why there is nothing to measure; empty if there is."""
    if found is None:
        return "it has no values"
    if not found.size:
        return "none of its values is finite"
    if not found.absmax:
        return "all its finite values are 0"
    if not _SMALLEST < found.absmax < _LARGEST:
        return f"its largest magnitude is {found.absmax:g}, whose square float64 does not hold"
    return ""


def _nothing(form: Format) -> FormatFigures:
    nan = math.nan
    best = None if isinstance(form, BlockFormat) else nan
    return FormatFigures(form.name, form.bits_per_value, nan, nan, best, nan, nan, nan)


def fitted_to(found: Distribution, families: tuple[str, ...]) -> FitResult | None:
    """Return the density fitted to a tensor's values; None if no family can have made them."""
    if not families:
        return None
    try:
        return fit_counted(
            found.values,
            found.counts,
            families,
            precision=found.precision,
            spread=found.spread,
            are_distinct=found.is_exact,
        )
    except QErrorException:  # such as families that exclude the data
        return None


def _described(fitted: FitResult | None) -> tuple[str, FrozenMapping[str, float]]:
    """Return the name of the fitted density and its parameters."""
    if fitted is None:
        return "", FrozenMapping({})
    if not fitted.candidates:
        return "point masses", FrozenMapping({})
    best = fitted.candidates[0]
    values = {name: float(each) for name, each in parameter_values(best.density).items()}
    return density_name(best.density), FrozenMapping(values)


def _moments(found: Distribution) -> tuple[float, float, float]:
    """Return the mean, the mean square and the kurtosis."""
    if not found.size:
        return math.nan, math.nan, math.nan
    if not _SMALLEST < found.absmax < _LARGEST:  # zeros, or what Empirical refuses
        return (0.0, 0.0, math.nan) if not found.absmax else (math.nan, math.nan, math.nan)
    mean = found.sample.mean
    d = found.values - mean
    unit = float(np.abs(d).max())
    if unit == 0:
        return mean, found.power, math.nan
    weight = found.counts / found.size
    d /= unit
    inside = found.spread / unit**2
    square = float(weight @ (d * d))
    # Within a bin E d^4 = m^4 + 6 m^2 v + ..., and v is 1e-7 of m^2 at most.
    fourth = float(weight @ d**4) + 6 * square * inside
    return mean, found.power, fourth / (square + inside) ** 2


def _scalar(form: ScalarFormat, found: Distribution, fitted: FitResult | None) -> FormatFigures:
    if form.max_value <= 0:
        return _with_note(_nothing(form), "no level is positive")
    scale = form.scale_for(found.absmax)
    if isinstance(form, FixedPoint):
        scale = 2.0 ** math.ceil(math.log2(scale))
    at_largest_value = quantization_error(form, found.sample, scale).mse + found.spread
    tried, note = _best(form, found)
    # The search may end beside a range that a user would try first.
    mse, scale = min((tried[0] + found.spread, tried[1]), (at_largest_value, scale))
    return FormatFigures(
        form.name,
        form.bits_per_value,
        at_largest_value,
        decibels(found.power, at_largest_value),
        scale * form.max_value,
        mse,
        decibels(found.power, mse),
        _predicted(lambda density: quantization_error(form, density, scale).sqnr_db, fitted),
        most_too_large(form, found, scale, mse),
        note=note,
    )


def _best(form: ScalarFormat, found: Distribution) -> tuple[tuple[float, float], str]:
    """Return the least mean squared error and its scale, and what is to be said of the search."""
    levels = form.grid().size
    if isinstance(form, FixedPoint) or levels * found.values.size <= _MOST_SEARCHED:
        best = optimal_scale(form, found.sample)
        return (best.report.mse, best.scale), ""
    # Fine steps lose so little to rounding that clipping hardly ever pays.
    scales = form.scale_for(found.absmax) * np.linspace(0.25, 1.0, _TRIED)
    mse = quantization_error(form, found.sample, scales).mse
    least = int(np.argmin(mse))
    return (float(mse[least]), float(scales[least])), f"the best of {_TRIED} ranges tried"


def _blocks(
    form: BlockFormat,
    found: Distribution,
    fitted: FitResult | None,
    sums: BlockSums | None,
    why_not: str,
) -> FormatFigures:
    if sums is None or why_not:
        return _with_note(_nothing(form), why_not)
    if not sums.size:
        return _with_note(_nothing(form), "every block has a value that is not finite")
    mse = sums.noise / sums.size
    sqnr = decibels(sums.power, sums.noise)
    alone = at_largest(form, found.absmax)
    note = f"{sums.spoiled:,} finite values share a block with others" if sums.spoiled else ""
    predicted = _predicted(lambda density: quantization_error(alone, density).sqnr_db, fitted)
    name, bits = form.name, form.bits_per_value
    return FormatFigures(name, bits, mse, sqnr, None, mse, sqnr, predicted, note=note)


def _predicted(sqnr: Callable[[Density], float], fitted: FitResult | None) -> float:
    if fitted is None:
        return math.nan
    try:
        return sqnr(fitted.predictive)
    except QErrorException:  # a density so narrow or so wide that its squares leave float64
        return math.nan


def _with_note(figures: FormatFigures, note: str) -> FormatFigures:
    return replace(figures, note=note)


def _explained(figures: FormatFigures, why: str) -> FormatFigures:
    """Say whether the prediction holds, and if not, why."""
    predicted, measured = figures.predicted_sqnr_db, figures.best_sqnr_db
    if math.isnan(predicted) or math.isnan(measured):
        return figures
    if predicted == measured or abs(predicted - measured) <= TOLERANCE_DB:
        return replace(figures, holds=True)
    said = f"prediction off by {predicted - measured:+.2f} dB: {why}"
    return replace(figures, holds=False, note="; ".join(filter(None, (figures.note, said))))
