"""What the command line does with a density and a format that it was never told of.

Run by tests/laws/test_own_members.py, in a process where the two are registered.
"""

import json
import math
from itertools import pairwise
from typing import Any, TypeAlias

import mpmath
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from qerror import FORMATS, Density, parse_density, quantization_error
from qerror.formats import as_scalar_format
from qerror_cli.main import main

Number: TypeAlias = Any  # mpmath's, which has no types


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments, prog_name="qerror")
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(*arguments: str) -> list[dict[str, object]]:
    document = json.loads(run(*arguments, "--json"))
    return list(document["rows"])


def mean_square(levels: list[float], angle: Number) -> Number:
    """Integrate the squared error over each level's cell at 30 digits."""

    def density(z: Number) -> Number:
        return mpmath.sin(angle) / (2 * angle * (mpmath.cosh(z) + mpmath.cos(angle)))

    ends = [(a + b) / 2 for a, b in pairwise(levels)]
    total = mpmath.mpf(0)
    for q, a, b in zip(levels, [-mpmath.inf, *ends], [*ends, mpmath.inf], strict=True):
        total += mpmath.quad(lambda x, q=q: (x - q) ** 2 * density(x), [a, q, b])
    return total


def test_error_against_mpmath() -> None:
    with mpmath.workdps(30):
        levels = [mpmath.sqrt(2) ** k for k in range(7)]
        levels = [0.25 * float(x) for x in [*(-x for x in reversed(levels)), 0.0, *levels]]
        exact = float(mean_square(levels, mpmath.mpf(2)))
    command = ("error", "halfoctaves4", "--dist", "champernowne", "--angle", "2")
    (found,) = rows(*command, "--scale", "0.25")
    assert found["mse"] == pytest.approx(exact, rel=1e-12, abs=0)


def test_a_wide_grid_goes_by_runs() -> None:
    """The derivatives of the law of one's own: against the step rule, and cell by cell."""
    density = parse_density("champernowne", angle=2.0)
    wide = quantization_error("INT16", density, 20 / 32767)
    assert wide.rounding == pytest.approx((20 / 32767) ** 2 / 12, rel=2e-8, abs=0)
    coarse = quantization_error("E4M3", density, 0.01).mse
    assert coarse == pytest.approx(cellwise(density, 0.01), rel=1e-12, abs=0)


def cellwise(density: Density, scale: float) -> float:
    """Return the mean squared error by the law's general integrals, one cell at a time."""
    grid = as_scalar_format("E4M3").grid(scale)
    ends = np.array([-math.inf, *grid.thresholds, math.inf])
    (piece,) = density.pieces()
    local = piece.integrals(grid.points, ends[:-1] - grid.points, ends[1:] - grid.points)
    return float(local.second.sum())


def test_listings() -> None:
    (density,) = [row for row in rows("densities") if row["density"] == "champernowne"]
    assert density["parameters"] == ["angle", "loc=0", "scale=1"]
    (form,) = [row for row in rows("formats") if row["format"] == "HALFOCTAVES5"]
    assert (form["bits"], form["levels"], form["also"]) == (5, 31, ["ho5"])
    assert "champernowne" in run("densities")
    assert "HALFOCTAVES5" in run("formats")


def test_sweep() -> None:
    command = ("sweep", "--formats", "ho5,int5", "--dist", "champernowne")
    found = rows(*command, "--angle", "1")
    assert {row["format"] for row in found} == {"HALFOCTAVES5", "INT5"}
    swept = rows(*command, "--over", "angle=0.5,1,2")
    assert len(swept) == 6
    for row in found:
        again = [x for x in swept if (x["format"], x["angle"]) == (row["format"], 1.0)]
        assert [x["mse"] for x in again] == pytest.approx([row["mse"]], rel=1e-12, abs=0)


def test_help_and_complaints() -> None:
    assert "angle (champernowne)" in run("error", "--help")
    command = ("error", "ho5", "--dist", "champernowne")
    lacking = CliRunner().invoke(main, command, prog_name="qerror")
    assert lacking.exit_code == 2
    assert "champernowne needs angle: add --angle NUMBER" in lacking.stderr
    refused = CliRunner().invoke(main, [*command, "--angle", "4"], prog_name="qerror")
    assert refused.exit_code == 2
    assert "angle must lie between 0 and pi" in refused.stderr


@pytest.mark.parametrize(
    ("words", "start", "wanted"),
    [
        (["error"], "half", "HALFOCTAVES5"),
        (["sweep", "--formats"], "int8,half", "int8,HALFOCTAVES5"),
        (["error", "int8", "--dist"], "champ", "champernowne"),
        (["error", "int8"], "--ang", "--angle"),
    ],
)
def test_completion(words: list[str], start: str, wanted: str) -> None:
    complete = ShellComplete(main, {}, "qerror", "_QERROR_COMPLETE")
    assert wanted in [item.value for item in complete.get_completions(words, start)]


def test_the_format_reads_back() -> None:
    form = FORMATS["HALFOCTAVES5"]
    assert as_scalar_format("half-octaves5") == form
    assert as_scalar_format(form.name) == form
