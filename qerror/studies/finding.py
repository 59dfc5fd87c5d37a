"""A claim, what decides it, and the verdict that follows by rule."""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SMALL = 0.1
"""The largest share of a stated figure by which a claim may be off and still count as refined."""

RULE = f"""\
Every claim has checks that say what it says, each of them a comparison that is computed when this
page is made, and may have others beside it, which decide nothing. A claim is **confirmed** if all
of its checks hold. It is **refined** if those that fail miss the figure of the claim by a margin
that is stated and at most {SMALL:.0%} of that figure, and **refuted** otherwise. A stated number is
confirmed if the exact one rounds to it at its last stated digit; a number read off a figure, if it
lies within the accuracy of the reading."""


@dataclass(frozen=True)
class Check:
    """One comparison, and whether it came out as the paper says."""

    says: str
    holds: bool
    missed: float | None = None
    """By what share of the claim's own figure it fails; None where a failure has no margin."""

    @property
    def is_near(self) -> bool:
        """Whether it holds, or fails by a small margin."""
        return self.holds or (self.missed is not None and self.missed <= SMALL)


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
    """What the claim says; they decide the verdict."""
    commands: tuple[Command, ...] = ()
    code: str = ""
    """Python that shows it: statements of one line each, the last one an expression."""
    beside: tuple[Check, ...] = ()
    """What bears on the claim without deciding it."""

    @property
    def verdict(self) -> str:
        """Confirmed, refined or refuted, by the rule on the page."""
        if not self.checks:
            raise ValueError(f"nothing was checked of {self.claim!r}")
        if all(check.holds for check in self.checks):
            return "confirmed"
        return "refined" if all(check.is_near for check in self.checks) else "refuted"


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
