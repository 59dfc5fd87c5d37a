"""Where a format stands: --scale, --max-value, --bias, and the ranges that data choose."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from qerror_cli.parameters import MaxValueType

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.execution import Progress
    from qerror.formats import Format, ScalarFormat
    from qerror.storage import StoredArray

MaxValue: TypeAlias = float | Literal["best", "absmax"]
"""A largest level, or the rule that finds one."""


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --scale, --max-value and --bias."""
    add = (
        click.option("--scale", type=float, help="Multiply every level of the format by this."),
        click.option(
            "--max-value",
            type=MaxValueType(),
            help="Scale the format so that this is its largest level; 'best' for the least mean "
            "squared error, 'absmax' for the largest magnitude of the data.",
        ),
        click.option(
            "--bias", type=float, help="Exponent bias of a floating-point format, any real."
        ),
    )
    for option in reversed(add):
        command = option(command)
    return command


def check_range(given: Mapping[str, object]) -> None:
    """Refuse more than one option that sets the range."""
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(
            f"{' and '.join(named)} each set the range; give one of {', '.join(given)}"
        )


def scale_of(
    form: "ScalarFormat", scale: float | None, max_value: float | None, bias: float | None
) -> float:
    """Return the scale that the options ask for; without any it is 1."""
    check_range({"--scale": scale, "--max-value": max_value, "--bias": bias})
    if max_value is not None:
        return form.scale_for(max_value)
    if bias is not None:
        return _scale_of_bias(form, bias)
    return 1.0 if scale is None else scale


def _scale_of_bias(form: "ScalarFormat", bias: float) -> float:
    from qerror.formats import FloatingPoint

    if not isinstance(form, FloatingPoint):
        raise click.UsageError(
            f"{form.name} has no exponent bias, got --bias {bias:g}; use --scale or --max-value"
        )
    return form.scale_at(bias)


@dataclass(frozen=True)
class DataRange:
    """Where a format is put on data: what the range options say."""

    scale: float | None = None
    max_value: MaxValue | None = None
    bias: float | None = None
    axis: int | None = None

    def __post_init__(self) -> None:
        check_range({"--scale": self.scale, "--max-value": self.max_value, "--bias": self.bias})

    @property
    def rule(self) -> Literal["best", "absmax"] | None:
        """How the range is found for each array; None where it is given."""
        return self.max_value if isinstance(self.max_value, str) else None

    @property
    def is_open(self) -> bool:
        """Whether nothing was said."""
        return self.scale is self.max_value is self.bias is None

    def check(self, form: "Format") -> None:
        """Refuse what a format cannot have."""
        from qerror.formats import BlockFormat

        if isinstance(form, BlockFormat):
            if not self.is_open:
                raise click.UsageError(
                    f"{form.name} takes its scales from the data; leave out --scale, --max-value "
                    "and --bias"
                )
        elif self.axis is not None and self.rule is None:
            raise click.UsageError(
                "--axis gives every channel a range of its own: say how it is found, "
                "--max-value best or --max-value absmax"
            )

    def scales(
        self, form: "ScalarFormat", array: "StoredArray", rounding: str, progress: "Progress"
    ) -> Any:
        """Return the scale of an array, or those of its channels."""
        from qerror.optimize.stored import scales_of

        if self.rule is not None:
            return scales_of(
                form, array, self.rule, self.axis, rounding=rounding, progress=progress
            )
        number = self.max_value if isinstance(self.max_value, float) else None
        return scale_of(form, self.scale, number, self.bias)


def scale_of_density(
    form: "ScalarFormat", density: "Density", where: DataRange, rounding: str
) -> float:
    """Return the scale that the options ask for on a density."""
    from qerror.optimize import optimal_scale

    if where.rule == "absmax":
        raise click.UsageError(
            "--max-value absmax is for --data; a density is not bounded by what was drawn"
        )
    if where.rule == "best":
        found = optimal_scale(form, density, rounding=rounding).scale
        if math.isnan(found):
            raise click.UsageError("E[x^2] is infinite: no range is the best; give a number")
        return found
    number = where.max_value if isinstance(where.max_value, float) else None
    return scale_of(form, where.scale, number, where.bias)
