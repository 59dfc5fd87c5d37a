"""What rounding does to data on average over its own draws: exact for the sample."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.analysis.report import mean_report
from qerror.analysis.single import quantization_error
from qerror.densities.empirical import Empirical
from qerror.exceptions import InvalidValue
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format, as_scalar_format
from qerror.rounding import as_rule
from qerror.simulation.figures import Figures
from qerror.simulation.measure import Measured, measure_error
from qerror.storage.source import StoredArray


def expected_measure(
    array: StoredArray | npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    rounding: str = "nearest-even",
    progress: Progress | None = None,
) -> Measured:
    """Return the mean errors over the finite values of data, without a random draw.

    As `measure_error`, but of stochastic rounding the figures are the expectations over its draws,
    E[e^2] = (x - a)(b - x) for a value x between two levels, which no single run shows.

    Parameters
    ----------
    array, format, scale, axis, rounding, progress
        As for `measure_error`; stochastic rounding of values that stand alone only.

    Raises
    ------
    InvalidValue, InvalidType
        As for `measure_error`; if a block format is to be rounded at random.

    Examples
    --------
    >>> from qerror.crosscheck import expected_measure
    >>> found = expected_measure(np.array([0.25, 1.5]), "int4", rounding="stochastic")
    >>> found.figures.mse == (0.25 * 0.75 + 0.5 * 0.5) / 2
    True
    """
    form, rule = as_format(format), as_rule(rounding)
    if rule.mode != "stochastic":
        return measure_error(array, form, scale, axis=axis, rounding=rounding, progress=progress)
    if isinstance(form, BlockFormat):
        raise InvalidValue(
            f"the expectation of {rounding} rounding is known for values that stand alone: "
            f"take another rounding for {form.name}, or one draw of it with `qerror quantize`"
        )
    found = measure_error(array, form, scale, axis=axis, progress=progress)
    if not found.size:
        return found
    values = array.values() if isinstance(array, StoredArray) else np.asarray(array)
    parts = list(_by_scale(values, np.asarray(scale, dtype=np.float64)))
    reports = [
        quantization_error(as_scalar_format(form), Empirical(x), s, rounding=rounding)
        for x, s in parts
    ]
    mean = mean_report(reports, [float(x.size) for x, _ in parts])
    return replace(found, figures=Figures(**mean.to_dict()))


def _by_scale(values: FloatArray, scales: FloatArray) -> list[tuple[FloatArray, float]]:
    """Return the finite values that stand at each scale."""
    if scales.size == 1:
        return [(values[np.isfinite(values)], float(scales.reshape(())))]
    for axis, (length, count) in enumerate(zip(values.shape, scales.shape, strict=True)):
        if 1 < count < length:
            scales = np.repeat(scales, length // count, axis)
    every = np.broadcast_to(scales, values.shape)
    finite = np.isfinite(values)
    x, at = values[finite], every[finite]
    order = np.argsort(at, kind="stable")
    distinct, starts = np.unique(at[order], return_index=True)
    return list(zip(np.split(x[order], starts[1:]), map(float, distinct), strict=True))
