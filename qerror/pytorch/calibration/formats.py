"""The number of mantissa bits and the range by a search, as paper 1 does after training."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qerror._arrays import FloatArray, IntArray, integer
from qerror.formats.floating import FloatingPoint
from qerror.pytorch.calibration.accumulate import rows_of
from qerror.pytorch.granularity import Granularity, PerTensor
from qerror.pytorch.levels import quantize

_SHARES = np.linspace(0.1, 1.2, 111)  # of max abs(x)


@dataclass(frozen=True)
class FormatChoice:
    """The split in `mantissa_bits` and `exponent_bits`, and the ranges, that a search found."""

    mantissa_bits: int
    exponent_bits: int
    max_value: Tensor
    """The largest level c, one for each row."""
    votes: tuple[int, ...]
    """The best number of mantissa bits of each row alone."""

    @property
    def form(self) -> FloatingPoint:
        """The format, at its own bias."""
        return FloatingPoint(self.mantissa_bits, self.exponent_bits)


def choose_format(
    x: Tensor, *, bits: int = 8, granularity: Granularity | None = None
) -> FormatChoice:
    """Choose mantissa bits and largest level by the least squared error on data.

    m runs over 1 .. bits - 2 and c over 111 evenly spaced shares 0.1 .. 1.2 of max abs(x), the
    first among equals. With several ranges each votes for its best m; the majority wins, a tie
    goes to the least error summed over all, and then every range takes its best c for that m.

    Parameters
    ----------
    x : Tensor
    bits : int
    granularity : Granularity, optional
        By default one range for the tensor.

    Returns
    -------
    FormatChoice

    Raises
    ------
    InvalidValue
        If `x` is empty or a value is not finite.

    References
    ----------
    Kuzmin et al. 2022, appendix E.
    """
    bits = integer("bits", bits, 3, 12)
    rows = rows_of(x, granularity or PerTensor())
    largest = rows.abs().amax(1).cpu().numpy()
    choices = range(1, bits - 1)
    tables = np.stack([_errors(rows, m, bits - 1 - m, largest) for m in choices])
    least = tables.min(axis=2)  # by m and row
    votes = 1 + least.argmin(axis=0)
    m = _majority(votes, least.sum(axis=1))
    at = tables[m - 1].argmin(axis=1)
    c = np.where(largest > 0, _SHARES[at] * largest, 1.0)
    found = torch.tensor(c, dtype=torch.float64, device=x.device)
    return FormatChoice(m, bits - 1 - m, found, tuple(votes.tolist()))


def _errors(rows: Tensor, m: int, e: int, largest: FloatArray) -> FloatArray:
    """Return the mean squared error of each row at each share, shape (rows, shares)."""
    form = FloatingPoint(m, e)
    unit = torch.tensor(np.where(largest > 0, largest, 1.0) / form.max_value, device=rows.device)
    found = [
        (quantize(rows, form, (share * unit)[:, None]) - rows).square().mean(1).cpu().numpy()
        for share in _SHARES
    ]
    return np.stack(found, axis=1)


def _majority(votes: IntArray, total: FloatArray) -> int:
    """Return the m with most votes, of several the one with the least total error."""
    counts = np.bincount(votes, minlength=total.size + 1)[1:]
    leading = np.flatnonzero(counts == counts.max())
    return 1 + int(leading[total[leading].argmin()])
