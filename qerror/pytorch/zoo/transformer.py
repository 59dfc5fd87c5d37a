"""A vision transformer for small images, with a convolution as its stem."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """Every token looks at every other (Vaswani et al. 2017), each projection a layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what each token found; the mask is added to the scores."""
        q, k, v = (self._split(each(x)) for each in (self.query, self.key, self.value))
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        found: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return found

    def _split(self, x: Tensor) -> Tensor:
        """Return (batch, heads, tokens, width of a head)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Attention and two layers, each behind a normalisation and beside a skip."""

    def __init__(self, width: int, heads: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up = nn.Linear(width, expansion * width)
        self.gelu = nn.GELU()
        self.down = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens."""
        x = x + self.attention(self.norm1(x))
        found: Tensor = x + self.down(self.gelu(self.up(self.norm2(x))))
        return found


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021, patches replaced by overlapping convolutions.

    Parameters
    ----------
    channels : int
        Of the images.
    classes : int
    size : int
        Height and width of the images; a token stands for 2 x 2 pixels.
    width : int
        Of a token.
    depth, heads : int
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 10,
        *,
        size: int = 8,
        width: int = 40,
        depth: int = 3,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, (size // 2) ** 2, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images (n, channels, size, size)."""
        tokens = self.stem(x).flatten(2).transpose(1, 2) + self.position
        found: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return found
