"""``qerror formula``."""

import pytest

from qerror.rigorous.symbolic import FAMILIES
from tests.cli.conftest import Run


@pytest.mark.parametrize("name", FAMILIES)
def test_the_command_prints_them(run: Run, name: str) -> None:
    plain = run("formula", name)
    assert plain.exit_code == 0, plain.stderr
    assert "I(a, b, q) = " in plain.stdout
    assert "\\frac" in run("formula", name, "--latex").stdout
    assert "def J(a, b, q, " in run("formula", name, "--python").stdout


def test_bad_input(run: Run) -> None:
    assert run("formula", "gaussian", "--latex", "--python").exit_code == 2
    assert run("formula", "logistic").exit_code == 2
