"""What a fitted density says that a quantizer does to the data."""

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.analysis.report import ErrorReport, mean_report
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.fitting.channels import ChannelSpread
from qerror.fitting.result import FitResult, joined
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format

NEAREST = "nearest-even"
_MOST_CHANNELS = 32  # on whose values blocks are predicted


def predicted_error(
    fitted: FitResult,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    rounding: str = NEAREST,
) -> ErrorReport[float]:
    """Return the exact errors of a format on the density that was fitted to an array.

    Parameters
    ----------
    fitted : FitResult
        Of the array.
    format : Format or str
        The format.
    scale : float or ndarray
        One scale, or one a channel in the shape of `ChannelScales.scale`.
    axis : int, optional
        Along which the blocks of a block format lie; by default the last.
    rounding : str
        As for `quantization_error`; of blocks to the nearest even alone.

    Returns
    -------
    ErrorReport
        The mean over all values. Where the fit knows the channels' spreads
        (`FitResult.channels`), each channel has its own: those that share a scale with others
        as a mixture.
    """
    form = as_format(format)
    if isinstance(form, BlockFormat):
        if rounding != NEAREST:
            raise InvalidValue(f"blocks are analysed for rounding to nearest even, got {rounding}")
        return _of_blocks(fitted, form, axis)
    scales = np.asarray(scale, dtype=np.float64)
    return _at_scales(fitted, as_scalar_format(form), scales, rounding)


def _at_scales(
    fitted: FitResult, form: ScalarFormat, scale: FloatArray, rounding: str
) -> ErrorReport[float]:
    spread, own = fitted.channels, fitted.channel_lattices
    if own is not None and scale.size == len(own.densities) and scale.shape[own.axis] > 1:
        at = zip(own.densities, scale.reshape(-1).tolist(), strict=True)
        reports = [quantization_error(form, each, s, rounding=rounding) for each, s in at]
        return mean_report(reports)
    if scale.size == 1:
        one = float(scale.reshape(-1)[0])
        if spread is None:
            return quantization_error(form, fitted.predictive, one, rounding=rounding)
        return _by_channel(fitted, spread, form, np.full(spread.spread.size, one), rounding)
    if spread is None or spread.axis != int(np.argmax(scale.shape)):
        found = quantization_error(form, fitted.predictive, scale.reshape(-1), rounding=rounding)
        return _mean(found, np.ones(scale.size))
    return _by_channel(fitted, spread, form, scale.reshape(-1), rounding)


def _by_channel(
    fitted: FitResult,
    spread: ChannelSpread,
    form: ScalarFormat,
    scales: FloatArray,
    rounding: str,
) -> ErrorReport[float]:
    """Return the mean over channels: a channel of spread r at scale s is one of spread 1 at s/r."""
    used = spread.spread > 0
    units = spread.spread[used]
    of_units = quantization_error(
        form, spread.predictive_shape, scales[used] / units, rounding=rounding
    )
    powers = dict.fromkeys((each.name for each in fields(ErrorReport)), 2)
    powers |= {"mean_error": 1, "signal_mean": 1}
    figures = {name: getattr(of_units, name) * units**power for name, power in powers.items()}
    smooth = _mean(ErrorReport(**figures), spread.shares[used])
    if not fitted.atoms:
        return smooth
    total = sum(share for _, share in fitted.atoms)
    masses = joined(None, fitted.atoms)
    of_masses = quantization_error(form, masses, scales, rounding=rounding)
    apart = _mean(of_masses, np.ones(scales.size))
    return mean_report([smooth, apart], [1 - total, total])


def _mean(report: ErrorReport[FloatArray], weights: FloatArray) -> ErrorReport[float]:
    """Return the weighted mean of an array of errors."""
    shares = weights / weights.sum()
    names = [each.name for each in fields(ErrorReport)]
    return ErrorReport(**{name: float(shares @ getattr(report, name)) for name in names})


def _of_blocks(fitted: FitResult, form: BlockFormat, axis: int | None) -> ErrorReport[float]:
    spread, own = fitted.channels, fitted.channel_lattices
    if own is not None and (-1 if axis is None else axis) % own.dimensions != own.axis:
        return mean_report([quantization_error(form, each) for each in own.spaced(_MOST_CHANNELS)])
    if spread is None or (-1 if axis is None else axis) % spread.dimensions == spread.axis:
        return quantization_error(form, fitted.predictive)
    # A block lies in one channel: its values share a spread.
    units, shares = spread.classes()
    parts: list[Density] = [spread.predictive_shape.affine(unit) for unit in units.tolist()]
    reports = [quantization_error(form, joined(part, fitted.atoms)) for part in parts]
    return mean_report(reports, shares.tolist())
