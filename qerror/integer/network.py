"""A network of integers: it runs on codes, and tells what its accumulators need."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, cast, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FrozenMapping, integer
from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer.arithmetic import INT32, Integers, Overflow
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.scaled import ScaledCodes, ScaledLayer

AnyCodes: TypeAlias = Codes | ScaledCodes
AnyLayer: TypeAlias = IntegerLayer | ScaledLayer

_WHOLE = 64


class Width(NamedTuple):
    """What a layer's accumulator must hold, in units of the products."""

    layer: str
    worst: tuple[int, int]
    """The least and the largest sum that any input can cause."""
    measured: tuple[int, int] | None
    """Those that inputs at hand did cause."""

    @property
    def bits(self) -> int:
        """The bits of two's complement that the worst case needs."""
        return _bits_for(*self.worst)

    @property
    def measured_bits(self) -> int | None:
        """The bits that the inputs at hand need."""
        return None if self.measured is None else _bits_for(*self.measured)


def _bits_for(low: int, high: int) -> int:
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


@final
@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Layers in the order in which they run; the last one's result is the network's.

    Parameters
    ----------
    input : Codes or ScaledCodes
        What the codes of an image are worth.
    layers : tuple of IntegerLayer, or of ScaledLayer
        Each takes codes of layers before it, or of "", the input: `Codes` go through layers that
        shift alone, `ScaledCodes` through those that multiply and shift.
    size : tuple of int, optional
        The shape of an image, (channels, h, w), where it is known.

    Raises
    ------
    InvalidType, InvalidValue
        If a layer takes what is not there or codes of the other kind, two have one name, or a sum
        could leave int32.
    """

    input: AnyCodes
    layers: tuple[AnyLayer, ...]
    size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._check_types()
        known: dict[str, Any] = {"": self.input}
        kind: type = IntegerLayer if isinstance(self.input, Codes) else ScaledLayer
        if not self.layers:
            raise InvalidValue("the network has no layers")
        for layer in self.layers:
            if not isinstance(layer, kind):
                raise InvalidValue(
                    f"layer {layer.name!r} is no {kind.__name__}, which takes "
                    f"{type(self.input).__name__}"
                )
            if layer.name in known:
                raise InvalidValue(f"two layers have the name {layer.name!r}")
            missing = [name for name in layer.inputs if name not in known]
            if missing:
                raise InvalidValue(f"layer {layer.name!r} takes {missing[0]!r}: not there")
            codes: Any = [known[name] for name in layer.inputs]
            low, high = layer.extremes(codes, layer.window[0] * layer.window[1])
            if low < -INT32 - 1 or high > INT32:
                raise InvalidValue(
                    f"layer {layer.name!r} could sum to {low} or {high}, beyond int32; choose "
                    "fewer fractional bits or narrower codes"
                )
            known[layer.name] = layer.output

    def _check_types(self) -> None:
        if not isinstance(self.input, Codes | ScaledCodes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"input is Codes or ScaledCodes, got {type(self.input).__name__}")
        if not isinstance(self.layers, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"layers are a tuple, got {type(self.layers).__name__}")
        for each in self.size:
            integer("size", each, 1, INT32)

    @cached_property
    def codes(self) -> Mapping[str, AnyCodes]:
        """What the codes of each layer are worth, by name; "" is the input."""
        return FrozenMapping({"": self.input, **{each.name: each.output for each in self.layers}})

    def encode(self, images: npt.ArrayLike) -> Integers:
        """Return the codes of images: to the nearest, ties to even, clamped.

        Raises
        ------
        InvalidType, InvalidValue
            If they are no numbers, not finite, or not of the network's size.
        """
        try:
            x = np.asarray(images)
        except ValueError as error:
            raise InvalidType(f"images must be an array of real numbers: {error}") from None
        if x.dtype.kind not in "fiub":
            raise InvalidType(f"images must be real numbers, got an array of {x.dtype}")
        self._check_shape(x)
        if not x.size:
            raise InvalidValue("there are no images: the array is empty")
        if not np.isfinite(x).all():
            raise InvalidValue("the images hold values that are not finite")
        return self.input.of(x.astype(np.float64))

    def _check_shape(self, x: npt.NDArray[Any]) -> None:
        if not x.ndim or (self.size and x.shape[1:] != self.size):
            wanted = ", ".join(map(str, self.size)) or "..."
            raise InvalidValue(f"the network takes images of shape (n, {wanted}), got {x.shape}")

    def run(
        self, codes: Integers, *, accumulator: int = 32, overflow: Overflow = "wrap"
    ) -> Integers:
        """Return the result for codes of images: no float from here on.

        Parameters
        ----------
        codes : array of int
            From `encode`.
        accumulator : int
            Bits of the sums of products, 2 to 64. From 32 on none overflows.
        overflow : {"wrap", "saturate"}
            What a narrower one does.

        Raises
        ------
        InvalidType, InvalidValue
            If they are no integers, beyond the input's codes or not of the network's size.
        """
        return self.trace(codes, accumulator=accumulator, overflow=overflow)[self.layers[-1].name]

    def trace(
        self, codes: Integers, *, accumulator: int = 32, overflow: Overflow = "wrap"
    ) -> dict[str, Integers]:
        """Return the codes of every layer, by name."""
        return {name: found for name, found, _ in self._steps(codes, accumulator, overflow)}

    def classify(self, images: npt.ArrayLike) -> Integers:
        """Return the class of each image: the largest logit, of equals the first."""
        return cast("Integers", self.run(self.encode(images)).argmax(1))

    def widths(self, codes: Integers | None = None) -> tuple[Width, ...]:
        """Return what each accumulator must hold: in the worst case, and for codes at hand.

        Codes of no image measure nothing.
        """
        finer = {each.name: each.finer for each in self.layers}
        measured: dict[str, tuple[int, int]] = {}
        if codes is not None:
            for name, _, total in self._steps(codes, _WHOLE, "wrap"):
                if not total.size:
                    break
                measured[name] = int(total.min()) >> finer[name], int(total.max()) >> finer[name]
        worth = self.codes
        found: list[Width] = []
        for each in self.layers:
            if each.kind in {"convolution", "linear", "add", "average"}:
                given: Any = [worth[name] for name in each.inputs]
                low, high = each.extremes(given, each.window[0] * each.window[1])
                worst = low >> each.finer, high >> each.finer
                found.append(Width(each.name, worst, measured.get(each.name)))
        return tuple(found)

    def _steps(
        self, codes: Integers, accumulator: int, overflow: Overflow
    ) -> list[tuple[str, Integers, Integers]]:
        bits = integer("accumulator", accumulator, 2, _WHOLE)
        if overflow not in {"wrap", "saturate"}:
            raise InvalidValue(f"overflow is wrap or saturate, got {overflow!r}")
        images = np.asarray(codes)
        if images.dtype.kind not in "iu":
            raise InvalidType(f"run takes codes, which encode makes of images; got {images.dtype}")
        self._check_shape(images)
        low, high = self.input.low, self.input.high
        if images.size and (images.min() < low or images.max() > high):
            raise InvalidValue(
                f"the network takes codes in {low}..{high}, got {images.min()}..{images.max()}"
            )
        found = {"": images.astype(np.int64)}
        worth, steps = self.codes, list[tuple[str, Integers, Integers]]()
        for layer in self.layers:
            given = [found[name] for name in layer.inputs]
            meant: Any = [worth[name] for name in layer.inputs]
            try:
                total, found[layer.name] = layer.run(
                    given, meant, _WHOLE if bits >= 32 else bits, overflow
                )
            except ValueError as error:
                raise InvalidValue(
                    f"layer {layer.name!r} cannot take what comes to it: {error}"
                ) from error
            steps.append((layer.name, found[layer.name], total))
        return steps
