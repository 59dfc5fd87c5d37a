"""Algorithms on backends: the section of docs/networks.md, and MQBench's claims judged."""

from collections.abc import Callable, Sequence
from statistics import fmean

from docs.network_results import read, table
from qerror.pytorch.studies import Bench, BenchRow, bench_document
from qerror.pytorch.studies.bench_tables import means, plain, spread
from qerror.reporting import View
from qerror.studies.finding import Check, Finding

MQBENCH = "MQBench"
RESNET, MOBILENET = "digits-resnet", "digits-mobilenet"
MODELS = (RESNET, MOBILENET)

_STUDIED = ("lsq", "dsq", "pact", "dorefa")  # MQBench's own on backends
_PER_CHANNEL = ("TensorRT", "ACL", "FBGEMM")
_PER_TENSOR = ("TVM", "SNPE")


def bench_rows() -> tuple[BenchRow, ...]:
    """Return the rows of the study's results, typed."""
    return tuple(
        BenchRow(
            each["model"],
            each["backend"],
            int(each["graph"]),
            int(each["folding"]),
            each["algorithm"],
            int(each["bits"]),
            int(each["seed"]),
            int(each["epochs"]),
            float(each["fp32_accuracy"]),
            float(each["ptq_accuracy"]),
            float(each["calibrated_accuracy"]),
            float(each["accuracy"]),
            each["diverged"] == "true",
        )
        for each in read("bench")
    )


def bench_section() -> str:
    """Return the section with MQBench's tables."""
    rows = bench_rows()
    parts = [
        "## Algorithms on backends",
        f"MQBench's study (Li et al. 2021, section 5) on small networks: {rows[0].bits} bits for "
        f"weights and activations, {rows[0].epochs} epochs with quantizers, {_seeds(rows)} seeds. "
        "Where normalisations are folded and nothing else is said, it is by strategy 4, as MQBench "
        "does.",
        *(_shown(view) for view in _views(rows)),
        "+- is half of a 95% interval of the mean over seeds, spread a standard deviation over "
        "means. No training diverged.",
        _UNIT,
        "![Algorithms on backends](networks/bench.svg)",
        f"`qerror network bench --epochs {rows[0].epochs} --plot bench.svg`; `--journal FILE` "
        "makes it go on where it was stopped, `--jobs N` works in processes.",
    ]
    assert not any(row.diverged for row in rows)
    return "\n\n".join(parts)


_UNIT = (
    "DoReFa, whose quantizer PACT has for weights, divides them by their largest: they lie in "
    "[-1, 1] whatever the unit. A normalisation behind the layer takes that up; folded into the "
    "weights, its factor is divided away, and by strategy 4 the running deviation, which stands "
    "behind the convolution as a factor, feeds back into itself and grows with every batch (a test "
    "shows it): as published, every PACT run of such backends ended at 9.9%. Where normalisations "
    "are folded, the weights are therefore quantized in their own unit (`dorefa-unit`)."
)


def _views(rows: tuple[BenchRow, ...]) -> list[View]:
    return list(bench_document(Bench(rows, ())).views)


def _shown(view: View) -> str:
    body = [[str(each) for each in line] for line in view.body]
    return f"**{view.title}**\n\n{table(list(view.header), body)}"


def _seeds(rows: Sequence[BenchRow]) -> str:
    count = len({row.seed for row in rows})
    return {2: "two", 3: "three", 5: "five"}.get(count, str(count))


def bench_findings() -> tuple[Finding, ...]:
    """Return what MQBench says, judged."""
    rows = bench_rows()
    return tuple(judge(rows) for judge in _JUDGES)


def _of(rows: Sequence[BenchRow], **wanted: object) -> list[BenchRow]:
    return [row for row in rows if all(getattr(row, k) == v for k, v in wanted.items())]


def _mean(rows: Sequence[BenchRow]) -> float:
    return fmean(row.accuracy for row in rows)


def _studied(rows: Sequence[BenchRow]) -> list[BenchRow]:
    return [row for row in rows if row.algorithm in _STUDIED and plain(row)]


def _academic(rows: Sequence[BenchRow]) -> Finding:
    own = [row for row in _of(rows, model=RESNET, backend="Academic") if plain(row)]
    found = {
        name: _mean(_of(own, algorithm=name)) for name in dict.fromkeys(r.algorithm for r in own)
    }
    off = max(found.values()) - min(found.values())
    return Finding(
        "Trained alike, algorithms differ little in the academic setting",
        f"{MQBENCH}, section 5.1 and table 3: 0.8 points between the best and the worst on "
        "ResNet-18, 1.1 on ResNet-50",
        f"{off:.1f} points between the best and the worst of {len(found)} on {RESNET}",
        table(("accuracy", *found), [["%", *(f"{each:.1f}" for each in found.values())]]),
        (Check(f"the best and the worst are within 1.1 points ({off:.1f})", off <= 1.1),),
    )


def _graphs(rows: Sequence[BenchRow]) -> Finding:
    own = _of(rows, backend="Academic", folding=-1)
    lost = {
        (model, name): _mean(_of(own, model=model, algorithm=name, graph=1))
        - _mean(_of(own, model=model, algorithm=name, graph=3))
        for model in MODELS
        for name in ("lsq", "pact")
    }
    body = [[model, *(f"{lost[model, name]:.1f}" for name in ("lsq", "pact"))] for model in MODELS]
    return Finding(
        "What graph 3 costs against graph 1 depends on the network: more with depthwise layers",
        f"{MQBENCH}, section 5.2 and table 4: LSQ loses 0.4 points on ResNet-18 and 3.6 on "
        "MobileNetV2, PACT 1.1 and 2.9",
        f"LSQ loses {lost[RESNET, 'lsq']:.1f} and {lost[MOBILENET, 'lsq']:.1f} points, PACT "
        f"{lost[RESNET, 'pact']:.1f} and {lost[MOBILENET, 'pact']:.1f}",
        f"{table(('points lost', 'lsq', 'pact'), body)}\n\nMeans over seeds. The "
        "differences lie within the means' intervals: graph 3 costs nothing that shows here.",
        tuple(
            Check(
                f"{name} loses more on {MOBILENET} than on {RESNET}",
                lost[MOBILENET, name] > lost[RESNET, name],
            )
            for name in ("lsq", "pact")
        ),
    )


def _foldings(rows: Sequence[BenchRow]) -> Finding:
    own = _of(rows, model=RESNET, backend="Academic", graph=1)
    kinds = (-1, 0, 1, 2, 3, 4)
    found = {
        (name, folding): _mean(_of(own, algorithm=name, folding=folding))
        for name in ("lsq", "pact")
        for folding in kinds
    }
    body = [[name, *(f"{found[name, each]:.1f}" for each in kinds)] for name in ("lsq", "pact")]
    lsq = max(abs(found["lsq", each] - found["lsq", -1]) for each in kinds)
    best = max((1, 2, 3, 4), key=lambda each: found["pact", each])
    worst = max(found["pact", each] for each in (1, 2, 3))
    return Finding(
        "Folding suits LSQ by every strategy and PACT by strategy 4 alone",
        f"{MQBENCH}, section 5.3 and table 5",
        f"on {RESNET} LSQ changes by up to {lsq:.1f} points; PACT has {found['pact', 4]:.1f}% by "
        f"strategy 4 and at most {worst:.1f}% by 1 to 3",
        f"{table(('accuracy in %', *map(str, kinds)), body)}\n\nThe academic setting, its "
        "normalisations folded by a strategy; -1 does not fold. PACT's weights are DoReFa's, in "
        "their own unit where normalisations are folded: with weights divided by their largest, as "
        "published, strategies 0 to 3 reached 97 to 98% and every run by strategy 4 diverged "
        "(docs/networks.md says why).",
        (
            Check(f"LSQ stays within a point of -1 by every strategy ({lsq:.1f})", lsq <= 1),
            Check(f"of 1 to 4, PACT is best by strategy 4 (found: {best})", best == 4),
            Check(
                "PACT loses more than 10 points by each of 1, 2 and 3",
                found["pact", -1] - worst > 10,
            ),
        ),
    )


def _gap(rows: Sequence[BenchRow]) -> Finding:
    own = _studied(rows)
    lost: dict[tuple[str, str, str], float] = {}
    for model, backend, name in dict.fromkeys((r.model, r.backend, r.algorithm) for r in own):
        academic = _of(own, model=model, backend="Academic", algorithm=name)
        if backend != "Academic" and academic:
            here = _of(own, model=model, backend=backend, algorithm=name)
            lost[model, backend, name] = _mean(academic) - _mean(here)
    share = fmean(each > 0 for each in lost.values())
    near = fmean(each <= 3 for each in lost.values() if each > 0)
    return Finding(
        "Backends cost accuracy against the academic setting nearly always",
        f"{MQBENCH}, section 5.4: 93% of the experiments",
        f"{share:.0%} of {len(lost)} settings",
        f"Means over seeds. Of the settings that lose, {near:.0%} lose at most 3 points (the "
        "paper: 47.3%).",
        (
            Check(
                f"at least 93% of the settings lose ({share:.0%})",
                share >= 0.93,
                max(0.0, 1 - share / 0.93),
            ),
        ),
    )


def _winners(rows: Sequence[BenchRow]) -> Finding:
    own = _studied(rows)
    names = list(dict.fromkeys(row.algorithm for row in own))
    found = {
        (model, backend): {
            name: _mean(_of(own, model=model, backend=backend, algorithm=name)) for name in names
        }
        for model in MODELS
        for backend in (*_PER_CHANNEL, *_PER_TENSOR)
    }
    best = {key: max(each, key=each.__getitem__) for key, each in found.items()}
    channel = [best[key] == "pact" for key in found if key[1] in _PER_CHANNEL]
    tensor = [best[key] == "lsq" for key in found if key[1] in _PER_TENSOR]
    body = [[*key, *(f"{found[key][name]:.1f}" for name in names)] for key in found]
    return Finding(
        "LSQ is the best for scales per tensor, PACT for scales per channel",
        f"{MQBENCH}, section 5.4: LSQ wins 90% of the settings per tensor, PACT 66.7% of those "
        "per channel",
        f"PACT wins {sum(channel)} of {len(channel)} settings per channel, LSQ {sum(tensor)} of "
        f"{len(tensor)} per tensor",
        f"{table(('network', 'backend', *names), body)}\n\nAll but DoReFa lie within each "
        "other's intervals nearly everywhere: most settings are won by an image or two.",
        (
            Check("PACT wins most settings per channel", sum(channel) * 2 > len(channel)),
            Check("LSQ wins most settings per tensor", sum(tensor) * 2 > len(tensor)),
        ),
    )


def _statistics(rows: Sequence[BenchRow]) -> Finding:
    own = [row for row in rows if plain(row)]
    groups = {
        "Academic": _of(own, backend="Academic"),
        "backends": [row for row in own if row.backend != "Academic"],
    }
    found = {
        name: (fmean(r.ptq_accuracy for r in each), fmean(r.calibrated_accuracy for r in each))
        for name, each in groups.items()
    }
    gain = {name: after - before for name, (before, after) in found.items()}
    body = [[name, f"{a:.1f}", f"{b:.1f}"] for name, (a, b) in found.items()]
    return Finding(
        "Before training, new statistics of normalisations bring back much in the academic "
        "setting, and nothing on backends",
        f"{MQBENCH}, appendix C.3 and table 10: from about 1% to 51% on MobileNetV2",
        f"{gain['Academic']:+.1f} points in the academic setting, {gain['backends']:+.1f} on "
        "backends, over all algorithms on both networks",
        f"{table(('accuracy in %', 'quantized', 'statistics anew'), body)}\n\nOn backends it is "
        "strategy 4 whose statistics are new: those of the quantized weights' outputs, which "
        "evaluation folds.",
        (
            Check(
                f"they gain more than 10 points in the academic setting ({gain['Academic']:.1f})",
                gain["Academic"] > 10,
            ),
            Check(
                f"they gain less than a point on backends ({gain['backends']:.1f})",
                gain["backends"] < 1,
            ),
        ),
    )


def _spread(rows: Sequence[BenchRow]) -> Finding:
    own = _studied(rows)
    found = {
        (model, backend): spread(
            means(_of(own, model=model, backend=backend), lambda row: row.algorithm)
        )
        for model in MODELS
        for backend in (*_PER_CHANNEL, *_PER_TENSOR)
    }
    tensor, channel = (
        fmean(value for key, value in found.items() if key[1] in group)
        for group in (_PER_TENSOR, _PER_CHANNEL)
    )
    backends = (*_PER_CHANNEL, *_PER_TENSOR)
    body = [[model, *(f"{found[model, each]:.1f}" for each in backends)] for model in MODELS]
    return Finding(
        "Algorithms differ more with scales per tensor than per channel",
        f"{MQBENCH}, section 5.4 and figure 5",
        f"standard deviation over algorithms: {tensor:.1f} points per tensor, {channel:.1f} per "
        "channel",
        table(("spread in points", *backends), body),
        (Check("the mean spread is larger per tensor", tensor > channel),),
    )


def _depthwise(rows: Sequence[BenchRow]) -> Finding:
    found = {
        model: {
            name: _mean(
                _of(rows, model=model, backend="Academic", algorithm=name, graph=1, folding=-1)
            )
            for name in ("lsq", "pact", "dorefa")
        }
        for model in MODELS
    }
    lost = {model: max(each.values()) - each["dorefa"] for model, each in found.items()}
    body = [[model, *(f"{each:.1f}" for each in line.values())] for model, line in found.items()]
    return Finding(
        "DoReFa, as good as others on a residual network, fails on depthwise convolutions",
        f"{MQBENCH}, section 5.1: as good as LSQ on ResNet-18; its range is too small for "
        "MobileNetV2",
        f"{lost[RESNET]:.1f} points behind the best of three on {RESNET}, {lost[MOBILENET]:.1f} "
        f"on {MOBILENET}",
        table(("accuracy in %", "lsq", "pact", "dorefa"), body),
        (
            Check(f"on {RESNET} it is within a point ({lost[RESNET]:.1f})", lost[RESNET] <= 1),
            Check(
                f"it loses more on {MOBILENET}, and more than 3 points",
                lost[MOBILENET] > max(3.0, lost[RESNET]),
            ),
        ),
    )


_JUDGES: Sequence[Callable[[Sequence[BenchRow]], Finding]] = (
    _academic,
    _depthwise,
    _graphs,
    _foldings,
    _gap,
    _winners,
    _spread,
    _statistics,
)
