"""Statistics over several batches: of all values together, or a moving average."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from qerror._arrays import real
from qerror.exceptions import InvalidValue
from qerror.pytorch.calibration.base import Calibration, Range, Target
from qerror.pytorch.granularity import Granularity, PerTensor
from qerror.pytorch.levels import working


class Running(ABC):
    """Takes batches one after the other."""

    @abstractmethod
    def add(self, rows: Tensor) -> None:
        """Take a batch."""

    @abstractmethod
    def statistic(self) -> Tensor:
        """Return the statistic so far."""


class Accumulator(ABC):
    """How batches become one statistic."""

    @abstractmethod
    def start(self, calibration: Calibration, target: Target) -> Running:
        """Return an empty one."""


@final
@dataclass(frozen=True)
class Pooled(Accumulator):
    """The statistic of all values together.

    Where the calibration can merge statistics, no values are kept.
    """

    def start(self, calibration: Calibration, target: Target) -> Running:
        """Return an empty one."""
        return _Pool(calibration, target)


@final
@dataclass(frozen=True)
class Ema(Accumulator):
    """The statistic's moving average: the first batch's, then v + momentum (v_batch - v).

    Parameters
    ----------
    momentum : float
        The weight of a new batch, in (0, 1].

    Raises
    ------
    InvalidValue
        If the momentum lies outside (0, 1].
    """

    momentum: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < real("momentum", self.momentum) <= 1:
            raise InvalidValue(f"momentum must lie in (0, 1], got {self.momentum:g}")

    def start(self, calibration: Calibration, target: Target) -> Running:
        """Return an empty one."""
        return _Average(calibration, target, self.momentum)


class _Pool(Running):
    def __init__(self, calibration: Calibration, target: Target) -> None:
        self._calibration, self._target = calibration, target
        self._merged: Tensor | None = None
        self._count = 0
        self._kept: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        count, added = self._count, rows.shape[1]
        self._count += added
        if self._kept or (self._merged is None and count):
            self._kept.append(rows)
            return
        if self._merged is None:
            self._kept.append(rows)
            self._merge_first(rows)
            return
        new = self._calibration.statistic(rows, self._target)
        self._merged = self._calibration.merge(self._merged, count, new, added)

    def _merge_first(self, rows: Tensor) -> None:
        """Find out at the first batch whether statistics can be merged."""
        calibration = self._calibration
        if type(calibration).merge is not Calibration.merge:
            self._merged, self._kept = calibration.statistic(rows, self._target), []

    def statistic(self) -> Tensor:
        if self._merged is not None:
            return self._merged
        if not self._kept:
            raise InvalidValue("nothing was observed; pass at least one batch")
        return self._calibration.statistic(torch.cat(self._kept, 1), self._target)


class _Average(Running):
    def __init__(self, calibration: Calibration, target: Target, momentum: float) -> None:
        self._calibration, self._target, self._momentum = calibration, target, momentum
        self._value: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        new = self._calibration.statistic(rows, self._target)
        old = self._value
        self._value = new if old is None else (1 - self._momentum) * old + self._momentum * new

    def statistic(self) -> Tensor:
        if self._value is None:
            raise InvalidValue("nothing was observed; pass at least one batch")
        return self._value


def rows_of(x: Tensor, granularity: Granularity) -> Tensor:
    """Return a batch as a float64 matrix, a row for each range.

    Raises
    ------
    InvalidType
        If it is no tensor of floating-point numbers.
    InvalidValue
        If it is empty, has another shape than the granularity, or a value is not finite.
    """
    rows = granularity.rows(working(x)).detach().to(torch.float64)
    if rows.numel() == 0:
        raise InvalidValue(f"a batch for calibration is empty: shape {tuple(x.shape)}")
    wrong = ~torch.isfinite(rows)
    if bool(wrong.any()):
        raise InvalidValue(
            f"{int(wrong.sum()):,} of {rows.numel():,} values for calibration are NaN or infinite; "
            "leave them out, or find where they come from"
        )
    return rows


def calibrate(
    batches: Tensor | Iterable[Tensor],
    target: Target,
    calibration: Calibration,
    *,
    granularity: Granularity | None = None,
    accumulator: Accumulator | None = None,
) -> Range:
    """Return the range that a calibration chooses from data.

    Parameters
    ----------
    batches : Tensor or iterable of Tensor
    target : Target
    calibration : Calibration
    granularity : Granularity, optional
        By default one range for the tensor.
    accumulator : Accumulator, optional
        By default `Pooled`.

    Returns
    -------
    Range

    Raises
    ------
    InvalidType
        If a batch holds no floating-point numbers.
    InvalidValue
        If there is no batch, one is empty, or a value is not finite.
    """
    granularity = granularity or PerTensor()
    running = (accumulator or Pooled()).start(calibration, target)
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        running.add(rows_of(batch, granularity))
    with torch.no_grad():
        return calibration.solve(running.statistic(), target)
