"""A folder of images, a class a folder, as ImageNet's validation set is kept."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue, MissingLibrary

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], as torchvision has them."""


class ImageFolder:
    """Batches of images and their classes, read when they are asked for.

    Parameters
    ----------
    folder : str or Path
        Holds a folder for each class; classes are numbered in the order of their names.
    size : int
        Height and width of what is cut from the middle.
    resize : int
        The shorter side before that.
    batch_size : int
    most : int, optional
        Images to take, spread evenly over the classes.
    mean, std : sequence of three floats
        Of pixels in [0, 1].

    Raises
    ------
    MissingLibrary
        If Pillow is not installed.
    InvalidValue
        If there is no such folder, or no image in it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        size: int = 224,
        resize: int = 256,
        batch_size: int = 32,
        most: int | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        place = Path(folder)
        if not place.is_dir():
            raise InvalidValue(f"there is no folder {str(folder)!r}")
        self.size, self.resize = (
            integer("size", size, 1, 1 << 14),
            integer("resize", resize, size, 1 << 15),
        )
        self.batch_size = integer("batch_size", batch_size, 1, 1 << 20)
        self.classes = tuple(sorted(each.name for each in place.iterdir() if each.is_dir()))
        files = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((place / name).iterdir())
            if path.suffix.lower() in _SUFFIXES
        ]
        if not files:
            raise InvalidValue(
                f"there is no image in the folders of {str(folder)!r}; each class has a folder of "
                "its own"
            )
        if most is not None:
            step = len(files) / min(integer("most", most, 1, 1 << 40), len(files))
            files = [files[int(i * step)] for i in range(round(len(files) / step))]
        self._files = files
        self._mean = torch.tensor(mean).reshape(3, 1, 1)
        self._std = torch.tensor(std).reshape(3, 1, 1)

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self._files) / self.batch_size)

    @property
    def targets(self) -> Tensor:
        """The classes of all images, in their order."""
        return torch.tensor([label for _, label in self._files])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self._files), self.batch_size):
            part = self._files[start : start + self.batch_size]
            images = torch.stack([self._image(path) for path, _ in part])
            yield images, torch.tensor([label for _, label in part])

    def _image(self, path: Path) -> Tensor:
        try:
            from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - optional
        except ImportError as error:
            raise MissingLibrary(
                "images need Pillow, which is not installed: pip install pillow"
            ) from error
        try:
            image = Image.open(path).convert("RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
        share = self.resize / min(image.size)
        image = image.resize((round(image.size[0] * share), round(image.size[1] * share)))
        left, top = (image.size[0] - self.size) // 2, (image.size[1] - self.size) // 2
        image = image.crop((left, top, left + self.size, top + self.size))
        pixels = torch.from_numpy(np.array(image, dtype=np.float32).transpose(2, 0, 1)) / 255
        return (pixels - self._mean) / self._std
