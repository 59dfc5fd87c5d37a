"""Odd input of every kind: an answer or a QErrorException, exit code 0 or 2 with one line."""

import itertools
import math
import random
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import qerror
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    parse_density,
)
from qerror.exceptions import InvalidValue, QErrorException

ODD: list[Any] = [
    None, True, "", "x", b"1", [], [1], [[1.0], [2.0, 3.0]], {}, {1}, object, math.nan, math.inf,
    -math.inf, 0, -0.0, -1, 5e-324, 1e-320, 1e-160, 1e160, 1e300, 1.7e308, 10**400, -(10**400), 1j,
    np.complex64(1), np.float32(1), np.array([]), np.array(["a"]), np.array([1j]),
    np.array([1.0, np.nan]), np.array([1, -1]), np.datetime64("2020-01-01"),
    np.ma.masked_array([1.0, 2.0], [False, True]), np.array(None), "9" * 5000, "-" * 1500 + "1",
]  # fmt: skip

_GRID: Any = qerror.Grid
CALLS: dict[str, Callable[[Any], object]] = {
    "scale": lambda v: qerror.quantization_error("int4", Gaussian(), v),
    "max_value": lambda v: qerror.quantization_error("int4", Gaussian(), max_value=v),
    "bias": lambda v: qerror.quantization_error("4M3E", Gaussian(), bias=v),
    "method": lambda v: qerror.quantization_error("int4", Gaussian(), method=v),
    "rounding": lambda v: qerror.quantization_error("int4", Gaussian(), rounding=v),
    "format": lambda v: qerror.quantization_error(v, Gaussian()),
    "density": lambda v: qerror.quantization_error("int4", v),
    "parse_density": parse_density,
    "parse_format": qerror.parse_format,
    "codebook": qerror.Codebook,
    "grid": lambda v: _GRID(v, [1], [2]),
    "steps": lambda v: _GRID([0, 1], v, [1]),
    "counts": lambda v: _GRID([0, 1], [1], v),
    "std": lambda v: _figures(Gaussian(0.0, v)),
    "mean": lambda v: _figures(Gaussian(v, 1.0)),
    "loc": lambda v: _figures(Laplace(v)),
    "nu": lambda v: _figures(StudentT(v)),
    "beta": lambda v: _figures(GeneralizedGaussian(v)),
    "low": lambda v: _figures(Uniform(v, 2.0)),
    "truncated": lambda v: _figures(Truncated(Gaussian(), v)),
    "clipped": lambda v: _figures(Clipped(Gaussian(), -1.0, v)),
    "rectified": Rectified,
    "components": lambda v: Mixture(v, [1.0]),
    "weights": lambda v: Mixture([Gaussian()], v),
    "values": lambda v: Discrete(v, [1.0]),
    "probabilities": lambda v: Discrete([1.0], v),
    "sample": lambda v: Gaussian().sample(3, v),
    "size": lambda v: Gaussian().sample(v, np.random.default_rng(1)),
    "pdf": lambda v: Clipped(Gaussian(), -1.0, 1.0).pdf(v),
    "cdf": lambda v: Clipped(Gaussian(), -1.0, 1.0).cdf(v),
    "ppf": lambda v: StudentT(3.0).ppf(v),
    "mass": lambda v: Gaussian().mass(v, 3.0),
    "affine": lambda v: Gaussian().affine(v, 1.0),
    "scalar_product": lambda v: qerror.scalar_product_error(v, v),
}


def _figures(density: Density) -> object:
    found = [density.mean, density.variance, density.second_moment, density.support]
    found += [density.cdf([-1.0, 1.0]), density.pdf(0.5), density.mass(-1.0, 1.0)]
    return [*found, qerror.quantization_error("int8", density, 0.01)]


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments(name: str) -> None:
    """Nothing but an answer or a refusal that says so, whatever is given."""
    for value in ODD:
        said, shown = "an answer", reprlib.repr(value)
        try:
            CALLS[name](value)
        except QErrorException as error:
            said = str(error)
        except Exception as error:
            raise AssertionError(f"{name}({shown}) raises {error!r:.200}") from error
        assert 0 < len(said) < 2000, f"{name} refuses {shown} in {len(said)} characters"


@pytest.mark.parametrize("std", [1e-320, 1e-200, 1e-160, 1e160, 1e300])
def test_squares_that_float64_does_not_hold_are_refused(std: float) -> None:
    for density in (Gaussian(0.0, std), Laplace(0.0, std), Uniform(-std, std)):
        with pytest.raises(InvalidValue, match="float64 cannot hold"):
            qerror.quantization_error("int8", density, std / 50 or 5e-324)


@pytest.mark.parametrize("exponent", [-470, -450, -420, 420, 450, 490])
def test_answers_do_not_depend_on_the_unit(exponent: int) -> None:
    """Where squares are held, a power of two moves no digit."""
    unit = math.ldexp(1.0, exponent)
    for density in (Gaussian(), StudentT(3.0), Uniform(-1.0, 3.0), Rectified(Gaussian())):
        there = qerror.quantization_error("e4m3", density.affine(unit), 0.01 * unit)
        here = qerror.quantization_error("e4m3", density, 0.01)
        assert there.mse / unit / unit == pytest.approx(here.mse, rel=1e-14, abs=0)
        assert there.sqnr_db == pytest.approx(here.sqnr_db, abs=1e-11)
        assert there.cross_moment / unit / unit == pytest.approx(
            here.cross_moment, rel=1e-13, abs=0
        )


def test_infinite_power_is_infinite_far_from_the_centre() -> None:
    density = Truncated(StudentT(1.0, 1e6), -math.inf, 1e6 - 100)
    assert density.second_moment == math.inf


def test_formats_of_many_exponents_on_long_tails() -> None:
    report = qerror.quantization_error("2M11E", GeneralizedGaussian(0.5))
    near = qerror.quantization_error("2M8E", GeneralizedGaussian(0.5))
    assert report.mse == pytest.approx(near.mse, rel=1e-13, abs=0)


COMMANDS = [
    ["error", "{format}", "--dist", "{density}"],
    ["error", "{format}", "--dist", "gaussian", "--std", "{number}"],
    ["error", "int8", "--dist", "gaussian", "--max-value", "{number}"],
    ["error", "int8", "--dist", "student-t", "--nu", "{number}"],
    ["show", "{format}"],
    ["fixed-point", "--dist", "gaussian", "--std", "{number}"],
    ["optimize", "{format}", "--dist", "gaussian", "--std", "{number}"],
    ["verify", "--dist", "{density}", "--formats", "int4", "--size", "100"],
]
WORDS = {
    "format": [
        "int8", "int0", "int999", "int" + "9" * 400, "4M3E:bias=1e400", "4M3E:bias=nan", "", "-",
        "codebook:", "codebook:1,1", "codebook:0,1e-320", "fixed53.1074", "0M11E", "\x1b[31mred",
        "int8:", "int8:full:full", "mxfp4", "fp8", "e4m3:specials=none,fn", "uint8:zp=-1",
    ],
    "density": [
        "gaussian", "gaussian(", "gaussian(std=" + "9" * 400 + ")", "rectified(" * 195 + ")" * 195,
        "gaussian(std=" + "-" * 1500 + "1)", "mixture()", "mixture(1*2)", "__import__('os')",
        "discrete([],[])", "discrete([1],[1])", "uniform(1,1)", "uniform(-1e155,1e155)", "\x1b[2J",
        "truncated(gaussian(), low=50, high=51)", "student-t(nu=inf)", "laplace(loc=1e300)", "",
    ],
    "number": ["1e300", "1e160", "1e-320", "0", "-1", "nan", "inf", "1e400", "9" * 400, "x", ""],
}  # fmt: skip


def _lines() -> list[list[str]]:
    found: list[list[str]] = []
    for command in COMMANDS:
        holes = [key for key in WORDS if f"{{{key}}}" in command]
        for chosen in itertools.product(*(WORDS[key] for key in holes)):
            words = dict(zip(holes, chosen, strict=True))
            found.append([words.get(part.strip("{}"), part) for part in command])
    return random.Random(1).sample(found, 120)


def test_odd_command_lines() -> None:
    """Exit code 0, or 2 with one line that is an error; never a traceback or an escape sequence."""
    from qerror_cli.main import main

    for words in _lines():
        result = CliRunner().invoke(main, words)
        shown = [word[:40] for word in words]
        known = result.exception is None or isinstance(result.exception, SystemExit)
        assert known, (shown, result.exception)
        assert result.exit_code in {0, 2}, (shown, result.output[-300:])
        assert "\x1b" not in result.output, shown
        if result.exit_code == 2:
            assert result.output.count("Error: ") == 1, (shown, result.output)


def test_the_callers_world() -> None:
    """Errors of NumPy as exceptions, as a caller may have set them, change no answer."""
    densities = [Gaussian(), StudentT(3.0), Rectified(Gaussian()), Truncated(Laplace(), -1.0, 2.0)]
    for name, density in itertools.product(["int8", "e4m3", "int16", "fp16"], densities):
        usual = qerror.quantization_error(name, density, 0.01)
        with np.errstate(all="raise"):
            assert qerror.quantization_error(name, density, 0.01) == usual


@pytest.mark.parametrize(
    "density",
    [
        Laplace(0.3), Rectified(Gaussian()), Truncated(Laplace(), -1.0, 2.0),
        GeneralizedGaussian(8.0), Mixture([Gaussian(1.0, 0.001), Laplace(-2.0, 0.01)], [0.5, 0.5]),
    ],
    ids=["laplace", "rectified", "truncated", "generalized", "mixture"],
)  # fmt: skip
def test_searches_in_the_callers_world(density: Density) -> None:
    """Underflow to 0 is right wherever it happens, and no error."""
    from qerror.codebooks import shannon_bound
    from qerror.optimize import best_zero_point

    def searched() -> list[float]:
        best = qerror.optimal_scale("int4", density)
        zero, book = best_zero_point(2, density), qerror.lloyd_max(density, 4)
        figures = [best.report.mse, best.plateau[0], zero.report.mse, book.report.mse]
        return [*figures, shannon_bound(density, 4.0)]

    usual = searched()
    with np.errstate(all="raise"):
        assert searched() == usual
