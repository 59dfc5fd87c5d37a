"""The page about distributions, bands, roundings and proofs shows what the commands print."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from qerror_cli.main import main

TEXT = (Path(__file__).parents[2] / "docs" / "beyond.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])"
CONSOLE = [block.split("\n", 1) for kind, block in BLOCKS if kind == "console"]


def test_python_examples() -> None:
    source = "".join(block for kind, block in BLOCKS if kind == "pycon")
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(source, {}, "beyond", "beyond.md", 0))
    assert runner.tries >= 5
    assert runner.failures == 0


@pytest.mark.parametrize(("line", "expected"), CONSOLE, ids=[line for line, _ in CONSOLE])
def test_commands_print_what_is_shown(line: str, expected: str) -> None:
    command, _, head = line.removeprefix("$ qerror ").partition(" | head -n ")
    command, _, tail = command.partition(" | tail -n ")
    result = CliRunner().invoke(main, shlex.split(command), prog_name="qerror")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.split("\n")
    lines = lines[-int(tail) - 1 :] if tail else lines  # the last one ends with a newline
    shown = "\n".join(lines[: int(head)] if head else lines)
    assert re.sub(NUMBER, "#", shown).split() == re.sub(NUMBER, "#", expected).split()
    # Simulated bands are the same draws, summed in the order that a machine likes.
    close = 2e-3 if "simulation" in expected else 1e-9
    ours, theirs = ([float(x) for x in re.findall(NUMBER, text)] for text in (shown, expected))
    assert ours == pytest.approx(theirs, rel=close, abs=1e-19)


def test_every_block_is_looked_at() -> None:
    assert {kind for kind, _ in BLOCKS} == {"console", "pycon"}
    assert len(CONSOLE) == 6
