"""The results in docs/networks: read, and what they say in figures."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, median

from qerror.pytorch.studies.intervals import shown
from qerror.pytorch.studies.layers import pearson, spearman

RESULTS = Path(__file__).with_name("networks")

Rows = list[dict[str, str]]


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


def weight_summary(rows: Rows, source: str) -> tuple[int, float, float]:
    """Return the number of tensors, the median difference, and the share of hits."""
    own = [row for row in rows if row["source"] == source]
    off = [abs(float(row["predicted_sqnr_db"]) - float(row["measured_sqnr_db"])) for row in own]
    return len({row["tensor"] for row in own}), median(off), _hits(own, "tensor")


def best_formats(rows: Rows, kind: str) -> dict[str, int]:
    """Return how many tensors each format suits best."""
    own = [row for row in rows if row["kind"] == kind]
    wins = Counter(row["format"] for row in own if row["best"] == "true")
    return {form: wins[form] for form in dict.fromkeys(row["format"] for row in own)}


def gains(rows: Rows, form: str) -> list[tuple[float, float]]:
    """Return kurtosis and the gain over INT8 in dB of every tensor."""
    found = {(row["layer"], row["kind"], row["format"]): float(row["sqnr_db"]) for row in rows}
    return [
        (float(row["kurtosis"]), found[row["layer"], row["kind"], form] - float(row["sqnr_db"]))
        for row in rows
        if row["format"] == "INT8"
    ]


def gain_rank(rows: Rows, form: str) -> float:
    """Return the rank correlation of kurtosis and the gain over INT8."""
    found = gains(rows, form)
    return spearman([each[0] for each in found], [each[1] for each in found])


def own_bias(rows: Rows, form: str) -> list[float]:
    """Return what each weight loses in dB at a format's own bias, without a scale."""
    own = [row for row in rows if row["kind"] == "weight" and row["format"] == form]
    return [float(row["sqnr_db"]) - float(row["own_sqnr_db"]) for row in own]


def recovered(rows: Rows) -> float:
    """Return the share of the mean loss that training gave back, in percent."""
    lost = math.fsum(float(row["fp32_accuracy"]) - float(row["ptq_accuracy"]) for row in rows)
    back = math.fsum(float(row["accuracy"]) - float(row["ptq_accuracy"]) for row in rows)
    return 100 * back / lost


def spread(rows: Rows, key: str) -> float:
    """Return the difference of the best and the worst format's mean, in points."""
    means = [fmean(float(row[key]) for row in own) for _, own in cases(rows, "format")]
    return max(means) - min(means)


def tail(rows: Rows, when: str, kind: str, key: str) -> float:
    """Return the median over the layers."""
    own = [row for row in rows if row["when"] == when and row["kind"] == kind]
    return median(float(row[key]) for row in own)


def moved(rows: Rows) -> tuple[int, int, float]:
    """Return the quantizers, those whose mantissa bits changed, and the median change of c."""
    found = {(row["layer"], row["kind"], row["when"]): row for row in rows}
    names = list(dict.fromkeys((row["layer"], row["kind"]) for row in rows))
    pairs = [(found[*name, "before"], found[*name, "after"]) for name in names]
    bits = sum(old["mantissa_bits"] != new["mantissa_bits"] for old, new in pairs)
    ratios = [float(new["max_value"]) / float(old["max_value"]) for old, new in pairs]
    return len(pairs), bits, median(abs(ratio - 1) for ratio in ratios)


def noise_correlation(rows: Rows) -> float:
    """Return Pearson's correlation of the output's mean squared error and the accuracy."""
    return pearson(
        [float(row["output_mse"]) for row in rows], [float(row["accuracy"]) for row in rows]
    )


def independent(rows: Rows) -> float:
    """Return the rank correlation of outputs with the signal of independent factors."""
    own = [row for row in rows if row["kind"] == "output"]
    return spearman(
        [float(row["independent_sqnr_db"]) for row in own],
        [float(row["measured_sqnr_db"]) for row in own],
    )


def cases(rows: Rows, *keys: str) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Yield the rows that agree in some columns."""
    for case in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        yield case, [row for row in rows if tuple(row[key] for key in keys) == case]


def means(rows: Rows, *keys: str) -> list[str]:
    """Return the means of columns as text."""
    return [f"{fmean(float(row[key]) for row in rows):.1f}" for key in keys]


def intervals(rows: Rows, *keys: str) -> list[str]:
    """Return the means of columns as text, with 95% intervals."""
    return [shown([float(row[key]) for row in rows], 1) for key in keys]
