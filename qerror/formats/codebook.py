"""Codebooks: formats whose levels are listed one by one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from qerror.exceptions import InvalidValue
from qerror.formats.format import FORMATS, Format, ScalarFormat, shortest
from qerror.formats.names import number, spelling
from qerror.grids import Grid


@final
@dataclass(frozen=True, slots=True)
class Codebook(ScalarFormat):
    """Any set of levels; the code of a level is its index in ascending order, from 0.

    Parameters
    ----------
    values : sequence of float
        Finite and different from each other, in any order; stored in ascending order.

    Raises
    ------
    InvalidValue
        If there is no level, a level is not finite, or two are equal.

    Examples
    --------
    >>> Codebook([1, -1, 0]).values
    (-1.0, 0.0, 1.0)
    """

    values: Sequence[float]
    _grid: Grid = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Adding zero turns -0.0, which would be written with its sign, into 0.0.
        grid = Grid.from_points(Grid.from_points(self.values).points + 0.0)
        object.__setattr__(self, "_grid", grid)
        object.__setattr__(self, "values", tuple(grid.points.tolist()))

    @property
    def bits(self) -> int:
        return max(1, (len(self.values) - 1).bit_length())

    @property
    def name(self) -> str:
        standard = _STANDARD.get(self)
        return standard or "codebook:" + ",".join(map(shortest, self.values))

    def _base_grid(self) -> Grid:
        return self._grid

    def _card(self) -> dict[str, str]:
        unused = 2**self.bits - len(self.values)
        return {
            "codes": f"0..{len(self.values) - 1}, the levels in ascending order",
            "special codes": f"none; {unused} not used" if unused else "none",
            "zero": "one" if 0.0 in self.values else "no code",
        }


@spelling(r"codebook:(?P<values>[^:]*)", "codebook:-1,0,0.5,1")
def _codebook(found: re.Match[str]) -> Format:
    parts = found["values"].split(",")
    if not found["values"].strip():
        raise InvalidValue("a codebook needs at least one level: codebook:-1,0,0.5,1")
    return Codebook([number("a level of a codebook", part.strip()) for part in parts])


# 4-bit NormalFloat: Dettmers et al. 2023, QLoRA (arXiv 2305.14314), appendix E.
NF4 = Codebook(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)

# 4-bit AbnormalFloat for Gaussian blocks of 64: least mean absolute error of X / M on either side
# of 0 with the level 1 fixed, 0 added afterwards. Yoshida 2023, NF4 Isn't Information
# Theoretically Optimal (arXiv 2306.06965).
AF4 = Codebook(
    [
        -1.0,
        -0.69441008,
        -0.51243739,
        -0.3736951,
        -0.25607552,
        -0.14982478,
        -0.04934812,
        0.0,
        0.04273164,
        0.12934483,
        0.21961274,
        0.31675666,
        0.42563882,
        0.55496234,
        0.72424863,
        1.0,
    ]
)
_STANDARD = {NF4: "NF4", AF4: "AF4"}
FORMATS.register("NF4", NF4, "normalfloat4")
FORMATS.register("AF4", AF4)
