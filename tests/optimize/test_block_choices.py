"""Block formats against each other along a parameter, and other choices of their scales."""

from dataclasses import replace

import pytest

from qerror import (
    Density,
    Gaussian,
    StudentT,
    format_switches,
    parse_format,
    quantization_error,
    rank_blocks,
)
from qerror.exceptions import InvalidValue
from qerror.formats import BlockFormat
from qerror.optimize import block_choices


def mse(name: str, density: Density, *, binade_average: bool = False) -> float:
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    return quantization_error(form, density, binade_average=binade_average).mse


def test_both_formats_are_equally_good_where_nu_switches() -> None:
    found = format_switches(["nvfp4", "nf4:g32"], StudentT(3), "nu", 3, 30, points=3)
    assert [form.name for form in found.winners] == ["NVFP4", "NF4:g32"]
    (switch,) = found.switches
    a, b = (mse(name, StudentT(switch.value)) for name in ("nvfp4", "nf4:g32"))
    assert a == pytest.approx(b, rel=1e-12, abs=0)
    assert switch.mse == pytest.approx(a, rel=1e-12, abs=0)
    assert mse("nvfp4", StudentT(5)) < mse("nf4:g32", StudentT(5))
    assert mse("nvfp4", StudentT(6)) > mse("nf4:g32", StudentT(6))


def test_block_sizes_switch_at_the_first_whole_number() -> None:
    names = ["nf4:g64", "int4:g64:affine"]
    found = format_switches(names, Gaussian(), "block_size", 8, 1024, points=4)
    (switch,) = found.switches
    assert isinstance(switch.below, BlockFormat)
    assert isinstance(switch.above, BlockFormat)
    errors: list[float] = []
    for size, best in ((int(switch.value) - 1, switch.below), (int(switch.value), switch.above)):
        errors = [
            quantization_error(replace(form, block_size=size), Gaussian()).mse
            for form in (switch.below, switch.above)
        ]
        assert min(errors) == quantization_error(replace(best, block_size=size), Gaussian()).mse
    assert switch.mse == pytest.approx(min(errors), rel=1e-15, abs=0)
    assert found.stretches == (
        (8, switch.value - 1, switch.below),
        (switch.value, 1024, switch.above),
    )


def test_powers_of_two_are_averaged_unless_it_is_refused() -> None:
    for averaged in (True, False):
        found = format_switches(
            ["mxfp4:even", "int4:g32"], Gaussian(), "block_size", 16, 512, points=3,
            binade_average=averaged,
        )  # fmt: skip
        (switch,) = found.switches
        size = int(switch.value)
        for n, is_better in ((size - 1, False), (size, True)):
            ours = mse(f"mxfp4:even:n={n}", Gaussian(), binade_average=averaged)
            assert (ours < mse(f"int4:g{n}", Gaussian())) == is_better


RAISED = "nvfp4:smallest=0.001953125"  # where scales round to 0; else the same


@pytest.mark.parametrize(
    ("formats", "best"),
    [(["nvfp4", RAISED], [RAISED]), ([RAISED, "nvfp4"], [RAISED])],
)
def test_the_best_stays_where_another_comes_to_equal_it(
    formats: list[str], best: list[str]
) -> None:
    found = format_switches(formats, Gaussian(), "std", 0.001, 10)
    assert [form.name for form in found.winners] == [parse_format(name).name for name in best]


def test_equal_formats_part_where_they_differ() -> None:
    """Down to 5e-4 all becomes 0 in both, to 14 digits of the MSE."""
    low = "nvfp4:smallest=0.015625"
    found = format_switches(["nvfp4", low], Gaussian(), "std", 1e-4, 0.001, points=4)
    (switch,) = found.switches
    assert switch.below == parse_format("nvfp4")
    for factor, apart in ((0.99, False), (1.01, True)):
        at = Gaussian(std=factor * switch.value)
        assert (mse(low, at) < mse("nvfp4", at) * (1 - 1e-12)) == apart


def test_an_infinite_error_is_the_larger_one() -> None:
    """Scales in steps need nu > 2, and real ones nu > 1."""
    found = format_switches(["nvfp4", "nf4:g32"], StudentT(3), "nu", 1.5, 4, points=3)
    assert [form.name for form in found.winners] == ["NF4:g32", "NVFP4"]
    (switch,) = found.switches
    a, b = (mse(name, StudentT(switch.value)) for name in ("nvfp4", "nf4:g32"))
    assert a == pytest.approx(b, rel=1e-11, abs=0)
    with pytest.raises(InvalidValue, match=r"infinite at nu = 0\.9, and so is every MSE"):
        format_switches(["nvfp4", "nf4:g32"], StudentT(3), "nu", 0.9, 4, points=3)


@pytest.mark.parametrize(
    ("formats", "over", "low", "message"),
    [
        (["int8", "mxfp4"], "block_size", 8, "INT8 has no block size to sweep"),
        (["nf4:g64", "mxfp4"], "block_size", 8.5, "whole number, got 8.5"),
        (["nf4:g64", "mxfp4"], "max_value", 1, "stand alone"),
        (["nf4:g64", "nvfp4:of=4096"], "block_size", 8, "4,096 values, and not every block size"),
    ],
)
def test_what_cannot_be_swept(formats: list[str], over: str, low: float, message: str) -> None:
    with pytest.raises((InvalidValue, TypeError), match=message):
        format_switches(formats, Gaussian(), over, low, 64)


def test_rankings_are_short_to_read() -> None:
    best, second = rank_blocks("laplace", 4.5, ["nvfp4", "nf4:g64"])
    assert repr(best) == "RankedBlocks(NVFP4, 4.5 bits, 20.6582 dB, 0.0000 below the best)"
    assert repr(second) == "RankedBlocks(NF4:g32, 4.5 bits, 20.6097 dB, 0.0484 below the best)"


def test_choices_of_a_scale_rule() -> None:
    given, *others = block_choices("mxfp4", "gaussian")
    assert given.form == parse_format("mxfp4")
    assert [each.form.name for each in others[:-1]] == [
        "MXFP4:ceil", "MXFP4:rceil", "MXFP4:even",
    ]  # fmt: skip
    for each in (given, *others):
        assert each.report == quantization_error(each.form, "gaussian")
        assert others[-1].report.mse <= each.report.mse
    (alone,) = block_choices("nvfp4", "laplace")
    assert alone.form == parse_format("nvfp4")
