"""Ranges from the ends of the data: min-max, quantiles, mean and standard deviation."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from qerror._arrays import positive, real
from qerror.exceptions import InvalidValue
from qerror.pytorch.calibration.base import Calibration, Range, Target, asymmetric, symmetric


class _Ends(Calibration):
    """A statistic that becomes two ends."""

    @abstractmethod
    def ends(self, statistic: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lower and the upper end."""

    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Span the ends; symmetric formats reach to the farther one."""
        low, high = self.ends(statistic)
        if target.asymmetric:
            return asymmetric(low, high, target)
        reach = high.clamp(min=0) if target.form.grid().min >= 0 else torch.maximum(-low, high)
        return symmetric(reach.abs(), target)


@final
@dataclass(frozen=True)
class MinMax(_Ends):
    """The smallest and the largest value.

    Symmetric: c = max abs(x). Asymmetric: s = (max - min)/(p - n), z = n - Q(min/s), the range
    widened to include 0.
    """

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return minimum and maximum."""
        del target
        return torch.stack([rows.amin(1), rows.amax(1)], 1)

    def merge(self, old: Tensor, count: int, new: Tensor, added: int) -> Tensor | None:
        """Return the smaller minimum and the larger maximum."""
        del count, added
        low, high = torch.minimum(old, new)[:, 0], torch.maximum(old, new)[:, 1]
        return torch.stack([low, high], 1)

    def ends(self, statistic: Tensor) -> tuple[Tensor, Tensor]:
        """Return them."""
        return statistic[:, 0], statistic[:, 1]


@final
@dataclass(frozen=True)
class Quantile(_Ends):
    """The quantiles at 1 - probability and probability, linearly interpolated.

    Parameters
    ----------
    probability : float
        In (0.5, 1].

    Raises
    ------
    InvalidValue
        If the probability lies outside (0.5, 1].
    """

    probability: float = 0.9999

    def __post_init__(self) -> None:
        if not 0.5 < real("probability", self.probability) <= 1:
            raise InvalidValue(f"probability must lie in (0.5, 1], got {self.probability:g}")

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return both quantiles."""
        del target
        ordered = rows.sort(1).values
        places = [1 - self.probability, self.probability]
        return torch.stack([_quantile(ordered, p) for p in places], 1)

    def ends(self, statistic: Tensor) -> tuple[Tensor, Tensor]:
        """Return them."""
        return statistic[:, 0], statistic[:, 1]


def _quantile(ordered: Tensor, p: float) -> Tensor:
    """Return the p-quantile of sorted rows; torch.quantile takes at most 2^24 values."""
    last = ordered.shape[1] - 1
    below = min(int(p * last), last)
    share = p * last - below
    a, b = ordered[:, below], ordered[:, min(below + 1, last)]
    return torch.lerp(a, b, share)


@final
@dataclass(frozen=True)
class MeanStd(_Ends):
    """The mean and `deviations` standard deviations (unbiased) on both sides of it.

    Parameters
    ----------
    deviations : float
        3 in LSQ+ for weights, 2.6 in DSQ.
    halved : bool
        Whether the step is the reach over 2^(bits - 1), as LSQ+ has it for weights, instead of
        over the largest level. Symmetric ranges of integers only.
    """

    deviations: float = 3.0
    halved: bool = False

    def __post_init__(self) -> None:
        positive("deviations", self.deviations)

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return mean and standard deviation; the latter is 0 for a single value."""
        del target
        mean = rows.mean(1)
        squares = (rows - mean[:, None]).square().sum(1)
        return torch.stack([mean, (squares / max(rows.shape[1] - 1, 1)).sqrt()], 1)

    def merge(self, old: Tensor, count: int, new: Tensor, added: int) -> Tensor | None:
        """Return both moments of the union (Chan et al. 1983)."""
        total = count + added
        apart = new[:, 0] - old[:, 0]
        mean = old[:, 0] + apart * (added / total)
        squares = old[:, 1].square() * (count - 1) + new[:, 1].square() * (added - 1)
        squares = squares + apart.square() * (count * added / total)
        return torch.stack([mean, (squares / max(total - 1, 1)).sqrt()], 1)

    def ends(self, statistic: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean - deviations std and mean + deviations std."""
        reach = self.deviations * statistic[:, 1]
        return statistic[:, 0] - reach, statistic[:, 0] + reach

    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Span the ends, or divide the farther one by 2^(bits - 1).

        Raises
        ------
        InvalidValue
            If `halved` is asked for what is no symmetric signed integer.
        """
        if not self.halved:
            return super().solve(statistic, target)
        n, _ = target.codes
        if target.asymmetric or n >= 0:
            raise InvalidValue("halved is for symmetric ranges of signed integers")
        largest = torch.maximum(*(end.abs() for end in self.ends(statistic)))
        share = target.form.max_value / 2.0 ** (target.form.bits - 1)
        return symmetric(largest * share, target)
