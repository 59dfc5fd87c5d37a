"""Any continuous distribution of scipy.stats, by adaptive quadrature."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeGuard, cast, final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._adaptive import AdaptiveLaw, Frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue

_WANTED = ("pdf", "cdf", "ppf", "isf", "support", "var", "mean")


class _Placed(NamedTuple):
    """A distribution as a standard one, moved and stretched."""

    standard: Frozen
    location: float
    spread: float


def _placed(distribution: Frozen) -> _Placed:
    """Take a frozen distribution apart: near a pole at its location x - loc is then exact."""
    dist: Any = getattr(distribution, "dist", None)
    args: tuple[Any, ...] = getattr(distribution, "args", ())
    shapes: int | None = getattr(dist, "numargs", None)
    if shapes is None:
        return _Placed(distribution, 0.0, 1.0)
    given: dict[str, Any] = dict(getattr(distribution, "kwds", {}))
    place = dict(zip(("loc", "scale"), args[shapes:], strict=False))
    moved = {name: given.pop(name, place.get(name)) for name in ("loc", "scale")}
    location = 0.0 if moved["loc"] is None else float(moved["loc"])
    spread = 1.0 if moved["scale"] is None else float(moved["scale"])
    return _Placed(cast("Frozen", dist(*args[:shapes], **given)), location, spread)


def is_frozen_distribution(value: object) -> TypeGuard[Frozen]:
    """Tell whether something looks like a frozen continuous distribution of `scipy.stats`."""
    return hasattr(value, "dist") and all(hasattr(value, name) for name in _WANTED)


@final
@dataclass(frozen=True, eq=False, repr=False)
class FromScipy(Density):
    """A frozen continuous distribution: ``FromScipy(scipy.stats.skewnorm(4))``.

    Slower than the built-in densities (adaptive quadrature of `pdf`, about a hundred times)
    and as accurate as the distribution's own `pdf`: near 1e-13 relative for smooth ones and
    for histograms, 1e-10 where the density has a jump, a cusp or a pole; 1e-3 for blocks at a real
    scale where a pole steeper than a root lies elsewhere than at 0, and for affine blocks
    where tails are longer than a Gaussian's or the density has a cusp. What quadrature
    cannot bring to 1e-9 is refused. Two are equal where the distributions have the same class,
    name, arguments and quantiles.

    Parameters
    ----------
    distribution : scipy.stats frozen distribution
        Continuous, with `pdf`, `cdf`, `ppf`, `isf`, `support`, `mean` and `var`.

    Raises
    ------
    InvalidType
        If the object is not a frozen continuous distribution, or a parameter is an array.
    TooLarge
        On first use, if its `pdf` takes milliseconds a value.
    InvalidValue
        If its parameters are none that `scipy.stats` allows; on first use, if its `pdf` does not
        integrate to 1 over the support, or is too noisy.
    """

    distribution: Frozen

    def __post_init__(self) -> None:
        if not is_frozen_distribution(self.distribution):
            raise InvalidType(
                f"FromScipy wraps a frozen continuous distribution such as scipy.stats.norm(0, 2), "
                f"got {self.distribution!r}"
            )
        ends = np.asarray(self.distribution.support())
        if ends.shape != (2,):
            raise InvalidType(
                f"a frozen distribution must have single numbers as parameters, got "
                f"{self!r}: wrap each on its own"
            )
        if np.isnan(ends).any():  # so scipy.stats answers for what it does not allow
            raise InvalidValue(f"scipy.stats does not allow these parameters: {self!r}")

    @cached_property
    def _parts(self) -> _Placed:
        return _placed(self.distribution)

    @cached_property
    def _law(self) -> AdaptiveLaw:
        return AdaptiveLaw(self._parts.standard)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        law, (_, at, spread) = self._law, self._parts
        law.check()
        return (Piece(law, 1.0, at, spread, at + spread * law.low, at + spread * law.high),)

    @property
    def mean(self) -> float:
        return float(self.distribution.mean())

    def _variance(self) -> float:
        return float(self.distribution.var())

    def _ppf(self, p: FloatArray) -> FloatArray:
        return np.asarray(self.distribution.ppf(p), dtype=np.float64)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromScipy) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[AdaptiveLaw, float, float]:
        return self._law, self._parts.location, self._parts.spread

    def __repr__(self) -> str:
        dist = getattr(self.distribution, "dist", None)
        given = [repr(a) for a in getattr(self.distribution, "args", ())]
        given += [f"{k}={v!r}" for k, v in getattr(self.distribution, "kwds", {}).items()]
        return f"FromScipy({getattr(dist, 'name', dist)}({', '.join(given)}))"
