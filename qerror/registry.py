"""Write-once mappings from names to members: formats, densities, later algorithms."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from qerror.exceptions import InvalidValue, UnknownName

T = TypeVar("T")


def fold(name: str) -> str:
    """Reduce a name to what identifies it: case, '-', '_' and blanks do not matter."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def nearest(name: str, known: Mapping[str, str], most: int = 3) -> list[str]:
    """Return the display names in `known` (folded -> display) that look most like `name`."""
    close = difflib.get_close_matches(fold(name), list(known), n=most, cutoff=0.5)
    return list(dict.fromkeys(known[key] for key in close))


class Registry(Mapping[str, T], Generic[T]):
    """Names of one kind of thing. A name is given once and never changes.

    Parameters
    ----------
    kind : str
        What the members are, for messages: "density".
    listing : str
        The command that lists them, for messages: "qerror densities".
    """

    def __init__(self, kind: str, listing: str) -> None:
        self._kind = kind
        self._listing = listing
        self._members: dict[str, T] = {}
        self._display: dict[str, str] = {}

    def register(self, name: str, member: T, *aliases: str) -> T:
        """Add `member` under `name` and `aliases`; returns it."""
        for key in (name, *aliases):
            if fold(key) in self._display:
                raise InvalidValue(f"the {self._kind} name {key!r} is taken already")
        self._display |= {fold(key): name for key in (name, *aliases)}
        self._members[name] = member
        return member

    @property
    def spellings(self) -> Mapping[str, str]:
        """Every folded name and alias with the name that it stands for."""
        return dict(self._display)

    def aliases(self, name: str) -> list[str]:
        """Return the folded names other than its own under which `name` is known."""
        return [key for key, shown in self._display.items() if shown == name and key != fold(name)]

    def __getitem__(self, name: str) -> T:
        shown = self._display.get(fold(name))
        if shown is None:
            raise UnknownName(self._complaint(name))
        return self._members[shown]

    def get(self, name: str, default: T | None = None) -> T | None:  # type: ignore[override]
        """Return the member of that name, or the default."""
        return self[name] if name in self else default  # noqa: SIM401

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and fold(name) in self._display

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _complaint(self, name: str) -> str:
        close = nearest(name, self._display) if len(name) < 100 else []
        hint = f"; did you mean {' or '.join(close)}?" if close else f"; known: {', '.join(self)}."
        return f"unknown {self._kind} {name!r}{hint} See: {self._listing}"
