"""A number format of one's own, as CONTRIBUTING describes it: a family and a registration."""

import re
from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import integer
from qerror.formats.format import FORMATS, Format, ScalarFormat
from qerror.formats.names import spelling
from qerror.grids import Grid


@final
@dataclass(frozen=True, slots=True)
class HalfOctaves(ScalarFormat):
    """A sign and a power of the square root of 2: +-1, +-1.41, +-2, ...; one code is 0."""

    width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", integer("width", self.width, 2, 8))

    @property
    def bits(self) -> int:
        return self.width

    @property
    def name(self) -> str:
        return f"HALFOCTAVES{self.width}"

    def _base_grid(self) -> Grid:
        powers = np.exp2(0.5 * np.arange(2 ** (self.width - 1) - 1))
        return Grid.from_points([*-powers, 0.0, *powers])

    def _card(self) -> dict[str, str]:
        return {"special codes": "none; 1 not used", "zero": "one"}


@spelling(r"halfoctaves(?P<width>[0-9])", "halfoctaves5")
def _half_octaves(found: re.Match[str]) -> Format:
    return HalfOctaves(int(found["width"]))


FORMATS.register("HALFOCTAVES5", HalfOctaves(5), "ho5")
