"""What a family of densities is to a fit, and the climb to its maximum likelihood."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.fitting.summary import Summary
from qerror.registry import Registry

CONSTANT = "the values are all equal"


@dataclass(frozen=True)
class Fitted:
    """One family at its maximum likelihood."""

    density: Density
    log_likelihood: float
    """Natural logarithm, over all values."""
    parameters: int
    """Number of fitted parameters."""
    bounds: tuple[str, ...] = ()
    """The parameters that ended at the edge of what is searched, such as "nu <= 10000"."""


Fitter: TypeAlias = Callable[[Summary], Fitted | str]
"""Returns the fit, or why there is none."""

Objective: TypeAlias = Callable[[Summary, FloatArray, FloatArray], tuple[float, FloatArray]]
"""The mean log-likelihood and its gradient, at parameters (shape .., location, log scale)."""

FITTERS: Registry[Fitter] = Registry("family of fits", "qerror.fit")
"""Every family that can be fitted, by the name of its density."""


def register(name: str, fitter: Fitter) -> None:
    """Add a family."""
    FITTERS.register(name, fitter)


@dataclass(frozen=True)
class Shape:
    """A parameter other than location and scale: where to start, and within what to search."""

    name: str
    start: float
    low: float
    high: float

    def logarithms(self) -> tuple[float, tuple[float, float]]:
        """Return the start and the limits of its logarithm."""
        return math.log(self.start), (math.log(self.low), math.log(self.high))


@dataclass(frozen=True)
class Climb:
    """The search of a maximum over location, scale and shapes (L-BFGS-B)."""

    objective: Objective
    make: Callable[[Sequence[float], float, float], Density]
    """Makes the density of shapes, location and scale."""
    shapes: tuple[Shape, ...] = field(default=())

    def __call__(self, data: Summary) -> Fitted | str:
        """Fit, in units of the quartiles' distance about the median: all parameters of order 1."""
        from scipy import optimize

        low, median, high = data.quantiles(0.25, 0.5, 0.75)
        unit = (high - low) / 1.35 if high > low else float(np.abs(data.points).max(initial=0.0))
        if not (data.std > 0 and unit > 0):
            return CONSTANT
        x = (data.points - median) / unit
        logs = [shape.logarithms() for shape in self.shapes]
        bounds = [*(limits for _, limits in logs), _LOCATION, _LOG_SCALE]

        def negative(theta: FloatArray) -> tuple[float, FloatArray]:
            level, slope = self.objective(data, theta, x)
            return -level, -slope

        found = optimize.minimize(
            negative,
            np.array([*(start for start, _ in logs), 0.0, 0.0]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 200, "ftol": 1e-14, "gtol": 1e-8},
        )
        theta = np.asarray(found.x, dtype=np.float64)
        log_unit = math.log(unit) + data.unit.exponent * math.log(2)
        location = data.unit.value(median + unit * float(theta[-2]))
        scale = data.unit.length(unit * math.exp(theta[-1]))
        level = -float(found.fun) - log_unit
        density = self.make([math.exp(each) for each in theta[:-2]], location, scale)
        return Fitted(density, data.size * level, theta.size, self._binding(theta, bounds))

    def _binding(self, theta: FloatArray, bounds: Sequence[tuple[float, float]]) -> tuple[str, ...]:
        """Name the parameters that a limit stopped."""
        found: list[str] = []
        for shape, value, (low, high) in zip(self.shapes, theta.tolist(), bounds, strict=False):
            if value >= high - _AT_EDGE:
                found.append(f"{shape.name} <= {shape.high:g}")
            elif value <= low + _AT_EDGE:
                found.append(f"{shape.name} >= {shape.low:g}")
        for name, value, (low, high) in zip(
            ("location", "scale"), theta[-2:].tolist(), bounds[-2:], strict=True
        ):
            if not low + _AT_EDGE < value < high - _AT_EDGE:
                found.append(f"{name} within a factor of the quartiles' distance")
        return tuple(found)


_LOCATION = (-10.0, 10.0)
_LOG_SCALE = (-12.0, 12.0)
_AT_EDGE = 1e-9  # of a parameter: nearer to its bound, the bound holds it
