"""Families with a location and a spread."""

import math
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, cast, final

import numpy as np

from qerror._arrays import FloatArray, positive, real
from qerror.densities.density import Density
from qerror.densities.law import Law
from qerror.densities.piece import Piece


class LocationScale(Density):
    """A law with a location and a spread; a family names its parameters and its law."""

    @property
    @abstractmethod
    def law(self) -> Law:
        """The standard law."""

    @property
    @abstractmethod
    def location(self) -> float:
        """Where the law's centre goes."""

    @property
    @abstractmethod
    def spread(self) -> float:
        """What the law's unit becomes."""

    @property
    @abstractmethod
    def standard_variance(self) -> float:
        """The law's variance at spread 1: infinite or nan where it does not exist."""

    @final
    def pieces(self) -> tuple[Piece, ...]:
        return self._whole

    @cached_property
    def _whole(self) -> tuple[Piece]:
        return (Piece(self.law, 1.0, self.location, self.spread),)

    def _is_symmetric(self) -> bool:
        return self.law.symmetric and self.location == 0

    @property
    def mean(self) -> float:
        return math.nan if math.isnan(self.standard_variance) else self.location

    def _variance(self) -> float:
        return self.spread * (self.spread * self.standard_variance)

    def _second_moment(self) -> float:
        if not self.standard_variance < math.inf:
            return math.inf
        return self.location * self.location + self.variance

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.location + self.spread * self.law.ppf(p)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.location + self.spread * self.law.sample(size, rng)


class LocScale(LocationScale):
    """A location-scale family whose parameters are called just that: `loc` and `scale` > 0."""

    loc: float
    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "loc", real("loc", self.loc))
        object.__setattr__(self, "scale", positive("scale", self.scale))

    @property
    def location(self) -> float:
        return self.loc

    @property
    def spread(self) -> float:
        return self.scale

    def _affine(self, scale: float, shift: float) -> Density:
        if scale < 0 and not self.law.symmetric:
            return super()._affine(scale, shift)
        moved = {"loc": scale * self.loc + shift, "scale": abs(scale) * self.scale}
        return cast("Density", replace(cast("Any", self), **moved))
