"""What the papers say of trained networks, judged on the results in docs/networks.

The results come from `qerror network`, a command each, which docs/networks.md names; they are not
made anew here, as that takes minutes.
"""

from collections.abc import Callable, Sequence

from docs.network_bench import bench_findings
from docs.network_results import (
    Rows,
    best_formats,
    cases,
    gain_rank,
    gains,
    moved,
    noise_correlation,
    own_bias,
    read,
    recovered,
    table,
    tail,
)
from qerror.studies.finding import Check, Finding

FP8 = "FP8 quantization"
INT8 = "FP8 versus INT8"
F8NET = "F8Net"


def network_findings() -> tuple[Finding, ...]:
    """Return all of them."""
    return (*(judge() for judge in _JUDGES), *bench_findings())


def _mean(rows: Rows, key: str) -> float:
    return sum(float(row[key]) for row in rows) / len(rows)


def _of(rows: Rows, **wanted: str) -> Rows:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _ranking() -> Finding:
    found = {
        name: {row["format"]: float(row["accuracy"]) for row in read(f"ptq-{name}")}
        for name in ("efficientnet", "minilm")
    }
    cnn, bert = found["efficientnet"], found["minilm"]
    formats = ("INT8", "5M2E", "4M3E", "3M4E")
    rows = [
        [name, *(f"{each[form]:.2f}" for form in formats)]
        for name, each in (
            ("EfficientNet-Lite0, agreement in %", cnn),
            ("MiniLM, cosine in %", bert),
        )
    ]
    order = cnn["5M2E"] > cnn["4M3E"] > cnn["3M4E"] and cnn["INT8"] > cnn["4M3E"]
    return Finding(
        "Convolutional networks want mantissa bits, transformers exponent bits",
        f"{FP8}, table 1; {INT8}, table 1",
        f"4M3E loses {cnn['5M2E'] - cnn['4M3E']:.1f} points against 5M2E on a depthwise network "
        f"and gains {bert['4M3E'] - bert['5M2E']:.1f} on a transformer",
        f"{table(('network', *formats), rows)}\n\nWeights and layer inputs in eight bits, at "
        "min-max ranges per tensor.",
        (
            Check("on EfficientNet-Lite0 5M2E and INT8 are above 4M3E, and that above 3M4E", order),
            Check(
                "on MiniLM 4M3E and 3M4E are above 5M2E, and INT8 is last",
                min(bert["4M3E"], bert["3M4E"]) > bert["5M2E"] > bert["INT8"],
            ),
        ),
    )


def _layers() -> Finding:
    rows = read("formats-efficientnet")
    counts = {kind: best_formats(rows, kind) for kind in ("weight", "activation")}
    both = {form: sum(each[form] for each in counts.values()) for form in counts["weight"]}
    lines = [[f"{kind}s", *map(str, each.values())] for kind, each in counts.items()]
    few, total = both["INT8"] + both["5M2E"], sum(both.values())
    return Finding(
        "Most layers of convolutional networks want at most two exponent bits",
        f"{FP8}, section 5.2 and figure 11",
        f"{few} of {total} tensors of EfficientNet-Lite0",
        f"{table(('tensors', *both), lines)}\n\nHow many weights and layer inputs each format "
        "suits best, at its best range.",
        (Check(f"INT8 or 5M2E are best for more than half ({few} of {total})", few > total / 2),),
    )


def _outliers() -> Finding:
    rows = read("formats-minilm")
    pairs = gains(rows, "3M4E")
    rank, most = gain_rank(rows, "3M4E"), max(pairs)
    heavy = [each for each in pairs if each[0] > 100]
    others = gains(read("formats-efficientnet"), "3M4E")
    other = gain_rank(read("formats-efficientnet"), "3M4E")
    return Finding(
        "Tensors with outliers want more exponent bits",
        f"{FP8}, section 5.2 and figures 9 and 12",
        f"rank correlation of kurtosis and the gain of 3M4E over INT8: {rank:.2f}",
        f"MiniLM's {len(pairs)} weights and layer inputs, each at the best range of its format. "
        f"The largest kurtosis is {most[0]:.0f}; there 3M4E gains {most[1]:.1f} dB over INT8, and "
        f"on the {len(heavy)} tensors of kurtosis above 100 at least "
        f"{min(each[1] for each in heavy):.1f} dB.",
        (
            Check(f"the rank correlation is above 0.9 ({rank:.2f})", rank > 0.9),
            Check(
                "3M4E beats INT8 on every tensor of kurtosis above 100",
                all(each[1] > 0 for each in heavy),
            ),
        ),
        beside=(
            Check(
                "on EfficientNet-Lite0, whose kurtosis stays below "
                f"{max(others)[0]:.0f}, the rank correlation is above 0.9 too ({other:.2f})",
                other > 0.9,
            ),
        ),
    )


def _bias() -> Finding:
    lost = {
        form: max(own_bias(read("formats-efficientnet"), form))
        for form in ("5M2E", "4M3E", "3M4E", "2M5E")
    }
    return Finding(
        "A fixed bias fails on layers of small weights, a flexible one does not",
        f"{FP8}, section 5.2 and figure 14",
        f"5M2E loses up to {lost['5M2E']:.1f} dB at its own bias on EfficientNet-Lite0's weights",
        f"{table(('largest loss', *lost), [['dB', *(f'{each:.1f}' for each in lost.values())]])}"
        "\n\nSQNR at the best range less that at the format's own bias.",
        (
            Check(f"5M2E loses more than 10 dB somewhere ({lost['5M2E']:.1f})", lost["5M2E"] > 10),
            Check(
                "every exponent bit more, which reaches further down, lowers the largest loss",
                list(lost.values()) == sorted(lost.values(), reverse=True),
            ),
        ),
    )


def _noise() -> Finding:
    found = noise_correlation(read("noise-resnet"))
    return Finding(
        "The error of a layer's output goes with the accuracy of the network",
        f"{FP8}, appendix F and figure 13: a correlation of 0.98",
        f"Pearson's correlation is {found:.3f}",
        "Noise of twelve strengths on the weights of one layer of a residual network on digits, "
        "ten draws each.",
        (Check(f"the correlation is at least as strong ({found:.3f})", found <= -0.98),),
    )


def _gap() -> Finding:
    rows = read("qat-int3")
    lines = [
        [f"{model}, {start}", f"{lost:.1f}", f"{left:.1f}"]
        for (model, start), own in cases(rows, "model", "start")
        for lost, left in [_losses(own)]
    ]
    shares = [recovered(own) for _, own in cases(rows, "model", "start")]
    before, after = _losses(rows)
    return Finding(
        "Training with quantizers closes the gap that quantization opens",
        f"{FP8}, section 5.3; {INT8}, section 5",
        f"INT3 costs {before:.1f} points before and {after:.1f} after, over three networks and "
        "three ranges at the start",
        f"{table(('network, start', 'points lost before', 'after'), lines)}\n\nWeights and layer "
        "inputs of networks on digits in INT3, ranges that learn.",
        (
            Check(
                "at least 85% of the loss comes back in every case (the least: "
                f"{min(shares):.0f}%)",
                min(shares) >= 85,
            ),
        ),
    )


def _losses(rows: Rows) -> tuple[float, float]:
    """Return the points lost before and after training."""
    fp32 = _mean(rows, "fp32_accuracy")
    return fp32 - _mean(rows, "ptq_accuracy"), fp32 - _mean(rows, "accuracy")


def _learning() -> Finding:
    rows = read("qat-floating")
    start = _of(rows, start="flexible-format")
    means = {
        mode: _mean(_of(start, mode=mode), "accuracy") for mode in ("fixed", "range", "format")
    }
    count, bits, change = moved(read("tails-resnet"))
    off = max(means.values()) - min(means.values())
    return Finding(
        "From a good start, learning the range and the format adds little",
        f"{FP8}, section 5.3 and figure 6",
        f"accuracies of {', '.join(f'{each:.1f}' for each in means.values())}% with nothing, the "
        "range, or range and mantissa bits learnt",
        f"2M2E on a residual network, from the best mantissa bits and range of each tensor. Of "
        f"{count} quantizers {bits} changed their mantissa bits, and largest levels moved by "
        f"{change:.0%} (median).",
        (Check(f"the three lie within half a point ({off:.2f})", off <= 0.5),),
    )


def _conversion() -> Finding:
    rows = [row for row in read("qat-eight") if row["format"] != "INT8"]
    changes = {
        form: _mean(own, "int8_accuracy") - _mean(own, "accuracy")
        for form in dict.fromkeys(row["format"] for row in rows)
        for own in [_of(rows, format=form)]
    }
    worst, three = min(changes.values()), read("qat-int3")
    return Finding(
        "Networks trained in FP8 can be converted to INT8 without loss of accuracy",
        f"{INT8}, section 6: ResNet18 from 69.79 to 69.84%",
        f"{', '.join(f'{form} {each:+.2f}' for form, each in changes.items())} points",
        "A residual network on digits, trained with ranges that learn, three seeds; then weights "
        "and inputs in INT8 at the ranges with the least error.",
        (Check(f"no format loses more than 0.3 points (the most: {worst:+.2f})", worst >= -0.3),),
        beside=(
            Check(
                "networks trained in INT3 lose no more either (their mean: "
                f"{_mean(three, 'int8_accuracy') - _mean(three, 'accuracy'):+.2f})",
                _mean(three, "int8_accuracy") - _mean(three, "accuracy") >= -0.3,
            ),
        ),
    )


def _tails() -> Finding:
    rows = read("tails-vit")
    places = (("weight", "weights"), ("activation", "layer inputs"))
    found = {
        (kind, when): tail(rows, when, kind, "kurtosis")
        for kind, _ in places
        for when in ("before", "after", "without")
    }
    whens = ("before", "after", "without")
    lines = [[words, *(f"{found[kind, when]:.2f}" for when in whens)] for kind, words in places]
    return Finding(
        "Training with quantizers takes the outliers away",
        f"{INT8}, section 5",
        f"median kurtosis of layer inputs from {found['activation', 'before']:.2f} to "
        f"{found['activation', 'after']:.2f}, of weights from {found['weight', 'before']:.2f} to "
        f"{found['weight', 'after']:.2f}",
        f"{table(('median kurtosis', *whens), lines)}\n\nA vision transformer on digits in INT3; "
        "the last column is the same training without quantizers. A network this small has no "
        "outliers to begin with: what the claim says of large ones is not decided here.",
        tuple(
            Check(
                f"{words} have a lower kurtosis after, and lower than without quantizers",
                found[kind, "after"] < min(found[kind, "before"], found[kind, "without"]),
            )
            for kind, words in places
        ),
    )


def _fixed() -> Finding:
    rows = read("f8net-digits")
    names = tuple(dict.fromkeys(row["model"] for row in rows))
    keys = ("fp32_accuracy", "start_accuracy", "accuracy", "integer_accuracy")
    lines = [
        [name, *(f"{_mean(_of(rows, model=name), key):.2f}" for key in keys)] for name in names
    ]
    lost = {
        name: _mean(own, "accuracy") - _mean(own, "fp32_accuracy")
        for name in names
        for own in [_of(rows, model=name)]
    }
    worst = min(float(row["accuracy"]) - float(row["fp32_accuracy"]) for row in rows)
    unequal = sum(int(row["unequal"]) for row in rows)
    seeds = len({row["seed"] for row in rows})
    return Finding(
        "8-bit fixed point alone is as good as floating point",
        f"{F8NET}, table 1: ResNet18 from 70.3 to 71.1%, MobileNetV2 from 72.7 to 72.6%",
        f"{', '.join(f'{name} {each:+.2f}' for name, each in lost.items())} points",
        f"{table(('network', 'FP32 %', 'before %', 'after %', 'integers %'), lines)}\n\nNetworks "
        f"on digits in 8-bit fixed point, lengths by the exact constants, before and after "
        f"{rows[0]['epochs']} epochs of F8Net's training, {seeds} seeds; then as integers. One "
        "image is 0.22 points.",
        (
            Check(
                f"no network loses more than half a point (the most: {min(lost.values()):+.2f})",
                min(lost.values()) >= -0.5,
            ),
        ),
        beside=(
            Check(f"nor does one with any seed (the most: {worst:+.2f})", worst >= -0.5),
            Check(f"every logit of the integers is the same ({unequal} differ)", not unequal),
        ),
    )


_JUDGES: Sequence[Callable[[], Finding]] = (
    _ranking,
    _layers,
    _outliers,
    _bias,
    _noise,
    _gap,
    _learning,
    _conversion,
    _tails,
    _fixed,
)
