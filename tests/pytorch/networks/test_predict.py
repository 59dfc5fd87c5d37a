"""Predictions of layers' errors: right where their assumptions hold, with a reason where not."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror import Gaussian, quantization_error, scalar_product_error
from qerror.exceptions import InvalidValue
from qerror.pytorch import ModelRecipe, TensorRecipe, predict
from qerror.pytorch.networks import predict_each
from qerror.pytorch.networks.predict import LayerPrediction, cut_fit
from qerror.pytorch.networks.reasons import Facts, facts_of, reason
from qerror.pytorch.studies import agreements, predict_document
from qerror.pytorch.studies.layers import pearson, spearman


@pytest.fixture(scope="module")
def layer() -> nn.Sequential:
    """Independent Gaussian weights, which is what the theory of the scalar product assumes."""
    torch.manual_seed(0)
    linear = nn.Linear(256, 128)
    nn.init.normal_(linear.weight, std=0.05)
    return nn.Sequential(linear).eval()


def weight_of(layer: nn.Sequential) -> Tensor:
    (linear,) = layer
    assert isinstance(linear.weight, Tensor)
    return linear.weight.detach()


@pytest.fixture(scope="module")
def data() -> list[Tensor]:
    return [torch.randn(256, 256, generator=torch.Generator().manual_seed(1))]


def only(rows: tuple[LayerPrediction, ...]) -> LayerPrediction:
    (row,) = rows
    return row


@pytest.mark.parametrize("form", ["int8", "4M3E", "int4"])
def test_independent_gaussians_follow_the_theory(
    layer: nn.Sequential, data: list[Tensor], form: str
) -> None:
    found = predict(layer, data, ModelRecipe.of(form, calibration="minmax"))
    for row in found.rows:
        assert row.predicted_sqnr_db == pytest.approx(row.measured_sqnr_db, abs=0.15)
        assert row.reason == ""
    output = only(found.of("output"))
    # The same by hand: Gaussians at the ranges that min-max gives.
    reports = []
    for values in (weight_of(layer), data[0]):
        scale = float(values.abs().max()) / {"int8": 127, "int4": 7, "4M3E": 15.5}[form]
        reports.append(quantization_error(form, Gaussian(0, float(values.std())), scale))
    by_hand = scalar_product_error(reports[0], reports[1], 256)
    assert output.independent_sqnr_db == pytest.approx(by_hand.sqnr_db, abs=0.1)
    names = f"{found.rows[0].format} x {found.rows[1].format}"
    assert (output.length, output.format) == (256, names)


def test_a_scale_a_channel_is_predicted_too(layer: nn.Sequential, data: list[Tensor]) -> None:
    recipe = ModelRecipe.of("int8", calibration="minmax", granularity="channel")
    coarse = only(predict(layer, data, ModelRecipe.of("int8", calibration="minmax")).of("weight"))
    row = only(predict(layer, data, recipe).of("weight"))
    assert row.predicted_sqnr_db == pytest.approx(row.measured_sqnr_db, abs=0.3)
    assert row.measured_sqnr_db > coarse.measured_sqnr_db + 1


def test_borders_take_products_away() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1, bias=False))
    x = torch.randn(64, 16, 4, 4)
    row = only(predict(net, [x], ModelRecipe.of("int8", calibration="minmax")).of("output"))
    inside = (3 * 4 - 2) ** 2 / (3 * 4) ** 2  # of 3 x 3 windows over 4 x 4 values
    assert row.length == round(16 * 9 * inside)
    assert row.predicted_sqnr_db == pytest.approx(row.measured_sqnr_db, abs=0.5)


def test_weights_and_inputs_that_depend_raise_the_signal_alone(layer: nn.Sequential) -> None:
    torch.manual_seed(0)
    along = weight_of(layer)[:1] * 20  # inputs that look like a row of the weight
    x = torch.randn(256, 256) + along * torch.randn(256, 1)
    output = only(predict(layer, [x], ModelRecipe.of("int8", calibration="minmax")).of("output"))
    assert output.independent_sqnr_db is not None
    assert output.independent_sqnr_db < output.measured_sqnr_db - 1
    # The error is that of independent factors all the same, the signal is not.
    assert output.predicted_sqnr_db == pytest.approx(output.measured_sqnr_db, abs=0.5)


def test_reasons() -> None:
    calm = Facts(3.0, 1.0)
    assert reason("weight", 0.9, 0.0, calm, "gaussian") == ""
    assert reason("weight", -1.1, 0.0, Facts(1582.0, 1.0), "x") == "outliers: kurtosis 1.58e+03"
    assert reason("weight", 1.1, 0.0, Facts(3.0, 9.0), "x") == "channels differ: spread 9"
    assert reason("activation", 2.0, 0.0, calm, "laplace").startswith("no laplace")
    assert reason("output", 2.0, 3.0, calm, "") == (
        "weights and inputs depend: power +3.0 dB of independent ones"
    )
    assert reason("output", 2.0, 0.0, calm, "") == "errors depend on each other"


def test_facts() -> None:
    values = torch.tensor([[1.0, -1.0, 1.0, -1.0], [3.0, -3.0, 3.0, -3.0], [1.0, -1.0, 1.0, -1.0]])
    facts = facts_of(values, 0)
    x = values.numpy().astype(np.float64).ravel()
    assert facts.kurtosis == pytest.approx(
        float((x**4).mean() / (x**2).mean() ** 2), rel=1e-12, abs=0
    )
    assert facts.spread == pytest.approx(3.0, rel=1e-12, abs=0)
    assert facts.joined(Facts(99.0, 0.5)) == Facts(99.0, facts.spread)
    assert facts_of(torch.zeros(4), None).kurtosis == 1.0


def test_a_fit_is_cut_at_the_limits_of_the_data() -> None:
    x = np.random.default_rng(0).normal(size=5000)
    density, family = cut_fit(x)
    assert family in {"gaussian", "generalized-gaussian"}
    assert density.support == (x.min(), x.max())
    assert cut_fit(np.array([1.0, 2.0]))[1] == "empirical"


def test_ranks() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 50).tolist(), rng.integers(0, 9, 50).tolist()
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0], rel=1e-12, abs=0)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0], rel=1e-12, abs=0)
    assert math.isnan(spearman([1.0], [2.0]))
    assert math.isnan(pearson([1.0, 1.0], [2.0, 3.0]))


def test_the_document_has_every_layer(layer: nn.Sequential, data: list[Tensor]) -> None:
    forms = ("int8", "4M3E")
    found = predict_each(layer, data, [ModelRecipe.of(f, calibration="minmax") for f in forms])
    document = predict_document("own", found)
    assert document.schema == "qerror.network/1"
    keys = {"model", "layer", "kind", "format", "predicted_sqnr_db", "measured_sqnr_db"}
    assert all(keys <= set(row) for row in document.rows)
    assert [row["kind"] for row in document.rows] == ["weight", "activation", "output"] * 2
    weight, *_ = agreements(found)
    assert (weight.kind, weight.count, weight.best_right) == ("weight", 2, 100.0)


def test_what_has_no_prediction_is_refused(layer: nn.Sequential, data: list[Tensor]) -> None:
    with pytest.raises(InvalidValue, match="values stand alone"):
        predict(layer, data, "mxfp4")
    part = TensorRecipe("int8", "minmax", asymmetric=True)
    with pytest.raises(InvalidValue, match="zero points"):
        predict(layer, data, ModelRecipe(part, part))


@pytest.mark.parametrize("stride", [2, 4])
def test_transposed_convolutions_sum_the_taps_that_lie_a_stride_apart(stride: int) -> None:
    torch.manual_seed(0)
    # With stride 2 the outermost of 24 outputs meet one tap where the others meet two.
    model = nn.Sequential(nn.ConvTranspose2d(16, 8, 4, stride=stride, padding=2 - stride // 2))
    model.eval()
    (row,) = predict(model, [torch.randn(16, 16, 12, 12)], "int8").of("output")
    assert row.length == {2: round(16 * (46 / 24) ** 2), 4: 16}[stride]
    assert abs(row.predicted_sqnr_db - row.measured_sqnr_db) < 0.5
    assert not row.reason


def test_borders_of_transposed_convolutions_sum_fewer_products() -> None:
    torch.manual_seed(1)
    # Of 3 inputs a side only the innermost outputs meet all nine taps.
    model = nn.Sequential(nn.ConvTranspose2d(32, 8, 3)).eval()
    (row,) = predict(model, [torch.randn(64, 32, 3, 3)], "int8").of("output")
    assert row.length == round(32 * (9 / 5) ** 2)
    assert abs(row.predicted_sqnr_db - row.measured_sqnr_db) < 0.5
    assert abs(10 * np.log10(row.predicted_mse / row.measured_mse)) < 0.5


def test_an_empty_batch_is_refused() -> None:
    model = nn.Sequential(nn.Linear(16, 4)).eval()
    with pytest.raises(InvalidValue, match=r"empty: its shape is \(0, 16\)"):
        predict(model, [torch.randn(4, 16), torch.randn(0, 16)], "int8")
