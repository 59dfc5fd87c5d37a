"""What a calibration is: a statistic of the data, and a range solved from it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer
from qerror.pytorch.scales import Free, ScaleRule


@dataclass(frozen=True)
class Target:
    """For what a range is sought.

    Parameters
    ----------
    form : ScalarFormat
    asymmetric : bool
        Integer codes with a zero point of their own.
    scale_rule : ScaleRule
        Which scales are allowed.

    Raises
    ------
    InvalidValue
        If a format that is no integer is to have a zero point.
    """

    form: ScalarFormat
    asymmetric: bool = False
    scale_rule: ScaleRule = field(default_factory=Free)

    def __post_init__(self) -> None:
        if self.asymmetric and not isinstance(self.form, Integer):
            raise InvalidValue(f"only integers have a zero point to choose, not {self.form.name}")

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and the largest code of an integer format."""
        if not isinstance(self.form, Integer):
            raise InvalidValue(f"this calibration is defined for integers, not {self.form.name}")
        return self.form.min_code, self.form.max_code


@dataclass(frozen=True)
class Range:
    """What a calibration found: a scale, and a zero point, for each row."""

    scale: Tensor
    """Shape (rows,), float64, positive and finite. Where all values are 0 it is 1: every scale
    represents them."""
    zero_point: Tensor
    """Shape (rows,), float64 integers; 0 unless asked for."""


class Calibration(ABC):
    """A way to choose a range. Data come as a float64 matrix, a row for each range."""

    @abstractmethod
    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return what the range is solved from, shape (rows, any)."""

    @abstractmethod
    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Return the range."""

    def merge(self, old: Tensor, count: int, new: Tensor, added: int) -> Tensor | None:
        """Return the statistic of both parts from the statistics of each, if that is possible.

        `count` and `added` are the numbers of values in a row. None, as here, makes the
        accumulator keep the values themselves.
        """
        del old, count, new, added
        return None


def symmetric(largest: Tensor, target: Target) -> Range:
    """Return the range whose largest level is `largest`; 1 as scale where that is 0."""
    scale = target.scale_rule(_positive(largest / target.form.max_value))
    return Range(scale, torch.zeros_like(scale))


def asymmetric(low: Tensor, high: Tensor, target: Target) -> Range:
    """Return the range whose codes span [low, high] and 0: s = (high - low)/(p - n)."""
    n, p = target.codes
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = target.scale_rule(_positive((high - low) / (p - n)))
    return Range(scale, (n - torch.round(low / scale)).clamp(n, p))


def _positive(scale: Tensor) -> Tensor:
    """Replace a scale of 0 (all data 0) by 1."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))
