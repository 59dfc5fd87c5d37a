"""What an analysis is asked for, checked at the door: the grid, the scales, the mode."""

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, positive_array, real_array
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_grid, as_scalar_format
from qerror.grids import Grid
from qerror.rounding import as_rounding


def grid_and_scales(
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


def require_own_scales(
    form: BlockFormat,
    scale: npt.ArrayLike,
    max_value: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
) -> None:
    if max_value is not None or bias is not None or np.ndim(scale) or scale != 1:
        raise InvalidValue(
            f"{form.name} takes its scales from the data, so it has no scale, max_value or bias to "
            "set; to move the data instead, scale the density: density.affine(2.0)"
        )


def require_default(form: BlockFormat, rounding: str, method: str) -> None:
    _require_nearest_even(rounding)
    if method != "quadrature":
        raise InvalidValue(f"{form.name} is analysed by the default method, got {method!r}")


def _require_nearest_even(rounding: str) -> None:
    mode = as_rounding(rounding)
    if mode != "nearest-even":
        raise InvalidValue(
            f"the exact error is for rounding='nearest-even', got {rounding!r}; the other modes "
            "can be simulated: qerror.estimate_error"
        )
