"""Densities fitted to data by maximum likelihood."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from qerror._arrays import FloatArray
from qerror.densities.density import DENSITIES, Density
from qerror.densities.discrete import Discrete
from qerror.densities.gaussian import Gaussian
from qerror.densities.generalized_gaussian import GeneralizedGaussian
from qerror.densities.half_gaussian import HalfGaussian
from qerror.densities.laplace import Laplace
from qerror.densities.logistic import Logistic
from qerror.densities.mixture import Mixture
from qerror.densities.student_t import StudentT
from qerror.densities.uniform import Uniform
from qerror.exceptions import InvalidType, InvalidValue

Array: TypeAlias = npt.NDArray[Any]
Objective: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]

Parts: TypeAlias = Callable[[], Iterator[Array]]
"""Returns the data piece by piece, from the start each time."""

DEFAULT = ("gaussian", "student-t", "laplace")
CHUNK = 1 << 20  # values read at a time
DIRECT = 1 << 17  # up to so many values are used one by one
_BINS_SHIFT = 12  # of float32's 23 stored bits: bins are 2^-11 wide, relative to the centre
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


def fit(x: npt.ArrayLike, families: Sequence[str] = DEFAULT) -> FitResult:
    """Fit densities to data and return the most likely one.

    Arrays of any size, memory-mapped ones too: they are read in pieces, and beyond 131,072
    values the fit is to about a million bins, each at the mean of its values (bins are 2^-11
    wide relative to the distance from the mean; moments and limits are exact).

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
    size = _checked_size(parts)
    atoms = _atoms(parts, size)
    data = _Data(parts, [value for value, _ in atoms])
    if data.size and data.low == data.high:
        atoms.append((data.low, data.size / size))
        data.size = 0
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    if data.size:
        for name in names:
            found = _FITTERS[name](data)
            if isinstance(found, str):
                excluded[name] = found
            else:
                candidates.append(Candidate(name, *found))
        # A family that contains another is never less likely: a parameter must earn its 1.
        candidates.sort(key=lambda each: each.parameters - each.log_likelihood)
    if data.size and not candidates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in excluded.items())
        raise InvalidValue(f"no family fits the data: {reasons}")
    density = _joined(candidates[0].density if candidates else None, atoms)
    return FitResult(density, tuple(candidates), excluded, size, tuple(atoms))


def _checked_families(families: Sequence[str]) -> list[str]:
    if isinstance(families, str):
        families = [families]
    if not families:
        raise InvalidValue(f"no family given; fit takes some of {', '.join(_FITTERS)}")
    canonical = {id(family): name for name, family in DENSITIES.items()}
    names = [canonical[id(DENSITIES[name])] for name in families]
    for name in names:
        if name not in _FITTERS:
            raise InvalidValue(
                f"there is no fit for {name}; fit takes some of {', '.join(_FITTERS)}"
            )
    return list(dict.fromkeys(names))


def _checked_size(parts: Parts) -> int:
    """Count the values, all of which must be finite."""
    size = bad = 0
    for part in parts():
        size += part.size
        bad += int(np.count_nonzero(~np.isfinite(part)))
    if not size:
        raise InvalidValue("there is nothing to fit: the data are empty")
    if bad:
        raise InvalidValue(
            f"{bad:,} of {size:,} values are NaN or infinite; leave them out: x[np.isfinite(x)]"
        )
    return size


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


def _atoms(parts: Parts, size: int) -> list[tuple[float, float]]:
    """Return the values that repeat in more than `_ATOM` of the data, with their shares."""
    stride = -(-size // _PROBES)
    # Copies: a view would keep its whole piece in memory.
    probe = np.concatenate([part[::stride].copy() for part in parts()])
    values, counts = np.unique(probe, return_counts=True)
    often = values[(counts >= 0.5 * _ATOM * counts.sum()) & (counts > 1)].astype(np.float64)
    if not often.size:
        return []
    total = np.zeros(often.size, dtype=np.int64)
    for part in parts():
        place = np.minimum(np.searchsorted(often, part), often.size - 1)
        total += np.bincount(place[often[place] == part], minlength=often.size)
    share = total / size
    kept = (share >= _ATOM) & (total > 1)
    return [*zip(often[kept].tolist(), share[kept].tolist(), strict=True)]


def _joined(density: Density | None, atoms: Sequence[tuple[float, float]]) -> Density:
    if not atoms and density is not None:
        return density
    values, shares = zip(*atoms, strict=True)
    total = min(math.fsum(shares), 1.0)
    masses = Discrete(values, [share / math.fsum(shares) for share in shares])
    if density is None:
        return masses
    return Mixture((density, masses), (1 - total, total))


class _Data:
    """The values that are no point masses, as values with weights."""

    def __init__(self, parts: Parts, atoms: Sequence[float]) -> None:
        self.size = 0
        self.low, self.high = math.inf, -math.inf
        total = 0.0
        for part in self._rest(parts, atoms):
            self.size += part.size
            total += float(part.sum())
            self.low = min(self.low, float(part.min(initial=math.inf)))
            self.high = max(self.high, float(part.max(initial=-math.inf)))
        self.mean = total / max(self.size, 1)
        if self.size <= DIRECT:
            self.values = np.concatenate([np.empty(0), *self._rest(parts, atoms)])
            self.weights = np.ones(self.values.size)
        else:
            self._fill_bins(parts, atoms)
        self.values -= 0.0  # an own array
        centred = self.values - self.mean
        self.std = math.sqrt(float(self.weights @ (centred * centred)) / max(self.size, 1))

    @staticmethod
    def _rest(parts: Parts, atoms: Sequence[float]) -> Iterator[FloatArray]:
        for part in parts():
            wide = part.astype(np.float64)
            yield wide[~np.isin(wide, atoms)] if atoms else wide

    def _fill_bins(self, parts: Parts, atoms: Sequence[float]) -> None:
        bins = 1 << (32 - _BINS_SHIFT)
        counts, sums = np.zeros(bins), np.zeros(bins)
        # In units of the spread, so that float32 holds every distance.
        unit = max(self.high - self.mean, self.mean - self.low) or 1.0
        for part in self._rest(parts, atoms):
            distance = (part - self.mean) / unit
            key = distance.astype(np.float32).view(np.uint32) >> np.uint32(_BINS_SHIFT)
            index = key.astype(np.int64)
            counts += np.bincount(index, minlength=bins)
            sums += np.bincount(index, distance, minlength=bins)
        used = counts > 0
        self.weights = counts[used]
        self.values = self.mean + unit * (sums[used] / self.weights)

    def average(self, y: FloatArray) -> float:
        """Return the weighted mean of y."""
        return float(self.weights @ y) / self.size

    def quantiles(self, *shares: float) -> list[float]:
        """Return the smallest values with at least these shares of the weight up to them."""
        order = np.argsort(self.values)
        cumulative = np.cumsum(self.weights[order])
        at = np.searchsorted(cumulative, np.array(shares) * self.size * (1 - 1e-12))
        found: list[float] = self.values[order][np.minimum(at, order.size - 1)].tolist()
        return found


Fitted: TypeAlias = tuple[Density, float, int] | str
"""A density, its log-likelihood and number of parameters; or why there is none."""

_CONSTANT = "the values are all equal"


def _fit_gaussian(data: _Data) -> Fitted:
    if not data.std > 0:
        return _CONSTANT
    level = -0.5 * (math.log(2 * math.pi) + 1) - math.log(data.std)
    return Gaussian(data.mean, data.std), data.size * level, 2


def _fit_laplace(data: _Data) -> Fitted:
    (median,) = data.quantiles(0.5)
    scale = data.average(np.abs(data.values - median))
    if not scale > 0:
        return _CONSTANT
    return Laplace(median, scale), -data.size * (math.log(2 * scale) + 1), 2


def _fit_uniform(data: _Data) -> Fitted:
    if not data.high > data.low:
        return _CONSTANT
    return Uniform(data.low, data.high), -data.size * math.log(data.high - data.low), 2


def _fit_half_gaussian(data: _Data) -> Fitted:
    if data.low < 0:
        return f"a value is negative: {data.low:g}"
    std = math.sqrt(data.average(data.values * data.values))
    if not std > 0:
        return _CONSTANT
    level = math.log(2) - 0.5 * (math.log(2 * math.pi) + 1) - math.log(std)
    return HalfGaussian(std), data.size * level, 1


def _fit_student_t(data: _Data) -> Fitted:
    def objective(theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
        nu, loc, scale = math.exp(theta[0]), theta[1], math.exp(theta[2])
        z = (x - loc) / scale
        q = z * z / nu
        logs, share = np.log1p(q), q / (1 + q)
        peak = special.gammaln(0.5 * (nu + 1)) - special.gammaln(0.5 * nu)
        level = peak - 0.5 * math.log(nu * math.pi) - theta[2]
        mean_log, mean_share = data.average(logs), data.average(share)
        gap = special.digamma(0.5 * (nu + 1)) - special.digamma(0.5 * nu) - 1 / nu
        by_nu = 0.5 * (gap - mean_log + (nu + 1) / nu * mean_share)
        by_loc = (nu + 1) / (nu * scale) * data.average(z / (1 + q))
        by_scale = (nu + 1) * mean_share - 1
        slope = np.array([nu * by_nu, by_loc, by_scale])
        return level - 0.5 * (nu + 1) * mean_log, slope

    def make(theta: FloatArray) -> Density:
        return StudentT(math.exp(theta[0]), float(theta[1]), math.exp(theta[2]))

    return _climb(data, objective, [math.log(4.0)], [_NU], make)


def _fit_logistic(data: _Data) -> Fitted:
    def objective(theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
        loc, scale = theta[0], math.exp(theta[1])
        z = (x - loc) / scale
        half = np.tanh(0.5 * z)
        size = np.abs(z)
        level = data.average(-size - 2 * np.log1p(np.exp(-size))) - theta[1]
        return level, np.array([data.average(half) / scale, data.average(z * half) - 1])

    def make(theta: FloatArray) -> Density:
        return Logistic(float(theta[0]), math.exp(theta[1]))

    return _climb(data, objective, [], [], make)


def _fit_generalized_gaussian(data: _Data) -> Fitted:
    def objective(theta: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
        beta, loc, scale = math.exp(theta[0]), theta[1], math.exp(theta[2])
        z = (x - loc) / scale
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(z))
        power = np.exp(beta * logs)
        level = math.log(beta / 2) - special.gammaln(1 / beta) - theta[2] - data.average(power)
        with np.errstate(invalid="ignore", divide="ignore"):
            weighted = np.where(z == 0, 0.0, power * logs)
            steep = np.where(z == 0, 0.0, np.sign(z) * np.exp((beta - 1) * logs))
        by_beta = 1 / beta + special.digamma(1 / beta) / beta**2 - data.average(weighted)
        by_loc = beta / scale * data.average(steep)
        return level, np.array([beta * by_beta, by_loc, beta * data.average(power) - 1])

    def make(theta: FloatArray) -> Density:
        return GeneralizedGaussian(math.exp(theta[0]), float(theta[1]), math.exp(theta[2]))

    return _climb(data, objective, [math.log(1.5)], [_BETA], make)


_NU = math.log(0.2), math.log(1e4)
_BETA = math.log(0.3), math.log(20.0)


def _climb(
    data: _Data,
    objective: Callable[[FloatArray, FloatArray], tuple[float, FloatArray]],
    shape: list[float],
    limits: list[tuple[float, float]],
    make: Callable[[FloatArray], Density],
) -> Fitted:
    """Maximise a mean log-likelihood over shape parameters, location and log scale (L-BFGS-B).

    In units of the data's spread, about its median: then all parameters are of order 1.
    """
    from scipy import optimize

    low, median, high = data.quantiles(0.25, 0.5, 0.75)
    unit = (high - low) / 1.35 if high > low else data.std
    if not (data.std > 0 and unit > 0):
        return _CONSTANT
    x = (data.values - median) / unit
    bounds = [*limits, (-10.0, 10.0), (-7.0, 7.0)]

    def negative(theta: FloatArray) -> tuple[float, FloatArray]:
        level, slope = objective(theta, x)
        return -level, -slope

    start = np.array([*shape, 0.0, 0.0])
    found = optimize.minimize(
        negative,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 200, "ftol": 1e-14, "gtol": 1e-8},
    )
    theta = np.asarray(found.x, dtype=np.float64)
    level = -float(found.fun) - math.log(unit)
    theta[-2] = median + unit * theta[-2]
    theta[-1] += math.log(unit)
    return make(theta), data.size * level, theta.size


_FITTERS: dict[str, Callable[[_Data], Fitted]] = {
    "gaussian": _fit_gaussian,
    "student-t": _fit_student_t,
    "laplace": _fit_laplace,
    "logistic": _fit_logistic,
    "generalized-gaussian": _fit_generalized_gaussian,
    "uniform": _fit_uniform,
    "half-gaussian": _fit_half_gaussian,
}
