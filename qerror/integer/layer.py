"""The layers of an integer network, as data and as what they compute."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, cast, final

import numpy as np

from qerror._arrays import FloatArray, frozen, integer
from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer.arithmetic import (
    INT32,
    Integers,
    Overflow,
    biased,
    convolved,
    extreme_sums,
    products,
    requantize,
    windows,
)

Kind: TypeAlias = Literal["convolution", "linear", "add", "average", "largest", "clip", "flatten"]
KINDS = ("convolution", "linear", "add", "average", "largest", "clip", "flatten")

MOST_LENGTH = 40  # of a fractional length, either way: beyond it something else is wrong


@final
@dataclass(frozen=True)
class Codes:
    """What codes are worth: c 2^-length, low <= c <= high.

    Raises
    ------
    InvalidValue
        If the codes do not hold 0, or the fractional length is out of reach.
    """

    length: int
    low: int
    high: int

    def __post_init__(self) -> None:
        for name in ("length", "low", "high"):
            integer(name, getattr(self, name), -(2**62), 2**62)
        if not self.low <= 0 < self.high:
            raise InvalidValue(f"codes must reach from at most 0 to above it, got {self}")
        if abs(self.length) > MOST_LENGTH:
            raise InvalidValue(
                f"a fractional length lies within -{MOST_LENGTH}..{MOST_LENGTH}, got {self.length}"
            )

    @property
    def largest(self) -> int:
        """The largest magnitude of a code."""
        return max(-self.low, self.high)

    @property
    def scale(self) -> float:
        """What one code is worth."""
        return math.ldexp(1.0, -self.length)

    def of(self, values: FloatArray) -> Integers:
        """Return the codes of finite values: to the nearest, ties to even, clamped."""
        with np.errstate(over="ignore"):
            scaled = np.clip(np.ldexp(values, self.length), self.low, self.high)
        found: Integers = np.rint(scaled).astype(np.int64)
        return found


@final
@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One step of an integer network.

    Parameters
    ----------
    name : str
    kind : str
        "convolution", "linear", "add", "average" (the sum of a window, whose share 2^t / size is in
        the weights that follow), "largest" of a window, "clip" (another range of codes), "flatten".
    inputs : tuple of str
        The names of the layers whose codes it takes; "" is the network's input.
    output : Codes
        What its codes are worth. `raw` layers return the accumulator, of that length.
    weight : array of int64, optional
        (outputs, inputs of a group, kh, kw), or (outputs, inputs).
    weight_length : int
        The fractional length of the weight's codes.
    bias : array of int64, optional
        Of the accumulator's length.
    window, stride, padding, dilation : pairs of int
    groups : int
    raw : bool
        Whether the accumulator itself is returned: the logits.

    Raises
    ------
    InvalidType, InvalidValue
        If there is no such kind of layer, one lacks its weights, or numbers are no int32.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    output: Codes
    weight: Integers | None = None
    weight_length: int = 0
    bias: Integers | None = None
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    raw: bool = False
    shift: int = field(default=0)
    """For "average": t, by which the length of the sum grows."""

    def __post_init__(self) -> None:
        for each in ("weight", "bias"):
            if getattr(self, each) is not None:
                object.__setattr__(self, each, whole(self.name, each, getattr(self, each)))
        if self.kind not in KINDS:
            raise InvalidValue(
                f"unknown kind of layer {self.kind!r}; it is one of {', '.join(KINDS)}"
            )
        if (self.weight is not None) != (self.kind in {"convolution", "linear"}):
            raise InvalidValue(f"layer {self.name!r}: convolutions and linear layers have weights")
        check_parts(self)
        integer(f"weight_length of layer {self.name!r}", self.weight_length, -(2**10), 2**10)
        integer(f"shift of layer {self.name!r}", self.shift, 0, MOST_LENGTH)
        if not isinstance(self.raw, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"raw of layer {self.name!r} is true or false, got {self.raw!r}")

    @property
    def finer(self) -> int:
        """How many bits a biased sum has below the unit of the products: none."""
        return 0

    # ---- what it computes

    def accumulate(
        self, given: list[Integers], codes: list[Codes], bits: int = 64, overflow: Overflow = "wrap"
    ) -> tuple[Integers, int]:
        """Return the accumulator before it is requantized, and its fractional length."""
        x, length = given[0], codes[0].length
        if self.kind == "add":
            return self._added(given, codes)
        if self.kind == "flatten":
            return x.reshape(len(x), -1), length
        if self.kind == "clip":
            return x, length
        if self.kind == "largest":
            each = windows(x, self.window, self.stride, self.padding, fill=codes[0].low)
            return cast("Integers", each.max((-2, -1))), length
        if self.kind == "average":
            each = windows(x, self.window, self.stride, (0, 0))
            return cast("Integers", each.sum((-2, -1))), length + self.shift
        assert self.weight is not None
        total = weighed(self, x, self.weight, bits, overflow)
        return biased(total, self.bias, bits, overflow), length + self.weight_length

    def run(
        self, given: list[Integers], codes: list[Codes], bits: int = 64, overflow: Overflow = "wrap"
    ) -> tuple[Integers, Integers]:
        """Return the accumulator, and the codes that it is requantized to."""
        total, length = self.accumulate(given, codes, bits, overflow)
        return total, self.finish(total, length)

    def finish(self, total: Integers, length: int) -> Integers:
        """Return the codes that an accumulator of that length is requantized to."""
        if self.raw:
            return total
        return requantize(total, length - self.output.length, self.output.low, self.output.high)

    def _added(self, given: list[Integers], codes: list[Codes]) -> tuple[Integers, int]:
        length = max(each.length for each in codes)
        parts = [
            np.clip(x << (length - each.length), -INT32, INT32)
            for x, each in zip(given, codes, strict=True)
        ]
        return np.clip(parts[0] + parts[1], -INT32, INT32), length

    # ---- what it needs

    def extremes(self, codes: list[Codes], size: int = 1) -> tuple[int, int]:
        """Return the least and the largest accumulator that any input can cause.

        `size` is the number of values of a window that is summed.
        """
        first = codes[0]
        if self.weight is not None:  # codes hold 0, which padding adds
            return extreme_sums(self.weight, self.bias, first.low, first.high)
        if self.kind == "add":
            length = max(each.length for each in codes)
            parts = [(each.low, each.high, length - each.length) for each in codes]
            return sum(a << k for a, _, k in parts), sum(b << k for _, b, k in parts)
        size = size if self.kind == "average" else 1
        return first.low * size, first.high * size

    def described(self) -> dict[str, Any]:
        """Return what JSON keeps of it; weight and bias are kept beside."""
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "output": [self.output.length, self.output.low, self.output.high],
            "weight_length": self.weight_length,
            "window": list(self.window),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "groups": self.groups,
            "raw": self.raw,
            "shift": self.shift,
        }


class _Parts(Protocol):
    """What the layers of both arithmetics have."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def weight(self) -> Integers | None: ...
    @property
    def bias(self) -> Integers | None: ...
    @property
    def window(self) -> tuple[int, int]: ...
    @property
    def stride(self) -> tuple[int, int]: ...
    @property
    def padding(self) -> tuple[int, int]: ...
    @property
    def dilation(self) -> tuple[int, int]: ...
    @property
    def groups(self) -> int: ...


def weighed(
    layer: _Parts, x: Integers, weight: Integers, bits: int, overflow: Overflow
) -> Integers:
    """Return the sums of a convolution or a linear layer, without a bias."""
    if layer.kind == "linear":
        if x.ndim != 2:
            raise InvalidValue(f"a linear layer takes rows (n, features), got {x.shape}")
        return products(x, weight.T, bits, overflow)
    return convolved(
        x,
        weight,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bits=bits,
        overflow=overflow,
    )


def whole(layer: str, part: str, values: Any) -> Integers:
    """Return a layer's numbers as frozen integers, refusing what is none of int32.

    Raises
    ------
    InvalidType, InvalidValue
        The message names the layer and the part.
    """
    try:
        found = np.asarray(values)
    except ValueError:
        found = np.array(None)
    if found.dtype.kind not in "iu" and found.size:
        raise InvalidType(f"{part} of layer {layer!r} must be integers, got {found.dtype}")
    if found.size and (found.min() < -INT32 - 1 or found.max() > INT32):
        raise InvalidValue(f"{part} of layer {layer!r} leaves int32")
    return frozen(found.astype(np.int64))


_LEAST = {"window": 1, "stride": 1, "padding": 0, "dilation": 1}


def check_parts(layer: _Parts) -> None:
    """Refuse a layer whose geometry, weight, bias or inputs cannot be.

    Raises
    ------
    InvalidType, InvalidValue
        The message names the layer.
    """
    where = f"layer {layer.name!r}"
    for each in (layer.name, *layer.inputs):
        if not isinstance(each, str):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
            raise InvalidType(f"{where}: names are text, got {each!r}")
    for part, least in _LEAST.items():
        pair: Any = getattr(layer, part)
        if len(pair) != 2:
            raise InvalidValue(f"{where}: {part} is a pair, got {pair}")
        for each in pair:
            integer(f"{part} of {where}", each, least, INT32)
    integer(f"groups of {where}", layer.groups, 1, INT32)
    if layer.groups != 1 and layer.kind != "convolution":
        raise InvalidValue(f"{where}: convolutions alone have groups, got {layer.groups}")
    if layer.kind == "largest" and any(
        2 * pad > size for pad, size in zip(layer.padding, layer.window, strict=True)
    ):
        raise InvalidValue(
            f"{where}: padding {layer.padding} is wider than half of the window {layer.window}"
        )
    wanted = 2 if layer.kind == "add" else 1
    if len(layer.inputs) != wanted:
        raise InvalidValue(f"{where}: {layer.kind} takes {wanted}, got {len(layer.inputs)} inputs")
    weight, bias = layer.weight, layer.bias
    if weight is not None:
        axes = 4 if layer.kind == "convolution" else 2
        if weight.ndim != axes or not weight.size:
            raise InvalidValue(f"{where}: its weight has {axes} axes, got {weight.shape}")
        if len(weight) % layer.groups:
            raise InvalidValue(
                f"{where}: {layer.groups} groups do not divide its {len(weight)} outputs"
            )
    if bias is not None and (weight is None or bias.shape != (len(weight),)):
        raise InvalidValue(f"{where}: a bias is one number an output, got {bias.shape}")
