"""The page of findings: the claims of the papers, each beside its exact figures.

Nothing on the page is typed by hand but what the papers state; the same library gives the same
bytes. `docs/make_findings.py` writes it.
"""

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from qerror._arrays import FrozenMapping
from qerror.studies import mqbench
from qerror.studies.blocks import claims as blocks
from qerror.studies.f8net import claims as f8net
from qerror.studies.finding import RULE, Check, Finding, session, table
from qerror.studies.fp8_quantization import claims as fp8_quantization
from qerror.studies.fp8_versus_int8 import claims as fp8_versus_int8

PAPERS: Mapping[str, Sequence[Callable[[], Finding]]] = FrozenMapping(
    {
        "FP8 Quantization: The Power of the Exponent (Kuzmin et al. 2022)": (
            fp8_quantization.FINDINGS
        ),
        "FP8 versus INT8 for efficient deep learning inference (van Baalen et al. 2023)": (
            fp8_versus_int8.FINDINGS
        ),
        "F8Net: Fixed-Point 8-bit Only Multiplication (Jin et al. 2022)": f8net.FINDINGS,
        "MQBench (Li et al. 2021)": mqbench.FINDINGS,
        "Block-scaled formats, as discussed in public": blocks.FINDINGS,
    }
)
"""The findings of each paper, in the paper's order."""

_INTRODUCTION = """\
# Findings

What four papers, and public discussions of block formats, say, each claim beside its exact figure
and the command or the Python session that shows it. The page is made by
`python -m docs.make_findings`: every figure of ours is computed then, and only what they state is
quoted."""

_VERDICTS = ("confirmed", "refined", "refuted")
_LISTED = 6  # more checks of one kind are counted, not listed

_MEASURED = "Networks that are small enough for a laptop"

_MEASURED_HOW = """\
These are measured, not computed, on networks that are trained here or come in packages: the
direction can be compared with the papers', their accuracies on ImageNet cannot. `qerror network`
makes the results; docs/networks.md has them with the commands."""

_LIMITS = """\
## What is not here

Accuracies on ImageNet and claims about hardware: they need data sets, training and circuits. The
densities here are exact, tensors are not; what a claim says of tensors is judged on the densities
that the papers themselves take for them, but for the last section. The papers' own figures come
from samples, so their last digits may be off."""


@cache
def findings() -> tuple[tuple[str, tuple[Finding, ...]], ...]:
    """Return all findings, paper by paper."""
    return tuple((paper, tuple(judge() for judge in judges)) for paper, judges in PAPERS.items())


def page(measured: Sequence[Finding] = ()) -> str:
    """Return the page, with findings that were measured on networks at its end."""
    groups = [*findings(), *([(_MEASURED, tuple(measured))] if measured else [])]
    numbered = list(enumerate((each for _, found in groups for each in found), start=1))
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
    for paper, found in groups:
        parts.append(f"## {paper}")
        if paper == _MEASURED:
            parts.append(_MEASURED_HOW)
        for each in found:
            number += 1
            parts.append(_section(number, each))
    parts.append(_LIMITS)
    return "\n\n".join(parts) + "\n"


def _section(number: int, finding: Finding) -> str:
    parts = [
        f'### <a id="{number}"></a>{number}. {finding.claim}',
        _wrapped(
            f"*{finding.place[0].upper()}{finding.place[1:]}.* "
            f"**{finding.verdict.capitalize()}**: {finding.figure}."
        ),
        *(_wrapped(part) for part in finding.text.split("\n\n")),
    ]
    parts.append("\n".join(_listed(finding.checks)))
    if finding.beside:
        parts.append("Beside it:\n\n" + "\n".join(_listed(finding.beside)))
    if finding.commands:
        lines = [f"$ {command.line}" for command in finding.commands]
        parts.append("```console\n" + "\n".join(lines) + "\n```")
    if finding.code:
        parts.append(f"```python\n{session(finding.code)}\n```")
    return "\n\n".join(parts)


def _listed(checks: Sequence[Check]) -> list[str]:
    """Return a line a check, the failed ones first."""
    failed = [f"- fails: {check.says}" for check in checks if not check.holds]
    held = [f"- holds: {check.says}" for check in checks if check.holds]
    if failed and len(held) > _LISTED:
        held = [f"- holds: {len(held)} others like these"]
    return failed + held


def _wrapped(paragraph: str) -> str:
    """Return a paragraph in lines of equal width; a table stays as it is."""
    if paragraph.startswith("|"):
        return paragraph
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)
