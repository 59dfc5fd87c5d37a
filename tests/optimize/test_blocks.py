"""Best block formats against dense scans, and the density of a block against the analysis."""

import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from qerror import (
    Gaussian,
    Laplace,
    Mixture,
    StudentT,
    Uniform,
    parse_format,
    quantization_error,
)
from qerror.densities import Density
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, PowerOfTwo
from qerror.optimize import (
    block_size_for,
    optimal_multiplier,
    optimal_threshold,
    rank_blocks,
)


def blocks(name: str) -> BlockFormat:
    return cast("BlockFormat", parse_format(name))


@pytest.mark.parametrize("name", ["mxfp4", "mxint8:n=16"])
@pytest.mark.parametrize("density", [Gaussian(std=1.3), Laplace()], ids=repr)
def test_no_threshold_is_better(name: str, density: Gaussian | Laplace) -> None:
    best = optimal_threshold(name, density)
    form = blocks(name)
    for theta in np.geomspace(0.3, 2.2, 60) * form.element.max_value:
        other = replace(form, scale=PowerOfTwo(float(theta)))
        assert quantization_error(other, density).mse >= best.report.mse * (1 - 1e-9)


@pytest.mark.parametrize("name", ["int4:g64", "nf4:g32"])
def test_no_multiplier_is_better(name: str) -> None:
    best = optimal_multiplier(name, Gaussian())
    form = blocks(name)
    for alpha in np.linspace(0.7, 1.05, 50):
        other = replace(form, scale=Absmax(float(alpha)))
        assert quantization_error(other, Gaussian()).mse >= best.report.mse * (1 - 1e-9)


@pytest.mark.parametrize(
    ("name", "bits", "size"),
    [
        ("nvfp4", 4.5, 16),
        ("mxfp4", 4.25, 32),
        ("nf4:g64", 4.25, 64),
        ("int4:g8:affine", 4.5, 64),
        ("mxfp4", 4.0, None),
        ("mxfp8_e4m3", 8.3, 27),
        ("int4:g32:affine=integer", 4.5, 40),
    ],
)
def test_the_smallest_block_that_fits(name: str, bits: float, size: int | None) -> None:
    assert block_size_for(name, bits) == size
    if size is not None:
        assert replace(blocks(name), block_size=size).bits_per_value <= bits + 1e-9
        assert replace(blocks(name), block_size=size - 1).bits_per_value > bits


@pytest.mark.parametrize(
    ("name", "bits", "size"),
    [
        ("nvfp4:of=4096", 4.5, 32),
        ("nvfp4:of=4096", 4.012, 2048),
        ("nvfp4:of=96", 4.5, 48),
        ("nvfp4:4over6:of=65536", 4.75, 16),
        ("nvfp4:of=4096", 4.007, None),
    ],
)
def test_the_smallest_block_that_divides_a_tensor(name: str, bits: float, size: int | None) -> None:
    assert block_size_for(name, bits) == size


def test_blocks_below_a_tensor_scale_are_ranked() -> None:
    (ranked,) = rank_blocks(Gaussian(), 4.5, ["nvfp4:of=4096"])
    assert ranked.form.block_size == 32


def test_a_ranking_at_equal_cost() -> None:
    names = ["mxfp4:even", "nf4:g64", "int4:g64", "mxint8"]
    ranked = rank_blocks(StudentT(5.0), 4.25, names)
    assert [each.form.name for each in ranked] == ["NF4:g64", "MXFP4:even", "INT4:g64"]
    assert ranked[0].below_best_db == 0
    # Figures of the average over a binade, and of groups of 64, to the stated digits.
    assert [round(each.report.sqnr_db, 2) for each in ranked] == [19.6, 18.15, 16.71]
    with pytest.raises(InvalidValue, match="no format fits 3 bits"):
        rank_blocks(Gaussian(), 3.0)


def test_equally_good_formats_keep_their_order() -> None:
    """A value alone has the same scale under both rules, and the sums differ in the last digit."""
    for names in (["mxfp4:even", "mxfp4:rceil"], ["mxfp4:rceil", "mxfp4:even"]):
        ranked = rank_blocks(Gaussian(), 12.0, names)
        assert [each.form for each in ranked] == [replace(blocks(x), block_size=1) for x in names]
        assert [each.below_best_db for each in ranked] == [0.0, 0.0]


def test_an_infinite_error_lies_infinitely_far_below() -> None:
    best, other = rank_blocks(StudentT(1.5), 4.5, ["nvfp4", "nf4:g64"])
    assert (best.form, best.below_best_db) == (blocks("nf4:g32"), 0.0)
    assert other.report.mse == other.below_best_db == math.inf
    assert all(math.isnan(x.below_best_db) for x in rank_blocks(StudentT(0.9), 4.5, ["nvfp4"]))


def test_a_larger_block_may_be_better() -> None:
    """As `block_size_for` says: the largest value clips, and is a larger share of a small block."""

    def db(name: str) -> float:
        return quantization_error(blocks(name), Gaussian(), binade_average=True).sqnr_db

    assert db("mxfp4:n=48") - db("mxfp4:n=16") == pytest.approx(0.137, abs=1e-3)
    assert db("mxfp8_e4m3:n=512") - db("mxfp8_e4m3:n=32") == pytest.approx(0.894, abs=1e-3)


def test_what_has_no_threshold_or_multiplier() -> None:
    with pytest.raises(InvalidType, match="powers of two"):
        optimal_threshold("nf4:g64", Gaussian())
    with pytest.raises(InvalidType, match="real scales"):
        optimal_multiplier("mxfp4", Gaussian())
    with pytest.raises(InvalidType, match="block-scaled"):
        optimal_multiplier("int4", Gaussian())


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("nf4:g32", Uniform(-1.0, 1.0)),  # at 1.33: the level at 1 is not worth having
        ("int4:channel=20000", StudentT(3.0)),  # below 0.4: nearly all of the range is empty
    ],
    ids=repr,
)
def test_multipliers_far_from_one(name: str, density: Density) -> None:
    best = optimal_multiplier(name, density)
    rule = cast("Absmax", best.form.scale)
    assert not 0.4 < rule.multiplier < 1.1
    for factor in np.geomspace(0.6, 1.7, 6).tolist():
        other = replace(best.form, scale=replace(rule, multiplier=factor * rule.multiplier))
        assert quantization_error(other, density).mse >= best.report.mse


def test_a_threshold_beyond_an_octave() -> None:
    best = optimal_threshold("mxfp4:n=100000", StudentT(3.0))
    theta = cast("float", cast("PowerOfTwo", best.form.scale).rule)
    assert theta > 12
    for factor in np.geomspace(0.25, 4.0, 25).tolist():
        other = replace(best.form, scale=PowerOfTwo(factor * theta))
        assert quantization_error(other, StudentT(3.0)).mse >= best.report.mse


OUTLIERS = Mixture((Gaussian(), Gaussian(std=300.0)), (1 - 3e-6, 3e-6))
"""Three values in a million set the scale of all: letting them clip gains 4 dB."""


def test_a_threshold_that_lets_rare_values_clip() -> None:
    best = optimal_threshold("mxfp4:n=1000000", OUTLIERS)
    for theta in np.geomspace(3.0, 1000.0, 25).tolist():
        other = replace(best.form, scale=PowerOfTwo(theta))
        assert quantization_error(other, OUTLIERS).mse >= best.report.mse
    assert best.report.mse < 0.4


@pytest.mark.exhaustive
def test_a_multiplier_that_lets_rare_values_clip() -> None:
    best = optimal_multiplier("int4:channel=1000000", OUTLIERS)
    for alpha in np.geomspace(0.002, 1.0, 25).tolist():
        other = replace(best.form, scale=Absmax(alpha))
        assert quantization_error(other, OUTLIERS).mse >= best.report.mse
    assert best.report.mse < 0.4
