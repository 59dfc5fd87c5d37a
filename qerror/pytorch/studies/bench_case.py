"""One training of the study of backends: all that its result depends on, and what it gives."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy
import hashlib
from dataclasses import dataclass, replace

import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.backends import BACKENDS, Backend
from qerror.pytorch.graphs import ALGORITHMS, prepare
from qerror.pytorch.networks.quantize_model import update_bn
from qerror.pytorch.training import train
from qerror.pytorch.zoo import Classifier
from qerror.pytorch.zoo.networks import one_thread, trained_here

RECIPE = 2
"""Raise it with every change of the code after which a case gives another result: journals that
were begun before are then refused."""


@dataclass(frozen=True)
class BenchCase:
    """One training: all that its result depends on."""

    model: str
    backend: Backend
    algorithm: str
    folding: int
    bits: int
    seed: int
    epochs: int
    quick: bool = False

    @property
    def key(self) -> str:
        """A name that no other case of a study has."""
        own = self.backend
        backend = f"{own.name}/graph {own.graph}/folding {self.folding}"
        preset = BACKENDS.get(own.name)
        if preset is None or own != replace(preset, graph=own.graph, folds=own.folds):
            # A record of one's own may have changed since a journal was begun.
            backend += f"/record {hashlib.sha256(repr(own).encode()).hexdigest()[:12]}"
        return f"{self.model}/{backend}/{self.algorithm}/{self.bits} bits/seed {self.seed}"

    @property
    def settings(self) -> str:
        """A digest of what its names stand for: the algorithm, the network and its training."""
        network = trained_here(self.model, quick=self.quick)
        algorithm = replace(ALGORITHMS[self.algorithm], source="")
        pieces = (algorithm, str(network.fresh(0)), network.plan)
        return hashlib.sha256(repr(pieces).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class BenchRow:
    """What one training gave; accuracies in percent."""

    model: str
    backend: str
    graph: int
    folding: int
    algorithm: str
    bits: int
    seed: int
    epochs: int
    fp32_accuracy: float
    ptq_accuracy: float
    """With calibrated quantizers, before training."""
    calibrated_accuracy: float
    """Before training too, with the statistics of normalisations estimated anew."""
    accuracy: float
    """After training; where it diverged, of what it left."""
    diverged: bool


def train_original(case: tuple[str, int, bool]) -> None:
    """Train a network before it is quantized, by its name, a seed and whether quickly."""
    name, seed, quick = case
    trained_here(name, quick=quick).model(seed)


def bench_case(case: BenchCase) -> BenchRow:
    """Quantize a network as a backend computes it, judge it, train it, and judge it again."""
    network = trained_here(case.model, quick=case.quick)
    with one_thread():
        model = network.model(case.seed)
        quantized = prepare(
            model,
            network.calibration(),
            case.backend,
            case.algorithm,
            bits=case.bits,
            folding=case.folding,
        )
        before, fp32 = _score(network, quantized), _score(network, model)
        calibrated = copy.deepcopy(quantized)
        update_bn(calibrated, network.calibration())
        middle = _score(network, calibrated)
        diverged = _diverges(network, quantized, case)
        after = _score(network, quantized.eval())
    return BenchRow(
        case.model,
        case.backend.name,
        case.backend.graph,
        case.folding,
        case.algorithm,
        case.bits,
        case.seed,
        case.epochs,
        fp32,
        before,
        middle,
        after,
        diverged,
    )


def _diverges(network: Classifier, model: nn.Module, case: BenchCase) -> bool:
    """Train, and tell whether the loss left the finite numbers."""
    plan = replace(network.plan, epochs=case.epochs)
    try:
        train(model, network.data().train, plan, seed=case.seed)
    except InvalidValue as error:
        if "the loss is" not in str(error):
            raise
        return True
    return False


def _score(network: Classifier, model: nn.Module) -> float:
    return network.score(network.run(model), torch.empty(0))
