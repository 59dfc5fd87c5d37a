"""Affine blocks with a real offset under tails without a variance, or hardly with one.

The larger magnitude of both extremes, m, lies at equal steps of log m, as far as all powers of the
tails but two have gone; what follows has a closed form. Over the other extreme panels end at shares
of the distance to the next threshold that fall to a spread: E[(X - t)_+] falls as slowly as
t^(1 - a) from where the threshold t lies in the middle of the density.
"""

from collections.abc import Callable

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_ends import Ends
from qerror.analysis._affine_larger import pairs_below, suits_larger
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_zero_widths import is_endless, settled_sum, widths_of
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent

_MANY = 2**5  # steps
_SLOWEST = 1.25  # exponent of tails
_NEAR = (2.0, 4.0, 8.0, *(16 * 4.0**k for k in range(11)))
"""Spreads on both sides of where a threshold crosses the middle at which panels end."""


def suits_endless(density: Density, lattice: Lattice) -> bool:
    """Tell whether tails of a smooth density are so heavy that no largest magnitude is enough.

    Of many levels, which take their number squared as long, only where without it more than 1e-8
    of the error would be missing.
    """
    some = lattice.steps < _MANY or tail_exponent(density) < _SLOWEST
    return some and not lattice.integer and suits_larger(density) and is_endless(density)


def endless_sums(
    density: Density, n: int, lattice: Lattice, sums: Callable[[Ends], FloatArray]
) -> FloatArray | None:
    """Return the seven sums of blocks of n values, with a function for those of pairs.

    None where equal steps of log m do not settle.
    """
    widths = widths_of(density, n, lattice.steps)

    def at(logs: FloatArray) -> FloatArray:
        m = np.exp(logs)
        larger = m, density.pdf(m) * m, density.pdf(-m) * m
        return sum(map(sums, pairs_below(density, n, lattice.steps, larger, _NEAR)), np.zeros(7))

    def total(shift: float, step: float) -> FloatArray:
        logs = widths.logs(shift, step)
        back = logs.size - 1 - widths.back(step)
        before, end = at(logs[back : back + 1]), at(logs[-1:])
        return step * at(logs) + widths.rest(before, end, step, mixed=(6,))

    return settled_sum(total, widths.step)
