"""Make docs/findings.md: the claims of the papers, each beside its exact figures.

From the repository's root: ``python -m docs.make_findings``. Nothing on the page is typed by
hand but what the papers state; the same library gives the same bytes.
"""

import textwrap
from collections import Counter
from functools import cache
from pathlib import Path

from docs.claims import PAPERS
from docs.claims._finding import RULE, Finding, session, table

PAGE = Path(__file__).with_name("findings.md")

_INTRODUCTION = """\
# Findings

What four papers say about number formats, each claim beside its exact figure and the command or
the Python session that shows it. The page is made by `python -m docs.make_findings`: every figure
of ours is computed then, and only what the papers state is quoted."""

_VERDICTS = ("confirmed", "refined", "refuted")
_LISTED = 6  # more checks of one kind are counted, not listed

_LIMITS = """\
## What is not here

Claims about the accuracy of trained networks and about hardware: they need data sets, training and
circuits. The densities here are exact, tensors are not; what a claim says of tensors is judged on
the densities that the papers themselves take for them. The papers' own figures come from samples,
so their last digits may be off."""


@cache
def findings() -> tuple[tuple[str, tuple[Finding, ...]], ...]:
    """Return all findings, paper by paper."""
    return tuple((paper, tuple(judge() for judge in judges)) for paper, judges in PAPERS.items())


def page() -> str:
    """Return the page."""
    numbered = list(enumerate((each for _, found in findings() for each in found), start=1))
    counts = Counter(finding.verdict for _, finding in numbered)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS)
    parts = [
        _INTRODUCTION,
        RULE,
        f"Of {len(numbered)} claims: {summary}.",
        table(
            ("claim", "verdict", "our figure"),
            [(f"[{n}](#{n}). {each.claim}", each.verdict, each.figure) for n, each in numbered],
        ).replace("---: | ---:", "--- | ---"),
    ]
    number = 0
    for paper, found in findings():
        parts.append(f"## {paper}")
        for each in found:
            number += 1
            parts.append(_section(number, each))
    parts.append(_LIMITS)
    return "\n\n".join(parts) + "\n"


def _section(number: int, finding: Finding) -> str:
    failed = [check.says for check in finding.checks if not check.holds]
    held = [check.says for check in finding.checks if check.holds]
    parts = [
        f'### <a id="{number}"></a>{number}. {finding.claim}',
        _wrapped(
            f"*{finding.place[0].upper()}{finding.place[1:]}.* "
            f"**{finding.verdict.capitalize()}**: {finding.figure}."
        ),
        *(_wrapped(part) for part in finding.text.split("\n\n")),
    ]
    if len(held) > _LISTED:
        held = [f"{len(held)} others like these"] if failed else held
    lines = [f"- fails: {says}" for says in failed] + [f"- holds: {says}" for says in held]
    parts.append("\n".join(lines))
    if finding.commands:
        lines = [f"$ {command.line}" for command in finding.commands]
        parts.append("```console\n" + "\n".join(lines) + "\n```")
    if finding.code:
        parts.append(f"```python\n{session(finding.code)}\n```")
    return "\n\n".join(parts)


def _wrapped(paragraph: str) -> str:
    """Return a paragraph in lines of equal width; a table stays as it is."""
    if paragraph.startswith("|"):
        return paragraph
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
