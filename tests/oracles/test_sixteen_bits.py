"""INT16, FP16 and BF16 against committed rigorous values (made by make_sixteen_bits.py)."""

import json
from pathlib import Path
from typing import Any

import flint
import pytest

from qerror.analysis import quantization_error
from qerror.densities import parse_density
from tests.oracles.comparison import deviations
from tests.oracles.exact import Exact

CASES = json.loads(Path(__file__).with_name("sixteen_bits.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['format']}-{c['density']}")
def test_sixteen_bits(case: dict[str, Any]) -> None:
    density = parse_density(case["density"])
    report = quantization_error(case["format"], density, case["scale"])
    exact = Exact(**{key: flint.arb(text) for key, text in case["expected"].items()})
    allowance = 2e-16 * 3 if density.atoms().positions.size else 0.0
    found = deviations(report, exact, allowance)
    assert max(found.values()) < 4e-14, found
