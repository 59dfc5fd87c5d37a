"""The page of networks is what its results say, and these say what was to be shown."""

import re
from statistics import fmean

import pytest

from docs import make_networks
from docs.make_networks import (
    changes,
    correlation,
    noise_correlation,
    read,
    recovered,
    weight_summary,
)

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
    rows = read("weights-minilm")
    for source, most in (("fit", 0.2), ("half", 0.15)):
        tensors, off, hits = weight_summary(rows, source)
        assert tensors == 40
        assert off <= most
        assert hits >= 90


@pytest.mark.parametrize("model", DIGITS)
def test_training_gives_back_what_three_bits_cost(model: str) -> None:
    assert recovered(read("qat-int3"), model) >= 85


def test_noise_and_accuracy_go_together() -> None:
    assert noise_correlation(read("noise-resnet")) <= -0.9
