"""What shares one scale: the tensor, a channel, or a group of values along an axis."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue


class Granularity(ABC):
    """Maps a tensor to the values that share a parameter, and back; shapes are fixed before."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of a parameter, one number for each set of values that share it."""

    @abstractmethod
    def split(self, x: Tensor) -> Tensor:
        """Return `x` with its values apart, so that `against` broadcasts.

        Raises
        ------
        InvalidValue
            If `x` has another shape than was said at construction.
        """

    @abstractmethod
    def against(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return a parameter of `shape` in a shape that broadcasts against the split `x`."""

    @abstractmethod
    def join(self, y: Tensor) -> Tensor:
        """Undo `split`."""

    @abstractmethod
    def rows(self, x: Tensor) -> Tensor:
        """Return the values as a matrix: a row for each number of a parameter."""


@final
@dataclass(frozen=True)
class PerTensor(Granularity):
    """One scale for all values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """No axis."""
        return ()

    def split(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def against(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return the parameter."""
        del x
        return parameter

    def join(self, y: Tensor) -> Tensor:
        """Return `y`."""
        return y

    def rows(self, x: Tensor) -> Tensor:
        """Return one row."""
        return x.reshape(1, -1)


@final
@dataclass(frozen=True)
class PerChannel(Granularity):
    """One scale for each index along an axis.

    Parameters
    ----------
    channels : int
        The length of the axis.
    axis : int
        Which axis; negative ones count from the end.
    """

    channels: int
    axis: int = 0

    def __post_init__(self) -> None:
        integer("channels", self.channels, 1, 2**31)
        integer("axis", self.axis, -32, 31)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis."""
        return (self.channels,)

    def split(self, x: Tensor) -> Tensor:
        """Return `x`."""
        _axis(x, self.axis, self.channels, "channels")
        return x

    def against(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return the parameter along its axis."""
        axis = self.axis % x.ndim
        return parameter.reshape((1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1))

    def join(self, y: Tensor) -> Tensor:
        """Return `y`."""
        return y

    def rows(self, x: Tensor) -> Tensor:
        """Return a row for each channel."""
        axis = _axis(x, self.axis, self.channels, "channels")
        return x.movedim(axis, 0).reshape(self.channels, -1)


@final
@dataclass(frozen=True)
class PerGroup(Granularity):
    """One scale for each run of `size` neighbours along an axis of a tensor of known shape.

    Parameters
    ----------
    of : sequence of int
        The shape of the tensor, a weight's as a rule.
    size : int
        How many neighbours share a scale; divides the axis.
    axis : int
        Which axis.

    Raises
    ------
    InvalidValue
        If the groups do not divide the axis.
    """

    of: Sequence[int]
    size: int
    axis: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", tuple(self.of))
        integer("axis", self.axis, -len(self.of), len(self.of) - 1)
        integer("size", self.size, 1, 2**31)
        length = self.of[self.axis]
        if length % self.size:
            raise InvalidValue(
                f"groups of {self.size} do not divide axis {self.axis} of shape {tuple(self.of)}; "
                f"give a divisor of {length}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's, with the number of groups in place of the axis."""
        axis = self.axis % len(self.of)
        return (*self.of[:axis], self.of[axis] // self.size, *self.of[axis + 1 :])

    def split(self, x: Tensor) -> Tensor:
        """Return `x` with the axis in two: groups, and the values of one.

        Raises
        ------
        InvalidValue
            If the tensor has another shape.
        """
        if tuple(x.shape) != tuple(self.of):
            raise InvalidValue(
                f"groups were laid out for shape {tuple(self.of)}, got {tuple(x.shape)}"
            )
        axis = self.axis % x.ndim
        return x.reshape(*x.shape[:axis], -1, self.size, *x.shape[axis + 1 :])

    def against(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return the parameter with an axis of 1 for the values of a group."""
        return parameter.unsqueeze(self.axis % (x.ndim - 1) + 1)

    def join(self, y: Tensor) -> Tensor:
        """Return `y` with the two axes in one."""
        axis = self.axis % (y.ndim - 1)
        return y.flatten(axis, axis + 1)

    def rows(self, x: Tensor) -> Tensor:
        """Return a row for each group."""
        axis = self.axis % x.ndim
        return self.split(x).movedim(axis + 1, -1).reshape(-1, self.size)


def _axis(x: Tensor, axis: int, length: int, what: str) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise InvalidValue(f"axis {axis} does not exist in a tensor of shape {tuple(x.shape)}")
    if x.shape[axis] != length:
        raise InvalidValue(
            f"expected {length} {what} along axis {axis}, got a tensor of shape {tuple(x.shape)}"
        )
    return axis % x.ndim
