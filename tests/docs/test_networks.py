"""The page of networks is what its results say, and these say what was to be shown."""

import re
from statistics import fmean

import pytest

from docs import make_networks
from docs.network_findings import network_findings
from docs.network_results import (
    best_formats,
    cases,
    changes,
    correlation,
    gains,
    noise_correlation,
    own_bias,
    read,
    recovered,
    tail,
    weight_summary,
)
from qerror.pytorch.studies.layers import spearman

DIGITS = ("digits-resnet", "digits-mobilenet", "digits-vit")


def test_the_page_is_up_to_date() -> None:
    assert make_networks.page() == make_networks.PAGE.read_text(encoding="utf-8")


def test_its_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = make_networks.PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "networks.md", "exec"), {})
    out = capsys.readouterr().out
    assert "4M3E" in out
    assert "[activations]" in out


def test_networks_are_as_good_as_they_should_be_and_eight_bits_cost_little() -> None:
    rows = read("ptq-digits")
    for model, least in zip(DIGITS, (98.5, 98.0, 98.0), strict=True):
        own = [row for row in rows if row["model"] == model and row["format"] == "INT8"]
        assert len({row["seed"] for row in own}) == 5
        assert fmean(float(row["fp32_accuracy"]) for row in own) >= least
        for form in ("INT8", "5M2E", "4M3E"):
            assert abs(fmean(changes(rows, model, form))) <= 0.3


def test_the_order_of_formats_is_the_papers() -> None:
    found = {row["format"]: float(row["accuracy"]) for row in read("ptq-efficientnet")}
    assert min(found["5M2E"], found["INT8"]) > found["4M3E"] > found["3M4E"]
    found = {row["format"]: float(row["accuracy"]) for row in read("ptq-minilm")}
    assert found["4M3E"] > found["3M4E"] > found["2M5E"]
    assert found["INT8"] == min(found.values())


def test_the_range_decides_at_four_bits() -> None:
    rows = {row["calibration"]: row for row in read("ptq-crepe")}
    fp32 = float(rows["mse"]["fp32_accuracy"])
    assert float(rows["mse"]["accuracy"]) >= fp32 - 2
    assert float(rows["minmax"]["accuracy"]) < fp32 - 10


@pytest.mark.parametrize("name", ["resnet", "vit", "minilm"])
def test_outputs_rank_as_predicted(name: str) -> None:
    assert correlation(read(f"predict-{name}"), "output")[1] >= BARS[name]


BARS = {"resnet": 0.9, "vit": 0.9, "minilm": 0.9}


def test_weights_are_as_predicted() -> None:
    # EfficientNet's halves are small: a few hundred values of a depthwise layer.
    for name, source, count, most, least in (
        ("minilm", "fit", 40, 0.2, 90),
        ("minilm", "half", 40, 0.15, 90),
        ("efficientnet", "fit", 50, 0.25, 90),
        ("efficientnet", "half", 50, 0.25, 80),
    ):
        tensors, off, hits = weight_summary(read(f"weights-{name}"), source)
        assert tensors == count
        assert off <= most
        assert hits >= least


def test_training_gives_back_what_three_bits_cost() -> None:
    rows = read("qat-int3")
    found = {model: own for (model,), own in cases(rows, "model")}
    assert sorted(found) == sorted(DIGITS)
    for own in found.values():
        assert {row["start"] for row in own} == {"flexible-bias", "minmax", "norm"}
        assert recovered(own) >= 85


def test_exponent_bits_are_for_outliers() -> None:
    rows = read("formats-minilm")
    pairs = gains(rows, "4M3E")
    assert len(pairs) == sum(sum(best_formats(rows, kind).values()) for kind in KINDS)
    assert spearman([a for a, _ in pairs], [b for _, b in pairs]) > 0.9
    assert all(lost >= 0 for lost in own_bias(rows, "5M2E"))


KINDS = ("weight", "activation")


def test_tails_have_all_three_times() -> None:
    for name in ("tails-vit", "tails-resnet"):
        found = {tail(read(name), when, "weight", "kurtosis") for when in WHEN}
        assert len(found) == 3


WHEN = ("before", "after", "without")


def test_findings_are_judged_on_the_results() -> None:
    found = network_findings()
    assert len({each.claim for each in found}) == len(found) == 18
    for each in found:
        assert each.verdict in {"confirmed", "refined", "refuted"}
        assert each.place


def test_noise_and_accuracy_go_together() -> None:
    assert noise_correlation(read("noise-resnet")) <= -0.9
