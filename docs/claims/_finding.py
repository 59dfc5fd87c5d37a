"""A claim, what decides it, and the verdict that follows by rule."""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RULE = """\
Every claim is split into checks, and each check is a comparison that is computed when this page
is made. A claim is **confirmed** if all of its checks hold, **refuted** if none does, and
**refined** otherwise. A stated number is confirmed if the exact one rounds to it at its last
stated digit; a number read off a figure, if it lies within the accuracy of the reading."""


@dataclass(frozen=True)
class Check:
    """One comparison, and whether it came out as the paper says."""

    says: str
    holds: bool


@dataclass(frozen=True)
class Command:
    """A command to type, and the figures that its output must contain."""

    line: str
    shows: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """A claim of a paper beside our exact figures."""

    claim: str
    place: str
    """Where the paper says so."""
    figure: str
    """Our figure, in one line."""
    text: str
    """The figures in full, as Markdown."""
    checks: tuple[Check, ...]
    commands: tuple[Command, ...] = ()
    code: str = ""
    """Python that shows it: statements of one line each, the last one an expression."""

    @property
    def verdict(self) -> str:
        """Confirmed, refined or refuted, by the rule on the page."""
        held = [check.holds for check in self.checks]
        if not held:
            raise ValueError(f"nothing was checked of {self.claim!r}")
        if all(held):
            return "confirmed"
        return "refined" if any(held) else "refuted"


def session(code: str) -> str:
    """Run statements, and return them as a doctest with the value of the last one."""
    lines = code.strip().splitlines()
    names: dict[str, object] = {}
    # The code is this page's own.
    exec(compile(ast.parse("\n".join(lines[:-1])), "<page>", "exec"), names)
    value = eval(lines[-1], names)
    return "\n".join([*(f">>> {line}" for line in lines), repr(value)])


def rounds_to(exact: float, stated: str) -> bool:
    """Return whether a number is the stated one at its last stated digit."""
    _, _, decimals = stated.partition(".")
    return round(exact, len(decimals)) == float(stated)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, the first column to the left and the others to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
