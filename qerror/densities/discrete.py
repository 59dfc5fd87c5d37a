"""Finitely many values with probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray, real, unmasked
from qerror.densities._weights import normalised
from qerror.densities.atoms import Atoms
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue


@final
@dataclass(frozen=True)
class Discrete(Density):
    """P(X = values[i]) = probabilities[i].

    Raises
    ------
    InvalidValue
        If there is no value, two are equal, one is not finite, a probability is negative, or
        the probabilities do not sum to 1 (to 1e-9; they are then normalised exactly).
    InvalidType
        If the values or probabilities are no sequences of numbers.
    """

    values: Sequence[float]
    """All different, in any order."""
    probabilities: Sequence[float]
    """Of each value; they add up to 1."""

    def __post_init__(self) -> None:
        unmasked("values", self.values)
        try:
            values = tuple(real("a value", x) for x in self.values)
            probabilities = normalised("probabilities", self.probabilities, len(values))
        except TypeError as error:
            raise InvalidType(f"discrete needs sequences of numbers: {error}") from None
        if len(set(values)) < len(values):
            raise InvalidValue(f"the values of a discrete density must differ, got {values}")
        order = sorted(range(len(values)), key=values.__getitem__)
        object.__setattr__(self, "values", tuple(values[i] for i in order))
        object.__setattr__(self, "probabilities", tuple(probabilities[i] for i in order))

    def pieces(self) -> tuple[Piece, ...]:
        return ()

    def atoms(self) -> Atoms:
        return self._atoms

    @cached_property
    def _atoms(self) -> Atoms:
        return Atoms(np.array(self.values), np.array(self.probabilities))

    @property
    def mean(self) -> float:
        return math.fsum(x * p for x, p in zip(self.values, self.probabilities, strict=True))

    def _affine(self, scale: float, shift: float) -> Density:
        found: dict[float, float] = {}
        for x, probability in zip(self.values, self.probabilities, strict=True):
            moved = scale * x + shift
            found[moved] = found.get(moved, 0.0) + probability  # rounding may unite two
        return Discrete(tuple(found), tuple(found.values()))

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.choice(self._atoms.positions, size, p=self._atoms.probabilities)


DENSITIES.register(
    "discrete",
    Family(
        Discrete,
        Discrete((-1.0, 0.125, 2.0), (0.25, 0.5, 0.25)),
        "values with probabilities",
    ),
)
