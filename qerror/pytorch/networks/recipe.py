"""What is quantized how in a network: plain data, read from and written to JSON and TOML."""

# What a recipe is read from has no types.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats.block import BlockFormat
from qerror.formats.names import as_format
from qerror.pytorch.networks.calibrations import CALIBRATIONS
from qerror.pytorch.recipe import METHODS
from qerror.registry import fold, nearest
from qerror.storage import read_json

Gradient: TypeAlias = Literal["straight-through", "exact"]


BEST = "best:"
"""Before a number of bits: the floating-point format with the least error on each tensor."""


@dataclass(frozen=True)
class TensorRecipe:
    """How tensors of one role are quantized.

    Parameters
    ----------
    format : str
        The name of a format, block-scaled ones too; or "best:8": the mantissa bits and the
        range with the least error on each tensor (Kuzmin et al. 2022, appendix E).
    calibration : str
        A name in `CALIBRATIONS`.
    granularity : str
        What shares a scale: "tensor", "channel" (of the outputs), or "group:32" (so many
        neighbours along the inputs). Activations have "tensor".
    method : str
        A name in `qerror.pytorch.METHODS`.
    asymmetric : bool
        Integer codes with a zero point.
    unsigned : bool
        Codes without a sign where the calibration data have no negative value: activations only.
    rule : {"straight-through", "exact"}
        What a range that learns receives.
    learn : tuple of str, optional
        What the quantizers learn; by default what their method does.

    Raises
    ------
    InvalidValue
        If a name is unknown; the message suggests the nearest ones.
    """

    format: str = "int8"
    calibration: str = "mse"
    granularity: str = "tensor"
    method: str = "straight-through"
    asymmetric: bool = False
    unsigned: bool = False
    rule: Gradient = "straight-through"
    learn: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.learn is not None:
            object.__setattr__(self, "learn", _texts("learn", self.learn))
        for each in ("format", "calibration", "granularity", "method", "rule"):
            _require(each, getattr(self, each), str)
        for each in ("asymmetric", "unsigned"):
            _require(each, getattr(self, each), bool)
        if self.best_bits is None:
            as_format(self.format)
        _ = CALIBRATIONS[self.calibration], METHODS[self.method], self.group_size
        if self.rule not in get_args(Gradient):
            raise InvalidValue(
                f"unknown rule {self.rule!r}; it is one of {', '.join(get_args(Gradient))}"
            )

    @property
    def best_bits(self) -> int | None:
        """The bits of the format that is to be sought, None if it is named."""
        if not self.format.startswith(BEST):
            return None
        text = self.format.removeprefix(BEST)
        if not text.isdecimal() or not 3 <= int(text) <= 12:
            raise InvalidValue(f"format {self.format!r} needs 3 to 12 bits, such as best:8")
        return int(text)

    @property
    def format_name(self) -> str:
        """The format as results name it."""
        return self.format if self.best_bits is not None else as_format(self.format).name

    @property
    def bits(self) -> float:
        """Bits that a value takes, scales included."""
        bits = self.best_bits
        return as_format(self.format).bits_per_value if bits is None else bits

    @property
    def group_size(self) -> int | None:
        """How many neighbours share a scale, None if it is not by groups."""
        if self.granularity in {"tensor", "channel"}:
            return None
        word, _, size = self.granularity.partition(":")
        if word != "group" or not size.isdecimal() or int(size) < 1:
            raise InvalidValue(
                f"unknown granularity {self.granularity!r}; it is tensor, channel or group:N, "
                "such as group:32"
            )
        return int(size)

    @property
    def is_block(self) -> bool:
        """Whether the format takes its scales from the data, block by block."""
        return self.best_bits is None and isinstance(as_format(self.format), BlockFormat)


@dataclass(frozen=True)
class ModelRecipe:
    """How a network is quantized.

    Parameters
    ----------
    weights, activations : TensorRecipe, optional
        None leaves them as they are. Activations are the inputs of the layers.
    first, last : str, optional
        Another format for the first and the last layer, wider as a rule; "none" leaves them.
    exclude : tuple of str
        Patterns of names of modules that stay as they are, with what is in them: "*.head",
        "blocks.0", "*norm*".
    layers : tuple of str
        Other formats for the weights of single layers, as PATTERN=FORMAT; the first pattern that
        fits a layer counts, also for the first and the last one: "blocks.0.*=nvfp4".
    update_bn : bool
        Whether the statistics of batch normalisations are estimated anew on the calibration data,
        with everything quantized.

    Raises
    ------
    InvalidValue
        If nothing is quantized, or a part cannot be so.

    Examples
    --------
    >>> recipe = ModelRecipe.of("4M3E", calibration="minmax")
    >>> ModelRecipe.from_toml(recipe.to_toml()) == recipe
    True
    """

    weights: TensorRecipe | None = field(default_factory=TensorRecipe)
    activations: TensorRecipe | None = field(default_factory=TensorRecipe)
    first: str | None = None
    last: str | None = None
    exclude: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    update_bn: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", _texts("exclude", self.exclude))
        object.__setattr__(self, "layers", _texts("layers", self.layers))
        for rule in self.layers:
            pattern, equals, form = rule.rpartition("=")
            if not (pattern and equals):
                raise InvalidValue(f"layers must be PATTERN=FORMAT, got {rule!r}")
            as_format(form)
        _require("update_bn", self.update_bn, bool)
        if self.weights is None and self.activations is None:
            raise InvalidValue("the recipe quantizes nothing: give weights, activations, or both")
        for each in (self.first, self.last):
            if each is not None and each != "none":
                as_format(_require("first and last", each, str))
        if self.weights is not None and self.weights.unsigned:
            raise InvalidValue("unsigned codes are for activations; weights have both signs")
        granularity = self.activations.granularity if self.activations is not None else "tensor"
        if granularity != "tensor":
            raise InvalidValue(
                f"activations share one scale a tensor, got granularity {granularity!r}; "
                "use a block format, such as int8:g32, for finer ones"
            )

    def layer_format(self, name: str) -> str | None:
        """Return the format of a layer's weights by `layers`; None if no pattern fits."""
        rules = (rule.rpartition("=") for rule in self.layers)
        return next((form for pattern, _, form in rules if fnmatchcase(name, pattern)), None)

    @classmethod
    def of(
        cls,
        form: str,
        *,
        calibration: str = "mse",
        granularity: str = "tensor",
        activations: bool = True,
        **rest: Any,
    ) -> "ModelRecipe":
        """Return the recipe with one format for weights and, unless told otherwise, activations.

        `granularity` is that of the weights; `rest` are the recipe's other fields.
        """
        weights = TensorRecipe(form, calibration, granularity)
        return cls(weights, TensorRecipe(form, calibration) if activations else None, **rest)

    @property
    def main(self) -> TensorRecipe:
        """What a table names: the weights' part, or the activations' where they are left alone."""
        found = self.weights or self.activations
        assert found is not None
        return found

    @property
    def format_name(self) -> str:
        """The format, or those of weights and activations where they differ: "4M3E x INT8"."""
        names = [each.format_name for each in (self.weights, self.activations) if each is not None]
        return " x ".join(dict.fromkeys(names))

    # ---- as text

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "ModelRecipe":
        """Make a recipe of nested mappings.

        Raises
        ------
        InvalidValue
            If a key is unknown; the message suggests the nearest ones.
        """
        _known(cls, given, "")
        parts: dict[str, Any] = dict(given)
        for role in ("weights", "activations"):
            part = parts.get(role)
            if isinstance(part, Mapping):
                _known(TensorRecipe, cast("Mapping[str, Any]", part), f"{role}.")
                parts[role] = TensorRecipe(**part)
            elif isinstance(part, str):
                parts[role] = None if part == "none" else TensorRecipe(part)
            elif part is not None and not isinstance(part, TensorRecipe):
                raise InvalidType(f"{role} must be a table, a format's name or none, got {part!r}")
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """Return nested mappings of plain values."""
        found = asdict(self)
        for role in ("weights", "activations"):
            found[role] = "none" if found[role] is None else found[role]
        return _plain(found)

    @classmethod
    def from_json(cls, text: str) -> "ModelRecipe":
        """Read JSON."""
        try:
            found = read_json(text)
        except InvalidValue as error:
            raise InvalidValue(f"the recipe cannot be read: {error}") from None
        return cls.from_dict(_mapping(found))

    def to_json(self) -> str:
        """Write JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> "ModelRecipe":
        """Read TOML."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise InvalidValue(f"the recipe is no TOML: {error}") from None

    def to_toml(self) -> str:
        """Write TOML."""
        found = self.to_dict()
        tables = {key: value for key, value in found.items() if isinstance(value, dict)}
        lines = [_toml_line(key, found[key]) for key in found if key not in tables]
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(_toml_line(key, value) for key, value in table.items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, path: str | Path) -> "ModelRecipe":
        """Read a .json or .toml file."""
        path = Path(path)
        readers = {".json": cls.from_json, ".toml": cls.from_toml}
        reader = readers.get(path.suffix.lower())
        if reader is None or not path.is_file():
            why = "there is no such file" if reader else "it must be a .json or .toml file"
            raise InvalidValue(f"cannot read the recipe {str(path)!r}: {why}")
        try:
            return reader(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise InvalidValue(f"cannot read the recipe {str(path)!r}: it is no text") from None


def as_recipe(recipe: "ModelRecipe | Mapping[str, Any] | str") -> ModelRecipe:
    """Return a recipe given as itself, as a mapping, or as the name of one format for all."""
    if isinstance(recipe, str):
        return ModelRecipe.of(recipe)
    return recipe if isinstance(recipe, ModelRecipe) else ModelRecipe.from_dict(_mapping(recipe))


def _mapping(found: object) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise InvalidType(f"a recipe is a table of keys and values, got {type(found).__name__}")
    return cast("Mapping[str, Any]", found)


def _known(cls: type, given: Mapping[str, Any], where: str) -> None:
    """Refuse keys that are no fields."""
    names = [each.name for each in fields(cls)]
    for key in given:
        if key not in names:
            close = nearest(str(key), {fold(name): name for name in names})
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}."
            raise UnknownName(f"unknown key {where + str(key)!r} in the recipe; {hint}")


def _require(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise InvalidType(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value


def _texts(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise InvalidType(f"{name} must be a list of texts, got {values!r}")
    return tuple(_require(name, each, str) for each in cast("list[Any]", values))


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None, which TOML cannot say, and turn tuples into lists."""
    return {
        key: _plain(cast("dict[str, Any]", value))
        if isinstance(value, dict)
        else list(cast("tuple[str, ...]", value))
        if isinstance(value, tuple)
        else value
        for key, value in found.items()
        if value is not None
    }


def _toml_line(key: str, value: object) -> str:
    # Text, flags and lists of text are written alike in JSON and TOML but for one character.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
