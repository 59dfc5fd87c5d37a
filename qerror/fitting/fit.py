"""Which density makes the data most likely."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, FrozenMapping, unmasked
from qerror.densities.density import DENSITIES, Density
from qerror.densities.discrete import Discrete
from qerror.densities.empirical import Empirical
from qerror.exceptions import InvalidType, InvalidValue
from qerror.fitting.channel_lattice import ChannelLattices, channel_lattices
from qerror.fitting.channels import ChannelSpread, Layout, likely_channels, normalised
from qerror.fitting.family import FITTERS
from qerror.fitting.lattice import Distinct, Lattice, distinct_values, lattice_of
from qerror.fitting.result import Candidate, FitResult, joined
from qerror.fitting.summary import DIRECT, Summary, Unit

Array: TypeAlias = npt.NDArray[Any]

Parts: TypeAlias = Callable[[], Iterator[Array]]
"""Returns the data piece by piece, from the start each time."""

DEFAULT = ("gaussian", "student-t", "laplace")
CHUNK = 1 << 20  # values read at a time
_MOST_LISTED = 256  # point masses of a density that lists them
_ATOM = 0.01  # share of all values from which a repeated one counts as a point mass
_PROBES = 1 << 16  # values looked at first, evenly spread


def fit(x: npt.ArrayLike, families: Sequence[str] | None = None) -> FitResult:
    """Fit densities to data and return the most likely one.

    Arrays of any size, memory-mapped ones too: they are read in pieces, and beyond 131,072
    values the fit is to about a million bins, each at the mean of its values. Bins are 2^-11
    wide relative to the distance from the median, so that outliers cost no resolution; moments
    and limits are exact.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape; finite.
    families : sequence of str, optional
        Of "gaussian", "student-t", "laplace", "logistic", "generalized-gaussian", "uniform"
        and "half-gaussian": one density of the most likely family is fitted to all values. By
        default of the first three, and structure is recognised that none of them has: a grid on
        which the values lie (`FitResult.lattice`), or one for each channel
        (`FitResult.channel_lattices`), and channels of different spread (`FitResult.channels`).

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
    >>> fit(np.round(x, 1)).lattice.description
    '94 distinct values on a uniform grid of step 0.1'
    """
    unmasked("data", x)
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise InvalidType(f"data must be real numbers, got dtype {array.dtype}")
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return fit_parts(lambda: _parts(array), families, Layout(array.shape, fortran))


def fit_parts(
    parts: Parts, families: Sequence[str] | None = None, layout: Layout | None = None
) -> FitResult:
    """Fit densities to data that come in pieces, such as a file's; see `fit`.

    Parameters
    ----------
    parts : callable
        Returns the pieces, flat arrays of finite real numbers; called several times.
    families : sequence of str, optional
        As for `fit`.
    layout : Layout, optional
        Of the array that the pieces make up, in its order, so that channels are looked for.
    """
    names = _checked_families(DEFAULT if families is None else families)
    size, low, high = _checked_size(parts)
    probe = _probe(parts, size)
    lattice = None
    if families is None:
        found = distinct_values(parts, probe)
        lattice = None if found is None else lattice_of(found)
        coarse = lattice if lattice is not None and lattice.is_coarse else None
        if found is not None and coarse is not None and coarse.kind != "few values":
            return _of_masses(found, coarse)
        # Few values of an array may be those of many grids.
        own = None if layout is None else channel_lattices(parts, layout)
        if own is not None:
            return _of_channels(own, (low, high))
        if found is not None and coarse is not None:
            return _of_masses(found, coarse)
    atoms = _atoms(parts, size, probe)
    masses = [value for value, _ in atoms]
    data = _summary(_rest(parts, masses), _unit(probe, masses, (low, high)), size)
    if data is not None and data.low == data.high:
        atoms.append((data.low, data.size / size))
        data = None
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    channels = None
    if data is not None:
        candidates, excluded = _candidates(data, names)
        if families is None and layout is not None:
            channels = _channels(parts, layout, masses, names, candidates[0])
    best = candidates[0].density if candidates else None
    density = joined(best if channels is None else channels.mixture(), atoms)
    return FitResult(
        density,
        tuple(candidates),
        FrozenMapping(excluded),
        size,
        tuple(atoms),
        (low, high),
        lattice,
        channels,
    )


def _of_masses(found: Distinct, lattice: Lattice) -> FitResult:
    """Return the data themselves as point masses."""
    size = int(found.counts.sum())
    shares = (found.counts / size).tolist()
    values = found.values.tolist()
    density: Density = Empirical(found.values, found.counts)
    if len(values) <= _MOST_LISTED:
        density = Discrete(values, shares)
    often = tuple(
        (value, share) for value, share in zip(values, shares, strict=True) if share >= _ATOM
    )
    limits = (values[0], values[-1])
    return FitResult(density, (), FrozenMapping({}), size, often, limits, lattice)


def _of_channels(found: ChannelLattices, limits: tuple[float, float]) -> FitResult:
    """Return the values of channels on grids of their own as point masses."""
    whole = found.whole()
    values, counts = np.asarray(whole.values), np.asarray(whole.counts)
    shares = counts / whole.size
    often = shares >= _ATOM
    atoms = tuple(zip(values[often].tolist(), shares[often].tolist(), strict=True))
    return FitResult(
        whole, (), FrozenMapping({}), whole.size, atoms, limits, channel_lattices=found
    )


def _channels(
    parts: Parts, layout: Layout, masses: list[float], names: list[str], plain: Candidate
) -> ChannelSpread | None:
    """Return channels of different spread, if they are worth their parameters."""
    found = likely_channels(parts, layout, masses)
    if found is None:
        return None

    def scaled() -> Iterator[Array]:
        return normalised(parts, layout, found, masses)

    size, low, high = _checked_size(scaled)
    unit = Unit.of(_probe(scaled, size), low, high)
    data = Summary.of(scaled(), unit, binned=size > DIRECT)
    best = _candidates(data, names)[0][0]
    level = best.log_likelihood - found.log_spread
    # The common scale is one of the spreads.
    parameters = best.parameters + int(np.count_nonzero(found.counts)) - 1
    if parameters - level >= plain.parameters - plain.log_likelihood:
        return None
    shares = found.counts / found.counts.sum()
    return ChannelSpread(
        found.axis,
        len(layout.shape),
        found.spread,
        shares,
        best.density,
        best.family,
        level,
        parameters,
        (low, high),
    )


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


def _parts(array: Array) -> Iterator[Array]:
    """Read the array piece by piece, floats as they are, in the order of Fortran or else of C."""
    if array.flags.f_contiguous:
        array = array.T
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            yield _floats(flat[start : start + CHUNK])
        return
    flags = ["external_loop", "buffered", "zerosize_ok"]
    for part in np.nditer(array, flags=flags, buffersize=CHUNK, order="C"):  # type: ignore[call-overload]
        yield _floats(np.array(part))


def _floats(part: Array) -> Array:
    return part if part.dtype.kind == "f" else part.astype(np.float64)


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


def _unit(probe: FloatArray, atoms: Sequence[float], limits: tuple[float, float]) -> Unit:
    inner = probe[~np.isin(probe, atoms)]
    return Unit.of(inner if inner.size else probe, *limits)


def _summary(rest: Iterator[FloatArray], unit: Unit, size: int) -> Summary | None:
    """Read the values that are no point masses; None if there are none."""
    found = Summary.of(rest, unit, binned=size > DIRECT)
    return found if found.size else None


def _rest(parts: Parts, atoms: Sequence[float]) -> Iterator[FloatArray]:
    for part in parts():
        wide = part.astype(np.float64)
        yield wide[~np.isin(wide, atoms)] if atoms else wide
