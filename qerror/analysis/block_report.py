"""What the analysis of a block-scaled format returns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from qerror.analysis.report import ErrorReport


@final
@dataclass(frozen=True)
class CodeProbabilities(Mapping[float, float]):
    """How likely each stored scale is: a mapping that is frozen, compares and hashes.

    Keys are in ascending order: the exponent of a power-of-two scale (its byte less 127), or the
    level of the scale format, before any tensor scale. Scales less likely than 1e-30 are left
    out; real scales have no codes.
    """

    keys_: tuple[float, ...] = ()
    """The scales' codes, ascending."""
    values_: tuple[float, ...] = ()
    """The probability of each."""

    def __getitem__(self, key: float) -> float:
        try:
            return self.values_[self.keys_.index(key)]
        except ValueError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[float]:
        return iter(self.keys_)

    def __len__(self) -> int:
        return len(self.keys_)


@final
@dataclass(frozen=True, eq=False, repr=False)
class BlockErrorReport(ErrorReport[float]):
    """The expected errors of one value of a block that shares its scale with others.

    The values of a block are independent and alike. All that `ErrorReport` says holds: its
    figures are those of one value, and clipping is what lies beyond the element's levels at the
    scale that the block happens to have.
    """

    code_probabilities: CodeProbabilities
    """How likely each stored scale is."""
    clipped_blocks: float
    """P(M > scale * largest level), M the largest magnitude in a block; nan for a rule that
    goes by minimum and maximum."""
    zero_blocks: float
    """P(all values of a block are 0)."""
    pair_error: float
    """E[e_1 e_2] of two values of one block; 0 in blocks of one."""
    pair_cross: float
    """E[x_1 e_2] of two values of one block; 0 in blocks of one."""
    bits_per_value: float
    """What a value costs in bits, with its share of the scale."""
    block_size: int
    """How many values share a scale."""
