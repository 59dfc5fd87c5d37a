"""The page of findings: made anew, its commands run, its figures found again another way."""

import ast
import doctest
import math
import re
import shlex
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import integrate, stats

from docs.network_findings import network_findings
from qerror import studies
from qerror.studies.f8net import f8net_claims
from qerror.studies.finding import SMALL, Check, Command, Finding, rounds_to
from qerror.studies.measures import power_loss
from qerror.studies.page import findings, page
from qerror_cli.main import main

STUDIES = Path(studies.__file__).parent
CLAIMS = sorted([*STUDIES.rglob("*claims.py"), STUDIES / "mqbench.py"])
TEXT = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
STATED = {"claim", "place", "line", "code"}


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return [finding for _, group in findings() for finding in group]


@pytest.mark.exhaustive
def test_the_page_is_what_the_library_says() -> None:
    assert page(network_findings()) == TEXT


@pytest.mark.exhaustive
def test_every_claim_is_shown_and_decided(found: list[Finding]) -> None:
    assert len(found) >= 12
    assert len({finding.claim for finding in found}) == len(found)
    for finding in found:
        assert finding.commands or finding.code, finding.claim
        assert finding.place
        assert finding.checks


@pytest.mark.exhaustive
def test_every_paper_has_findings() -> None:
    assert [len(group) > 0 for _, group in findings()] == [True] * 5


@pytest.mark.exhaustive
def test_every_command_runs_and_shows_its_figures(
    found: list[Finding], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = {command for finding in found for command in finding.commands}
    assert {command.line for command in commands} == set(
        re.findall(r"^\$ (.*)$", TEXT, re.MULTILINE)
    )
    for command in sorted(commands, key=_line):
        name, *arguments = shlex.split(command.line)
        assert name == "qerror"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, (command.line, result.output)
        assert command.shows
        for figure in command.shows:
            assert _shows(result.stdout, figure), (command.line, figure, result.stdout)
    assert not list(tmp_path.iterdir())


def _shows(output: str, figure: str) -> bool:
    """Return whether a number of the output rounds to the figure, or the output contains it."""
    try:
        wanted = Decimal(figure)
    except InvalidOperation:
        return figure in output
    half = Decimal("0.500001").scaleb(int(wanted.as_tuple().exponent))
    printed = re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", output)
    return any(abs(Decimal(number) - wanted) <= half for number in printed)


def _line(command: Command) -> str:
    return command.line


def test_every_session_prints_what_is_shown() -> None:
    runner, parser = doctest.DocTestRunner(), doctest.DocTestParser()
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for block in blocks:
        runner.run(parser.get_doctest(block, {}, "findings", "findings.md", 0))
    assert runner.tries >= len(blocks) > 0
    assert runner.failures == 0


def test_the_rule_of_verdicts() -> None:
    def verdict(*checks: Check) -> str:
        return Finding("", "", "", "", checks, beside=(Check("", holds=False),)).verdict

    yes, no = Check("", holds=True), Check("", holds=False)
    near, far = Check("", False, SMALL), Check("", False, SMALL * 1.01)
    assert verdict(yes, yes) == "confirmed"
    assert verdict(yes, near) == "refined"
    assert verdict(near) == "refined"
    assert verdict(yes, far) == "refuted"
    assert verdict(yes, near, no) == "refuted"
    assert verdict(no) == "refuted"
    with pytest.raises(ValueError, match="nothing was checked"):
        verdict()


@pytest.mark.exhaustive
def test_what_is_refined_states_its_margin(found: list[Finding]) -> None:
    for finding in found:
        for check in finding.checks:
            if finding.verdict == "refined" and not check.holds:
                assert re.search(r"\d(%| bit)", check.says), check.says


@pytest.mark.exhaustive
def test_a_claim_has_one_verdict_everywhere(found: list[Finding]) -> None:
    """The claims of ``fixed-point --claims`` are four of the page's."""
    kinds = {
        "signed: best": "For signed codes the best fractional length is",
        "signed: error": "For signed codes the best fractional length keeps",
        "unsigned: best": "For unsigned codes the best fractional length is",
        "unsigned: error": "For unsigned codes the best fractional length keeps",
    }
    on_page = {finding.claim: finding.verdict for finding in found}
    claims = f8net_claims()
    assert len(claims) == len(kinds)
    for claim in claims:
        begin = next(text for kind, text in kinds.items() if claim.statement.startswith(kind))
        (verdict,) = [each for text, each in on_page.items() if text.startswith(begin)]
        assert claim.verdict == verdict


@pytest.mark.thinned(3)
@pytest.mark.parametrize(("name", "worst"), [("5M2E", 1.8372), ("int8", 3.8977), ("int4", 2.5671)])
def test_worst_powers_of_two_against_closed_forms(name: str, worst: float) -> None:
    """At the worst standard deviation two powers tie; a scan of others finds nothing worse."""
    found = power_loss(name)
    assert found.worst == pytest.approx(worst, abs=5e-5)
    points = levels_of_5m2e(63 / 16) if name == "5M2E" else _codes(2 ** (int(name[3]) - 1) - 1)

    def level(std: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return -10 * np.log10(_mean_squares(points, np.exp2(np.arange(-12.0, 6.0)) / std))

    steps = np.geomspace(1e-4, 4, 20_001)
    best = -10 * np.log10(_mean_squares(points, steps).min())
    first, second = np.sort(level(found.std))[::-1][:2]
    assert first == pytest.approx(second, abs=1e-6)
    assert best - first == pytest.approx(found.worst, abs=1e-5)
    scan = [level(2.0**x).max() for x in np.linspace(0, 1, 257)]
    assert best - min(scan) <= found.worst + 1e-5


def _codes(most: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.arange(-most, most + 1.0)


def test_a_number_rounds_to_what_is_stated() -> None:
    assert rounds_to(4.352, "4.35")
    assert not rounds_to(4.356, "4.35")
    assert rounds_to(239.6, "240")


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: "-".join(path.parts[-2:]))
def test_no_figure_is_typed_by_hand(path: Path) -> None:
    """Text holds a decimal only where a claim, its place or a command is quoted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and _name(node.func) == "Finding"):
            continue
        quoted = {0, 1}  # the claim and its place
        typed = [arg for i, arg in enumerate(node.args) if i not in quoted]
        for part in typed:
            for text in _texts(part):
                assert not re.search(r"\d\.\d|\d%", text), text


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.AST) -> list[str]:
    """Return the literal text below a node, without what checks state and commands say."""
    if isinstance(node, ast.Call) and _name(node.func) in {"Check", "Command", "rounds_to"}:
        return []
    if isinstance(node, ast.FormattedValue):
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [text for child in ast.iter_child_nodes(node) for text in _texts(child)]


def levels_of_5m2e(c: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the levels of two exponent and five mantissa bits that end at c."""
    ulp = [*range(64), *range(64, 128, 2), *range(128, 253, 4)]
    positive = np.array(ulp) * (c / 252)
    return np.concatenate([-positive[:0:-1], positive])


def test_the_toy_experiment_by_other_means() -> None:
    """The best c and the zero of the straight-through gradient, by plain quadrature."""

    def weighted(x: float, q: float) -> float:
        return (x - q) ** 2 * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    def rounding(c: float) -> float:
        points = levels_of_5m2e(c)
        edges = np.concatenate([[-c], (points[1:] + points[:-1]) / 2, [c]])
        return math.fsum(
            integrate.quad(weighted, a, b, args=(q,), epsabs=1e-16)[0]
            for q, a, b in zip(points, edges[:-1], edges[1:], strict=True)
        )

    def clipping(c: float) -> float:
        beyond = (1 + c * c) * stats.norm.sf(c) - c * stats.norm.pdf(c)
        return 2 * float(beyond)

    best, stalled = _figures(r"c = (4\.\d+)")
    around = [rounding(c) + clipping(c) for c in (best - 2e-3, best, best + 2e-3)]
    assert around[1] == min(around)
    assert f"{around[1]:.6e}" in TEXT
    excess = 2 * float(stats.norm.pdf(stalled) - stalled * stats.norm.sf(stalled))
    assert rounding(stalled) / stalled == pytest.approx(excess, rel=1e-5, abs=0)


def _figures(pattern: str) -> tuple[float, float]:
    """Return the largest and the smallest of the figures that a pattern finds on the page."""
    values = [float(value) for value in re.findall(pattern, TEXT) if len(value) == 8]
    return max(values), min(values)


def test_the_relative_errors_of_f8net_by_other_means() -> None:
    """The share below 1%, by closed forms on a grid of standard deviations of its own."""
    spreads = np.geomspace(0.1, 40, 4003)
    errors = np.min([_relative_error(2.0**-n / spreads) for n in range(8)], axis=0)
    share = float(np.mean(errors < 0.01))
    stated = re.search(r"(\d+\.\d)%\sof\sthe\srange\sstays\sbelow\s1%", TEXT)
    assert stated
    assert share == pytest.approx(float(stated[1]) / 100, abs=1e-3)
    assert f"{errors[0]:.3%} at 0.1" in TEXT


def _relative_error(
    step: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return sqrt(E[e^2]) of the codes -127 .. 127 at each step on a standard Gaussian."""
    return np.sqrt(_mean_squares(_codes(127), step))


def _mean_squares(
    points: np.ndarray[tuple[int], np.dtype[np.float64]],
    step: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return E[e^2] of levels times each step on a standard Gaussian, by partial moments."""
    q = points[:, None] * step
    middle = (q[1:] + q[:-1]) / 2
    infinite = np.full((1, step.size), np.inf)
    a, b = np.concatenate([-infinite, middle]), np.concatenate([middle, infinite])

    def edge(
        x: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.where(np.isfinite(x), np.where(np.isfinite(x), x, 0) * stats.norm.pdf(x), 0)

    mass = stats.norm.cdf(b) - stats.norm.cdf(a)
    first = stats.norm.pdf(a) - stats.norm.pdf(b)
    second = mass + edge(a) - edge(b)
    return np.asarray((second - 2 * q * first + q * q * mass).sum(axis=0))


def test_the_calibrations_by_other_means() -> None:
    """LSQ's scale on a Gaussian at 8 bits costs so many times the least MSE."""
    steps = np.linspace(0.0300, 0.0320, 2001)
    least = float(np.min(_relative_error(steps))) ** 2
    norm = float(_relative_error(np.array([2 * math.sqrt(2 / math.pi / 127)]))[0]) ** 2
    assert f"| {norm / least:.2f} |" in TEXT
