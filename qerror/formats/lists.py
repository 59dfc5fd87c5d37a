"""Lists of formats as text: ``parse_formats("int4..int8,4M3E,codebook:0,1,e4m3")``."""

import re
from collections.abc import Iterable, Iterator

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats.format import Format
from qerror.formats.names import as_format, parse_format
from qerror.tables import is_number

MOST_IN_RANGE = 1024  # more is a slip of the pen: float64 has formats of 1 to 64 bits
_NUMBER = re.compile(r"(?<=\.)-?[0-9]+|[0-9]+")


def parse_formats(text: str) -> tuple[Format, ...]:
    """Return the formats that a list names, each once, in the order of their first mention.

    Parameters
    ----------
    text : str
        Names as of `parse_format`, parted by commas; a number continues the codebook before
        it. ``int4..int16`` stands for all formats between two names that differ in one
        number, both ends included: ``fixed8.0..fixed8.7``, ``uint4..uint8``.

    Raises
    ------
    UnknownName, InvalidValue
        As `parse_format`; if there is no name, or the ends of a range differ in more than a
        number or do not increase.
    InvalidType
        If the list is no text.

    Examples
    --------
    >>> [form.name for form in parse_formats("int3..int5, e4m3")]
    ['INT3', 'INT4', 'INT5', 'E4M3FN']
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"a list of formats' names must be a string, got {text!r}")
    names = [name for part in _split(text) for name in _ranged(part)]
    if not names:
        raise InvalidValue("no format given; write names such as int8,4M3E,e4m3")
    return tuple(dict.fromkeys(map(_parsed, names)))


def as_formats(value: Format | str | Iterable[Format | str]) -> tuple[Format, ...]:
    """Return formats, given as one, as a list in text, or one by one; each once.

    Raises
    ------
    InvalidType
        If something is neither a format nor a name.
    UnknownName, InvalidValue
        As `parse_formats`.
    """
    if isinstance(value, Format):
        return (value,)
    if isinstance(value, str):
        return parse_formats(value)
    if not isinstance(value, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected formats or their names, got {value!r}")
    formats = tuple(dict.fromkeys(as_format(each) for each in value))
    if not formats:
        raise InvalidValue("no format given; give names such as int8, 4M3E, e4m3")
    return formats


def _split(text: str) -> Iterator[str]:
    """Split at commas; a number continues the codebook before it: "int8,codebook:0,1,4M3E"."""
    name = ""
    for part in (part.strip() for part in text.split(",")):
        if name and is_number(part) and name.lower().startswith("codebook"):
            name += f",{part}"
            continue
        if name:
            yield name
        name = part
    if name:
        yield name


def _parsed(name: str) -> Format:
    if re.match(r"\w+=", name):
        raise InvalidValue(
            f"{name!r} is no format; options follow their format after a colon, as in "
            f"4M3E:bias=3.9:{name}"
        )
    try:
        return parse_format(name)
    except UnknownName:
        raise
    except InvalidValue as error:  # it need not say which of the list is meant
        raise InvalidValue(f"{name!r}: {error}") from None


def _ranged(part: str) -> Iterator[str]:
    """Return the names from one end of a range to the other; of anything else, itself."""
    first, dots, last = (piece.strip() for piece in part.partition(".."))
    if not dots:
        yield part
        return
    low, high = _NUMBER.findall(first), _NUMBER.findall(last)
    same_words = _NUMBER.sub("#", first).lower() == _NUMBER.sub("#", last).lower()
    differing = [i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b]
    if not (same_words and len(differing) == 1):
        raise InvalidValue(
            f"the ends of the range {part!r} must differ in one number, as in int4..int16"
        )
    start, stop = int(low[differing[0]]), int(high[differing[0]])
    if not start <= stop < start + MOST_IN_RANGE:
        raise InvalidValue(
            f"the range {part!r} must increase, and name at most {MOST_IN_RANGE:,} formats"
        )
    for number in range(start, stop + 1):
        yield _with_number(first, differing[0], number)


def _with_number(name: str, index: int, number: int) -> str:
    """Return the name with its number of that index replaced."""
    found = list(_NUMBER.finditer(name))[index]
    return f"{name[: found.start()]}{number}{name[found.end() :]}"
