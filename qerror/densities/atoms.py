"""Point masses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import ArrayValue, FloatArray


@final
@dataclass(frozen=True, eq=False)
class Atoms(ArrayValue):
    """Point masses: ``x, probability = density.atoms()``."""

    positions: FloatArray
    """Where they are, strictly increasing."""
    probabilities: FloatArray
    """Of each position; they add up to 1 with the continuous part."""

    def __iter__(self) -> Iterator[FloatArray]:
        yield self.positions
        yield self.probabilities


NO_ATOMS = Atoms(np.empty(0), np.empty(0))
