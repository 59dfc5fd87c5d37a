"""Blocks at a real scale whose errors follow a largest value with a mean far out."""

import pytest

from qerror import StudentT, Uniform, parse_format, quantization_error
from qerror.formats import Absmax, BlockFormat, Codebook
from qerror.optimize import block_density
from tests.oracles.heavy_blocks import block_moments

NAMES = ["nf4", "codebook:-0.9,-0.11,0.4,0.8", "codebook:-1,1", "codebook:-1,-0.2,0.2,1"]


@pytest.mark.thinned(4)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [2, 3, 32, 4096])
@pytest.mark.parametrize("nu", [2.1, 2.5, 3.0, 4.0])
def test_errors_far_out(nu: float, n: int, name: str) -> None:
    element = parse_format(name)
    assert isinstance(element, Codebook)
    form = BlockFormat(element, Absmax(divisor=1.0), n)
    report = quantization_error(form, StudentT(nu))
    square, pair = block_moments(nu, n, element.grid().points)
    assert report.mse == pytest.approx(square, rel=3e-13, abs=0)
    assert report.pair_error == pytest.approx(pair, rel=1e-11, abs=3e-14 * square)
    ratio, power = block_density(StudentT(nu), n)
    by_law = power * quantization_error(name, ratio).mse
    assert by_law == pytest.approx(square, rel=1e-12, abs=0)


@pytest.mark.parametrize("scale", [1e4, 1e6, 1e9, 1e12])
def test_cells_meet_at_a_threshold_within_a_narrow_density(scale: float) -> None:
    # (0.2 s - |x|)^2: what rounding leaves between two cells far wider than the density counts.
    report = quantization_error("codebook:-0.2,0.2", Uniform(-1.0, 1.0), scale=scale)
    exact = 0.04 * scale**2 - 0.2 * scale + 1 / 3
    assert report.mse == pytest.approx(exact, rel=1e-15, abs=0)
