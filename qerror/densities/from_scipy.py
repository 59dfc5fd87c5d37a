"""Frozen distributions of scipy.stats: built-in densities where they are, else by quadrature."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast, final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._adaptive import AdaptiveLaw, Frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue
from qerror.registry import Registry

ScipyFamily: TypeAlias = Callable[..., Density | None]
"""The density of shapes, loc and scale; None for parameters that are not built in."""

# Filled by `scipy_families`, which stands above `Truncated`, which takes frozen distributions.
SCIPY_FAMILIES: Registry[ScipyFamily] = Registry("family of scipy.stats", "qerror densities")
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
    """A frozen continuous distribution by its values: ``FromScipy(scipy.stats.skewnorm(4))``.

    Whatever takes a density takes a frozen distribution as it is, and one whose family is built
    in, as ``scipy.stats.t(3)``, then counts as the built-in density, here ``StudentT(3)``:
    `as_density` lists them. This class is for all others. Named, it treats any distribution as
    one of which only `pdf`, `cdf` and `ppf` are known.

    Slower than the built-in densities (adaptive quadrature of `pdf`, about a hundred times)
    and as accurate as the distribution's own `pdf`: near 1e-13 relative for smooth ones and
    for histograms, 1e-10 where the density has a jump, a cusp or a pole (affine blocks 1e-8 beside
    a cusp at its `loc`); 1e-3 for blocks at a real scale where a pole steeper than a root lies
    elsewhere than at 0, and for affine blocks where a cusp lies elsewhere than at the `loc`. What
    quadrature cannot bring to 1e-9 is refused, and so are affine blocks where P(|X| > x) falls
    slower than x^-16. Two are equal where the distributions have the same class, name, arguments
    and quantiles.

    Parameters
    ----------
    distribution : scipy.stats frozen distribution
        Continuous, with `pdf`, `cdf`, `ppf`, `isf`, `support`, `mean` and `var`.

    Raises
    ------
    InvalidType
        If the object is not a frozen continuous distribution, or a parameter is an array.
    TooLarge
        On first use, if its `pdf` takes milliseconds a value; for affine blocks, if a tail falls
        as a power.
    InvalidValue
        If its parameters are none that `scipy.stats` allows, or its support is so far out that
        float64 sees one number; on first use, if its `pdf` does not integrate to 1 over the
        support, or is too noisy.
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
        if not ends[0] < ends[1]:
            raise InvalidValue(
                f"float64 sees one number, {ends[0]:g}, where {self!r} has its support; "
                "choose a wider scale, or a location nearer to 0"
            )

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
        return f"FromScipy({_text(self.distribution)})"


def _text(distribution: Frozen) -> str:
    dist = getattr(distribution, "dist", None)
    given = [repr(a) for a in getattr(distribution, "args", ())]
    given += [f"{k}={v!r}" for k, v in getattr(distribution, "kwds", {}).items()]
    return f"{getattr(dist, 'name', dist)}({', '.join(given)})"


def frozen_density(distribution: Frozen) -> Density:
    """Return the density of a frozen distribution: built in where its family is, else `FromScipy`.

    Raises
    ------
    InvalidType, InvalidValue
        As `FromScipy` and the built-in density do.
    """
    wrapped = FromScipy(distribution)  # refuses arrays, and what scipy.stats does not allow
    family = _own_family(distribution)
    if family is None:
        return wrapped
    try:
        return family(*_parameters(distribution)) or wrapped
    except InvalidValue as error:
        raise InvalidValue(f"scipy.stats.{_text(distribution)}: {error}") from None


def _own_family(frozen: Any) -> ScipyFamily | None:
    """Return the family of a distribution that is of `scipy.stats` itself.

    A subclass may have another density under the same name, and so has an object of the same
    class with other ends.
    """
    dist = frozen.dist
    name: object = getattr(dist, "name", None)
    family = SCIPY_FAMILIES.get(name) if isinstance(name, str) else None
    if family is None or type(frozen).__module__.partition(".")[0] != "scipy":
        return None
    # Whoever has a frozen distribution has imported the module; qerror does not.
    known: Any = getattr(sys.modules.get("scipy.stats"), cast("str", name), None)
    same = type(dist) is type(known) and (dist.a, dist.b) == (known.a, known.b)
    return family if same else None


def _parameters(frozen: Any) -> list[float]:
    """Return the shapes, the location and the scale, however they were given."""
    shapes: str = frozen.dist.shapes or ""
    names = [*shapes.replace(",", " ").split(), "loc", "scale"]
    given = {"loc": 0.0, "scale": 1.0, **dict(zip(names, frozen.args, strict=False))}
    given.update(frozen.kwds)
    return [float(given[name]) for name in names]
