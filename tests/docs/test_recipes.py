"""The recipes answer what the page says."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "recipes.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SESSIONS = [
    (command, expected)
    for kind, block in BLOCKS
    if kind == "console"
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the page's Python was run, which must print what it shows."""
    path = tmp_path_factory.mktemp("recipes")
    source = "".join(block for kind, block in BLOCKS if kind == "python")
    runner = doctest.DocTestRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        runner.run(doctest.DocTestParser().get_doctest(source, {}, "recipes", "recipes.md", 0))
    assert runner.tries > 15
    assert runner.failures == 0
    stub = path / "qerror"
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qerror_cli "$@"\n')
    stub.chmod(0o755)
    return path


def test_there_are_ten() -> None:
    assert TEXT.count("\n## ") == 10
    assert {kind for kind, _ in BLOCKS} == {"console", "python"}
    assert len(SESSIONS) == 13


@pytest.mark.parametrize(("command", "expected"), SESSIONS, ids=[line for line, _ in SESSIONS])
def test_commands_print_what_is_shown(command: str, expected: str, folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
    }
    line = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(
        line, capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n") == expected.rstrip("\n")
    for drawn in re.findall(r"--plot (\S+)", command):
        assert (folder / drawn).stat().st_size > 1000
