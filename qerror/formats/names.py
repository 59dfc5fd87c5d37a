"""Formats by name: ``parse_format("4M3E:bias=3.9")``.

A text is a name and its options, parted by colons. A name is either registered in `FORMATS`
or follows a pattern that a family has brought with `spelling`. This module knows no family.
"""

import re
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from qerror._arrays import quoted, real
from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats.format import FORMATS, Format, ScalarFormat, shortest
from qerror.grids import Grid
from qerror.registry import fold, nearest

Maker: TypeAlias = Callable[[re.Match[str]], Format]
Wrapper: TypeAlias = Callable[[ScalarFormat, Mapping[str, str]], Format]


class Spelling(NamedTuple):
    """A pattern of names, what makes a format of a match, and an example for messages."""

    pattern: re.Pattern[str]
    make: Maker
    example: str


_LONGEST = 2**20  # characters
_SPELLINGS: dict[str, Spelling] = {}
_WRAPPERS: list[tuple[frozenset[str], Wrapper]] = []


def spelling(pattern: str, example: str) -> Callable[[Maker], Maker]:
    """Let `parse_format` read the names that match `pattern`, by the decorated function.

    Parameters
    ----------
    pattern : str
        A regular expression for the lower-case name without '-', '_' and blanks; in what
        follows a '.' or the first ':' these are kept.
    example : str
        A name that matches, as a person would write it.

    Raises
    ------
    InvalidValue
        If the pattern is taken already, or the example does not match it.
    """
    compiled = re.compile(rf"(?:{pattern})(?=:|\Z)")
    if pattern in _SPELLINGS:
        raise InvalidValue(f"the pattern {pattern!r} of format names is taken already")
    if not compiled.match(_clean(example)):
        raise InvalidValue(f"the example {example!r} does not match its pattern {pattern!r}")

    def register(make: Maker) -> Maker:
        _SPELLINGS[pattern] = Spelling(compiled, make, example)
        return make

    return register


_AMBIGUOUS: dict[str, Sequence[str]] = {}


def ambiguous(candidates: Sequence[str], *names: str) -> None:
    """Let `parse_format` answer these names with the registered formats that they may mean."""
    _AMBIGUOUS.update((fold(name), tuple(candidates)) for name in names)


def wrapping(options: Collection[str]) -> Callable[[Wrapper], Wrapper]:
    """Let these options after any scalar format's name make it the element of another format.

    The decorated function is given the element without options, and all options as text.
    """

    def register(make: Wrapper) -> Wrapper:
        _WRAPPERS.append((frozenset(options), make))
        return make

    return register


def examples() -> list[str]:
    """Return one example of each pattern of names, in the order of registration."""
    return [known.example for known in _SPELLINGS.values()]


def parse_format(text: str) -> Format:
    """Return the format that `text` names; ``parse_format(f.name) == f`` for every format.

    Parameters
    ----------
    text : str
        A registered name (``qerror.FORMATS``) or one of these, followed by options as in
        ``4M3E:bias=3.9``. Case, '-' and '_' do not matter in a name.

        - ``int8`` (symmetric), ``int8:full``, ``uint8``, ``uint8:zp=128``
        - ``e4m3``, ``fp8_e4m3``, ``F8_E4M3``, ``torch.float8_e4m3fn`` and the like: OCP's,
          safetensors' and PyTorch's names of one format
        - ``4M3E`` (mantissa and exponent bits), unsigned ``U4M4E``; options ``bias=<real>``
          and ``specials=none|ieee|fn|fnuz|p3109``
        - ``p3109_k8p4se``
        - ``fixed8.4``, ``ufixed8.4`` (word length and fractional length), ``fixed8.4:full``
          (two's complement), ``q:ti3.4``, ``q:arm4.4``
        - ``ue8m0`` (powers of two, without zero and sign), ``ue5m3``
        - ``codebook:-1,0,0.5,1``
        - blocks that share a scale: ``mxfp4:even``, ``nvfp4:tensor=0.01``, ``nvfp4:4over6``, and
          any scalar format followed by a block size, ``nf4:g64``, ``int4:g32:affine``,
          ``int8:channel=4096``. Options in any order: the block size ``gN`` (or ``n=N``,
          ``channel=N``) and the scale rule: ``floor|ceil|rceil|even``, ``theta=<real>``;
          ``scale=<format>`` with ``tensor=<real>``, ``of=<integer>|tensor``,
          ``smallest=<real>``, ``divisor=<real>``; ``alpha=<real>``; ``affine``,
          ``affine=integer``; ``4over6``, ``4over6=mae``

    Raises
    ------
    UnknownName
        If nothing goes by that name, or several formats do (``fp8``); the message suggests
        the nearest ones.
    InvalidValue
        If a parameter or an option is not one that the format takes.
    InvalidType
        If the name is no text.

    Examples
    --------
    >>> parse_format("e4m3").max_value
    448.0
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"a format's name must be a string, got {reprlib.repr(text)}")
    if len(text) > _LONGEST:
        raise InvalidValue(
            f"the name of a format must not exceed {_LONGEST:,} characters, got {len(text):,}; "
            "give many levels as an array: Codebook(values)"
        )
    named, rest = _named(text)
    options = _options(text, rest)
    if isinstance(named, ScalarFormat):
        for known, wrap in _WRAPPERS:
            if known & options.keys():
                return wrap(named, options)
    return named.with_options(options)


def number(name: str, text: str) -> float:
    """Return the finite number that `text` writes, or say which option has none."""
    try:
        value = float(text)
    except ValueError:
        raise InvalidValue(f"{name} must be a real number, got {quoted(text)}") from None
    return real(name, value)


def whole(name: str, text: str) -> int:
    """Return the integer that `text` writes, or say which option has none."""
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(f"{name} must be an integer, got {quoted(text)}") from None


def _clean(text: str) -> str:
    """Drop from the name what does not matter; parameters keep their minus signs."""
    head, colon, rest = text.strip().lower().partition(":")
    return re.sub(r"(?<!\.)-|_|\s", "", head) + colon + rest


def _named(text: str) -> tuple[Format, str]:
    """Return the format before its options, and the options as they stand."""
    clean = _clean(text)
    # Patterns first: a registry folds away the sign in "fixed8.-4".
    for known in _SPELLINGS.values():
        found = known.pattern.match(clean)
        if found:
            return known.make(found), clean[found.end() :]
    head, colon, rest = clean.partition(":")
    if head in _AMBIGUOUS:
        raise UnknownName(_choice(text, _AMBIGUOUS[head]))
    if head not in FORMATS:
        raise UnknownName(_complaint(text, head))
    return FORMATS[head], colon + rest


def _options(text: str, rest: str) -> dict[str, str]:
    """Split ":a=1:b:g32" into {"a": "1", "b": "", "n": "32"}."""
    options: dict[str, str] = {}
    for part in rest.split(":")[1:]:
        key, _, value = (piece.strip() for piece in part.partition("="))
        if "," in value:
            raise InvalidValue(
                f"{text!r}: options are parted by colons, not commas; write "
                f"{text.strip().replace(',', ':')}"
            )
        if re.fullmatch(r"g[0-9]+", key) and "=" not in part:
            key, value = "n", key[1:]
        if key in options:
            raise InvalidValue(f"{text!r} gives the option {key!r} twice")
        options[key] = value
    return options


def _choice(text: str, candidates: Sequence[str]) -> str:
    members = {name: FORMATS[name] for name in candidates}
    listed = ", ".join(
        f"{name} (max {shortest(member.max_value)})" if isinstance(member, ScalarFormat) else name
        for name, member in members.items()
    )
    return f"{text!r} may be any of {listed}; name one. See: qerror formats"


def _complaint(text: str, head: str) -> str:
    known = {**FORMATS.spellings, **{fold(example): example for example in examples()}}
    close = nearest(head, known) if len(head) < 100 else []
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = f"names look like {', '.join(examples())}."
    return f"unknown format {quoted(text)}; {hint} See: qerror formats"


def as_format(value: Format | str) -> Format:
    """Return a format, given as such or by its name.

    Raises
    ------
    InvalidType
        If the value is neither a format nor a text.
    """
    if isinstance(value, str):
        return parse_format(value)
    if not isinstance(value, Format):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected a number format or its name, got {value!r}")
    return value


def as_scalar_format(value: Format | str) -> ScalarFormat:
    """Return a format that has a grid, given as such or by its name.

    Raises
    ------
    InvalidType
        If the format shares scales between values, so that no one grid describes it.
    UnknownName, InvalidValue, InvalidType
        As `as_format`.
    """
    form = as_format(value)
    if not isinstance(form, ScalarFormat):
        raise InvalidType(
            f"{form.name} shares scales between values, so it has no grid of its own; here a "
            "format is needed whose values stand alone, such as int8, 4M3E or e4m3"
        )
    return form


def as_grid(value: Format | Grid | str) -> Grid:
    """Return a grid, given as such, as a scalar format, or by a format's name."""
    return value if isinstance(value, Grid) else as_scalar_format(value).grid()
