"""Student's t density, for any real nu > 0."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, frozen, positive
from qerror.densities._half_gamma import digamma_half_difference, gamma_half_ratio
from qerror.densities.density import DENSITIES, Family
from qerror.densities.gaussian import StandardGaussian
from qerror.densities.law import LocalIntegrals, PartialMoments
from qerror.densities.location_scale import LocScale
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue

_LARGEST = 1e100  # where the closed forms, whose cubes must not overflow, end
_GAUSSIAN_FROM = 1e24  # 1 / nu is far below the rounding of any figure
_ENDING = 2.25  # from here on the second moment ends before float64's numbers do
_EFOLDS = 745.2  # to where the density is zero in float64
_OUTER_LARGEST = 1e150  # where squares leave float64, and nothing but the power law is left
_LARGEST_FLOAT = float(np.finfo(np.float64).max)
_MULTIPLIED = 8.0  # nu: with more, rounding 1 + z^2 / nu costs as many last places as a logarithm
_SQUARES = 1e60  # their power stays within float64
_OUTER_NU = 30.0  # beyond, the tail is steeper than the panels of `outer` resolve
_OUTER_WHOLE = 4.5  # beyond, nothing of the second moment is left where the panels end
_LEAST_NU = 1e-290  # below, quotients by nu leave float64
_OUTER_NEAR = (0.0, 0.4, 0.8, 1.2, 1.6, 2.4, 3.2)  # the poles lie near y = 0.35 +- 0.8 i


@final
@dataclass(frozen=True)
class StandardStudentT(SmoothLaw):
    """c (1 + z^2 / nu)^(-(nu + 1) / 2)."""

    nu: float

    @cached_property
    def power(self) -> float:
        """The exponent, (nu + 1) / 2."""
        return 0.5 * (self.nu + 1)

    @cached_property
    def horizon(self) -> float:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen: read-only too
        # What the second moment has there is below 1e-20 of it. Heavier tails have no end.
        if self.nu < _ENDING:
            return math.inf
        return math.sqrt(self.nu * math.expm1(_EFOLDS / self.power))

    @cached_property
    def root(self) -> float:
        """The root of nu: how far the poles lie from 0."""
        return math.sqrt(self.nu)

    @cached_property
    def peak(self) -> float:
        """The density at 0."""
        return gamma_half_ratio(self.nu / 2) / math.sqrt(2 * math.pi)

    @property
    def differential_entropy(self) -> float:
        # The mean of ln(1 + Z^2 / nu) is digamma((nu + 1) / 2) - digamma(nu / 2).
        return self.power * digamma_half_difference(self.nu / 2) - math.log(self.peak)

    @property
    def cube_root_integral(self) -> float | None:
        half = (self.nu - 2) / 6
        if half <= 0:
            return None
        return math.cbrt(self.peak) * self.root * float(special.beta(0.5, half))

    def tail_exponent(self, side: float) -> float:
        del side
        return self.nu

    def characteristic(self, t: FloatArray) -> FloatArray:
        # 2 (y/2)^v K_v(y) / Gamma(v), v = nu / 2 and y = sqrt(nu) t; from v = 50 on K overflows.
        half = min(self.nu, 100.0) / 2
        y = np.maximum(math.sqrt(2 * half) * t, 1e-9)
        log_size = half * np.log(y / 2) - special.gammaln(half) - y + math.log(2)
        return np.minimum(special.kve(half, y) * np.exp(log_size), 1.0)

    def pdf(self, z: FloatArray) -> FloatArray:
        if z.size and max(z.max(), -z.min()) < 1e150:
            return self.peak * np.exp(-self.power * np.log1p(z * z / self.nu))
        return self.peak * np.exp(-self.power * self._log_growth(z))

    def _log_growth(self, z: FloatArray) -> FloatArray:
        """Return log(1 + z^2 / nu), whatever z is."""
        with np.errstate(over="ignore"):
            square = (z / self.root) ** 2
        far = 2 * np.log(np.maximum(np.abs(z), 1.0) / self.root)
        return np.where(square < 1e300, np.log1p(square), far)

    def cdf(self, z: FloatArray) -> FloatArray:
        found = np.asarray(special.stdtr(self.nu, z), dtype=np.float64)
        far = np.abs(z) > _OUTER_LARGEST
        if self.nu < 3 and far.any():  # there z^2 leaves float64, and the library the tail
            tail = np.exp(self._log_tail - self.nu * np.log(np.abs(z[far])))
            found[far] = np.where(z[far] < 0, tail, 1 - tail)
        return found

    @cached_property
    def _log_tail(self) -> float:
        """Return ln C of the mass C z^-nu beyond z, far out: C = peak nu^((nu - 1) / 2)."""
        return math.log(self.peak / self.nu) + self.power * math.log(self.nu)

    def ppf(self, probability: FloatArray) -> FloatArray:
        quantile = np.asarray(special.stdtrit(self.nu, probability), dtype=np.float64)
        with np.errstate(divide="ignore", over="ignore"):  # far out, the library gives up
            far = -np.exp((self._log_tail - np.log(probability)) / self.nu)
        return np.where(far < -1e9 * (self.root + self.nu), far, quantile)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.standard_t(self.nu, size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        # 2 u (r + u / 2) / (nu + r^2), in an order that cannot overflow
        span = np.hypot(self.root, r)
        return -self.power * np.log1p((u / span) * ((r + 0.5 * u) / span) * 2)

    def pdf_outer(self, scale: FloatArray, x: FloatArray) -> FloatArray:
        if not np.abs(x).max(initial=0.0) * scale.max(initial=0.0) < 1e150:
            return super().pdf_outer(scale, x)
        p = np.multiply.outer(scale * scale / self.nu, x * x)
        if self._multiplies and p.max(initial=0.0) < _SQUARES:
            return self._by_products(p)
        np.log1p(p, out=p)
        p *= -self.power
        np.exp(p, out=p)
        p *= self.peak
        return p

    @cached_property
    def _multiplies(self) -> bool:
        """Whether the power is whole or a half, and small: products are as exact as logarithms."""
        return self.nu <= _MULTIPLIED and self.nu.is_integer()

    def _by_products(self, y: FloatArray) -> FloatArray:
        """Return the density at z^2 / nu, in its place; in half the time or less."""
        y += 1.0
        whole, half = divmod(self.nu + 1, 2.0)
        found = np.sqrt(y) if half else y.copy()
        for _ in range(int(whole) - (not half)):
            found *= y
        np.divide(self.peak, found, out=y)
        return y

    def fold_terms(self, q: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        span = np.hypot(self.root, q)
        share = t / span
        square, linear = share * share, 2 * (q / span) * share
        up = np.expm1(-self.power * np.log1p(square + linear))
        down = np.expm1(-self.power * np.log1p(square - linear))
        return (up + down) + 2, up - down

    def outer(self, a: FloatArray) -> LocalIntegrals:
        """Integrate the tail in y, x = a + s (e^y - 1) with s^2 = nu + a^2, to the power law.

        With g = e^y - 1 the density falls to (1 + g (g + 2 a / s))^-power, so that the nodes g
        and their weights are the same for every a.
        """
        if self.nu > _OUTER_NU:
            return super().outer(a)
        if a.max(initial=0.0) > _OUTER_LARGEST:
            start = np.clip(a, _OUTER_LARGEST, _LARGEST_FLOAT)
            beyond = self.tail(start, np.full(a.shape, math.inf), start)
            near = self.outer(np.where(a > _OUTER_LARGEST, 0.0, a))
            return LocalIntegrals(*np.where(a > _OUTER_LARGEST, beyond, near))
        growth, moments = self._outer_rule
        span = np.hypot(self.root, a)
        p = np.add.outer(2 * (a / span), growth)
        p *= growth
        np.log1p(p, out=p)
        p *= -self.power
        np.exp(p, out=p)
        level = self.pdf(a) * span
        mass, first, second = (p @ moments).T
        first, second = level * span * first, level * span * span * second
        if self.nu > _OUTER_WHOLE:
            return LocalIntegrals(level * mass, first, second)
        far = a + span * math.expm1(self._outer_end)
        rest = self.tail(far, np.full(a.shape, math.inf), a)
        return LocalIntegrals(level * mass + rest.mass, first + rest.first, second + rest.second)

    def outer_at(self, a: float) -> tuple[float, float, float]:
        if a > _OUTER_LARGEST or not _OUTER_WHOLE < self.nu <= _OUTER_NU:
            return super().outer_at(a)
        growth, moments = self._outer_rule
        span = math.hypot(self.root, a)
        p = np.exp(-self.power * np.log1p(growth * (growth + 2 * (a / span))))
        mass, first, second = (p @ moments).tolist()
        level = self.peak * math.exp(-self.power * math.log1p(a * a / self.nu)) * span
        return level * mass, level * span * first, level * span * span * second

    @cached_property
    def _outer_end(self) -> float:
        """Return the y from which the law is a power to 1e-17, wherever the tail begins."""
        return math.log(3e8 * math.sqrt(self.nu + 3) + 8)

    @cached_property
    def _outer_rule(self) -> tuple[FloatArray, FloatArray]:
        """Return nodes g = e^y - 1 and the weights of the moments of order 0, 1, 2 in g."""
        nodes, weights = gauss_legendre(16)
        edges = np.append(_OUTER_NEAR, np.linspace(_OUTER_NEAR[-1], self._outer_end, 7)[1:])
        width = np.diff(edges)[:, None]
        growth = np.expm1((edges[:-1, None] + width * nodes).ravel())
        measure = (width * weights).ravel() * (growth + 1)
        moments = np.stack([measure, measure * growth, measure * growth * growth], axis=-1)
        return frozen(growth), frozen(moments)

    @cached_property
    def _near(self) -> float:
        """A distance from 0 that counts as none: small against 1 and against the poles'."""
        return 1e-10 * min(self.root, 1.0)

    def panel_width(self, x: FloatArray) -> FloatArray:
        span = np.hypot(self.root, x)
        steep = 3 / self.power * span * (span / np.maximum(x, self._near))
        return np.minimum(span * min(0.9, 2 / math.sqrt(self.nu + 1)), steep)

    def reach(self, x: FloatArray) -> FloatArray:
        # Beyond it the law is a power to relative (nu + 1) nu / (2 X^2) < 1e-17 ...
        far = np.maximum(4 * x, 3e8 * math.sqrt(self.nu) * math.sqrt(self.nu + 3))
        if self.nu <= 8:
            return far
        # ... or, for light tails, the mass has fallen by e^-60 first: with d = nu + x^2, at
        # X^2 = x^2 + d (e^(60/power) - 1). Huge nu leave X^2 = x^2 + 120, the Gaussian's.
        growth = math.sqrt(math.expm1(60.0 / self.power))
        return np.minimum(far, np.hypot(x, np.hypot(x, self.root) * growth))

    def smooth_step(self, x: FloatArray) -> FloatArray:
        span = np.hypot(self.root, x)
        steep = 0.25 / self.power * span * (span / np.maximum(x, self._near))
        return np.minimum(span * min(self._pole_share, 0.22 / math.sqrt(self.nu + 1)), steep)

    @cached_property
    def _pole_share(self) -> float:
        """The step, as a share of the distance to the poles, whose 14th term is below 1e-14."""
        if self.nu >= 10:
            return 1.0
        growth = math.lgamma(self.nu + 14) - math.lgamma(self.nu + 1)
        return math.exp((math.log(1e-14 / 24) + 16 * math.log(2 * math.pi) - growth) / 14)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # d p^(k+1) = -(nu + 1 + 2k) x p^(k) - k (nu + k) p^(k-1), d = nu + x^2
        p = self.pdf(x)
        span = np.hypot(self.root, x)
        slope, curve = (x / span) * (step / span), (step / span) ** 2
        found = [p, -(self.nu + 1) * slope * p]
        for k in range(1, order):
            linear = -(self.nu + 1 + 2 * k) * slope * found[k]
            found.append(linear - k * (self.nu + k) * curve * found[k - 1])
        return found[: order + 1]

    def tail(self, start: FloatArray, stop: FloatArray, q: FloatArray) -> LocalIntegrals:
        """Integrate the pure power law; every nu > 0, any limit up to infinity."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            log_start, log_ratio = np.log(start), np.log(stop / start)
            log_level = math.log(self.peak) - self.power * self._log_growth(start) + log_start
            # start^m p(start), in logarithms: far out p alone is zero in float64.
            scale = [np.exp(log_level + m * log_start) for m in range(3)]
            i0, i1, i2 = (self._power_integral(m, log_ratio) for m in range(3))
            share = q / start
            first, second = i1 - share * i0, i2 - share * (2 * i1 - share * i0)
            first = np.where(np.isinf(i1), np.inf, scale[1] * first)
            second = np.where(np.isinf(i2), np.inf, scale[2] * second)
            return LocalIntegrals(scale[0] * i0, first, second)

    def _power_integral(self, m: int, log_ratio: FloatArray) -> FloatArray:
        """Return int_1^R y^(m - nu - 1) dy with R = e^log_ratio, possibly infinite."""
        power = m - self.nu
        if power == 0:
            return log_ratio
        return np.expm1(power * log_ratio) / power

    def partial_moments(self, z: FloatArray) -> PartialMoments:
        """Kuzmin et al. 2022, appendix A.3, by the hypergeometric function."""
        nu, finite = self.nu, np.clip(z, -_LARGEST, _LARGEST)
        y = finite * finite / nu
        m0 = finite * special.hyp2f1(0.5, self.power, 1.5, -y)
        grown = np.log1p(y)
        m1 = 0.5 * grown if nu == 1 else nu / (1 - nu) * np.exp(0.5 * (1 - nu) * grown)
        m2 = finite**3 / 3 * special.hyp2f1(1.5, self.power, 2.5, -y)
        m0, m1, m2 = self.peak * m0, self.peak * m1, self.peak * m2
        side, far = np.sign(z), np.isinf(z)
        whole = nu / (nu - 2) if nu > 2 else math.inf
        return PartialMoments(
            np.where(far, 0.5 * side, m0),
            np.where(far, 0.0 if nu > 1 else math.inf, m1),
            np.where(far, 0.5 * whole * side, m2),
        )


_law = lru_cache(maxsize=128)(StandardStudentT)


@final
@dataclass(frozen=True)
class StudentT(LocScale):
    """Student's t with `nu` > 0 degrees of freedom, any real number; huge ones are Gaussian.

    The variance is infinite for nu <= 2 and the mean does not exist for nu <= 1.

    Raises
    ------
    InvalidValue
        If a parameter is not finite, or `nu` or `scale` is not positive.
    """

    nu: float
    """Degrees of freedom; positive. E[X^2] is infinite up to 2."""
    loc: float = 0.0
    """The centre."""
    scale: float = 1.0
    """Positive; the variance is nu / (nu - 2) times its square."""

    def __post_init__(self) -> None:
        given: object = self.nu
        if isinstance(given, float) and given == math.inf:
            raise InvalidValue("nu must be finite, got inf; its limit is a density: use gaussian")
        object.__setattr__(self, "nu", positive("nu", self.nu))
        if self.nu < _LEAST_NU:
            raise InvalidValue(
                f"nu must be at least {_LEAST_NU:g}, got {self.nu:g}: all lies beyond float64"
            )
        super().__post_init__()

    @property
    def law(self) -> StandardStudentT | StandardGaussian:
        # Their ratio is exp(z^4 / (4 nu) + ...): within 1e-17 of 1 wherever either is not zero.
        return _law(self.nu) if self.nu < _GAUSSIAN_FROM else StandardGaussian()

    @property
    def standard_variance(self) -> float:
        if self.nu <= 1:
            return math.nan
        return self.nu / (self.nu - 2) if self.nu > 2 else math.inf


DENSITIES.register(
    "student-t",
    Family(StudentT, StudentT(3.0), "(1 + ((x - loc) / scale)^2 / nu)^(-(nu + 1) / 2)"),
    "t",
    "student",
)
