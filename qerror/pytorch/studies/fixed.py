"""F8Net: networks that are trained in fixed point, and the integers that they become."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
import torch

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, ordered_map, silent
from qerror.integer.layer import Codes
from qerror.integer.network import IntegerNetwork
from qerror.pytorch.f8net import Lengths, f8net
from qerror.pytorch.f8net.lengths import Rule
from qerror.pytorch.integer import to_integer
from qerror.pytorch.studies.intervals import shown
from qerror.pytorch.training import Plan, train
from qerror.pytorch.zoo import Classifier
from qerror.pytorch.zoo.networks import one_thread, trained_here
from qerror.reporting import Document, View

Training: TypeAlias = Literal["whole", "tiny"]
"""As long as the network's own, or a few steps at a hundredth of the learning rate."""

_QUICK, _TINY = 6, 2


@dataclass(frozen=True)
class FixedCase:
    """One training in fixed point: all that its result depends on."""

    model: str
    lengths: Lengths
    training: Training
    seed: int
    epochs: int
    quick: bool = False

    @property
    def network(self) -> Classifier:
        """What is trained."""
        return trained_here(self.model, quick=self.quick)

    @property
    def plan(self) -> Plan:
        """How."""
        plan = replace(self.network.plan, epochs=self.epochs)
        if self.training == "tiny":
            rate = 0.01 * plan.learning_rate
            return replace(plan, epochs=min(self.epochs, _TINY), learning_rate=rate)
        return plan


@dataclass(frozen=True)
class FixedRow:
    """One network, trained in fixed point; accuracies in percent."""

    model: str
    lengths: str
    """How fractional lengths follow from data."""
    training: str
    bits: int
    seed: int
    epochs: int
    fp32_accuracy: float
    start_accuracy: float
    """In fixed point before this training."""
    accuracy: float
    """After it."""
    integer_accuracy: float
    """Of the network of integers that it is exported to."""
    unequal: int
    """How many of its logits are not those of the fixed-point network."""
    accumulator_bits: int
    """What the sums of its layers need in the worst case."""
    weight_lengths: str
    """Fractional lengths of the layers' weights, in order."""
    input_lengths: str
    """And of their inputs."""


def fixed_study(
    models: Sequence[str],
    *,
    rules: Sequence[str] = ("exact",),
    trainings: Sequence[str] = ("whole",),
    bits: int = 8,
    seeds: int = 1,
    epochs: int = 20,
    quick: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> tuple[list[FixedRow], IntegerNetwork]:
    """Train networks in fixed point as F8Net does, from their weights in floating point.

    Parameters
    ----------
    models : sequence of str
        Convolutional networks that are trained here.
    rules : sequence of str
        How fractional lengths follow from data: "exact", "paper" or "search".
    trainings : sequence of str
        "whole": `epochs` at the network's own learning rate. "tiny": two epochs at a hundredth of
        it, as F8Net fine-tunes networks that are trained well.
    bits : int
        Of codes.
    seeds, epochs : int
    quick : bool
        Train less: a third before, six epochs in fixed point at most.
    executor : concurrent.futures.Executor, optional
        Where trainings run: any pool of processes, dask's included; by default here.
    progress : callable, optional
        Called with (done, total) steps of all trainings, or with an executor trainings.

    Returns
    -------
    list of FixedRow, IntegerNetwork
        The last network as integers.

    Raises
    ------
    InvalidValue
        If a network comes trained, or fixed point does not express it.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), section 5 and appendix 7.1. They train by SGD for
    150 epochs, and fine-tune for 500 steps at 1e-4; here AdamW's cosine of the network's own plan.
    """
    integer("seeds", seeds, 1, 10_000)
    integer("epochs", epochs, 1, 10**6)
    for name in trainings:
        if name not in get_args(Training):
            raise InvalidValue(f"unknown training {name!r}; it is one of whole, tiny")
    networks = [trained_here(model, quick=quick) for model in models]
    most = min(epochs, _QUICK) if quick else epochs
    cases = [
        FixedCase(
            model, Lengths(cast("Rule", rule), bits), cast("Training", each), seed, most, quick
        )
        for model in models
        for rule in rules
        for each in trainings
        for seed in range(seeds)
    ]
    if not cases:
        raise InvalidValue("there is nothing to train: give models, rules and trainings")
    for network in networks:  # what fixed point cannot express is told before any training
        f8net(network.fresh(0).eval(), network.calibration()[0][:1])
    report = progress or silent
    if executor is None:
        count = len(cases)
        found = [fixed_case(case, _part(report, i, count)) for i, case in enumerate(cases)]
    else:
        pooled = ordered_map(
            fixed_case, cases, executor=executor, total=len(cases), progress=report
        )
        found = list(pooled)
    return [row for row, _ in found], found[-1][1]


def _part(progress: Progress, number: int, count: int) -> Progress:
    """Return the progress of one training as that of all."""
    return lambda done, total: progress(number * total + done, count * total)


def fixed_case(
    case: FixedCase, progress: Progress | None = None
) -> tuple[FixedRow, IntegerNetwork]:
    """Train a network in fixed point, judge it, and export it to integers."""
    network, plan = case.network, case.plan
    model, nothing = network.model(case.seed), torch.empty(0)
    before = network.score(network.run(model), nothing)
    fixed = f8net(model, network.calibration(), lengths=case.lengths)
    start = network.score(network.run(fixed), nothing)
    with one_thread():
        train(fixed, network.data().train, plan, seed=case.seed, progress=progress)
    logits = network.run(fixed)
    whole = to_integer(fixed, ()).integer
    codes = whole.encode(torch.cat(network.batches()).numpy())
    found = torch.from_numpy(whole.run(codes)).double() * _worth(whole)
    weights, inputs = zip(*fixed.chosen_lengths().values(), strict=True)
    row = FixedRow(
        network.name,
        case.lengths.rule,
        case.training,
        case.lengths.bits,
        case.seed,
        plan.epochs,
        before,
        start,
        network.score(logits, nothing),
        network.score(found, nothing),
        int(np.count_nonzero(found.numpy() != logits.double().numpy())),
        max(each.bits for each in whole.widths()),
        " ".join(map(str, weights)),
        " ".join(map(str, inputs)),
    )
    return row, whole


def _worth(network: IntegerNetwork) -> float:
    """Return what 1 is worth in the logits' codes."""
    codes = cast("Codes", list(network.codes.values())[-1])
    return 2.0**-codes.length


def fixed_document(rows: Sequence[FixedRow]) -> Document:
    """Return the study as data, with a table of means over seeds."""
    groups: dict[tuple[str, str, str], list[FixedRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.lengths, row.training), []).append(row)
    body = [
        (
            *key,
            str(len(group)),
            shown([row.fp32_accuracy for row in group]),
            shown([row.start_accuracy for row in group]),
            shown([row.accuracy for row in group]),
            shown([row.integer_accuracy for row in group]),
            str(max(row.accumulator_bits for row in group)),
        )
        for key, group in groups.items()
    ]
    header = (
        *("network", "lengths", "training", "seeds"),
        *("FP32 %", "start %", "after %", "integers %", "sums"),
    )
    unequal = sum(row.unequal for row in rows)
    notes = [
        "start, after: in fixed point before and after the training; sums: bits of accumulators",
        "the integers' logits are those of the fixed-point networks"
        if not unequal
        else f"{unequal} logits of integers differ: their sums are beyond float32",
    ]
    views = [View("Training in fixed point", header, body, (0, 1, 2), notes, spare=(3,))]
    return Document("network", {"study": "f8net"}, [asdict(row) for row in rows], views)
