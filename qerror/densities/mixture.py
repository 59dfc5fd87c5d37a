"""A weighted mixture of densities."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._cut import inner_density
from qerror.densities._weights import normalised
from qerror.densities.atoms import NO_ATOMS, Atoms
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.gaussian import Gaussian
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue


@final
@dataclass(frozen=True)
class Mixture(Density):
    """X is drawn from components[i] with probability weights[i]; mixtures nest.

    Raises
    ------
    InvalidValue
        If there is no component, a weight is negative, or the weights do not sum to 1.
    InvalidType
        If the components or weights are no sequences.
    """

    components: Sequence[Density]
    """The densities that are mixed."""
    weights: Sequence[float]
    """The share of each; they add up to 1."""

    def __post_init__(self) -> None:
        try:
            components = tuple(self.components)
            if not components:
                raise InvalidValue("a mixture needs at least one component, got none")
            weights = normalised("weights", self.weights, len(components))
        except TypeError as error:
            raise InvalidType(f"mixture needs sequences: {error}") from None
        components = tuple(inner_density(component, self) for component in components)
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "weights", weights)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return tuple(
            piece.weighted(weight)
            for component, weight in zip(self.components, self.weights, strict=True)
            for piece in component.pieces()
            if weight > 0
        )

    def atoms(self) -> Atoms:
        return self._atoms

    @cached_property
    def _atoms(self) -> Atoms:
        parts = [component.atoms() for component in self.components]
        if not any(part.positions.size for part in parts):
            return NO_ATOMS
        x, place = np.unique(
            np.concatenate([part.positions for part in parts]), return_inverse=True
        )
        shares = [w * part.probabilities for w, part in zip(self.weights, parts, strict=True)]
        probability = np.zeros(x.size)
        np.add.at(probability, place, np.concatenate(shares))
        return Atoms(x[probability > 0], probability[probability > 0])

    @property
    def mean(self) -> float:
        pairs = zip(self.weights, self.components, strict=True)
        return sum(w * component.mean for w, component in pairs if w > 0)

    def _pdf(self, x: FloatArray) -> FloatArray:
        pairs = zip(self.weights, self.components, strict=True)
        return sum((w * part.pdf(x) for w, part in pairs if w > 0), np.zeros(x.shape))

    def _affine(self, scale: float, shift: float) -> Density:
        return Mixture([part.affine(scale, shift) for part in self.components], self.weights)

    def _second_moment(self) -> float:
        pairs = zip(self.weights, self.components, strict=True)
        return sum(w * component.second_moment for w, component in pairs if w > 0)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        counts = rng.multinomial(size, self.weights)
        drawn = [c.sample(int(n), rng) for c, n in zip(self.components, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn))


DENSITIES.register(
    "mixture",
    Family(
        Mixture,
        Mixture((Gaussian(), Gaussian(0.5, 4.0)), (0.9, 0.1)),
        "weight * density + weight * density + ...",
    ),
)
