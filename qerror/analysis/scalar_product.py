"""The exact expected error of a product, or of a scalar product, of two quantized factors."""

import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, integer
from qerror.analysis._level_moments import LITTLE
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.report import ErrorReport, decibels
from qerror.exceptions import InvalidType, InvalidValue

Value = TypeVar("Value", float, FloatArray)
_LONGEST = 2**53  # counts are exact in float64


@dataclass(frozen=True, eq=False)
class ScalarProductReport(ArrayValue, Generic[Value]):
    """The expected error of y = sum_i w_i x_i when both factors are quantized.

    The pairs (w_i, x_i) are independent and alike, and w is independent of x. The six terms add
    up to the mean squared error of one product; with several weight channels every figure is the
    average over the channels.

    Fields are floats, or arrays where the reports that went in hold arrays.
    """

    weight_error: Value
    """E[e_w^2] E[x^2]: what the weight's error costs on exact activations."""
    activation_error: Value
    """E[e_x^2] E[w^2]."""
    both_errors: Value
    """E[e_w^2] E[e_x^2]."""
    cross_moments: Value
    """2 E[w e_w] E[x e_x]."""
    weight_error_cross: Value
    """2 E[e_w^2] E[x e_x]."""
    activation_error_cross: Value
    """2 E[e_x^2] E[w e_w]."""
    coherent: Value
    """n (n - 1) E[e_y]^2 with e_y the error of one product: errors that add up in step. With
    blocks, the sum over all pairs of products of the mean of their errors' product."""
    mse: Value
    """E[e^2] of the scalar product: n times the six terms, plus the coherent one."""
    mean_error: Value
    """E[e]."""
    signal_power: Value
    """E[y^2]."""
    length: int
    """How many products are summed."""

    @property
    def sqnr_db(self) -> Value:
        """10 log10(E[y^2] / E[e^2]) in dB: inf without error, nan where undefined."""
        return decibels(self.signal_power, self.mse)

    def to_dict(self) -> dict[str, Any]:
        """Return every figure by its name, in reading order."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**found, "sqnr_db": self.sqnr_db}


def scalar_product_error(
    weight: ErrorReport[Value] | Sequence[ErrorReport[Value]],
    activation: ErrorReport[Value],
    length: int = 1,
) -> ScalarProductReport[Value]:
    """Return the exact expected error of a scalar product from its factors' own errors.

    Parameters
    ----------
    weight : ErrorReport or sequence of ErrorReport
        The weights' errors; a sequence holds one report per channel, all equally likely.
    activation : ErrorReport
        The activations' errors.
    length : int
        How many independent products are summed, at least 1.

    Returns
    -------
    ScalarProductReport
        `mse` is a sum of non-negative terms, of the gain of each side and what it leaves.
        Non-zero means are accounted for: a mean error grows with n, its square with n^2. Where
        a report is a `BlockErrorReport`, so is that values of one block share their scale:
        blocks lie along the sum, from its start.

    Raises
    ------
    InvalidType
        If something that is not a report is given.
    InvalidValue
        If there is no channel or `length` is below 1.

    References
    ----------
    Kuzmin et al. 2022, appendix A.2, eq. 19 to 27.

    Examples
    --------
    >>> from qerror import Gaussian, optimal_scale, scalar_product_error
    >>> side = optimal_scale("5M2E", Gaussian()).report
    >>> round(scalar_product_error(side, side, length=512).sqnr_db, 6)
    39.656187
    """
    integer("length", length, 1, _LONGEST)
    channels: list[ErrorReport[Value]]
    given: object = [weight] if isinstance(weight, ErrorReport) else weight
    if not _is_sequence(given):
        raise InvalidType(
            f"expected an ErrorReport or a sequence of them, one per channel, "
            f"got {reprlib.repr(given)}"
        )
    channels = list(cast("Sequence[ErrorReport[Value]]", given))
    if not channels:
        raise InvalidValue("a scalar product needs at least one weight channel, got none")
    for report in (*channels, activation):
        if not isinstance(report, ErrorReport):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(
                f"expected the ErrorReport of quantization_error or optimal_scale, got {report!r}"
            )
    products = [_product(channel, activation, length) for channel in channels]
    return products[0] if len(products) == 1 else _averaged(products)


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _product(
    w: ErrorReport[Value], x: ErrorReport[Value], length: int
) -> ScalarProductReport[Value]:
    """Expand E[(Q(w) Q(x) - w x)^2] for independent factors, and sum over the length.

    The six terms may cancel, as where errors are much larger than their values on one side and
    all of the other side goes to 0. So the MSE comes from gains and remainders: with
    Q(w) = g w + r, E[w r] = 0, and Q(x) = h x + t likewise, the four parts of

        Q(w) Q(x) - w x = (g h - 1) w x + g w t + h x r + r t

    are orthogonal.
    """
    on_weight, on_activation = w.mse * x.signal_power, x.mse * w.signal_power
    both, crossed = w.mse * x.mse, 2 * w.cross_moment * x.cross_moment
    weight_crossed, activation_crossed = 2 * w.mse * x.cross_moment, 2 * x.mse * w.cross_moment
    with np.errstate(invalid="ignore"):  # infinite powers are settled at the end
        g, h = _Gain.of(w), _Gain.of(x)
    mean = _mean_error(w, x, g.mean, h.mean)
    pairs = length * (length - 1)
    coherent = pairs * mean * mean if pairs else 0 * w.rounding * x.rounding
    if max(_block_size(w), _block_size(x)) > 1:
        coherent = _coherent_blocks(w, x, length)
    lost = _least(
        (g.excess * h.gain, h.excess), (h.excess * g.gain, g.excess), (g.gain * h.gain, -1.0)
    )
    one = lost * lost * (w.signal_power * x.signal_power)
    one = one + g.gain * g.gain * (w.signal_power * h.rest)
    one = one + h.gain * h.gain * (x.signal_power * g.rest) + g.rest * h.rest
    power = length * (w.signal_power * x.signal_power)
    if pairs:
        power = power + pairs * (w.signal_mean * x.signal_mean) ** 2
    return ScalarProductReport(
        on_weight,
        on_activation,
        both,
        crossed,
        weight_crossed,
        activation_crossed,
        coherent=coherent,
        mse=_settled(length * one + coherent, w, x),
        mean_error=length * mean,
        signal_power=_settled(power, w, x),
        length=length,
    )


def _mean_error(w: ErrorReport[Value], x: ErrorReport[Value], g: Any, h: Any) -> Any:
    """Return E[Qw] E[Qx] - E[w] E[x] without the difference, g and h being E[Qw] and E[Qx].

    Either error may be put on the exact factor: that with the smaller terms loses fewer digits.
    """
    return _least(
        (w.signal_mean * x.mean_error, w.mean_error * h),
        (x.signal_mean * w.mean_error, x.mean_error * g),
    )


def _least(*pairs: tuple[Any, Any]) -> Any:
    """Return a sum that several pairs of terms have, from the pair of the smallest terms."""
    found, size = np.zeros(()), np.full((), math.inf)
    for a, b in pairs:
        sum_of, size_of = np.asarray(a + b), np.asarray(abs(a) + abs(b))
        # A size of nan is that of infinite powers, which are settled at the end.
        smaller = ~(size_of >= size)
        found, size = np.where(smaller, sum_of, found), np.where(smaller, size_of, size)
    return found if found.ndim else float(found)


class _Gain(NamedTuple):
    """Q(v) = gain v + r with E[v r] = 0."""

    gain: Any
    excess: Any
    """The gain minus 1."""
    rest: Any
    """E[r^2]."""
    mean: Any
    """E[Q(v)]."""

    @classmethod
    def of(cls, report: ErrorReport[Value]) -> "_Gain":
        """Split a quantized value, by the errors or, where little is left of it, by its levels."""
        power = np.asarray(report.signal_power)
        unit = np.where(power > 0, power, 1.0)
        excess = np.asarray(report.cross_moment / unit)
        gain = 1 + excess
        rest = np.maximum(report.mse - report.cross_moment * excess, 0.0)
        mean = np.asarray(report.signal_mean + report.mean_error)
        levels = report.level_moments()
        if levels is not None:
            little = levels.power < LITTLE * power
            own = levels.cross / unit
            gain, excess = np.where(little, own, gain), np.where(little, own - 1, excess)
            apart = np.maximum(levels.power - levels.cross * own, 0.0)
            rest, mean = np.where(little, apart, rest), np.where(little, levels.mean, mean)
        if power.ndim or rest.ndim:
            return cls(gain, excess, rest, mean)
        return cls(float(gain), float(excess), float(rest), float(mean))


class _Pair(NamedTuple):
    """E[v_1] E[v_2], E[v_1 e_2] and E[e_1 e_2] of two values of one factor."""

    means: Any
    cross: Any
    error: Any


def _pairs_of(report: ErrorReport[Value]) -> tuple[_Pair, _Pair]:
    """Return the moments of two values of one block, and of two that share nothing."""
    mean, error = report.signal_mean, report.mean_error
    apart = _Pair(mean * mean, mean * error, error * error)
    blocked: object = report
    if not isinstance(blocked, BlockErrorReport):
        return apart, apart
    return _Pair(mean * mean, blocked.pair_cross, blocked.pair_error), apart


def _coherent_blocks(w: ErrorReport[Value], x: ErrorReport[Value], length: int) -> Any:
    """Sum E[e_i e_j] over i != j, e the error of one product: two products may share scales.

    Blocks lie along the sum, both factors' from its start; values of different blocks are taken
    as independent.
    """
    same = [_in_one_block(_block_size(report), length) for report in (w, x)]
    both = _in_common(_block_size(w), _block_size(x), length)
    counts = {
        (0, 0): both,
        (0, 1): same[0] - both,
        (1, 0): same[1] - both,
        (1, 1): length * (length - 1) - same[0] - same[1] + both,
    }
    weights, activations = _pairs_of(w), _pairs_of(x)
    return sum(
        count * _error_pair(weights[i], activations[j]) for (i, j), count in counts.items() if count
    )


def _error_pair(w: _Pair, x: _Pair) -> Any:
    """Expand E[(Qw Qx - w x)_1 (Qw Qx - w x)_2] as for one product."""
    squares = w.means * x.error + x.means * w.error + w.error * x.error
    return squares + 2 * (w.cross * x.error + w.error * x.cross + w.cross * x.cross)


def _block_size(report: object) -> int:
    return report.block_size if isinstance(report, BlockErrorReport) else 1


def _in_one_block(size: int, length: int) -> int:
    """Count ordered pairs i != j < length that lie in one block."""
    whole, rest = divmod(length, size)
    return whole * size * (size - 1) + rest * (rest - 1)


def _in_common(a: int, b: int, length: int) -> int:
    """Count ordered pairs that lie in one block of either size."""
    period = math.lcm(a, b)
    whole, rest = divmod(length, period)
    return whole * _in_parts(a, b, period) + _in_parts(a, b, rest)


def _in_parts(a: int, b: int, length: int) -> int:
    if max(a, b) % min(a, b) == 0:
        return _in_one_block(min(a, b), length)
    ends = sorted({*range(0, length, a), *range(0, length, b), length})
    return sum((q - p) * (q - p - 1) for p, q in pairwise(ends))


def _settled(value: Any, w: ErrorReport[Value], x: ErrorReport[Value]) -> Any:
    """Return inf where a factor's power is: the terms there are inf - inf."""
    infinite = np.isinf(w.signal_power) | np.isinf(x.signal_power)
    settled = np.where(infinite, math.inf, value)
    return settled if settled.ndim else float(settled)


def _averaged(products: Sequence[ScalarProductReport[Value]]) -> ScalarProductReport[Value]:
    """Return the average over equally likely channels."""

    def mean(name: str) -> Any:
        return sum(getattr(product, name) for product in products) / len(products)

    return ScalarProductReport(
        mean("weight_error"),
        mean("activation_error"),
        mean("both_errors"),
        mean("cross_moments"),
        mean("weight_error_cross"),
        mean("activation_error_cross"),
        mean("coherent"),
        mean("mse"),
        mean("mean_error"),
        mean("signal_power"),
        products[0].length,
    )
