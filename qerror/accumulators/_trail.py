"""What a sum goes through: moments of the register, of its error, and of both together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, frozen


@dataclass(frozen=True, eq=False)
class Trail(ArrayValue):
    """What happens along a sum of n terms."""

    counts: FloatArray
    """Terms added so far, at places up to n."""
    step_errors: FloatArray
    """E[e^2] of the addition that leads there."""
    mean: float
    """E[A] at the end."""
    second: float
    """E[A^2]."""
    with_sum: float
    """Cov(A, S), S the exact sum."""
    variance: float
    """Var(T)."""
    last: FloatArray
    """P(last bit at 2^k or above) of T, by kind."""

    @classmethod
    def of(  # noqa: PLR0917 - as the fields are
        cls,
        counts: Sequence[float],
        errors: Sequence[float],
        mean: float,
        second: float,
        with_sum: float,
        variance: float,
        last: FloatArray,
    ) -> "Trail":
        """Make a trail of lists."""
        places, steps = (frozen(np.array(each)) for each in (counts, errors))
        return cls(places, steps, mean, second, with_sum, variance, last)


class State(NamedTuple):
    """Moments of T and A after some additions."""

    mean: float
    variance: float
    error: float
    second: float
    cross: float
    """Cov(A, T)."""
    bend: float
    """Cov(A, (T - E[T])^2)."""

    def plus(self, change: "State", steps: float = 1.0) -> "State":
        """Return the state after `steps` such changes."""
        return State(*(a + steps * b for a, b in zip(self, change, strict=True)))


class Change(NamedTuple):
    """What one addition changes."""

    moments: State
    step_error: float


class Log:
    """What has been added so far."""

    def __init__(self) -> None:
        self.state = State(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.done = 0
        self.counts: list[float] = []
        self.errors: list[float] = []

    def add(self, change: Change, steps: int = 1) -> None:
        """Note so many additions that change as much."""
        self.state = possible(self.state.plus(change.moments, steps))
        self.done += steps
        self.counts.append(float(self.done))
        self.errors.append(change.step_error)


def possible(state: State) -> State:
    """Return a state whose moments are some law's, as a long step may leave them none."""
    variance, second = max(state.variance, 0.0), max(state.second, state.error**2)
    most = math.sqrt(variance * (second - state.error**2))
    cross = min(max(state.cross, -most), most)
    return state._replace(variance=variance, second=second, cross=cross)
