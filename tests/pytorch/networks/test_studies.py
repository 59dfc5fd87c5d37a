"""Studies of training with quantizers, of noise, of weights: what they say, and refuse."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from qerror import optimal_scale, quantize
from qerror.exceptions import InvalidValue, UnknownName
from qerror.pytorch import (
    NETWORKS,
    ModelRecipe,
    TensorRecipe,
    quantize_model,
    quantized_layers,
)
from qerror.pytorch.studies import (
    format_document,
    format_study,
    noise_document,
    noise_study,
    qat_document,
    qat_study,
    tail_document,
    tail_study,
    weight_document,
    weight_study,
)
from qerror.pytorch.studies.intervals import mean_interval, shown
from qerror.pytorch.studies.qat import QatCase, plain, qat_case, qat_recipe
from qerror.pytorch.studies.weights import weight_summaries
from qerror.pytorch.zoo import Classifier


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QERROR_CACHE", str(tmp_path_factory.getbasetemp() / "networks"))
        yield


def case(form: str, start: str = "norm", mode: str = "range", epochs: int = 2) -> QatCase:
    network = NETWORKS["digits-resnet"].quick()
    assert isinstance(network, Classifier)
    plan = replace(network.plan, epochs=epochs, learning_rate=0.003)
    return QatCase(network, form, start, mode, 0, plan, qat_recipe(form, start, mode))


@pytest.mark.slow
def test_training_gives_back_what_three_bits_cost(tmp_path: Path) -> None:
    path = tmp_path / "case.checkpoint"
    row = qat_case(case("int3"), checkpoint=path)
    assert row.fp32_accuracy - row.ptq_accuracy > 5
    assert row.recovered > 50
    assert row.recovered == pytest.approx(
        100 * (row.accuracy - row.ptq_accuracy) / (row.fp32_accuracy - row.ptq_accuracy),
        rel=1e-7,
        abs=0,
    )
    assert path.exists()
    assert qat_case(case("int3"), checkpoint=path) == row  # goes on from the end
    document = qat_document([row])
    assert document.schema == "qerror.network/1"
    assert document.rows[0]["format"] == "int3"


def test_own_recipes_are_trained_too() -> None:
    part = TensorRecipe("int4", "norm", method="lsq")
    recipe = ModelRecipe(part, TensorRecipe("int8"), exclude=("head",))
    (row,) = qat_study(["digits-resnet"], recipe=recipe, epochs=1, quick=True)
    assert (row.format, row.bits, row.start, row.mode) == ("INT4 x INT8", 4, "norm", "lsq")


@pytest.mark.exhaustive
def test_every_tensor_is_measured_in_every_format() -> None:
    formats = ("int8", "5M2E", "3M4E")
    rows = format_study("digits-resnet", formats, quick=True)
    weights = NETWORKS["digits-resnet"].quick().tensors()
    own = [row for row in rows if (row.layer, row.kind) == ("stages.0.conv1", "weight")]
    w = weights["stages.0.conv1.weight"].double().numpy().ravel()
    assert [row.format for row in own] == ["INT8", "5M2E", "3M4E"]
    for row in own:
        assert row.size == w.size
        assert row.kurtosis == pytest.approx(stats.kurtosis(w, fisher=False), rel=1e-9, abs=0)
        assert row.peak == pytest.approx(np.abs(w).max() / w.std(), rel=1e-9, abs=0)
        exact = optimal_scale(row.format, w).report.sqnr_db
        assert row.sqnr_db == pytest.approx(exact, abs=0.05)
        assert row.best == (row.sqnr_db == max(each.sqnr_db for each in own))
    assert own[0].own_sqnr_db is None
    error = quantize(w, "5M2E") - w
    assert own[1].own_sqnr_db == pytest.approx(
        10 * np.log10(w @ w / (error @ error)), rel=1e-9, abs=0
    )
    assert {row.kind for row in rows} == {"weight", "activation"}
    document = format_document(rows)
    counts = [int(number) for number in document.views[0].body[0][1:]]
    assert counts[0] == sum(counts[1:]) == len({row.layer for row in rows})


@pytest.mark.exhaustive
def test_tensors_before_and_after_training() -> None:
    network = NETWORKS["digits-resnet"].quick()
    rows = tail_study(
        "digits-resnet", "3M2E", start="flexible-format", mode="format", epochs=1, quick=True
    )
    found = {(row.when, row.layer, row.kind): row for row in rows}
    assert len(found) == len(rows) == 3 * 2 * 10
    w = network.tensors()["head.weight"].double().numpy().ravel()
    before, after, without = (
        found[when, "head", "weight"] for when in ("before", "after", "without")
    )
    assert before.kurtosis == pytest.approx(stats.kurtosis(w, fisher=False), rel=1e-6, abs=0)
    assert len({before.kurtosis, after.kurtosis, without.kurtosis}) == 3
    assert before.max_value != after.max_value
    assert before.mantissa_bits in range(1, 5)
    assert (without.max_value, without.mantissa_bits) == (None, None)
    assert found["before", "head", "activation"].nu is None
    assert "without" in tail_document(rows).views[0].body[2]


def test_what_learns_follows_from_the_mode() -> None:
    for form, mode, method, learn in (
        ("int4", "fixed", "straight-through", ()),
        ("int4", "range", "lsq", ("s",)),
        ("3M4E", "fixed", "straight-through", ()),
        ("3M4E", "range", "fp", ("c",)),
        ("3M4E", "format", "fp", ("c", "m")),
    ):
        part = qat_recipe(form, "flexible-bias", mode).weights
        assert part is not None
        assert (part.method, part.learn, part.calibration) == (method, learn, "mse")
    free = qat_recipe("3M4E", "flexible-format", "format").weights
    own = qat_recipe("3M4E", "fixed-format", "fixed").weights
    assert free is not None
    assert own is not None
    assert (free.format, own.calibration) == ("best:8", "unit")


@pytest.mark.parametrize("mode", ["fixed", "range", "format"])
def test_gradients_reach_what_learns(mode: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(16, 6)
    quantized = quantize_model(net, qat_recipe("3M2E", "flexible-bias", mode), [x])
    quantized(x).square().sum().backward()
    names = {
        name.rsplit(".", 1)[1]
        for name, each in quantized.named_parameters()
        if each.grad is not None and float(each.grad.abs().sum()) > 0
    }
    own = {"fixed": set[str](), "range": {"c"}, "format": {"c", "m"}}[mode]
    assert own <= names
    assert not ({"c", "m", "s"} - own) & names


def test_a_fixed_format_keeps_its_own_bias() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    quantized = quantize_model(net, qat_recipe("4M3E", "fixed-format", "fixed"), [torch.ones(1, 4)])
    assert quantized_layers(quantized)[0].weight_max == 15.5


def test_plain_networks_keep_the_levels() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    quantized = quantize_model(
        net, ModelRecipe.of("int4", calibration="minmax"), [torch.randn(4, 6)]
    )
    found = plain(quantized)
    assert not quantized_layers(found)
    first, levels = found.get_submodule("0").weight, quantized.get_submodule("0").weight
    assert isinstance(first, torch.Tensor)
    assert isinstance(levels, torch.Tensor)
    assert torch.equal(first, levels)
    x = torch.randn(3, 6)
    bias = found.get_submodule("0").bias
    assert isinstance(bias, torch.Tensor)
    assert torch.equal(found.get_submodule("0")(x), nn.functional.linear(x, first, bias))
    assert len(quantized_layers(quantized)) == 2


def test_what_cannot_be_trained_is_refused_before_any_work(tmp_path: Path) -> None:
    cases: list[tuple[list[str], list[str], dict[str, Any], str]] = [
        (["crepe-tiny"], ["int3"], {}, "comes trained"),
        (["resnet"], ["int3"], {"modes": ["format"]}, "no bias and no mantissa bits"),
        (["resnet"], ["4M3E"], {"starts": ["norm"]}, "is for integers"),
        (["resnet"], ["e4m3"], {}, "cannot be trained here"),
        (["resnet"], ["int3"], {"checkpoints": tmp_path / "none"}, "there is no folder"),
    ]
    for models, formats, rest, said in cases:
        with pytest.raises(InvalidValue, match=said):
            qat_study(models, formats, **rest)
    with pytest.raises(UnknownName, match="did you mean range"):
        qat_study(["resnet"], ["int3"], modes=["rnge"])


def test_fits_predict_the_errors_of_weights() -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "gaussian": torch.from_numpy(rng.normal(size=20_000)),
        "laplace": torch.from_numpy(rng.laplace(size=20_000)),
    }
    rows = weight_study(tensors, ["int8", "5M2E"])
    assert len(rows) == 2 * 2 * 2
    for row in rows:
        tolerance = 0.3 if row.source == "fit" else 0.6
        assert row.predicted_sqnr_db == pytest.approx(row.measured_sqnr_db, abs=tolerance)
    assert all(each.best_right == 100 for each in weight_summaries(rows))
    assert len(weight_document("own", rows).rows) == len(rows)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_noise_on_weights_costs_accuracy() -> None:
    rows = noise_study("digits-resnet", strengths=[0.05, 4.0], draws=2)
    weak, strong = rows
    # The noise is independent of the inputs: its power is that of the weights, times the square.
    assert strong.output_mse / weak.output_mse == pytest.approx((4.0 / 0.05) ** 2, rel=0.2, abs=0)
    assert weak.accuracy == pytest.approx(weak.fp32_accuracy, abs=1)
    assert strong.accuracy < 80
    assert "Pearson" in noise_document(rows).views[0].notes[0]
    with pytest.raises(UnknownName, match="did you mean"):
        noise_study("digits-resnet", "stages.1.conv7")


def test_intervals() -> None:
    values = [1.0, 2.0, 4.0, 4.5]
    mean, half = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert half is not None
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-12, abs=0)
    assert mean_interval([3.0]) == (3.0, None)
    assert shown([3.0]) == "3.00"
    assert not math.isnan(half)
