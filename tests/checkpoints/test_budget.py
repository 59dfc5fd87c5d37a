"""Budgets: never beaten by trying everything, bounded from below, and written for others."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qerror import CheckpointReport, analyze_checkpoint
from qerror.checkpoints import plan_budget, read_sensitivities
from qerror.checkpoints.knapsack import Choices, least_error
from qerror.exceptions import InvalidType, InvalidValue
from tests.storage.safetensors_files import saved

RNG = np.random.default_rng(12)


def drawn(rng: np.random.Generator) -> tuple[list[Choices], float]:
    lists = [
        Choices(
            rng.integers(1, 12, count).astype(float) * float(rng.integers(1, 9)),
            np.exp(rng.normal(size=count) * 2) * rng.integers(0, 2, count).clip(0.01),
        )
        for count in rng.integers(1, 5, int(rng.integers(1, 7))).tolist()
    ]
    least = sum(float(each.cost.min()) for each in lists)
    most = sum(float(each.cost.max()) for each in lists)
    return lists, least + float(rng.choice([0, 1, rng.random()])) * (most - least)


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.thinned(5)
def test_never_beaten_by_trying_everything(seed: int) -> None:
    lists, limit = drawn(np.random.default_rng(seed))
    found = least_error(lists, limit)
    best = math.inf
    for chosen in itertools.product(*[range(each.cost.size) for each in lists]):
        pairs = [*zip(lists, chosen, strict=True)]
        if sum(each.cost[i] for each, i in pairs) <= limit:
            best = min(best, sum(each.error[i] for each, i in pairs))
    assert found.error == pytest.approx(best, rel=1e-12, abs=0)
    assert found.is_proven
    assert found.bound <= found.error
    pairs = [*zip(lists, found.chosen, strict=True)]
    assert sum(each.cost[i] for each, i in pairs) <= limit
    assert sum(each.error[i] for each, i in pairs) == pytest.approx(found.error, rel=1e-12, abs=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_the_linear_programme(seed: int) -> None:
    from scipy.optimize import linprog

    lists, limit = drawn(np.random.default_rng(1000 + seed))
    cost = np.concatenate([each.cost for each in lists])
    error = np.concatenate([each.error for each in lists])
    one = np.zeros((len(lists), cost.size))
    start = 0
    for row, each in zip(one, lists, strict=True):
        row[start : start + each.cost.size] = 1
        start += each.cost.size
    relaxed: Any = linprog(error, cost[None], [limit], one, np.ones(len(lists)), bounds=(0, 1))
    assert least_error(lists, limit).bound == pytest.approx(relaxed.fun, rel=1e-6, abs=1e-9)


def test_many_like_tensors_are_decided() -> None:
    sizes = RNG.choice([1 << 24, 45_088_768, 4096], 150)
    bits = np.array([4.25, 4.5, 6.25, 8.25, 16])
    lists = [Choices(size * bits, size * np.exp(RNG.normal()) * 4.0**-bits) for size in sizes]
    found = least_error(lists, 5.1 * float(sizes.sum()))
    assert found.is_proven
    assert found.error / found.bound - 1 < 1e-3


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> CheckpointReport:
    path = tmp_path_factory.mktemp("budget") / "m.safetensors"
    scales = {"h.0.q.weight": 1.0, "h.1.q.weight": 8.0, "lm_head.weight": 0.1}
    arrays = {
        name: (RNG.normal(size=(16, 64)) * scale).astype(np.float16)
        for name, scale in scales.items()
    }
    arrays["norm.weight"] = np.ones(8, np.float16)
    return analyze_checkpoint(saved(path, arrays), "mxfp4,int8,mxfp8_e4m3", families=())


def test_bits_go_where_the_error_is(report: CheckpointReport) -> None:
    plan = plan_budget(report, 6.0)
    assert plan.bits_per_value <= 6.0
    chosen = {each.tensor: each.format for each in plan.assignments}
    assert chosen["h.1.q.weight"] == "INT8"
    assert chosen["lm_head.weight"] == "MXFP4"
    assert plan.is_proven
    assert plan.gap >= 0
    assert plan.error == pytest.approx(
        sum(each.size * each.mse for each in plan.assignments), rel=1e-12, abs=0
    )
    more = plan_budget(report, 16.0)
    assert more.error < plan.error
    with pytest.raises(InvalidValue, match=r"the smallest formats take 4\.2"):
        plan_budget(report, 4)


def test_what_is_kept(report: CheckpointReport) -> None:
    plan = plan_budget(report, 8.5, keep={"lm_head": "fp16", "h.*": "mxfp4"})
    chosen = {each.tensor: each for each in plan.assignments}
    assert chosen["lm_head.weight"].is_kept
    assert chosen["lm_head.weight"].mse == 0
    assert chosen["h.1.q.weight"].format == "MXFP4"
    with pytest.raises(InvalidValue, match="fits no tensor"):
        plan_budget(report, 8, keep={"head": "fp16"})
    with pytest.raises(InvalidValue, match="was not analysed"):
        plan_budget(report, 8, keep={"lm_head": "bf16"})


def test_sensitivities_take_the_place_of_sizes(report: CheckpointReport, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"lm_head*": 1e6, "*": 1}))
    plan = plan_budget(report, 6.0, sensitivities=read_sensitivities(path))
    chosen = {each.tensor: each.format for each in plan.assignments}
    assert chosen["lm_head.weight"] == "INT8"
    with pytest.raises(InvalidValue, match="no sensitivity is given for 3 tensors"):
        plan_budget(report, 6.0, sensitivities={"lm_head*": 1})
    with pytest.raises(InvalidValue, match="must not be negative"):
        plan_budget(report, 6.0, sensitivities={"*": -1})
    for text, kind in {"[1]": InvalidType, "{": InvalidValue, '{"a": "b"}': InvalidType}.items():
        path.write_text(text)
        with pytest.raises(kind):
            read_sensitivities(path)


def test_the_recipe_is_one_that_networks_read(report: CheckpointReport) -> None:
    from torch import nn

    from qerror.pytorch import ModelRecipe, quantize_model, quantized_layers

    plan = plan_budget(report, 9.0, keep={"lm_head": "fp16"})
    recipe = ModelRecipe.from_json(json.dumps(plan.to_recipe()))
    assert recipe.activations is None
    model = nn.ModuleDict(
        {
            "h": nn.ModuleList([nn.ModuleDict({"q": nn.Linear(64, 16)}) for _ in range(2)]),
            "lm_head": nn.Linear(64, 16),
        }
    )
    found = {each.name: each.weight for each in quantized_layers(quantize_model(model, recipe))}
    chosen = {each.tensor.removesuffix(".weight"): each for each in plan.assignments}
    assert set(found) == {"h.0.q", "h.1.q"}
    assert all(chosen[name].format == form for name, form in found.items())
