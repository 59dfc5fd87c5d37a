"""The page's JavaScript computes what the library computes."""

import json
import math

import numpy as np
import pytest

from qerror import lloyd_max, optimal_scale
from qerror.densities import density_name, parse_density
from qerror.formats import FORMATS, BlockFormat, ScalarFormat
from tests.explorer.conftest import Evaluate
from tests.explorer.states import (
    BLOCK_DATA_STATES,
    BLOCK_STATES,
    densities_of_qerror,
    disagreement,
    random_states,
    spellings_of_qerror,
)

REPORTS = """
return input.map(([format, density, top]) => {
  try {
    const made = parseFormat(format);
    const law = densityOfTree(readDensity(density));
    return made.kind === "block" ? blockErrors(made, law)
      : reportOf(made, law, scaleFor(made, top));
  } catch (error) {
    return { error: error.stack };
  }
});
"""


def test_two_hundred_random_states(evaluate: Evaluate) -> None:
    states = random_states(200, seed=17)
    found = evaluate(REPORTS, states)
    assert [each for each in found if "error" in each] == []
    wrong = [disagreement(state, each) for state, each in zip(states, found, strict=True)]
    assert [each for each in wrong if each] == []


def test_blocks(evaluate: Evaluate) -> None:
    found = evaluate(REPORTS, BLOCK_STATES)
    assert [each for each in found if "error" in each] == []
    wrong = [disagreement(state, each) for state, each in zip(BLOCK_STATES, found, strict=True)]
    assert [each for each in wrong if each] == []


def test_blocks_up_to_their_largest_value_do_not_clip(evaluate: Evaluate) -> None:
    states = [(form, "laplace", None) for form in ("int4:g32", "int8:g128", "nf4:g64", "4M3E:g16")]
    for each in evaluate(REPORTS, states):
        assert (each["clippingLow"], each["clippingHigh"]) == (0.0, 0.0)


def test_blocks_on_data_and_point_masses(evaluate: Evaluate) -> None:
    found = evaluate(REPORTS, BLOCK_DATA_STATES)
    assert [each for each in found if "error" in each] == []
    wrong = [
        disagreement(state, each) for state, each in zip(BLOCK_DATA_STATES, found, strict=True)
    ]
    assert [each for each in wrong if each] == []


OPTIMA = """
return input.map(([format, density]) => {
  const made = parseFormat(format);
  const law = densityOfTree(readDensity(density));
  const found = optimum(made, law);
  return { mse: found.best.mse, atEdge: found.atEdge, plateau: plateauOf(made, law, found) };
});
"""


def test_best_ranges_and_plateaus(evaluate: Evaluate) -> None:
    cases = [
        (form, density)
        for form in ("int8", "4M3E", "3M4E", "e5m2", "nf4", "uint8", "fixed8.4")
        for density in (
            "gaussian",
            "student-t(nu=3)",
            "laplace",
            "uniform",
            "generalized-gaussian(beta=0.7)",
            "mixture(0.9*gaussian, 0.1*gaussian(mean=0.5, std=4))",
        )
    ]
    for (form, density), found in zip(cases, evaluate(OPTIMA, cases), strict=True):
        best = optimal_scale(form, density)
        assert found["mse"] == pytest.approx(best.report.mse, rel=1e-12, abs=0), (form, density)
        assert found["atEdge"] == best.at_edge
        if form != "fixed8.4":
            ends = [float(end) for end in found["plateau"]]
            np.testing.assert_allclose(ends, best.plateau, rtol=1e-6, err_msg=f"{form} {density}")


def test_best_ranges_of_data_and_jumps(evaluate: Evaluate) -> None:
    """Ripples and kinks: within a thousandth, as the page's search visits fewer scales."""
    values = np.random.default_rng(3).standard_t(4, 300).round(4).tolist()
    cases = [
        (form, density)
        for form in ("int8", "4M3E", "int4")
        for density in (f"empirical({values})", "clipped(gaussian, low=-2.5, high=3)")
    ]
    for (form, density), found in zip(cases, evaluate(OPTIMA, cases), strict=True):
        best = optimal_scale(form, density)
        assert best.report.mse * (1 - 1e-9) <= found["mse"] * (1 + 1e-3)
        assert found["mse"] <= best.report.mse * (1 + 1e-3), (form, density)


def test_what_a_format_holds_loses_nothing(evaluate: Evaluate) -> None:
    """The best scale of the parabola, 1/127 for one value, would lose the rounding of 127 * s."""
    densities = "discrete([1], [1])", "discrete([-1, 0.125, 2], [0.25, 0.5, 0.25])"
    cases = [(form, density) for form in ("int8", "4M3E") for density in densities]
    for case, found in zip(cases, evaluate(OPTIMA, cases), strict=True):
        assert found["mse"] == optimal_scale(*case).report.mse == 0.0, case


def test_lloyd_max(evaluate: Evaluate) -> None:
    body = """
    return input.map(([density, count]) =>
      lloydMax(densityOfTree(readDensity(density)), count).mse);
    """
    cases = [
        (density, count)
        for density in ("gaussian", "student-t(nu=5)", "generalized-gaussian(beta=0.7)", "uniform")
        for count in (4, 16)
    ]
    for (density, count), mse in zip(cases, evaluate(body, cases), strict=True):
        wanted = lloyd_max(parse_density(density), count).report.mse
        assert mse == pytest.approx(wanted, rel=1e-9, abs=0), (density, count)


def test_every_registered_format_has_its_levels(evaluate: Evaluate) -> None:
    body = """
    return input.map((name) => {
      try {
        const { bits, grid, kind } = parseFormat(name);
        return { bits, ends: grid ? [grid.min, grid.max, grid.size] : kind };
      } catch (error) {
        return { error: error.message };
      }
    });
    """
    names = spellings_of_qerror()
    for name, found in zip(names, evaluate(body, names), strict=True):
        form = FORMATS[name]
        if "error" in found:
            assert isinstance(form, BlockFormat)
            assert "qerror error" in found["error"], (name, found)
            continue
        assert found["bits"] == form.bits_per_value, name
        if isinstance(form, ScalarFormat):
            grid = form.grid()
            ends = [float(end) for end in found["ends"]]
            assert ends == [grid.min, grid.max, float(grid.size)], name


def test_every_registered_density_is_read_and_written(evaluate: Evaluate) -> None:
    body = """
    return input.map((text) => textOfTree(readDensity(text)));
    """
    examples = [density_name(family.example) for family in densities_of_qerror().values()]
    for wanted, text in zip(examples, evaluate(body, examples), strict=True):
        assert parse_density(text) == parse_density(wanted)


BAD_FORMATS = [
    "", "fp8", "e4m9", "int99", "4M3E:bias=x", "4M3E:bias=1e9", "0M1E:specials=ieee", "codebook:",
    "codebook:1,1", "int8:zp=999", "nf4:affine", "int4:affine:g32", "nvfp4:4over6",
    "mxfp4:ceil:floor", "int8:full=3", "fixed8.99999", "x" * 99999, "int4:g0", "4M3E:g32:theta=-1",
]  # fmt: skip
BAD_DENSITIES = [
    "", "gauss(", "student-t", "student-t(mu=3)", "gaussian(std=2, std=3)", "3", "gaussian()x",
    "mixture(gaussian)", "t(nu=gaussian)", "nothing(1)", "rectified(" * 99 + "gaussian" + ")" * 99,
    "student-t(nu=-1)", "student-t(nu=inf)", "gaussian(std=0)", "gaussian(std=nan)",
    "uniform(low=2, high=1)", "truncated(uniform, low=5, high=6)",
    "mixture(0.5*gaussian, 0.2*laplace)", "empirical([nan])", "empirical([])",
    "discrete([1, 1], [0.5, 0.5])", "empirical([1e200])", "generalized-gaussian(beta=0.001)",
    "log-uniform(low=0, high=1)", "gaussian(std=1e-200)", "laplace(scale=1e200)",
    "uniform(low=-1e300, high=1e300)",
]  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "texts"),
    [
        ("parseFormat", BAD_FORMATS),
        ("(text) => densityOfTree(readDensity(text))", BAD_DENSITIES),
        (
            "(text) => optimum(parseFormat(text), densityOfTree(readDensity('gaussian')))",
            ["codebook:1", "codebook:1e-300,0", "codebook:-1,0"],
        ),
    ],
)
def test_bad_input_is_refused_by_a_message(
    evaluate: Evaluate, reader: str, texts: list[str]
) -> None:
    body = f"""
    const read = {reader};
    return input.map((text) => {{
      try {{
        read(text);
        return ["", "was not refused"];
      }} catch (error) {{
        return error instanceof Refusal ? [error.message, ""] : ["", error.stack];
      }}
    }});
    """
    for text, (message, wrong) in zip(texts, evaluate(body, texts), strict=True):
        assert wrong == "", text[:60]
        assert 15 < len(message) < 500, text[:60]


def test_numbers_are_written_as_python_reads_them(evaluate: Evaluate) -> None:
    values = [0.1, -2.5e-7, 1e21, 123456789.0, 5e-324, 1 / 3]
    found = evaluate("return input.map(shortest);", values)
    assert [float(text) for text in found] == values
    assert not math.isnan(float(json.loads(json.dumps(found[0]))))


LEVELS = """
return input.map((name) => levelsOf(parseFormat(name).grid, 1, 1025).length);
"""


def test_formats_with_many_levels_a_binade_are_drawn_by_a_share_of_them(evaluate: Evaluate) -> None:
    found = evaluate(LEVELS, ["52M8E", "52M1E", "fp64", "int53", "e4m3"])
    assert found[-1] == 253
    assert min(found[:2]) > 100
    assert max(found) <= 1026
