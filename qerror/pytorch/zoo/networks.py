"""The networks by name: what builds them, what they are judged on, and by what measure."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, final

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.examples import Dataset
from qerror.pytorch.networks.layers import feed
from qerror.pytorch.training.loop import train
from qerror.pytorch.training.plan import Plan
from qerror.pytorch.zoo.cache import cached_weights
from qerror.registry import Registry

Data = Callable[[], Dataset]


class Needed(Protocol):
    """What must be installed."""

    def find(self) -> Path:
        """Return where it is, or raise what says how to install it."""
        ...


class Network(ABC):
    """A network with data: all that a study needs.

    Attributes
    ----------
    name : str
    measure : str
        What `score` returns: "accuracy", "agreement" or "cosine", in percent.
    """

    name: str
    measure: str
    needs: tuple[Needed, ...]
    """The files that must be installed."""
    trains: bool = False
    """Whether it is trained here, once a seed."""

    @abstractmethod
    def model(self, seed: int = 0) -> nn.Module:
        """Return the network with its weights, in evaluation mode."""

    @abstractmethod
    def batches(self) -> Sequence[object]:
        """Return batches of inputs that it is judged on."""

    @abstractmethod
    def calibration(self) -> Sequence[object]:
        """Return batches of inputs to calibrate on; none of them is judged on."""

    @abstractmethod
    def score(self, outputs: Tensor, reference: Tensor) -> float:
        """Return how good outputs are, in percent; `reference` are those of the network itself."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights that have more than one axis, by name, of the first seed."""
        found = self.model().named_parameters()
        return {name: each.detach() for name, each in found if each.ndim > 1}

    def quick(self) -> "Network":
        """Return a cheaper one of the same kind, to try things."""
        return self

    def run(self, model: nn.Module) -> Tensor:
        """Return a model's outputs on all batches."""
        with torch.no_grad():
            return torch.cat([feed(model, batch) for batch in self.batches()])


NETWORKS: Registry[Network] = Registry("network", "qerror network list")

_CALIBRATED = 256
_BATCH = 128


@final
@dataclass(frozen=True)
class Classifier(Network):
    """A network that is trained here, in seconds, and judged by its accuracy."""

    name: str
    build: Callable[[], nn.Module]
    data: Data
    plan: Plan
    needs: tuple[Needed, ...] = ()
    measure: str = "accuracy"
    trains: bool = True

    def quick(self) -> "Classifier":
        """Return the network with a third of the training."""
        return replace(self, plan=replace(self.plan, epochs=max(1, self.plan.epochs // 3)))

    def model(self, seed: int = 0) -> nn.Module:
        """Return the network, trained from this seed, or taken from the cache."""
        model = self.fresh(seed)
        recipe = (self.name, str(model), self.plan, seed)
        weights = cached_weights(self.name, recipe, lambda: self._trained(seed))
        model.load_state_dict(weights)
        return model.eval()

    def fresh(self, seed: int) -> nn.Module:
        """Return the network before training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build()

    def _trained(self, seed: int) -> dict[str, Tensor]:
        model = self.fresh(seed)
        with one_thread():
            train(model, self.data().train, self.plan, seed=seed)
        return model.state_dict()

    def batches(self) -> list[Tensor]:
        """Return the test's images."""
        return [x for x, _ in self.data().test.batches()]

    def calibration(self) -> list[Tensor]:
        """Return training images."""
        return [x for x, _ in self.data().train.first(_CALIBRATED).batches(_BATCH)]

    def score(self, outputs: Tensor, reference: Tensor) -> float:
        """Return the share of right answers in percent."""
        del reference
        right = outputs.argmax(1) == self.data().test.targets
        return 100 * float(right.double().mean())


def trained_here(name: str, *, quick: bool = False) -> Classifier:
    """Return a network that studies can train, with `quick` on less.

    Raises
    ------
    InvalidValue
        If it comes trained, or there is none of that name.
    """
    network = NETWORKS[name].quick() if quick else NETWORKS[name]
    if not isinstance(network, Classifier):
        raise InvalidValue(f"{name} comes trained; study networks that are trained here")
    return network


class one_thread:  # noqa: N801 - reads as a phrase
    """Sums have one order, so that a seed gives the same weights whatever the machine's cores."""

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        del kind, error, trace
        torch.set_num_threads(self._before)
