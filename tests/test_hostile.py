"""Hostile calls and command lines, one by one: an answer that holds, or a refusal that says so.

An answer is finite where its inputs are; a command ends with 0 or 2, and at 2 with one message.
"""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import qerror
from qerror import codebooks, optimize, simulation
from qerror.analysis import error_distribution, scalar_product_error, sqnr_band
from qerror.densities import (
    Clipped,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import QErrorException

_q: Any = qerror
NAN, INF = math.nan, math.inf
FAR = Truncated(Gaussian(), 30.0, 31.0)
NARROW = Truncated(Laplace(), 0.7, 0.7 + 1e-12)
BESIDE = Mixture([Gaussian(), Discrete([1e-300, 1e300], [0.5, 0.5])], [0.5, 0.5])
SPREAD = Mixture([Gaussian(0.0, 1e-140), Gaussian(0.0, 1e140)], [0.5, 0.5])
REPORT = _q.quantization_error("int4", Gaussian(), 0.3)

Call = Callable[[], object]
CALLS: dict[str, Call] = {
    # densities at the ends of float64, cut to nothing, or absurd
    "far cut": lambda: errors(FAR, 31 / 127),
    "narrow cut": lambda: errors(NARROW, 0.01),
    "atoms at both ends": lambda: errors(BESIDE, 1.0),
    "spreads 280 decades apart": lambda: errors(SPREAD, 1.0),
    "cut beyond its law": lambda: Truncated(Gaussian(), 50.0, 51.0),
    "cut beyond all": lambda: errors(Truncated(Laplace(), 800.0, INF), 1.0),
    "cut of a cut": lambda: errors(Truncated(Truncated(Gaussian(), -1, 1), 2, 3), 1.0),
    "clip of a clip": lambda: errors(Clipped(Clipped(Gaussian(), -1, 1), 2, 3), 1.0),
    "rectified nothing": lambda: errors(Rectified(Uniform(-2.0, -1.0)), 1.0),
    "deep wrapping": lambda: errors(wrapped(40), 0.1),
    "100 components": lambda: errors(mixture(100), 0.1),
    "weights that vanish": lambda: errors(
        Mixture([Gaussian(), Laplace()], [1 - 1e-17, 1e-17]), 1.0
    ),
    "a weight of 0": lambda: errors(Mixture([Gaussian(), Laplace()], [1.0, 0.0]), 1.0),
    "beta 1e-3": lambda: errors(GeneralizedGaussian(1e-3), 1.0),
    "beta 1e6": lambda: errors(GeneralizedGaussian(1e6), 0.01),
    "nu 1e-300": lambda: errors(StudentT(1e-300), 1.0),
    "nu just above 2": lambda: errors(StudentT(2 + 1e-12), 1.0),
    "nu 1": lambda: errors(StudentT(1.0), 1.0),
    "subnormal width": lambda: errors(Uniform(0.0, 5e-324), 1.0),
    "neighbouring limits": lambda: errors(Uniform(1.0, math.nextafter(1.0, 2.0)), 0.01),
    "one value": lambda: errors(Discrete([0.0], [1.0]), 1.0),
    "values that are neighbours": lambda: errors(
        Discrete([1.0, math.nextafter(1.0, 2.0)], [0.5, 0.5]), 0.3
    ),
    "probabilities of 1e-300": lambda: errors(Discrete([0.0, 1.0], [1 - 1e-300, 1e-300]), 0.3),
    "an int of 400 digits": lambda: Discrete([10**400], [1.0]),
    "text as a value": lambda: _q.Discrete(["1"], [1.0]),
    "bool as std": lambda: Gaussian(0.0, True),
    "infinite mean": lambda: Gaussian(INF),
    "huge sample": lambda: Gaussian().sample(10**15, np.random.default_rng(1)),
    "negative sample": lambda: Gaussian().sample(-1, np.random.default_rng(1)),
    "sample of half": lambda: _q.Gaussian().sample(0.5, np.random.default_rng(1)),
    "pdf of text": lambda: Gaussian().pdf("x"),
    "ppf beyond 1": lambda: Gaussian().ppf(1.5),
    "ppf of nan": lambda: Gaussian().ppf(NAN),
    "cdf of objects": lambda: Gaussian().cdf(np.array([object()])),
    "mass of nan": lambda: Gaussian().mass(NAN, 1.0),
    "affine by 0": lambda: Gaussian().affine(0.0),
    "affine to infinity": lambda: Gaussian().affine(1e308).affine(1e308),
    "parse a lambda": lambda: _q.parse_density("lambda: 0"),
    "parse an attribute": lambda: _q.parse_density("gaussian.__class__"),
    "parse a loop": lambda: _q.parse_density("mixture([x for x in ()])"),
    "parse two": lambda: _q.parse_density("gaussian();laplace()"),
    "parse a null byte": lambda: _q.parse_density("gaussian(\0)"),
    "parse a surrogate": lambda: _q.parse_density("gaussian\udcff()"),
    "parse a keyword twice": lambda: _q.parse_density("gaussian(std=1,std=2)"),
    "parse stars": lambda: _q.parse_density("gaussian(*[1])"),
    "parse double stars": lambda: _q.parse_density("gaussian(**{})"),
    "parse a power": lambda: _q.parse_density("gaussian(std=9**9**9)"),
    "parse a complex": lambda: _q.parse_density("gaussian(std=1j)"),
    "empty data": lambda: Empirical([]),
    "data of nan": lambda: Empirical([NAN]),
    "ragged data": lambda: Empirical([[1.0], [1.0, 2.0]]),
    "data of text": lambda: Empirical(["1"]),
    "data of dates": lambda: Empirical(np.array(["2020-01-01"], dtype="datetime64[D]")),
    "data at both ends": lambda: errors(Empirical([-1.7e308, 1.7e308]), 1e306),
    "subnormal data": lambda: errors(Empirical([5e-324, -5e-324]), 1e-323),
    "a void array": lambda: Empirical(np.zeros(3, dtype="V8")),
    # formats
    "int1": lambda: _q.Integer(1),
    "bits as a float": lambda: _q.Integer(8.0),
    "zero point beyond": lambda: _q.Integer(8, signed=False, zero_point=999),
    "53 mantissa bits": lambda: _q.FloatingPoint(53, 3),
    "12 exponent bits": lambda: _q.FloatingPoint(3, 12),
    "no exponent bits": lambda: errors_of("0M2E", Gaussian(), 1.0),
    "bias of 1e300": lambda: _q.FloatingPoint(3, 4, bias=1e300),
    "unknown specials": lambda: _q.FloatingPoint(3, 4, specials="x"),
    "codebook of one": lambda: optimize_one(_q.Codebook([1.0])),
    "codebook of 0": lambda: optimize_one(_q.Codebook([0.0])),
    "codebook below 0": lambda: optimize_one(_q.Codebook([-2.0, -1.0])),
    "codebook of the ends": lambda: errors_of(_q.Codebook([-1e308, 0.0, 1e308]), Gaussian(), 1.0),
    "codebook of subnormals": lambda: errors_of(_q.Codebook([0.0, 5e-324]), Gaussian(), 1.0),
    "codebook of two zeros": lambda: _q.Codebook([0.0, -0.0]),
    "fixed beyond float64": lambda: _q.FixedPoint(8, 2000),
    "a name of 10,000 letters": lambda: _q.parse_format("e" * 10_000),
    "a name of digits": lambda: _q.parse_format("1" * 5000 + "M3E"),
    "a range of formats": lambda: _q.quantization_error("int4..int8", Gaussian()),
    "blocks of 0": lambda: _q.parse_format("int4:g0"),
    "blocks of 10^30": lambda: _q.parse_format("int4:g" + "1" + "0" * 30),
    "a grid of no steps": lambda: _q.Grid([1.0], [], []),
    "a grid backwards": lambda: _q.Grid([1.0, 0.0], [1.0], [1]),
    "a grid of 2^62": lambda: _q.quantization_error(
        _q.Grid([0.0, 2.0**62], [1.0], [2**62]), Gaussian()
    ),
    # scales, methods, reports
    "scale 5e-324": lambda: errors_of("int4", Gaussian(), 5e-324),
    "scale 1.7e308": lambda: errors_of("int4", Gaussian(), 1.7e308),
    "no scales": lambda: _q.quantization_error("int4", Gaussian(), []),
    "a million scales": lambda: _q.quantization_error(
        "int4", Gaussian(), np.geomspace(1e-9, 1e9, 10**5)
    ),
    "scale and bias": lambda: _q.quantization_error("4M3E", Gaussian(), 1.0, bias=3.0),
    "bias of an integer": lambda: _q.quantization_error("int4", Gaussian(), bias=3.0),
    "max_value of a block": lambda: _q.quantization_error("mxfp4", Gaussian(), max_value=1.0),
    "closed form of a Laplace": lambda: _q.quantization_error(
        "int4", Laplace(), method="closed-form"
    ),
    "digits of 0": lambda: _q.quantization_error(
        "int4", Gaussian(), method="high-precision", digits=0
    ),
    "digits of 10^9": lambda: _q.quantization_error(
        "int4", Gaussian(), method="high-precision", digits=10**9
    ),
    "stochastic of 24 bits": lambda: _q.quantization_error(
        "int4", Gaussian(), rounding="stochastic:24"
    ),
    "stochastic of -1": lambda: _q.quantization_error("int4", Gaussian(), rounding="stochastic:-1"),
    "product of length 0": lambda: scalar_product_error(REPORT, REPORT, 0),
    "product of length 10^30": lambda: scalar_product_error(REPORT, REPORT, 10**30),
    "product of no channel": lambda: scalar_product_error([], REPORT),
    "product of itself": lambda: _q.scalar_product_error([REPORT, None], REPORT),
    "band of 0 values": lambda: sqnr_band("int4", Gaussian(), 0.3, size=0),
    "band beyond certainty": lambda: sqnr_band("int4", Gaussian(), 0.3, size=10, confidence=1.0),
    "exceedance of nan": lambda: error_distribution("int4", Gaussian(), 0.3).exceedance(NAN),
    "error quantile of 2": lambda: error_distribution("int4", Gaussian(), 0.3).cdf("x"),
    # searches
    "limits the wrong way": lambda: _q.optimal_scale("int4", Gaussian(), low=2.0, high=1.0),
    "low of 0": lambda: _q.optimal_scale("int4", Gaussian(), low=0.0),
    "high of inf": lambda: _q.optimal_scale("int4", Gaussian(), high=INF),
    "a point mass at 0": lambda: optimize_one("int4", Discrete([0.0], [1.0])),
    "the best range of an end": lambda: optimize_one("int4", Gaussian(0.0, 1e150)),
    "the best range of the other": lambda: optimize_one("int4", Gaussian(0.0, 1e-150)),
    "the best range far off": lambda: optimize_one("int4", Gaussian(1e9, 1e-3)),
    "the best range of int2": lambda: optimize_one("int2", FAR),
    "the best range of the spread": lambda: optimize_one("int4", SPREAD),
    "data of one value": lambda: optimize_one("int4", Empirical([3.0])),
    "data of zeros": lambda: optimize_one("int4", Empirical([0.0, 0.0])),
    "data of one sign": lambda: optimize_one("uint4", Empirical([-1.0, -2.0])),
    "zero point of 1 bit": lambda: optimize.best_zero_point(1, Gaussian()),
    "zero point of 60 bits": lambda: optimize.best_zero_point(60, Gaussian()),
    "zero point of a mass": lambda: optimize.best_zero_point(3, Discrete([5.0], [1.0])),
    "switches of nothing": lambda: _q.format_switches([], StudentT(3), "nu", 3, 9),
    "switches over a word": lambda: _q.format_switches(8, StudentT(3), "x", 3, 9),
    "switches of nan": lambda: _q.format_switches(8, StudentT(3), "nu", NAN, 9),
    "ranking of 100 bits": lambda: _q.optimal_format(100, Gaussian()),
    "Lloyd-Max of 0": lambda: _q.lloyd_max(Gaussian(), 0),
    "Lloyd-Max of 10^9": lambda: _q.lloyd_max(Gaussian(), 10**9),
    "Lloyd-Max of t(2)": lambda: _q.lloyd_max(StudentT(2), 4),
    "Lloyd-Max of one value": lambda: _q.lloyd_max(Discrete([1.0], [1.0]), 4),
    "bounds of masses": lambda: codebooks.panter_dite(Discrete([1.0], [1.0]), 4),
    "sweep of nothing": lambda: _q.sweep([], ["gaussian"]),
    "sweep of no density": lambda: _q.sweep(["int4"], []),
    "sweep over nan": lambda: _q.sweep(["int4"], ["gaussian"], over=("std", [NAN])),
    "sweep over text": lambda: _q.sweep(["int4"], ["gaussian"], over=("std", ["a"])),
    "fit of one value": lambda: _q.fit([1.0]),
    "fit of nothing": lambda: _q.fit([]),
    "fit of infinities": lambda: _q.fit([INF, 1.0, 2.0]),
    "fit of the ends": lambda: _q.fit([1e308, -1e308, 1e300]),
    # the simulator
    "quantize text": lambda: _q.quantize("x", "int8"),
    "quantize objects": lambda: _q.quantize(np.array([object()]), "int8"),
    "quantize complex": lambda: _q.quantize(np.array([1j]), "int8"),
    "quantize nothing": lambda: _q.quantize(np.empty((0, 3)), "int8"),
    "quantize a scalar": lambda: _q.quantize(0.3, "int8"),
    "quantize by nan": lambda: _q.quantize(np.ones(2), "int8", NAN),
    "quantize by a matrix": lambda: _q.quantize(np.ones(2), "int8", np.ones((3, 3))),
    "quantize along no axis": lambda: _q.quantize(np.ones(2), "mxfp4", axis=5),
    "quantize into text": lambda: _q.quantize(np.ones(2), "int8", out="x"),
    "quantize into another shape": lambda: _q.quantize(np.ones(2), "int8", out=np.ones(3)),
    "quantize into what is read-only": lambda: _q.quantize(np.ones(2), "int8", out=frozen()),
    "quantize subnormals": lambda: _q.quantize(np.array([5e-324]), "int8", 5e-324),
    "quantize the ends": lambda: _q.quantize(np.array([1.7e308, -INF]), "int8", 1e306),
    "encode of a word": lambda: _q.simulation.encode(np.ones(2), "int8", 1.0, threads="x"),
    "decode beyond": lambda: simulation.decode(np.array([9999]), "int8", 1.0),
    "decode floats": lambda: simulation.decode(np.array([0.5]), "int8", 1.0),
    "estimate of none": lambda: _q.estimate_error(
        "int8", Gaussian(), size=0, rng=np.random.default_rng(1)
    ),
    "estimate by a seed": lambda: _q.estimate_error("int8", Gaussian(), size=10, rng=1),
    "cross-check of one": lambda: _q.cross_check(
        "int8", Gaussian(), size=1, rng=np.random.default_rng(1)
    ),
}


def errors(density: Any, scale: float) -> object:
    """Return the errors of several formats, after a check that they are figures."""
    found: list[object] = [
        errors_of(name, density, scale) for name in ("int4", "e4m3", "int16", "fp16")
    ]
    return found


def errors_of(name: Any, density: Any, scale: float) -> object:
    report = _q.quantization_error(name, density, scale)
    assert report.rounding >= 0
    assert report.clipping >= 0
    assert report.mse < INF or not density.second_moment < INF
    if report.signal_power == INF:
        return report
    # Cauchy-Schwarz, which a lost digit or sign breaks.
    most = math.sqrt(report.mse) * math.sqrt(report.signal_power) * (1 + 1e-9)
    assert abs(report.cross_moment) <= most + 1e-300
    assert abs(report.mean_error) <= math.sqrt(report.mse) * (1 + 1e-9) + 1e-300
    return report


def optimize_one(form: Any, density: Any = None) -> object:
    density = Gaussian() if density is None else density
    best = _q.optimal_scale(form, density)
    assert best.report.mse <= best.report.signal_power * (1 + 1e-9) or best.report.mse < INF
    return best.report, best.plateau


def wrapped(depth: int) -> Any:
    density: Any = Gaussian()
    for k in range(depth):
        density = Truncated(density, -5.0 + k / 100, 5.0 - k / 100)
    return density


def mixture(count: int) -> Any:
    parts = [Gaussian(0.01 * k, 1.0 + 0.01 * k) for k in range(count)]
    return Mixture(parts, [1 / count] * count)


def frozen() -> Any:
    array = np.ones(2)
    array.flags.writeable = False
    return array


@pytest.mark.thinned(4)
@pytest.mark.parametrize("name", CALLS)
def test_hostile_calls(name: str) -> None:
    said = "an answer"
    try:
        CALLS[name]()
    except QErrorException as error:
        said = str(error)
    assert 0 < len(said) < 1000


LINES = ["", *Path(__file__).with_name("hostile_lines.txt").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with odd files."""
    found = tmp_path_factory.mktemp("hostile")
    arrays = {
        "data": np.arange(-4.0, 4.0).reshape(2, 4),
        "tiny": np.array([1e-199, -3e-199, 5e-324]),
        "zeros": np.zeros(4),
        "ends": np.array([1.7e308, -1.7e308]),
        "nan": np.array([NAN, 1.0, INF]),
        "empty": np.empty(0),
        "text": np.array(["a", "b"]),
    }
    for name, array in arrays.items():
        np.save(found / f"{name}.npy", array)
    (found / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8'" + b"(" * 99)
    (found / "broken.npz").write_bytes(b"PK\x03\x04" + bytes(99))
    return found


@pytest.mark.thinned(4)
@pytest.mark.parametrize("line", LINES)
def test_hostile_lines(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0, or 2 with nothing on stdout and one message; 1 where a library is missing."""
    from qerror_cli.main import main

    monkeypatch.chdir(folder)
    before = {path.name for path in folder.iterdir()}
    result = CliRunner().invoke(main, shlex.split(line))
    known = result.exception is None or isinstance(result.exception, SystemExit)
    assert known, repr(result.exception)[:300]
    if result.exit_code != 0:
        assert result.exit_code == 2, result.stderr[-300:]
        assert not line or result.stdout == "", result.stdout[:200]
        assert not line or result.stderr.count("Error: ") == 1, result.stderr
        assert max(map(len, result.stderr.splitlines())) < 2000
    assert {path.name for path in folder.iterdir()} - before <= {"q.npy"}
    for word in ("nan dB", "Traceback", "Warning:", "inf dB"):
        assert word not in result.output, result.output
