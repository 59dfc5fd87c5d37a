"""Completion: what is offered where, and the scripts in the shells that they are for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from qerror_cli.commands.completion import SHELLS
from qerror_cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def offered(line: str) -> list[str]:
    """Return what is offered for the last word of a line."""
    *words, last = line.split(" ")
    shell = ShellComplete(main, {}, "qerror", "X")
    return [item.value for item in shell.get_completions(words[1:], last)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("qerror swe", ["sweep"]),
        ("qerror error 4M", ["4M3E"]),
        ("qerror error nf4", ["NF4", "NF4:g64"]),
        ("qerror sweep --formats int8,5m", ["int8,5M2E"]),
        ("qerror sweep --dist stu", ["student-t"]),
        ("qerror sweep --dist truncated(gau", ["truncated(gaussian"]),
        (
            "qerror sweep --dist truncated(gaussian(),l",
            [
                f"truncated(gaussian(),{word}"
                for word in ("low=", "laplace", "log-uniform", "logistic")
            ],
        ),
        (
            "qerror sweep --dist student-t(",
            ["student-t(nu=", "student-t(loc=", "student-t(scale="],
        ),
        ("qerror sweep --dist student-t(nu=3,l", ["student-t(nu=3,loc="]),
        ("qerror sweep --dist mixture(0.9*gaussian(st", ["mixture(0.9*gaussian(std="]),
        ("qerror sweep --dist nothing(", []),
        ("qerror sweep --over n", ["nu="]),
        ("qerror sweep --over max", ["max-value="]),
        ("qerror sweep --rounding sto", ["stochastic"]),
        ("qerror sweep --n", ["--nu"]),
        ("qerror error int8 --max-value b", ["best"]),
        ("qerror figure fp8-fig1", ["fp8-fig1", "fp8-fig10"]),
        ("qerror figure fp8-fig3 --format p", ["png", "pdf"]),
        ("qerror completion z", ["zsh"]),
    ],
)  # fmt: skip
def test_what_is_offered(line: str, wanted: list[str]) -> None:
    found = offered(line)
    assert sorted(found) == sorted(wanted)


def test_every_command_is_offered() -> None:
    assert set(offered("qerror ")) == set(COMMANDS)


def test_files_are_left_to_the_shell() -> None:
    words = ["error", "int8", "--data"]
    found = ShellComplete(main, {}, "qerror", "X").get_completions(words, "we")
    assert [item.type for item in found] == ["file"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `qerror` is this checkout's, and a folder with one file."""
    stub = tmp_path / "qerror"
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qerror_cli "$@"\n')
    stub.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
        "HOME": str(tmp_path),
    }


PROGRAMS = {
    "bash": """
        eval "$(qerror completion bash)"
        COMP_WORDS=(qerror error 4M) COMP_CWORD=2 COMPREPLY=()
        _qerror_completion qerror
        echo "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { : }
        compadd() { for last; do :; done; print -r -- "${completions[@]}" }
        _describe() { print -r -- "${completions_with_descriptions[@]}" }
        eval "$(qerror completion zsh)"
        words=(qerror error 4M) CURRENT=3
        _qerror_completion
    """,
    "fish": """
        qerror completion fish | source
        complete -C "qerror error 4M"
    """,
}


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("'student-t(n", ["student-t(nu=", "student-t(nu=..."]),  # the quote stays open
        ("student", ["student-t"]),
        ("'student-t(", ["student-t(nu=", "student-t(loc=", "student-t(scale="]),
    ],
)
def test_bash_does_not_end_a_word_that_goes_on(
    typed: str, wanted: list[str], environment: dict[str, str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    program = f"""
        eval "$(qerror completion bash)"
        COMP_WORDS=(qerror sweep --dist "{typed}") COMP_CWORD=3 COMPREPLY=()
        _qerror_completion qerror
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert sorted(done.stdout.split()) == sorted(wanted), (done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_in_the_shell_itself(shell: str, environment: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}: make browser (apt-get install -y {shell})")
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *flags, "-c", PROGRAMS[shell]],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout.split() == ["4M3E"], (done.stdout, done.stderr)


def test_a_shell_that_is_not_known() -> None:
    done = CliRunner().invoke(main, ["completion", "tcsh"])
    assert done.exit_code == 2
    assert "bash" in done.stderr
