"""Formats that compete along a parameter: the errors of each at every value of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from qerror._arrays import positive
from qerror.analysis.single import quantization_error
from qerror.densities.clipped import Clipped
from qerror.densities.density import Density
from qerror.densities.names import at_parameter, density_name, own_parameter, parameter_values
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import PowerOfTwo
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize._block_costs import tensor_size
from qerror.optimize.ranking import BLOCK_SIZE, RANGE_PARAMETERS, TIE, Formats, listed
from qerror.optimize.tracked import Tracked

_AMBIGUOUS = ("scale", "bias")
"""Parameters that a quantizer has: those of a density by these names need their prefix."""


@dataclass(frozen=True)
class Contest:
    """Formats and their ln MSE as a function of the swept value."""

    formats: tuple[Format, ...]
    log_mse: Callable[[int, float], float]
    over: str
    """The swept parameter, by name."""
    whole: bool
    """Whether the swept value is a whole number."""
    prepare: Callable[[Sequence[float]], None]
    """Told once, in order, what values will be asked for."""

    def winner(self, value: float, incumbent: int = 0) -> int:
        """Return the index of the best format; of equally good ones the incumbent or the earliest.

        Raises
        ------
        InvalidValue
            If every MSE is infinite.
        """
        errors = [self.log_mse(i, value) for i in range(len(self.formats))]
        least = min(errors)
        if least == math.inf:
            raise InvalidValue(
                f"E[X^2] is infinite at {self.over} = {value:g}, and so is every MSE; look "
                "elsewhere"
            )
        if errors[incumbent] <= least + TIE:
            return incumbent
        return next(i for i, error in enumerate(errors) if error <= least + TIE)

    def lead(self, other: int, index: int, value: float) -> float:
        """Return by how much the ln MSE of a format is below another's; 0 if both are infinite."""
        ours, theirs = self.log_mse(index, value), self.log_mse(other, value)
        return 0.0 if ours == theirs else theirs - ours

    def index(self, form: Format) -> int:
        """Return the place of a format."""
        return self.formats.index(form)


def contest_of(
    formats: Formats,
    density: Density,
    over: str,
    limits: tuple[float, float],
    *,
    binade_average: bool,
) -> Contest:
    """Return what competes along a parameter between two limits; see `format_switches`."""
    chosen = _checked(listed(formats), density, over, limits)

    tracked = dict[Format, Tracked]()
    for each in chosen:
        if isinstance(each, ScalarFormat):
            tracked[each] = Tracked(each)

    @cache
    def log_mse(index: int, value: float) -> float:
        form = chosen[index]
        if form in tracked and over not in RANGE_PARAMETERS:
            moved = at_parameter(density, own_parameter(over), value)
            mse = tracked[form].at(value, moved).report.mse
        else:
            mse = _mse(form, density, over, value, binade_average)
        return math.log(mse) if mse > 0 else -math.inf

    def prepare(values: Sequence[float]) -> None:
        if over not in RANGE_PARAMETERS:
            for each in tracked.values():
                each.prepare(values, lambda x: at_parameter(density, own_parameter(over), x))

    return Contest(tuple(chosen), log_mse, over, over == BLOCK_SIZE, prepare)


def _checked(
    formats: list[Format], density: Density, over: str, limits: tuple[float, float]
) -> Sequence[Format]:
    """Return the formats that the parameter moves, and refuse a parameter that is none."""
    if over in RANGE_PARAMETERS:
        positive("low", limits[0])
        left = [form for form in formats if not isinstance(form, FixedPoint)]
        if not left:
            raise InvalidValue(f"fixed point has no {over} to sweep; sweep std, or leave it out")
        return [as_scalar_format(form) for form in left]
    if over == BLOCK_SIZE:
        for form in formats:
            _check_size(form, limits)
        return formats
    _check_own(density, over)
    return formats


def _check_own(density: Density, over: str) -> None:
    """Refuse what is no parameter of the density, or what a quantizer has too."""
    names = [f"density.{own}" if own in _AMBIGUOUS else own for own in parameter_values(density)]
    known = ", ".join([*names, *RANGE_PARAMETERS, BLOCK_SIZE])
    if over in _AMBIGUOUS:
        raise InvalidValue(
            f"cannot sweep {over!r}: it is the quantizer's, and every format stands at its best; "
            f"for the density's own write density.{over}. {density_name(density)} has {known}"
        )
    if own_parameter(over) not in parameter_values(density):
        raise InvalidValue(f"cannot sweep {over!r} of {density_name(density)}; there are {known}")


def _check_size(form: Format, limits: tuple[float, float]) -> None:
    """Refuse a format that does not come in blocks of every size between the limits."""
    whole = tensor_size(form) if isinstance(form, BlockFormat) else None
    if whole is not None:
        raise InvalidValue(
            f"{form.name} has a scale for {whole:,} values, and not every block size divides "
            "that: sweep over those that do, such as block_size = 16, 32, 64"
        )
    for limit in limits:
        _resized(form, limit)


def _resized(form: Format, size: float) -> BlockFormat:
    if not isinstance(form, BlockFormat):
        raise InvalidValue(
            f"{form.name} has no block size to sweep; that is for block formats such as mxfp4, "
            "nf4:g64 or int4:g32"
        )
    if not size.is_integer():
        raise InvalidValue(f"block_size must be a whole number, got {size:g}")
    return replace(form, block_size=int(size))


def _mse(form: Format, density: Density, over: str, value: float, binade_average: bool) -> float:
    if over == BLOCK_SIZE:
        return _of_blocks(_resized(form, value), density, binade_average)
    if over == "max_value":
        scalar = as_scalar_format(form)
        return quantization_error(scalar, density, scalar.scale_for(value)).mse
    if over == "range":
        scalar = as_scalar_format(form)
        clipped = Clipped(density, -value, value)
        return quantization_error(scalar, clipped, scalar.scale_for(value)).mse
    moved = at_parameter(density, own_parameter(over), value)
    return _of_blocks(cast("BlockFormat", form), moved, binade_average)


def _of_blocks(form: BlockFormat, density: Density, binade_average: bool) -> float:
    averaged = binade_average and isinstance(form.scale, PowerOfTwo)
    return quantization_error(form, density, binade_average=averaged).mse
