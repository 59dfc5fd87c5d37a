"""Densities as text: ``student-t(nu=3)``, ``mixture(0.9*gaussian(), 0.1*gaussian(std=4))``."""

import ast
import dataclasses
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import quoted
from qerror.densities._adaptive import Frozen
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.empirical import Empirical
from qerror.densities.from_scipy import frozen_density, is_frozen_distribution
from qerror.densities.mixture import Mixture
from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.registry import nearest

DensityLike: TypeAlias = Density | Frozen | str | npt.NDArray[Any]
"""A density, one of `scipy.stats`, its text, or the data themselves."""

_LONGEST = 2**20  # characters
_DEEPEST = 128  # of an expression's nodes: a density in a density takes two or three
_SHOWN = 8  # values of a sample that its name lists
_HYPHENATED = re.compile(r"\b[A-Za-z]\w*(?:-[A-Za-z]\w*)+")
_CONSTANTS = {"inf": math.inf, "nan": math.nan}


def parse_density(text: str, **parameters: float) -> Density:
    """Read a density.

    Parameters
    ----------
    text : str
        A name, ``"student-t"``, or a call that nests: ``"truncated(gaussian(std=2), low=-3,
        high=3)"``, ``"mixture(0.9*gaussian(), 0.1*student-t(nu=3))"``,
        ``"discrete([-1, 2], [0.5, 0.5])"``. Case, '-' and '_' do not matter in names.
    **parameters : float
        Parameters of the outermost density that the text does not give: ``nu=3``.

    Raises
    ------
    UnknownName
        If a name is not registered; the message suggests the nearest.
    InvalidValue
        If the text is not a density, a parameter is unknown, missing, given twice or not
        allowed.
    InvalidType
        If the text is no text.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"a density's text must be a string, got {reprlib.repr(text)}")
    if len(text) > _LONGEST:
        raise InvalidValue(
            f"the text of a density must not exceed {_LONGEST:,} characters, got {len(text):,}; "
            "give many values as an array: Empirical(x)"
        )
    hidden = _HYPHENATED.sub(lambda found: found[0].replace("-", "_"), text.strip())
    try:
        tree = ast.parse(hidden, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unreadable(text) from None
    if _is_deep(tree):
        raise InvalidValue(
            f"the density {quoted(text)} nests more than {_DEEPEST} deep; write it with fewer "
            "layers"
        )
    if isinstance(tree, ast.Name):
        tree = ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise _unreadable(text)
    return _Reader(text).density(tree, parameters)


def density_name(density: Density, without: str | None = None) -> str:
    """Return text that `parse_density` reads back to an equal density.

    A parameter at its default is left out: ``student-t(nu=3)``. A density that is not
    registered shows its `repr`.

    Parameters
    ----------
    density : Density
        What to name.
    without : str, optional
        A parameter of the outermost density to leave out: for a title where it varies.
    """
    name = _registered_name(density)
    if name is None:
        return repr(density)
    if isinstance(density, Mixture):
        pairs = zip(density.weights, density.components, strict=True)
        return f"{name}({', '.join(f'{_text(w)}*{density_name(c)}' for w, c in pairs)})"
    if isinstance(density, Empirical) and density.atoms().positions.size > _SHOWN:
        return repr(density)
    given: list[str] = []
    for field in _fields(type(density)):
        value: Any = getattr(density, field.name)
        if field.name == without:
            continue
        if isinstance(value, Density):
            given.append(density_name(value))
        elif isinstance(value, np.ndarray) or value != field.default:
            given.append(f"{field.name}={_text(cast('object', value))}")
    return f"{name}({', '.join(given)})" if given else name


def parameter_names(family: Family) -> list[str]:
    """Return a family's parameters in their order."""
    return [field.name for field in _fields(family.make)]


def parameter_values(density: Density) -> dict[str, float]:
    """Return a density's own numbers by name; what it wraps is left out."""
    found = {field.name: getattr(density, field.name) for field in _fields(type(density))}
    return {name: value for name, value in found.items() if isinstance(value, float)}


def own_parameter(name: str) -> str:
    """Return a parameter's own name: "density.scale" becomes "scale"."""
    return name.removeprefix("density.")


def at_parameter(density: Density, name: str, value: float) -> Density:
    """Return the density with another value of one of its `parameter_values`.

    Raises
    ------
    InvalidValue
        If the density has no such parameter, or it cannot take the value.
    """
    if name not in parameter_values(density):
        raise InvalidValue(f"{density_name(density)} has no parameter {name!r}")
    return cast("Density", dataclasses.replace(cast("Any", density), **{name: value}))


def _fields(make: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    """Return the parameters of a family, none for one that is no dataclass."""
    return dataclasses.fields(make) if dataclasses.is_dataclass(make) else ()


def _registered_name(density: Density) -> str | None:
    for name, family in DENSITIES.items():
        if family.make is type(density):
            return name
    return None


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        return _text(tuple(map(float, value.tolist())))
    if isinstance(value, tuple):
        return f"[{', '.join(_text(item) for item in cast('tuple[object, ...]', value))}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _is_deep(tree: ast.AST) -> bool:
    """Tell whether an expression nests deeper than a density could."""
    layer: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        layer = [inner for node in layer for inner in ast.iter_child_nodes(node)]
        if not layer:
            return False
    return True


def _unreadable(text: str) -> InvalidValue:
    return InvalidValue(
        f"cannot read the density {quoted(text)}; write a name or a call such as student-t(nu=3), "
        "truncated(gaussian(std=2), low=-3, high=3) or mixture(0.9*gaussian(), "
        "0.1*gaussian(std=4)). See: qerror densities"
    )


class _Reader:
    """Turns a parsed expression into a density; anything but names, numbers, calls is refused."""

    def __init__(self, text: str) -> None:
        self._text = text

    def density(self, call: ast.Call, parameters: Mapping[str, object]) -> Density:
        if not isinstance(call.func, ast.Name):
            raise _unreadable(self._text)
        name = call.func.id.replace("_", "-")
        family = DENSITIES[name]
        if family.make is Mixture and not call.keywords and not parameters:
            return self._mixture(call.args)
        known = parameter_names(family)
        if len(call.args) > len(known):
            raise InvalidValue(f"{name} takes {_listing(known)}, got {len(call.args)} values")
        given: dict[str, object] = {}
        pairs = [*zip(known, call.args, strict=False)]
        pairs += [(word.arg or "**", word.value) for word in call.keywords]
        for key, node in pairs:
            _add(given, name, key, self._value(node))
        for key, value in parameters.items():
            _add(given, name, key, value)
        return _build(name, family, known, given)

    def _mixture(self, terms: Sequence[ast.expr]) -> Mixture:
        weights: list[float] = []
        components: list[Density] = []
        for term in terms:
            if not (isinstance(term, ast.BinOp) and isinstance(term.op, ast.Mult)):
                raise InvalidValue(
                    f"a mixture is written mixture(0.9*gaussian(), 0.1*laplace()), "
                    f"got {quoted(self._text)}"
                )
            weight, component = self._value(term.left), self._value(term.right)
            if not isinstance(weight, float) or not isinstance(component, Density):
                raise _unreadable(self._text)
            weights.append(weight)
            components.append(component)
        return Mixture(components, weights)

    def _number(self, number: float) -> float:
        try:
            return float(number)
        except OverflowError:
            raise InvalidValue(
                f"a number in the density {quoted(self._text)} is beyond float64, 1.8e308"
            ) from None

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self._number(number)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                value = self._value(operand)
                if isinstance(value, float):
                    return -value if isinstance(sign, ast.USub) else value
            case ast.List(elts=list(items)) | ast.Tuple(elts=list(items)):
                return [self._value(item) for item in items]
            case ast.Name(id=name) if name.lower() in _CONSTANTS:
                return _CONSTANTS[name.lower()]
            case ast.Name():
                return self.density(ast.Call(node, [], []), {})
            case ast.Call():
                return self.density(node, {})
            case _:
                pass
        raise _unreadable(self._text)


def _add(given: dict[str, object], name: str, key: str, value: object) -> None:
    if key in given:
        raise InvalidValue(f"{name} got its parameter {key} twice")
    given[key] = value


def _build(name: str, family: Family, known: Sequence[str], given: Mapping[str, object]) -> Density:
    unknown = [key for key in given if key not in known]
    if unknown:
        close = nearest(unknown[0], {key: key for key in known})
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InvalidValue(
            f"{name} has no parameter {unknown[0]!r}; it takes {_listing(known)}{hint}"
        )
    needed = [
        field.name
        for field in _fields(family.make)
        if field.default is dataclasses.MISSING and field.name not in given
    ]
    if needed:
        raise InvalidValue(
            f"{name} needs {_listing(needed)}; for example {density_name(family.example)}"
        )
    try:
        return family.make(**given)
    except QErrorException as error:
        kind = InvalidType if isinstance(error, InvalidType) else InvalidValue
        raise kind(f"{name}: {error}") from None


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names)


def as_density(value: DensityLike) -> Density:
    """Return a density, given as such, as text, as an array or as one of `scipy.stats`.

    Of `scipy.stats` norm, t, cauchy, laplace, logistic, gennorm, uniform, arcsine, loguniform
    and reciprocal, truncnorm, expon, truncexpon, halfnorm, halfcauchy, halflogistic and
    halfgennorm are built in: ``scipy.stats.t(3)`` is ``StudentT(3)``, ``scipy.stats.expon()`` a
    truncated Laplace density. Any other one, a subclass of these too, is a `FromScipy`, which is
    slower and less accurate, and so is one beyond the built-in parameters (gennorm with beta
    outside [0.05, 1000], truncnorm beyond 30 standard deviations).

    Raises
    ------
    InvalidType
        If the value is none of these.
    InvalidValue
        If its text is no density, or its parameters are none that are allowed.
    """
    if isinstance(value, str):
        return parse_density(value)
    if isinstance(value, Density):
        return value
    if is_frozen_distribution(value):
        return frozen_density(value)
    array = cast("npt.NDArray[Any]", value)
    if hasattr(array, "__array__") and np.ndim(array):
        return Empirical(array)
    raise InvalidType(
        "expected a density such as Gaussian(std=2), its name, an array of data or a frozen "
        f"distribution of scipy.stats, got {reprlib.repr(value)}"
    )
