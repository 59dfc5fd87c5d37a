"""Everything that README.md shows is run here, and what it says of formats is looked up."""

import doctest
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qerror import Codebook, ExponentOnly
from qerror.formats import as_scalar_format, scalar_formats

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def sessions() -> list[tuple[str, str]]:
    """Return the commands of the console blocks, each with the output that follows it."""
    found: list[tuple[str, str]] = []
    for kind, block in BLOCKS:
        if kind == "console":
            parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
            assert parts[0] == ""
            found += zip(parts[1::2], parts[2::2], strict=True)
    return found


def recipe(target: str) -> str:
    """Return the command that a target of the Makefile runs."""
    found = re.search(
        rf"^{target}:.*\n\t@\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert found
    return found[1]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _ in BLOCKS} == {"console", "python"}
    assert len(sessions()) >= 6


@pytest.mark.parametrize(("command", "expected"), sessions(), ids=[line for line, _ in sessions()])
def test_commands_print_what_is_shown(command: str, expected: str, tmp_path: Path) -> None:
    line = recipe(command.removeprefix("make ")) if command.startswith("make ") else command
    stub = tmp_path / "qerror"
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qerror_cli "$@"\n')
    stub.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
    }
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip("\n") == expected.rstrip("\n")


def test_python_prints_what_is_shown() -> None:
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner()
    for kind, block in BLOCKS:
        if kind == "python":
            runner.run(parser.get_doctest(block, {}, "README", "README.md", 0))
    assert runner.tries > 0
    assert runner.failures == 0


def test_options_and_extras_exist() -> None:
    from qerror_cli.commands import dot, error, network, optimize, sweep, verify

    commands = [module.command for module in (dot, error, optimize, sweep, verify)]
    commands += network.command.commands.values()
    known = {name for each in commands for option in each.params for name in option.opts}
    assert set(re.findall(r"`(--[a-z-]+|-o)\b", TEXT)) <= known | {"--help"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"'\.\[([a-z,]+)\]'", TEXT):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_the_conventions_are_as_stated() -> None:
    paper, ocp = as_scalar_format("4M3E").conventions(), as_scalar_format("E4M3").conventions()
    assert paper["bias"].startswith("4 ")
    assert paper["special codes"].startswith("none")
    assert (ocp["bias"][:2], ocp["max"]) == ("7 ", "448")
    assert (ocp["exponent bits"], ocp["mantissa bits"]) == ("4", "3")
    assert (as_scalar_format("int8").grid().min, as_scalar_format("int8").grid().max) == (-127, 127)
    assert as_scalar_format("int8:full").grid().min == -128
    for name, member in scalar_formats().items():
        if isinstance(member, ExponentOnly):
            assert member.grid().min > 0, name
        elif not isinstance(member, Codebook):
            assert member.grid().round_half_even(0.0) == 0.0, name
