"""The options that choose densities: --dist and the parameters of the registered families."""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.data import dtype_option, open_source, say_left_out
from qerror_cli.output import say
from qerror_cli.parameters import DensityText, Over

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.densities.density import Family
    from qerror.storage import StoredArray

_MEANINGS = {
    "nu": "degrees of freedom",
    "mean": "mean",
    "std": "standard deviation",
    "low": "lower limit",
    "high": "upper limit",
    "loc": "location",
    "beta": "shape",
    "scale": "the density's own scale",
}
"""Words for the names of parameters that are usual; another one is named as it is."""

_TAKERS = Path(__file__).with_name("density_parameters.json")
"""Made by `qerror_cli.make_density_parameters`."""

_QUANTIZER = ("scale", "max_value", "bias")
"""Names that the range of a format has: the options of densities of that name are longer."""

_OF_FORMATS = (*_QUANTIZER, "block_size")
"""What is swept of formats."""


@dataclass(frozen=True)
class Densities:
    """The densities that were asked for, as text, and the parameters given as options."""

    texts: Sequence[str]
    parameters: Mapping[str, float]
    side: str = ""
    """Before the options' names: "weight-" of --weight-dist."""
    data: Path | None = None
    """A file whose arrays stand for their own values instead."""
    dtype: str | None = None
    """What its arrays are, where NumPy does not save it."""

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are spelled."""
        dist = [f"--{self.side}dist"] if self.texts else []
        return [*dist, *(self._option(name) for name in self.parameters)]

    def parse(self, over: Over | None = None) -> "list[Density]":
        """Return the densities; a swept parameter of theirs starts at its first value.

        Raises
        ------
        click.UsageError
            If an option belongs to none of them, or is swept too, or a needed one is missing.
        """
        from qerror.densities import parse_density

        if self.data is not None:
            return self._samples(over)
        if not self.texts:
            raise click.UsageError(
                "no density given; add one, for example --dist student-t --nu 3. "
                "See: qerror densities"
            )
        taken = [_parameter_names(text) for text in self.texts]
        self._refuse_strangers(taken)
        swept = self._swept(taken, over) if over else {}
        given = {**self.parameters, **swept}
        densities: list[Density] = []
        for text, names in zip(self.texts, taken, strict=True):
            own = {name: value for name, value in given.items() if name in names}
            self._refuse_incomplete(text, own)
            densities.append(parse_density(text, **own))
        return densities

    def standard(self) -> "Densities":
        """Return the standard Gaussian density, and say so, where nothing was given."""
        if self.given or self.data is not None:
            return self
        say("note: no density given: gaussian is taken. See: qerror densities")
        return dataclasses.replace(self, texts=("gaussian",))

    def starting(self, by: Over) -> "Densities":
        """Return these densities at the first value of a parameter of theirs that is swept."""
        own = by.name.removeprefix("density.")
        if own in self.parameters:
            raise click.UsageError(f"{own} is given by {self._option(own)} and by --by")
        if self.data is not None:
            raise click.UsageError(f"--data have no parameters; leave out --by {by.name}")
        if own not in parameters_of_densities():
            raise click.UsageError(
                f"--by sweeps a parameter of the densities, such as nu or std; got {by.name!r}"
            )
        return dataclasses.replace(self, parameters={**self.parameters, own: by.values[0]})

    def arrays(self) -> "list[StoredArray]":
        """Return the arrays of --data, and say what else the file holds."""
        assert self.data is not None
        if self.given:
            raise click.UsageError(
                f"--{self.side}data are values and take no density: leave out "
                f"{' and '.join(self.given)}"
            )
        found = open_source(self.data, self.dtype)
        arrays = [array for array in found if array.is_real and array.size]
        if not arrays:
            kinds = ", ".join(dict.fromkeys(str(array.dtype) for array in found if array.size))
            hint = f": it holds {kinds}; {_advice(found)}" if kinds else ""
            raise click.UsageError(f"there are no values in {str(self.data)!r}{hint}")
        say_left_out(self.data, [array for array in found if array not in arrays], "left out")
        return arrays

    def say_order(self, arrays: "Sequence[StoredArray]") -> None:
        """Name several arrays in the order in which they are shown."""
        if len(arrays) > 1:
            say(f"note: in this order: {', '.join(repr(array.name) for array in arrays)}")

    def array(self) -> "StoredArray":
        """Return the one array of --data.

        Raises
        ------
        click.UsageError
            If the file holds several.
        """
        found = self.arrays()
        if len(found) > 1:
            raise click.UsageError(
                f"this command takes one array, {str(self.data)!r} holds {len(found)}; "
                "to compare them use: qerror sweep"
            )
        return found[0]

    def _samples(self, over: Over | None) -> "list[Density]":
        """Return the values of every array of the file, each as a density of its own."""
        from qerror.densities import Empirical

        if over is not None and over.name not in _OF_FORMATS:
            raise click.UsageError(
                f"cannot sweep {over.name!r}: --data have no parameters; the formats have "
                f"{', '.join(_OF_FORMATS)}"
            )
        arrays = self.arrays()
        self.say_order(arrays)
        return [Empirical(array.values()) for array in arrays]

    def parse_one(self, over: Over | None = None) -> "Density":
        """Return the density of a command that takes a single one."""
        if self.data is not None:
            found = self.parse(over)
            if len(found) > 1:
                raise click.UsageError(
                    f"this command takes one array, {str(self.data)!r} holds {len(found)}; "
                    "to compare them use: qerror sweep"
                )
            return found[0]
        if len(self.texts) > 1:
            raise click.UsageError(
                f"this command takes one --dist, got {len(self.texts)}; "
                "to compare densities use: qerror sweep"
            )
        return self.parse(over)[0]

    def _option(self, parameter: str) -> str:
        return option_of(parameter, self.side)

    def _refuse_strangers(self, taken: Sequence[Sequence[str]]) -> None:
        known = {name for names in taken for name in names}
        for name in self.parameters:
            if name not in known:
                listed = " and ".join(
                    f"{text!r} takes {', '.join(names) or 'none'}"
                    for text, names in zip(self.texts, taken, strict=True)
                )
                raise click.UsageError(
                    f"{self._option(name)} is no parameter of any density named by "
                    f"--{self.side}dist: {listed}. See: qerror densities"
                )

    def _swept(self, taken: Sequence[Sequence[str]], over: Over) -> dict[str, float]:
        """Return the first value of a swept parameter of theirs, by its own name.

        What none of them has is refused before a density is found to lack what was meant.
        """
        from qerror.registry import nearest

        for text, names in zip(self.texts, taken, strict=True):
            known = [*(f"density.{n}" if n in _QUANTIZER else n for n in names), *_OF_FORMATS]
            if over.name not in {*known, *(f"density.{name}" for name in names)}:
                close = nearest(over.name, {name: name for name in known}, most=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                own = ", ".join(known[: -len(_OF_FORMATS)]) or "none"
                raise click.UsageError(
                    f"cannot sweep {over.name!r}: {text!r} has {own}; "
                    f"the formats have {', '.join(_OF_FORMATS)}{hint}"
                )
        if over.name in _OF_FORMATS:
            return {}
        own = over.name.removeprefix("density.")
        if own in self.parameters:
            raise click.UsageError(f"{own} is given by {self._option(own)} and by --over")
        return {own: over.values[0]}

    def _refuse_incomplete(self, text: str, given: Mapping[str, float]) -> None:
        """Say which option is missing where a bare name needs one."""
        from qerror.densities import DENSITIES, density_name

        name = text.strip()
        if "(" in name:
            return
        missing = [
            field.name
            for field in _fields(DENSITIES[name])
            if field.default is dataclasses.MISSING and field.name not in given
        ]
        if missing and set(missing) <= set(parameters_of_densities()):
            options = " and ".join(f"{self._option(key)} NUMBER" for key in missing)
            example = density_name(DENSITIES[name].example)
            raise click.UsageError(
                f"{name} needs {', '.join(missing)}: add {options}, or write "
                f"--{self.side}dist '{example}'"
            )


def option_of(parameter: str, side: str = "") -> str:
    """Return the option for a density's parameter: --nu, but --density-scale."""
    name = parameter.replace("_", "-")
    return f"--{side}density-{name}" if parameter in _QUANTIZER else f"--{side}{name}"


@functools.cache
def parameters_of_densities() -> dict[str, str]:
    """Return every number that a registered density takes, with its help.

    Read from a list beside this module, so that the help of a command imports no density. Where
    densities are loaded already, one's own among them perhaps, the registry itself is asked; one
    that is registered later still is written as a call.
    """
    takers = json.loads(_TAKERS.read_text(encoding="utf-8"))
    if "qerror.densities" in sys.modules:
        from qerror_cli.make_density_parameters import as_registered

        takers = as_registered()
    return {
        name: f"{_MEANINGS.get(name, name)} ({', '.join(families)})"
        for name, families in takers.items()
    }


def density_options(
    instead: str = "", data: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add --dist and the parameters' options; the command receives `densities`.

    Parameters
    ----------
    instead : str
        The option that does without a density, for the help.
    data : bool
        Whether to add --data, a file whose arrays take the density's place.
    """
    instead = instead or ("--data" if data else "")

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def gathered(dist: tuple[str, ...], **given: Any) -> None:
            path = given.pop("data") if data else None
            dtype = given.pop("dtype") if data else None
            if dtype is not None and path is None:
                raise click.UsageError("--dtype says what --data are, which are not given")
            chosen = Densities(dist, take_parameters(given), data=path, dtype=dtype)
            command(densities=chosen, **given)

        add = click.option(
            "--dist",
            type=DensityText(),
            multiple=True,
            metavar="DENSITY",
            help="A density: a name such as student-t, with its parameters as options, or a call "
            "such as 'student-t(nu=3)' or 'truncated(gaussian(std=2), low=-3, high=3)'. "
            f"See: qerror densities  [{f'this or {instead}' if instead else 'required'}]",
        )
        found = add(add_parameters(gathered))
        return data_option(dtype_option(found)) if data else found

    return decorate


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The values of a .npy or .npz file, exactly, instead of a density.",
)


def add_parameters(command: Callable[..., None], side: str = "") -> Callable[..., None]:
    """Add an option for every parameter of the registered densities."""
    for name, text in reversed(parameters_of_densities().items()):
        option = click.option(option_of(name, side), _place(name, side), type=float, help=text)
        command = option(command)
    return command


def take_parameters(given: dict[str, Any], side: str = "") -> dict[str, float]:
    """Take the parameters that were given out of a command's arguments."""
    values = {name: given.pop(_place(name, side)) for name in parameters_of_densities()}
    return {name: value for name, value in values.items() if value is not None}


def _advice(arrays: "Sequence[StoredArray]") -> str:
    """Say what makes arrays without real numbers readable."""
    if any(array.dtype.kind == "V" and array.dtype.names is None for array in arrays):
        return "if these are numbers, name them by --dtype"
    return "real numbers of at most 64 bits are needed: save them so first"


def _place(parameter: str, side: str) -> str:
    return f"{side.replace('-', '_')}density_{parameter}"


def _parameter_names(text: str) -> list[str]:
    """Return the parameters of the outermost density of a text."""
    from qerror.densities import DENSITIES

    return [field.name for field in _fields(DENSITIES[text.partition("(")[0].strip()])]


def _fields(family: "Family") -> tuple[dataclasses.Field[Any], ...]:
    make: Any = family.make
    return dataclasses.fields(make) if dataclasses.is_dataclass(make) else ()
