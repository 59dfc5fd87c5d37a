"""The kernels of rounding to nearest even, compiled: one pass over the values, the same bits."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from qerror.exceptions import MissingLibrary
from qerror.simulation._kernels import COUNTED, LAYOUTS, AnyReal, Binade, Layout, Table, Uniform
from qerror.simulation._plan import Plan

Loop: TypeAlias = Callable[..., Any]


class Loops(NamedTuple):
    """A loop without scale, with one scale, and with a scale for every value."""

    plain: Loop
    scaled: Loop
    each: Loop


def compiled(plan: Plan, dtype: np.dtype[Any]) -> Plan:
    """Return the plan with a compiled loop, or as it is where there is none for it.

    Raises
    ------
    MissingLibrary
        If numba is not installed.
    """
    kernel = plan.kernel
    loops = _loops(LAYOUTS[plan.kind])
    if plan.beyond is not None or dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        return plan
    constants: tuple[Any, ...]
    match kernel:
        case Uniform():
            chosen, constants = loops["uniform"], (kernel.low, kernel.high, kernel.magic)
        case Binade():
            sign = kernel.unsigned(0) if kernel.sign is None else kernel.sign
            limits = kernel.low, kernel.high, kernel.first, kernel.exponent
            chosen, constants = loops["binade"], (*limits, kernel.raise_by, sign)
        case Table() if kernel.mode != "stochastic" and not kernel.negative_zero:
            chosen, constants = loops["table"], (kernel.bounds, kernel.values)
        case _:
            return plan

    def fused(x: AnyReal, scale: Any, out: AnyReal) -> None:
        if scale is None:
            chosen.plain(x, out, *constants)
        elif np.ndim(scale) == 0:
            chosen.scaled(x, out, scale, *constants)
        else:
            chosen.each(x, out, scale, *constants)

    return replace(plan, fused=fused)


@lru_cache(maxsize=2)
def _loops(layout: Layout) -> dict[str, Loops]:
    """Compile the loops for one working dtype; the machine code is kept on disk."""
    try:
        import numba
    except ImportError:
        raise MissingLibrary(
            "engine='numba' needs numba; install it with: pip install numba (or qerror[fast])"
        ) from None
    # No fastmath: every operation must round as NumPy's does.
    compiler = numba.njit(nogil=True, cache=True, error_model="numpy")
    build = cast("Callable[[Loop], Loop]", compiler)
    real: Any = layout.kind
    bits: Any = layout.unsigned

    @build
    def clipped(x: Any, low: Any, high: Any) -> Any:
        return low if x < low else (high if x > high else x)  # noqa: FURB136 - keeps NaN

    @build
    def uniform(x: Any, low: Any, high: Any, magic: Any) -> Any:
        v = clipped(x, low, high)
        return (v + magic) - magic

    @build
    def binade(  # noqa: PLR0917 - numba takes no keywords in a loop
        x: Any, low: Any, high: Any, first: Any, exponent: Any, raise_by: Any, sign: Any
    ) -> Any:
        v = clipped(x, low, high)
        b = real(v).view(bits)
        magic = bits(max(b & exponent, first) + raise_by).view(real)
        q = (v + magic) - magic
        return bits(real(q).view(bits) | (b & sign)).view(real)

    @build
    def rank_of(x: Any, bounds: Any) -> Any:
        # No branches: which way to go is a coin toss, badly predicted. Few levels are counted,
        # many halved.
        rank, left = 0, bounds.size
        if left <= COUNTED:
            for i in range(left):
                rank += bounds[i] <= x
            return rank
        while left > 0:
            half = (left + 1) >> 1
            rank += half * (bounds[rank + half - 1] <= x)
            left -= half
        return rank

    @build
    def table(x: Any, out: Any, bounds: Any, values: Any) -> None:
        for i in range(x.size):
            v = real(x[i])
            out[i] = values[rank_of(v, bounds)] if v == v else v  # noqa: PLR0124 - not NaN

    @build
    def table_each(x: Any, out: Any, scale: Any, bounds: Any, values: Any) -> None:
        for i in range(x.size):
            v = real(x[i]) / real(scale[i])
            level = values[rank_of(v, bounds)] if v == v else v  # noqa: PLR0124
            out[i] = level * scale[i]

    def loops(rounded: Any) -> Loops:
        @build
        def plain(x: Any, out: Any, *constants: Any) -> None:
            for i in range(x.size):
                out[i] = rounded(real(x[i]), *constants)

        @build
        def scaled(x: Any, out: Any, scale: Any, *constants: Any) -> None:
            divisor = real(scale)
            for i in range(x.size):
                out[i] = rounded(real(x[i]) / divisor, *constants) * scale

        @build
        def each(x: Any, out: Any, scale: Any, *constants: Any) -> None:
            for i in range(x.size):
                out[i] = rounded(real(x[i]) / real(scale[i]), *constants) * scale[i]

        return Loops(plain, scaled, each)

    # One scale is part of the table. Arrays handed on among *constants would be counted.
    tables = Loops(table, table_each, table_each)
    return {"uniform": loops(uniform), "binade": loops(binade), "table": tables}
