"""Which density makes the data most likely."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, FrozenMapping
from qerror.densities.density import DENSITIES, Density
from qerror.densities.discrete import Discrete
from qerror.densities.mixture import Mixture
from qerror.densities.truncated import Truncated
from qerror.exceptions import InvalidType, InvalidValue
from qerror.fitting.family import FITTERS
from qerror.fitting.summary import DIRECT, Summary, Unit

Array: TypeAlias = npt.NDArray[Any]

Parts: TypeAlias = Callable[[], Iterator[Array]]
"""Returns the data piece by piece, from the start each time."""

DEFAULT = ("gaussian", "student-t", "laplace")
CHUNK = 1 << 20  # values read at a time
_ATOM = 0.01  # share of all values from which a repeated one counts as a point mass
_PROBES = 1 << 16


@dataclass(frozen=True)
class Candidate:
    """One family at its maximum likelihood."""

    family: str
    density: Density
    log_likelihood: float
    """Natural logarithm, over the values that are no point masses."""
    parameters: int
    """Number of fitted parameters."""
    bounds: tuple[str, ...] = ()
    """The parameters that ended at the edge of what is searched, such as "nu <= 10000": the
    likelihood still rises beyond it."""


@dataclass(frozen=True)
class FitResult:
    """The density that makes the data most likely."""

    density: Density
    """The best candidate, joined with point masses where values repeat."""
    candidates: tuple[Candidate, ...]
    """Every family that fits the data, the most likely first; one more parameter must raise the
    log-likelihood by 1 (Akaike's criterion), or Student's t would displace every Gaussian."""
    excluded: Mapping[str, str]
    """The families that cannot have made the data, each with the reason."""
    size: int
    """Number of values."""
    atoms: tuple[tuple[float, float], ...]
    """Values that make up more than 1% of the data each, with their shares."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value."""

    @cached_property
    def predictive(self) -> Density:
        """The density to predict errors with, which has a variance.

        The fitted one; or, where that has none (Student's t with nu <= 2), the same cut to the
        limits of the data: the sample's errors are finite, and those of the whole density not.
        """
        if math.isfinite(self.density.second_moment):
            return self.density
        return _joined(Truncated(self.candidates[0].density, *self.limits), self.atoms)


def fit(x: npt.ArrayLike, families: Sequence[str] = DEFAULT) -> FitResult:
    """Fit densities to data and return the most likely one.

    Arrays of any size, memory-mapped ones too: they are read in pieces, and beyond 131,072
    values the fit is to about a million bins, each at the mean of its values. Bins are 2^-11
    wide relative to the distance from the median, so that outliers cost no resolution; moments
    and limits are exact.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape; finite.
    families : sequence of str
        Of "gaussian", "student-t", "laplace", "logistic", "generalized-gaussian", "uniform"
        and "half-gaussian".

    Returns
    -------
    FitResult
        A value that makes up more than 1% of the data (pruned weights, the output of a ReLU)
        has no place in a continuous density: it becomes a point mass in a mixture.

    Raises
    ------
    InvalidType
        If `x` does not hold real numbers.
    InvalidValue
        If `x` is empty, a value is not finite, a family cannot be fitted, or none fits.

    Examples
    --------
    >>> x = np.random.default_rng(1).laplace(2.0, 0.5, 50_000)
    >>> best = fit(x).density
    >>> type(best).__name__, round(best.loc, 2), round(best.scale, 2)
    ('Laplace', 2.0, 0.5)
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise InvalidType(f"data must be real numbers, got dtype {array.dtype}")
    return fit_parts(lambda: _parts(array), families)


def fit_parts(parts: Parts, families: Sequence[str] = DEFAULT) -> FitResult:
    """Fit densities to data that come in pieces, such as a file's; see `fit`.

    Parameters
    ----------
    parts : callable
        Returns the pieces, flat arrays of finite real numbers; called several times.
    families : sequence of str
        As for `fit`.
    """
    names = _checked_families(families)
    size, low, high = _checked_size(parts)
    probe = _probe(parts, size)
    atoms = _atoms(parts, size, probe)
    data = _summary(parts, probe, [value for value, _ in atoms], (low, high), size)
    if data is not None and data.low == data.high:
        atoms.append((data.low, data.size / size))
        data = None
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    if data is not None:
        candidates, excluded = _candidates(data, names)
    density = _joined(candidates[0].density if candidates else None, atoms)
    reasons = FrozenMapping(excluded)
    return FitResult(density, tuple(candidates), reasons, size, tuple(atoms), (low, high))


def _candidates(data: Summary, names: list[str]) -> tuple[list[Candidate], dict[str, str]]:
    """Fit every family, and order them by what their parameters are worth."""
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    for name in names:
        found = FITTERS[name](data)
        if isinstance(found, str):
            excluded[name] = found
            continue
        candidates.append(
            Candidate(name, found.density, found.log_likelihood, found.parameters, found.bounds)
        )
    if not candidates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in excluded.items())
        raise InvalidValue(f"no family fits the data: {reasons}")
    # A family that contains another is never less likely: a parameter must earn its 1.
    candidates.sort(key=lambda each: each.parameters - each.log_likelihood)
    return candidates, excluded


def _checked_families(families: Sequence[str]) -> list[str]:
    if isinstance(families, str):
        families = [families]
    if not families:
        raise InvalidValue(f"no family given; fit takes some of {', '.join(FITTERS)}")
    canonical = {id(family): name for name, family in DENSITIES.items()}
    names = [canonical[id(DENSITIES[name])] for name in families]
    for name in names:
        if name not in FITTERS:
            raise InvalidValue(
                f"there is no fit for {name}; fit takes some of {', '.join(FITTERS)}"
            )
    return list(dict.fromkeys(names))


def _checked_size(parts: Parts) -> tuple[int, float, float]:
    """Count the values, all of which must be finite, and return their limits."""
    size = bad = 0
    low, high = math.inf, -math.inf
    for part in parts():
        size += part.size
        bad += int(np.count_nonzero(~np.isfinite(part)))
        low, high = min(low, float(part.min(initial=low))), max(high, float(part.max(initial=high)))
    if not size:
        raise InvalidValue("there is nothing to fit: the data are empty")
    if bad:
        raise InvalidValue(
            f"{bad:,} of {size:,} values are NaN or infinite; leave them out: x[np.isfinite(x)]"
        )
    return size, low, high


def _parts(array: Array) -> Iterator[FloatArray]:
    """Read the array piece by piece, at double precision, in whatever order is quick."""
    flat = array.reshape(-1) if array.flags.c_contiguous else None
    if flat is not None:
        for start in range(0, flat.size, CHUNK):
            yield np.asarray(flat[start : start + CHUNK], dtype=np.float64)
        return
    flags = ["external_loop", "buffered", "zerosize_ok"]
    for part in np.nditer(array, flags=flags, buffersize=CHUNK, order="K"):  # type: ignore[call-overload]
        yield np.asarray(part, dtype=np.float64)


def _probe(parts: Parts, size: int) -> FloatArray:
    """Return evenly spaced values, about 65,536 of them."""
    stride = -(-size // _PROBES)
    # Copies: a view would keep its whole piece in memory.
    return np.concatenate([part[::stride].astype(np.float64) for part in parts()])


def _atoms(parts: Parts, size: int, probe: FloatArray) -> list[tuple[float, float]]:
    """Return the values that repeat in more than `_ATOM` of the data, with their shares."""
    values, counts = np.unique(probe, return_counts=True)
    often = values[(counts >= 0.5 * _ATOM * counts.sum()) & (counts > 1)]
    if not often.size:
        return []
    total = np.zeros(often.size, dtype=np.int64)
    for part in parts():
        place = np.minimum(np.searchsorted(often, part), often.size - 1)
        total += np.bincount(place[often[place] == part], minlength=often.size)
    share = total / size
    kept = (share >= _ATOM) & (total > 1)
    return [*zip(often[kept].tolist(), share[kept].tolist(), strict=True)]


def _summary(
    parts: Parts,
    probe: FloatArray,
    atoms: Sequence[float],
    limits: tuple[float, float],
    size: int,
) -> Summary | None:
    """Read the values that are no point masses; None if there are none."""
    inner = probe[~np.isin(probe, atoms)]
    unit = Unit.of(inner if inner.size else probe, *limits)
    found = Summary.of(_rest(parts, atoms), unit, binned=size > DIRECT)
    return found if found.size else None


def _rest(parts: Parts, atoms: Sequence[float]) -> Iterator[FloatArray]:
    for part in parts():
        wide = part.astype(np.float64)
        yield wide[~np.isin(wide, atoms)] if atoms else wide


def _joined(density: Density | None, atoms: Sequence[tuple[float, float]]) -> Density:
    if not atoms and density is not None:
        return density
    values, shares = zip(*atoms, strict=True)
    total = min(math.fsum(shares), 1.0)
    masses = Discrete(values, [share / math.fsum(shares) for share in shares])
    if density is None:
        return masses
    return Mixture((density, masses), (1 - total, total))
