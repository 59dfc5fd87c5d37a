"""Handwritten digits of 8 x 8 pixels, which come with scikit-learn."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import functools
import gzip

import numpy as np
import torch

from qerror.pytorch.examples import Dataset, Examples
from qerror.pytorch.zoo.packaged import PackagedFile

DIGITS = PackagedFile(
    "sklearn",
    "datasets/data/digits.csv.gz",
    "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    "pip install scikit-learn",
)

_SPLIT_SEED = 0
_TESTED = 4  # one in so many


@functools.cache
def digits() -> Dataset:
    """Return 1,797 images of 8 x 8 pixels, a quarter of every digit for the test.

    Inputs of shape (n, 1, 8, 8) are standardised by the mean and the standard deviation of the
    training images. The split is the same every time.

    Raises
    ------
    MissingLibrary
        If scikit-learn is not installed.

    References
    ----------
    Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (CC BY 4.0).
    """
    with gzip.open(DIGITS.find(), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    pixels, labels = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
    tested = _tested(labels)
    mean, std = pixels[~tested].mean(), pixels[~tested].std()
    inputs, targets = torch.from_numpy((pixels - mean) / std), torch.from_numpy(labels)
    test = torch.from_numpy(tested)
    return Dataset(
        "digits",
        Examples(inputs[~test], targets[~test]),
        Examples(inputs[test], targets[test]),
    )


def _tested(
    labels: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Choose a quarter of every class."""
    rng = np.random.default_rng(_SPLIT_SEED)
    tested = np.zeros(labels.size, dtype=np.bool_)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        tested[places[: len(places) // _TESTED]] = True
    return tested
