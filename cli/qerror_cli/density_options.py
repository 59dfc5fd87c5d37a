"""The options that choose densities: --dist and its parameters."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.parameters import Over

if TYPE_CHECKING:
    from qerror.densities import Density

PARAMETERS = {
    "nu": "degrees of freedom (student-t)",
    "mean": "mean (gaussian)",
    "std": "standard deviation (gaussian, half-gaussian)",
    "low": "lower limit (uniform, truncated, clipped)",
    "high": "upper limit (uniform, truncated, clipped)",
    "loc": "location (student-t, laplace, logistic)",
    "beta": "shape (generalized-gaussian)",
    "scale": "the density's own scale (student-t, laplace, logistic)",
}
"""The parameters of densities that have an option, with its help."""

_QUANTIZER = ("scale", "max_value", "bias")


@dataclass(frozen=True)
class Densities:
    """The densities that were asked for, as text, and the parameters given as options."""

    texts: Sequence[str]
    parameters: Mapping[str, float]

    def parse(self, over: Over | None = None) -> "list[Density]":
        """Return the densities; a swept parameter of theirs starts at its first value.

        Raises
        ------
        click.UsageError
            If an option belongs to none of them, or is swept too, or a needed one is missing.
        """
        from qerror.densities import parse_density

        if not self.texts:
            raise click.UsageError(
                "no density given; add one, for example --dist student-t --nu 3. "
                "See: qerror densities"
            )
        taken = [_parameter_names(text) for text in self.texts]
        self._refuse_strangers(taken, over)
        self._refuse_unswept(taken, over)
        swept = {over.name: over.values[0]} if over and over.name not in _QUANTIZER else {}
        given = {**self.parameters, **swept}
        densities: list[Density] = []
        for text, names in zip(self.texts, taken, strict=True):
            own = {name: value for name, value in given.items() if name in names}
            _refuse_incomplete(text, own)
            densities.append(parse_density(text, **own))
        return densities

    def parse_one(self) -> "Density":
        """Return the density of a command that takes a single one."""
        if len(self.texts) > 1:
            raise click.UsageError(
                f"this command takes one --dist, got {len(self.texts)}; "
                "to compare densities use: qerror sweep"
            )
        return self.parse()[0]

    def _refuse_strangers(self, taken: Sequence[Sequence[str]], over: Over | None) -> None:
        known = {name for names in taken for name in names}
        for name in self.parameters:
            if name not in known:
                listed = " and ".join(
                    f"{text!r} takes {', '.join(names)}"
                    for text, names in zip(self.texts, taken, strict=True)
                )
                raise click.UsageError(
                    f"{option_of(name)} is no parameter of any density named by --dist: {listed}. "
                    "See: qerror densities"
                )
            if over and over.name == name and name not in _QUANTIZER:
                raise click.UsageError(f"{name} is given by {option_of(name)} and by --over")

    def _refuse_unswept(self, taken: Sequence[Sequence[str]], over: Over | None) -> None:
        """Refuse a swept name before a density is found to lack the parameter that it meant."""
        from qerror.registry import nearest

        for text, names in zip(self.texts, taken, strict=True):
            known = [*names, *_QUANTIZER]
            if over and over.name not in known:
                close = nearest(over.name, {name: name for name in known}, most=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise click.UsageError(
                    f"cannot sweep {over.name!r}: {text!r} has {', '.join(names)}; "
                    f"the formats have {', '.join(_QUANTIZER)}{hint}"
                )


def option_of(parameter: str) -> str:
    """Return the option that sets a parameter of a density."""
    return "--density-scale" if parameter == "scale" else f"--{parameter}"


def density_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --dist and the parameters' options; the command receives `densities`."""

    @functools.wraps(command)
    def gathered(dist: tuple[str, ...], **given: Any) -> None:
        values = {name: given.pop(f"density_{name}") for name in PARAMETERS}
        chosen = {name: value for name, value in values.items() if value is not None}
        command(densities=Densities(dist, chosen), **given)

    add = click.option(
        "--dist",
        multiple=True,
        metavar="DENSITY",
        help="A density: a name such as student-t, with its parameters as options, or a call "
        "such as 'student-t(nu=3)' or 'truncated(gaussian(std=2), low=-3, high=3)'. "
        "See: qerror densities  [required]",
    )
    decorated: Callable[..., None] = gathered
    for name, text in reversed(PARAMETERS.items()):
        option = click.option(option_of(name), f"density_{name}", type=float, help=text)
        decorated = option(decorated)
    return add(decorated)


def _parameter_names(text: str) -> list[str]:
    """Return the parameters of the outermost density of a text."""
    from qerror.densities import DENSITIES
    from qerror.densities.names import parameter_names

    return parameter_names(DENSITIES[text.partition("(")[0].strip()])


def _refuse_incomplete(text: str, given: Mapping[str, float]) -> None:
    """Say which option is missing where a bare name needs one."""
    from qerror.densities import DENSITIES, density_name

    name = text.strip()
    if "(" in name:
        return
    missing = [
        field.name
        for field in dataclasses.fields(DENSITIES[name].make)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in given
    ]
    if missing and set(missing) <= set(PARAMETERS):
        options = " and ".join(f"{option_of(key)} NUMBER" for key in missing)
        example = density_name(DENSITIES[name].example)
        raise click.UsageError(
            f"{name} needs {', '.join(missing)}: add {options}, or write --dist '{example}'"
        )
