"""A network of inverted bottlenecks for small images."""

from torch import Tensor, nn


class InvertedBottleneck(nn.Module):
    """Widen, filter every channel by itself, narrow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        wide = expansion * inputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
        )
        self.project = nn.Sequential(
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the narrow result, added to the input where both have one shape."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skips else y


class MobileNet(nn.Module):
    """Five inverted bottlenecks between a stem and a wide last convolution.

    Parameters
    ----------
    channels : int
        Of the images.
    classes : int
    """

    def __init__(self, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
        )
        self.blocks = nn.Sequential(
            InvertedBottleneck(16, 16, 1),
            InvertedBottleneck(16, 24, 2),
            InvertedBottleneck(24, 24, 1),
            InvertedBottleneck(24, 32, 2),
            InvertedBottleneck(32, 32, 1),
        )
        self.last = nn.Sequential(nn.Conv2d(32, 96, 1, bias=False), nn.BatchNorm2d(96), nn.ReLU6())
        self.head = nn.Linear(96, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images (n, channels, height, width)."""
        found: Tensor = self.head(self.last(self.blocks(self.stem(x))).mean((2, 3)))
        return found
