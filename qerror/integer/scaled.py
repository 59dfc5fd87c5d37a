"""Layers of integers whose scales are any real numbers: zero points, multipliers and shifts."""

from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np

from qerror._arrays import FloatArray, integer, positive
from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import (
    INT32,
    Integers,
    Overflow,
    biased,
    extreme_sums,
    windows,
)
from qerror.integer.layer import KINDS, Kind, check_parts, weighed, whole
from qerror.integer.multiplier import LEAST_SHIFT, MOST_SHIFT, ROUNDINGS, Rounding, multiplied

_PASSED = ("largest", "flatten")  # their codes are some of those that they take
_WEIGHED = ("convolution", "linear")
_FEWEST, _MOST = 1 << 30, (1 << 31) - 1  # of a multiplier that is not 0


@final
@dataclass(frozen=True)
class ScaledCodes:
    """What codes are worth: scale (c - zero), low <= c <= high.

    No arithmetic of layers uses the scale: it encodes images, and tells people what codes mean.
    Where zero is below low or above high, as ranges that were learnt may have it, no code is 0.

    Raises
    ------
    InvalidValue
        If the scale is not positive, or there is no code.
    """

    scale: float
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        positive("a scale of codes", self.scale)
        for name in ("zero", "low", "high"):
            integer(name, getattr(self, name), -INT32 - 1, INT32)
        if self.low > self.high:
            raise InvalidValue(f"low must not be above high, got {self}")

    @property
    def largest(self) -> int:
        """The largest magnitude of a code less the zero point."""
        return max(abs(self.low - self.zero), abs(self.high - self.zero))

    def of(self, values: FloatArray) -> Integers:
        """Return the codes of finite values: x/scale + zero to the nearest, ties to even, clamped.

        Adding the zero point first makes ties go to the even code.
        """
        with np.errstate(over="ignore"):
            scaled = np.clip(values / self.scale + self.zero, self.low, self.high)
        found: Integers = np.rint(scaled).astype(np.int64)
        return found


@final
@dataclass(frozen=True, eq=False)
class ScaledLayer:
    """One step of an integer network in the arithmetic of TensorFlow Lite and gemmlowp.

    Every tensor has a scale and a zero point; with codes q and zero points z a layer sums
    A = 2^left sum (q - z) (w - z_w) + B in int32, and its codes are clamp(z_out + A M 2^-n),
    rounded as `Rounding` says, for a multiplier M and a shift n that stand for
    s s_w 2^-left / s_out.

    Parameters
    ----------
    name : str
    kind : str
        "convolution", "linear", "add", "average" of a window (its size is in the multiplier),
        "largest" of a window, "clip" (other codes of the same values), "flatten".
    inputs : tuple of str
        The names of the layers whose codes it takes; "" is the network's input.
    output : ScaledCodes
        Where its low is its zero point, the layer has a ReLU.
    multiplier, shift : array of int64
        One of each, or one for every output. "largest" and "flatten" have none.
    weight : array of int64, optional
        Codes, (outputs, inputs of a group, kh, kw), or (outputs, inputs).
    weight_zero : array of int64, optional
        Zero points of weights, one or one for every output; 0 if there are none.
    bias : array of int64, optional
        In units of s s_w 2^-left.
    operands : tuple of (int, int)
        Of "add": the multiplier and the shift that take each operand, shifted to the left by
        `left`, to one scale.
    left : int
        Of convolutions and linear layers: how far sums of products are shifted to the left before
        the bias is added, so that it is finer than s s_w; 0 in TensorFlow Lite.
    window, stride, padding, dilation : pairs of int
        Padding counts as 0, so that it has the zero point's code; "largest" pads with its least.
    groups : int
    rounding : {"once", "twice", "even"}

    Raises
    ------
    InvalidType, InvalidValue
        If there is no such kind of layer, one lacks its weights, or numbers are no int32.

    References
    ----------
    Jacob et al. 2018 (arXiv 1712.05877), sections 2.2 to 2.4 and appendix A.2.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    output: ScaledCodes
    multiplier: Integers
    shift: Integers
    weight: Integers | None = None
    weight_zero: Integers | None = None
    bias: Integers | None = None
    operands: tuple[tuple[int, int], ...] = ()
    left: int = 0
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    rounding: Rounding = "once"

    def __post_init__(self) -> None:
        for each in ("multiplier", "shift", "weight", "weight_zero", "bias"):
            if getattr(self, each) is not None:
                object.__setattr__(self, each, whole(self.name, each, getattr(self, each)))
        if self.kind not in KINDS:
            raise InvalidValue(
                f"unknown kind of layer {self.kind!r}; it is one of {', '.join(KINDS)}"
            )
        if (self.weight is not None) != (self.kind in _WEIGHED):
            raise self._refused("convolutions and linear layers have weights")
        if self.rounding not in ROUNDINGS:
            raise self._refused(f"rounding is {' or '.join(ROUNDINGS)}, got {self.rounding!r}")
        if len(self.operands) != (2 if self.kind == "add" else 0):
            raise self._refused("an addition has two operands")
        check_parts(self)
        integer(f"left of layer {self.name!r}", self.left, 0, 30)
        if self.left and self.kind not in {"add", *_WEIGHED}:
            raise self._refused("additions, convolutions and linear layers go left, no others")
        outputs = 0 if self.weight is None else len(self.weight)
        if self.weight_zero is not None and self.weight_zero.shape not in {(1,), (outputs,)}:
            raise self._refused("zero points of weights are one, or one for every output")
        self._check_factors()

    def _check_factors(self) -> None:
        """Refuse multipliers and shifts that `multiplier_of` does not give."""
        outputs = {0} if self.kind in _PASSED else {1}
        if self.weight is not None:
            outputs.add(len(self.weight))
        if self.multiplier.shape != self.shift.shape or self.multiplier.size not in outputs:
            raise self._refused("it needs a multiplier and a shift, or one for every output")
        own = zip(self.multiplier.ravel().tolist(), self.shift.ravel().tolist(), strict=True)
        pairs: list[tuple[int, int]] = [*own, *self.operands]
        for multiplier, shift in pairs:
            if not (multiplier == 0 or _FEWEST <= multiplier <= _MOST):
                raise self._refused(f"a multiplier has 31 bits, got {multiplier}")
            if not LEAST_SHIFT <= shift <= MOST_SHIFT:
                raise self._refused(f"a shift lies in {LEAST_SHIFT}..{MOST_SHIFT}, got {shift}")

    def _refused(self, reason: str) -> InvalidValue:
        return InvalidValue(f"layer {self.name!r}: {reason}")

    @property
    def finer(self) -> int:
        """How many bits a biased sum has below the unit of the products."""
        return 0 if self.weight is None else self.left

    @property
    def factors(self) -> Integers | None:
        """The weight less its zero points: what codes are multiplied by."""
        if self.weight is None or self.weight_zero is None:
            return self.weight
        return self.weight - self.weight_zero.reshape(-1, *(1,) * (self.weight.ndim - 1))

    # ---- what it computes

    def run(
        self,
        given: list[Integers],
        codes: list[ScaledCodes],
        bits: int = 64,
        overflow: Overflow = "wrap",
    ) -> tuple[Integers, Integers]:
        """Return the accumulator, and the codes that it is requantized to."""
        x = given[0]
        if self.kind == "flatten":
            return x, x.reshape(len(x), -1)
        if self.kind == "largest":
            each = windows(x, self.window, self.stride, self.padding, fill=codes[0].low)
            found = cast("Integers", each.max((-2, -1)))
            return found, found
        total = self._total(
            [q - each.zero for q, each in zip(given, codes, strict=True)], bits, overflow
        )
        return total, self.finish(total)

    def finish(self, total: Integers) -> Integers:
        """Return the codes that an accumulator is requantized to."""
        shape = (1, -1, *(1,) * (total.ndim - 2))
        moved = multiplied(
            total, self.multiplier.reshape(shape), self.shift.reshape(shape), self.rounding
        )
        found: Integers = np.clip(moved + self.output.zero, self.output.low, self.output.high)
        return found

    def _total(self, given: list[Integers], bits: int, overflow: Overflow) -> Integers:
        x, weight = given[0], self.factors
        if self.kind == "add":
            return self.aligned(0, given[0]) + self.aligned(1, given[1])
        if self.kind == "average":
            return cast("Integers", windows(x, self.window, self.stride, (0, 0)).sum((-2, -1)))
        if weight is None:
            return x
        total = weighed(self, x, weight, bits, overflow)
        if self.left:  # the register behind the accumulator is wider, as that of the bias is
            return biased(total << self.left, self.bias, 64, overflow)
        return biased(total, self.bias, bits, overflow)

    def aligned(self, operand: int, values: Integers) -> Integers:
        """Return an operand of an addition, codes less zero points, at the common scale."""
        multiplier, shift = self.operands[operand]
        return multiplied(values << self.left, np.array(multiplier), np.array(shift), self.rounding)

    # ---- what it needs

    def extremes(self, codes: list[ScaledCodes], size: int = 1) -> tuple[int, int]:
        """Return the least and the largest accumulator that any input can cause.

        `size` is the number of values of a window that is summed.
        """
        ends = [(each.low - each.zero, each.high - each.zero) for each in codes]
        weight = self.factors
        if weight is not None:
            low, high = ends[0]
            if self.padding != (0, 0):  # it adds 0, which no code may stand for
                low, high = min(low, 0), max(high, 0)
            return extreme_sums(weight, self.bias, low, high, left=self.left)
        if self.kind == "add":
            if max(each.largest for each in codes) << self.left > INT32 + 1:
                raise self._refused(f"an operand shifted to the left by {self.left} leaves int32")
            moved = [self.aligned(i, np.array(each)) for i, each in enumerate(ends)]
            low, high = moved[0] + moved[1]  # rounding keeps the order
            return int(low), int(high)
        if self.kind == "average":
            return ends[0][0] * size, ends[0][1] * size
        return ends[0]

    def described(self) -> dict[str, Any]:
        """Return what JSON keeps of it; its arrays are kept beside."""
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "output": [self.output.scale, self.output.zero, self.output.low, self.output.high],
            "operands": [list(each) for each in self.operands],
            "left": self.left,
            "window": list(self.window),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "groups": self.groups,
            "rounding": self.rounding,
        }


def most_left(codes: list[ScaledCodes]) -> int:
    """Return how far an addition shifts its operands to the left: 20 bits, fewer for wide codes."""
    digits = max(each.largest.bit_length() for each in codes)
    return max(0, min(20, 29 - digits))
