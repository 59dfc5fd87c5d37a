"""Crops of the photographs that scikit-learn and scikit-image carry."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import functools

import numpy as np
import torch
from torch import Tensor

from qerror.exceptions import MissingLibrary
from qerror.pytorch.zoo.packaged import PackagedFile

_SKLEARN, _SKIMAGE = "pip install scikit-learn", "pip install scikit-image"

PHOTOS = tuple(
    PackagedFile(module, path, sha256, install)
    for module, path, sha256, install in (
        (
            "sklearn",
            "datasets/images/china.jpg",
            "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
            _SKLEARN,
        ),
        (
            "sklearn",
            "datasets/images/flower.jpg",
            "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
            _SKLEARN,
        ),
        (
            "skimage",
            "data/astronaut.png",
            "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            _SKIMAGE,
        ),
        (
            "skimage",
            "data/chelsea.png",
            "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
            _SKIMAGE,
        ),
        (
            "skimage",
            "data/coffee.png",
            "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
            _SKIMAGE,
        ),
    )
)

_SIZE = 224
_SMALLEST, _LARGEST = 0.35, 1.0  # of a photo's shorter side


@functools.cache
def photo_crops(count: int = 96, seed: int = 0) -> Tensor:
    """Return square crops at random places and of random sizes, half of them mirrored.

    Parameters
    ----------
    count : int
    seed : int

    Returns
    -------
    Tensor
        (count, 3, 224, 224) as (pixel - 127)/128.

    Raises
    ------
    MissingLibrary
        If scikit-learn, scikit-image or Pillow is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - slow, and optional
    except ImportError as error:
        raise MissingLibrary(
            "photographs need Pillow, which is not installed: pip install pillow"
        ) from error
    rng = np.random.default_rng(seed)
    photos = [Image.open(each.find()).convert("RGB") for each in PHOTOS]
    crops: list[Tensor] = []
    for number in range(count):
        photo = photos[number % len(photos)]
        side = int(min(photo.size) * rng.uniform(_SMALLEST, _LARGEST))
        left = int(rng.integers(photo.size[0] - side + 1))
        top = int(rng.integers(photo.size[1] - side + 1))
        box = (left, top, left + side, top + side)
        crop = photo.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR, box=box)
        pixels = np.array(crop, dtype=np.float32).transpose(2, 0, 1)
        pixels = pixels[:, :, ::-1].copy() if rng.random() < 0.5 else pixels
        crops.append((torch.from_numpy(pixels) - 127) / 128)
    return torch.stack(crops)
