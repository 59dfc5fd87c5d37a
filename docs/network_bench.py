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

_QUICK, _OTHER = "bench-quick", "bench-mobilenet"
_STUDIED = ("lsq", "dsq", "pact", "dorefa")  # MQBench's own on backends
_PER_CHANNEL = ("TensorRT", "ACL", "FBGEMM")
_PER_TENSOR = ("TVM", "SNPE")


def bench_rows(name: str = "bench") -> tuple[BenchRow, ...]:
    """Return the rows of a file of results, typed."""
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
        for each in read(name)
    )


def bench_section() -> str:
    """Return the section with MQBench's tables."""
    rows, mobilenet, quick = (bench_rows(name) for name in ("bench", _OTHER, _QUICK))
    graphs = [view for view in _views(quick) if "graphs" in view.title]
    parts = [
        "## Algorithms on backends",
        f"MQBench's study (Li et al. 2021, section 5) on small networks: {rows[0].bits} bits for "
        f"weights and activations, {rows[0].epochs} epochs with quantizers, {_seeds(rows)} seeds; "
        f"{_seeds(mobilenet)} on {MOBILENET}. Where normalisations are folded and nothing else is "
        "said, it is by strategy 4, as MQBench does.",
        *(_shown(view) for view in (*_views(rows), _views(mobilenet)[0])),
        f"Graphs again, on both networks, after {quick[0].epochs} epochs and from networks trained "
        "for a third of their time:",
        *(_shown(view) for view in graphs),
        "+- is half of a 95% interval of the mean over seeds, spread a standard deviation over "
        "means; in brackets, how many trainings diverged: their accuracy is that of what they "
        "left.",
        "![Algorithms on backends](networks/bench.svg)",
        "`qerror network bench --model digits-resnet --epochs 10 --plot bench.svg`, `qerror "
        f"network bench --model {MOBILENET} --epochs 10 --seeds 3 --parts backends --backends "
        "Academic,TensorRT`, and `qerror network bench --quick --parts graphs`; `--journal FILE` "
        "makes each go on where it was stopped, `--jobs N` works in processes.",
    ]
    return "\n\n".join(parts)


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
    del rows
    own = bench_rows(_QUICK)
    lost = {
        (model, name): _mean(_of(own, model=model, algorithm=name, graph=1))
        - _mean(_of(own, model=model, algorithm=name, graph=3))
        for model in (RESNET, MOBILENET)
        for name in ("lsq", "pact")
    }
    body = [
        [model, *(f"{lost[model, name]:.1f}" for name in ("lsq", "pact"))]
        for model in (RESNET, MOBILENET)
    ]
    return Finding(
        "What graph 3 costs against graph 1 depends on the network: more with depthwise layers",
        f"{MQBENCH}, section 5.2 and table 4: LSQ loses 0.4 points on ResNet-18 and 3.6 on "
        "MobileNetV2, PACT 1.1 and 2.9",
        f"LSQ loses {lost[RESNET, 'lsq']:.1f} and {lost[MOBILENET, 'lsq']:.1f} points, PACT "
        f"{lost[RESNET, 'pact']:.1f} and {lost[MOBILENET, 'pact']:.1f}",
        f"{table(('points lost', 'lsq', 'pact'), body)}\n\nTwo seeds of three epochs, "
        "whose means differ by a point by chance: the order is not decided here. After ten epochs "
        f"and over five seeds no algorithm loses on {RESNET}.",
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
    found = {
        (name, folding): _mean(_of(own, algorithm=name, folding=folding))
        for name in ("lsq", "pact")
        for folding in (-1, 0, 1, 2, 3, 4)
    }
    kinds = (-1, 0, 1, 2, 3, 4)
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
        "normalisations folded by a strategy; -1 does not fold. By strategy 4 PACT's runs "
        "diverged: its weights are DoReFa's, whose quantizer returns values in [-1, 1] whatever "
        "the unit of its input, so that the running deviation, which stands behind the convolution "
        "as a factor, feeds back into itself and grows with every batch (a test shows it).",
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
    own = _of(own, model=RESNET)
    names = list(dict.fromkeys(row.algorithm for row in own))
    found = {
        backend: {name: _mean(_of(own, backend=backend, algorithm=name)) for name in names}
        for backend in (*_PER_CHANNEL, *_PER_TENSOR)
    }
    best = {backend: max(each, key=each.__getitem__) for backend, each in found.items()}
    channel = sum(best[each] == "pact" for each in _PER_CHANNEL)
    tensor = sum(best[each] == "lsq" for each in _PER_TENSOR)
    body = [[each, *(f"{found[each][name]:.1f}" for name in names)] for each in found]
    return Finding(
        "LSQ is the best for scales per tensor, PACT for scales per channel",
        f"{MQBENCH}, section 5.4: LSQ wins 90% of the settings per tensor, PACT 66.7% of those "
        "per channel",
        f"on {RESNET} PACT wins {channel} of {len(_PER_CHANNEL)} backends per channel, LSQ "
        f"{tensor} of {len(_PER_TENSOR)} per tensor",
        table(("backend", *names), body),
        (
            Check("PACT wins most backends per channel", channel * 2 > len(_PER_CHANNEL)),
            Check("LSQ wins most backends per tensor", tensor * 2 > len(_PER_TENSOR)),
        ),
    )


def _statistics(rows: Sequence[BenchRow]) -> Finding:
    own = [row for row in _of(rows, model=RESNET) if plain(row)]
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
        f"backends, over all algorithms on {RESNET}",
        table(("accuracy in %", "quantized", "statistics anew"), body),
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
    own = _studied(_of(rows, model=RESNET))
    found = {
        backend: spread(means(_of(own, backend=backend), lambda row: row.algorithm))
        for backend in (*_PER_CHANNEL, *_PER_TENSOR)
    }
    tensor, channel = (
        fmean(found[each] for each in group) for group in (_PER_TENSOR, _PER_CHANNEL)
    )
    return Finding(
        "Algorithms differ more with scales per tensor than per channel",
        f"{MQBENCH}, section 5.4 and figure 5",
        f"standard deviation over algorithms on {RESNET}: {tensor:.1f} points per tensor, "
        f"{channel:.1f} per channel",
        table(("spread", *found), [["points", *(f"{each:.1f}" for each in found.values())]]),
        (Check("the mean spread is larger per tensor", tensor > channel),),
    )


def _depthwise(rows: Sequence[BenchRow]) -> Finding:
    found = {
        model: {
            name: _mean(_of(own, backend="Academic", algorithm=name, graph=1, folding=-1))
            for name in ("lsq", "pact", "dorefa")
        }
        for model, own in ((RESNET, rows), (MOBILENET, bench_rows(_OTHER)))
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
