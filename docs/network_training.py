"""The sections of docs/networks.md on training with quantizers."""

from docs.network_results import (
    cases,
    intervals,
    means,
    moved,
    read,
    recovered,
    spread,
    table,
    tail,
)

_ACCURACIES = ("fp32_accuracy", "ptq_accuracy", "accuracy")

_STARTED = {
    "flexible-bias": "the range with the least error",
    "minmax": "min-max",
    "norm": "LSQ's own",
    "fixed-format": "the format's own bias",
    "flexible-format": "the best mantissa bits and range",
}


def qat() -> str:
    """Return the section on integers of three bits."""
    rows = read("qat-int3")
    seeds = len({row["seed"] for row in rows})
    body = [
        [f"{model}, {_STARTED[start]}", *intervals(own, *_ACCURACIES), f"{recovered(own):.0f}"]
        for (model, start), own in cases(rows, "model", "start")
    ]
    total = [f"{model} {recovered(own):.0f}%" for (model,), own in cases(rows, "model")]
    return "\n\n".join(
        (
            "## Three bits, with training",
            "Weights and layer inputs in INT3, ranges that learn (LSQ), from three starts, "
            f"{seeds} seeds; ten epochs for the convolutions, thirty for the transformer. Over all "
            f"starts and seeds the training gives back {', '.join(total)} of what quantization "
            "cost:",
            table(["network, range at the start", "FP32", "before", "after", "back %"], body),
            f"`qerror network qat --formats int3 --seeds {seeds} --start "
            "flexible-bias,minmax,norm` with `--model digits-resnet,digits-mobilenet --epochs 10` "
            "and `--model digits-vit --epochs 30`",
            "Adam moves every parameter by about the learning rate, whatever its size, and scales "
            "lie between 0.01 and 10 here: each learns at a rate in proportion to its first value. "
            "With one rate for all of them the transformer got back three quarters from the first "
            "two starts. Learning from the outputs of the network before quantization, and moving "
            "the images, did not help (a run each).",
        )
    )


def fixed() -> str:
    """Return the section on fixed point."""
    rows = read("f8net-digits")
    keys = ("fp32_accuracy", "start_accuracy", "accuracy", "integer_accuracy")
    body = [
        [model, *intervals(own, *keys), max(row["accumulator_bits"] for row in own)]
        for (model,), own in cases(rows, "model")
    ]
    seeds = len({row["seed"] for row in rows})
    unequal = sum(int(row["unequal"]) for row in rows)
    return "\n\n".join(
        (
            "## Fixed point alone",
            "F8Net's training in 8 bits, lengths by the exact constants: accuracies before and "
            f"after {rows[0]['epochs']} epochs, and of the integers that come of it, {seeds} "
            f"seeds. Of the integers' logits {unequal} are others:",
            table(["network", "FP32", "before", "after", "integers", "bits of sums"], body),
            "`qerror network f8net --model digits-resnet,digits-mobilenet --seeds "
            f"{seeds} --epochs {rows[0]['epochs']}`",
        )
    )


def floating() -> str:
    """Return the section on floating point of five bits."""
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


def gap() -> str:
    """Return the section on the gap between formats."""
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


def tails() -> str:
    """Return the section on tails, ranges and formats."""
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
