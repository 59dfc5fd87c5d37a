"""Networks whose weights come in packages: judged against themselves, or on made data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from qerror.pytorch.zoo.crepe import WEIGHTS as CREPE
from qerror.pytorch.zoo.crepe import crepe, pitch_hz
from qerror.pytorch.zoo.efficientnet import WEIGHTS as EFFICIENTNET
from qerror.pytorch.zoo.efficientnet import efficientnet_lite0
from qerror.pytorch.zoo.minilm import TOKENIZER, minilm, stored_tensors, tokenize
from qerror.pytorch.zoo.minilm import WEIGHTS as MINILM
from qerror.pytorch.zoo.networks import NETWORKS, Needed, Network
from qerror.pytorch.zoo.photos import PHOTOS, photo_crops
from qerror.pytorch.zoo.sentences import docstrings
from qerror.pytorch.zoo.tones import tones

_CALIBRATED, _JUDGED = 40, 100  # docstrings
_CENTS = 50.0  # a quarter tone, the field's bar for a right pitch


@final
@dataclass(frozen=True)
class PhotoNetwork(Network):
    """Judged by how often its first choice is the network's own before quantization."""

    name: str
    build: Callable[[], nn.Module]
    needs: tuple[Needed, ...]
    count: int = 260
    measure: str = "agreement"

    def quick(self) -> "PhotoNetwork":
        """Return the network with few photographs."""
        return replace(self, count=40)

    def model(self, seed: int = 0) -> nn.Module:
        """Return the network; its weights are one."""
        del seed
        return self.build()

    def batches(self) -> list[Tensor]:
        """Return crops of photographs."""
        return list(torch.split(photo_crops(self.count, seed=1), 20))

    def calibration(self) -> list[Tensor]:
        """Return other crops of the same photographs."""
        return list(torch.split(photo_crops(40, seed=0), 20))

    def score(self, outputs: Tensor, reference: Tensor) -> float:
        """Return the share of equal first choices in percent."""
        return 100 * float((outputs.argmax(1) == reference.argmax(1)).double().mean())


@final
@dataclass(frozen=True)
class PitchNetwork(Network):
    """Judged by how often the pitch is right within 50 cents."""

    name: str
    build: Callable[[], nn.Module]
    needs: tuple[Needed, ...]
    measure: str = "accuracy"

    def model(self, seed: int = 0) -> nn.Module:
        """Return the network; its weights are one."""
        del seed
        return self.build()

    def batches(self) -> list[Tensor]:
        """Return tones."""
        return [x for x, _ in tones(seed=1).batches(120)]

    def calibration(self) -> list[Tensor]:
        """Return other tones."""
        return [x for x, _ in tones(120, seed=0).batches(120)]

    def score(self, outputs: Tensor, reference: Tensor) -> float:
        """Return the share of right pitches in percent."""
        del reference
        cents = 1200 * torch.log2(pitch_hz(outputs) / tones(seed=1).targets)
        return 100 * float((cents.abs() < _CENTS).double().mean())


@final
@dataclass(frozen=True)
class SentenceNetwork(Network):
    """Judged by the cosine between an embedding and the network's own before quantization."""

    name: str
    build: Callable[[], nn.Module]
    needs: tuple[Needed, ...]
    measure: str = "cosine"

    def model(self, seed: int = 0) -> nn.Module:
        """Return the network; its weights are one."""
        del seed
        return self.build()

    def tensors(self) -> dict[str, Tensor]:
        """Return the matrices that the package carries, the pooler's too."""
        found = stored_tensors()
        return {
            name: each for name, each in found.items() if each.ndim > 1 and each.is_floating_point()
        }

    def batches(self) -> list[dict[str, Tensor]]:
        """Return docstrings."""
        texts = [text for _, text in docstrings()[_CALIBRATED : _CALIBRATED + _JUDGED]]
        return [tokenize(texts[i : i + 25]) for i in range(0, _JUDGED, 25)]

    def calibration(self) -> list[dict[str, Tensor]]:
        """Return other docstrings."""
        return [tokenize([text for _, text in docstrings()[:_CALIBRATED]])]

    def score(self, outputs: Tensor, reference: Tensor) -> float:
        """Return the mean cosine in percent."""
        cosine = nn.functional.cosine_similarity(outputs.double(), reference.double(), dim=1)
        return 100 * float(cosine.mean())


NETWORKS.register(
    "efficientnet-lite0",
    PhotoNetwork("efficientnet-lite0", efficientnet_lite0, (EFFICIENTNET, *PHOTOS)),
)
NETWORKS.register("crepe-tiny", PitchNetwork("crepe-tiny", crepe, (CREPE,)), "crepe")
NETWORKS.register("minilm", SentenceNetwork("minilm", minilm, (MINILM, TOKENIZER)))
