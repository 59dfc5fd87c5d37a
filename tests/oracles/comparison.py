"""A report of the library against the exact one: the largest deviation of any figure."""

from fractions import Fraction

from qerror.analysis import ErrorReport, quantization_error
from qerror.densities import Density
from qerror.formats import ScalarFormat
from qerror.grids import Grid
from tests.oracles.exact import Exact, ball, exact_points, exact_report, off

TINY = 1e-290  # below it float64 has fewer digits
DEEP = 1e-44


def deviations(
    report: ErrorReport[float], exact: Exact, allowance: float = 0.0
) -> dict[str, float]:
    """Return every figure's error relative to what it is measured against.

    The terms of the MSE and the power are relative to themselves; the cross moment to the
    larger of |E[X e]| and the MSE; the mean error to the root of the MSE. `allowance` is an
    absolute error of x that counts as none: point masses are rounded in float64.
    """
    mse = exact.mse
    slack = ball(allowance)
    root = mse.sqrt() if mse.is_finite() else ball(1)
    found: dict[str, float] = {}
    for name in ("rounding", "clipping_low", "clipping_high", "mse", "signal_power"):
        value = getattr(exact, name)
        gap = off(getattr(report, name), value, 1) if value.is_finite() else 0.0
        if not value.is_finite():
            assert getattr(report, name) == float(value), name
        elif gap > max(allowance * (allowance + 2 * float(root)), TINY):
            # A term e^-100 below the rest cannot beat eps |log p|; test_cells.py is about those.
            deep = mse.is_finite() and bool(value < mse * ball(DEEP))
            found[name] = off(getattr(report, name), value) * (0.04 if deep else 1)
    if mse.is_finite():
        unit = abs(exact.cross_moment).mid().max(mse.mid()) + exact.signal_power.sqrt() * slack
        # Small grids take absolute nodes: eps times the largest level in half steps, to 2e-13.
        gap = off(report.cross_moment, exact.cross_moment, unit + ball(TINY))
        found["cross_moment"] = 0.2 * gap
        found["mean_error"] = off(report.mean_error, exact.mean_error, root + slack + ball(TINY))
        size = exact.signal_power.sqrt()
        found["signal_mean"] = off(report.signal_mean, exact.signal_mean, size + ball(TINY))
    return found


def worst(target: ScalarFormat | Grid, density: Density, scale: float = 1.0) -> float:
    """Return the largest deviation of `quantization_error` from the exact report."""
    grid = target if isinstance(target, Grid) else target.grid()
    exact = exact_report(grid, density, scale)
    report = quantization_error(grid, density, scale)
    # A point mass is rounded to a level that is itself a rounded product.
    largest = max(abs(x) for x in exact_points(grid, scale))
    allowance = float(largest * Fraction(1, 2**52)) if density.atoms().positions.size else 0.0
    return max(deviations(report, exact, allowance).values())
