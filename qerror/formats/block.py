"""Block-scaled formats: an element format, a scale rule, and how many values share a scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast, final

from qerror._arrays import FrozenMapping, integer
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block_scales import (
    RULES,
    Absmax,
    MinMax,
    PowerOfTwo,
    unknown_rule,
)
from qerror.formats.format import Format, ScalarFormat, shortest
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format, whole, wrapping
from qerror.formats.scale_rule import ScaleRule
from qerror.formats.stored_scales import StoredScale
from qerror.registry import nearest

MOST_VALUES = 2**53

_KINDS: tuple[type[ScaleRule], ...] = (PowerOfTwo, StoredScale, Absmax, MinMax, FourOverSix)
# What an option says about the kind of rule; the others belong to several kinds.
_CHOOSES: dict[str, type[ScaleRule]] = {
    **dict.fromkeys(PowerOfTwo.OPTIONS, PowerOfTwo),
    "affine": MinMax,
    "4over6": FourOverSix,
}


@final
@dataclass(frozen=True, slots=True)
class BlockFormat(Format):
    """`block_size` values share a scale; each is a level of the element format times it.

    Parameters
    ----------
    element : ScalarFormat or str
        The format of one value before its scale. With a `MinMax` rule an integer, of which all
        codes are used: it is kept as the unsigned one of its width.
    scale : ScaleRule
        How the scale follows from the values: `PowerOfTwo`, `StoredScale`, `Absmax`, `MinMax`
        or `FourOverSix`.
    block_size : int
        How many values share a scale, at least 1.

    Raises
    ------
    InvalidValue
        If the block size is below 1, the element has no positive level, or the rule cannot
        serve such elements or blocks.
    InvalidType
        If the element is no scalar format or the scale no rule.

    References
    ----------
    .. [1] OCP Microscaling Formats (MX) Specification 1.0, sections 5 and 6.
    .. [2] Dettmers et al. 2023, QLoRA (arXiv 2305.14314), section 3.

    Examples
    --------
    >>> BlockFormat("e2m1", PowerOfTwo("floor"), 32).name
    'MXFP4'
    >>> BlockFormat("nf4", Absmax(), 64).bits_per_value
    4.25
    """

    element: ScalarFormat
    scale: ScaleRule
    block_size: int

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {
            "n": "gN",
            "channel": "channel=<integer>",
            **{key: text for kind in _KINDS for key, text in kind.OPTIONS.items()},
        }
    )

    def __post_init__(self) -> None:
        element = as_scalar_format(cast("ScalarFormat | str", self.element))
        if not isinstance(self.scale, ScaleRule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(
                f"scale must be a rule such as PowerOfTwo('floor') or Absmax(), got {self.scale!r}"
            )
        size = integer("block_size", self.block_size, 1, MOST_VALUES)
        if element.max_value <= 0:
            raise InvalidValue(
                f"{element.name} has no positive level, so it cannot be the element of blocks"
            )
        self.scale.check(element, size)
        if isinstance(self.scale, MinMax) and isinstance(element, Integer):
            element = Integer(element.bits, signed=False)
        object.__setattr__(self, "element", element)
        object.__setattr__(self, "block_size", size)

    @property
    def bits_per_value(self) -> float:
        return self.element.bits + self.scale.bits(self.element, self.block_size) / self.block_size

    @property
    def name(self) -> str:
        *_, size = self._label()
        return self._named([] if size == self.block_size else [f"g{self.block_size}"])

    @property
    def name_at_any_size(self) -> str:
        """The name with gN for the block size: "MXFP4:gN"."""
        return self._named(["gN"])

    def _named(self, size: list[str]) -> str:
        label, usual, _ = self._label()
        known = usual.options()
        options = {k: text for k, text in self.scale.options().items() if known.get(k) != text}
        parts = [f"{key}={text}" if text else key for key, text in options.items()]
        return ":".join([label, *size, *parts])

    def _label(self) -> tuple[str, ScaleRule, int | None]:
        """Return a name to start from, with the rule and the block size that it stands for."""
        named = _NAMED.get((self.element, type(self.scale)))
        if named:
            return named
        affine = isinstance(self.scale, MinMax)
        return f"INT{self.element.bits}" if affine else self.element.name, Absmax(), None

    def _facts(self) -> dict[str, str]:
        element, grid = self.element, self.element.grid()
        size, scale_bits = self.block_size, self.scale.bits(element, self.block_size)
        shares = "each value has its own" if size == 1 else f"{size:,} values share a"
        return {
            "bits": f"{shortest(self.bits_per_value)} a value: {element.bits} for the element, "
            f"{shortest(scale_bits)} for the scale of {size:,}",
            "elements": f"{element.name}, {grid.size:,} levels, "
            f"{shortest(grid.min)}..{shortest(grid.max)}",
            "blocks": f"{shares} scale",
            **self.scale.card(element),
            "overflow": "elements saturate: beyond the range at the block's scale, its nearest end",
            "ties": "to the even code",
        }

    def _vary(self, options: Mapping[str, str]) -> Format:
        given = dict(options)
        size = _block_size(given) or self.block_size
        return BlockFormat(self.element, _varied(self.scale, given), size)


def _block_size(options: dict[str, str]) -> int | None:
    """Take the block size out of the options, if they have one."""
    if {"n", "channel"} <= options.keys():
        raise InvalidValue("gN and channel=N each set the block size; give one of them")
    for key in ("n", "channel"):
        if key in options:
            return integer("block_size", whole("block_size", options.pop(key)), 1, MOST_VALUES)
    return None


def _varied(scale: ScaleRule, options: Mapping[str, str]) -> ScaleRule:
    """Return the rule that the options choose, with what they do not say taken from `scale`."""
    chosen = {_CHOOSES[key]: key for key in options if key in _CHOOSES}
    if len(chosen) > 1:
        raise InvalidValue(f"one rule sets the scale, got {' and '.join(chosen.values())}")
    kind = next(iter(chosen), type(scale))
    if "scale" in options and kind not in {StoredScale, FourOverSix}:
        kind = StoredScale
    for key in options:
        if key not in kind.OPTIONS:
            takes = ", ".join(kind.OPTIONS.values())
            raise InvalidValue(
                f"{key!r} does not go with this scale, {kind.__name__}, which takes {takes}"
            )
    return kind.read(options, scale)


@wrapping(BlockFormat.OPTIONS)
def _blocks_of(element: ScalarFormat, options: Mapping[str, str]) -> Format:
    """Read ``int4:g32:affine``: options of blocks after the name of any scalar format."""
    own = {key: text for key, text in options.items() if key not in BlockFormat.OPTIONS}
    rest = {key: text for key, text in options.items() if key in BlockFormat.OPTIONS}
    for key in own:
        if key not in element.OPTIONS:
            raise InvalidValue(unknown_option(element.name, key))
    size = _block_size(rest)
    if size is None:
        raise InvalidValue(
            f"{element.name} with {next(iter(rest))!r} shares scales, but between how many values? "
            f"Give a block size: {element.name.lower()}:g32:{next(iter(rest))}"
        )
    inner = cast("ScalarFormat", element.with_options(own))
    return BlockFormat(inner, _varied(Absmax(), rest), size)


def unknown_option(name: str, key: str) -> str:
    """Return the message about an option that neither blocks nor their elements have."""
    if set(nearest(key, {rule: rule for rule in RULES})):
        return unknown_rule(key)
    near = nearest(key, {option: option for option in BlockFormat.OPTIONS})
    hint = f", did you mean {' or '.join(near)}?" if near else ""
    takes = ", ".join(BlockFormat.OPTIONS.values())
    return f"{name} has no option {key!r}{hint}; blocks take {takes}"


_NAMED: dict[tuple[ScalarFormat, type[ScaleRule]], tuple[str, ScaleRule, int]] = {}


def name_blocks(
    name: str, element: ScalarFormat, kind: type[ScaleRule], scale: ScaleRule, block_size: int
) -> None:
    """Let names of blocks of these elements and kind of rule start from `name`.

    What differs from `scale` and `block_size` then follows it as options.
    """
    _NAMED[element, kind] = name, scale, block_size
