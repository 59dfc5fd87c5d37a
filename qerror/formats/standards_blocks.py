"""The block-scaled formats that others have named, and examples of the rest."""

from qerror.formats.block import BlockFormat, name_blocks
from qerror.formats.block_scales import Absmax, MinMax, PowerOfTwo
from qerror.formats.codebook import AF4, NF4
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import FORMATS
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.integer import Integer
from qerror.formats.stored_scales import StoredScale

_E4M3 = FloatingPoint(3, 4, specials="fn")
_E2M1 = FloatingPoint(1, 2, bias=1)


def _standard(name: str, member: BlockFormat, *aliases: str) -> None:
    """Register a format under the name by which the field knows it and its variations."""
    FORMATS.register(name, member, *aliases)
    name_blocks(name, member.element, type(member.scale), member.scale, member.block_size)


# OCP Microscaling Formats (MX) 1.0, table 1; FLOOR is the procedure that section 6.3 recommends.
_standard("MXFP4", BlockFormat(_E2M1, PowerOfTwo(), 32), "MXFP4_E2M1")
_standard("MXFP6_E2M3", BlockFormat(FloatingPoint(3, 2, bias=1), PowerOfTwo(), 32))
_standard("MXFP6_E3M2", BlockFormat(FloatingPoint(2, 3, bias=3), PowerOfTwo(), 32))
_standard("MXFP8_E4M3", BlockFormat(_E4M3, PowerOfTwo(), 32))
_standard("MXFP8_E5M2", BlockFormat(FloatingPoint(2, 5, specials="ieee"), PowerOfTwo(), 32))
_standard("MXINT8", BlockFormat(FixedPoint(8, 6), PowerOfTwo(), 32))

_standard("NVFP4", BlockFormat(_E2M1, StoredScale(_E4M3), 16))
name_blocks("NVFP4", _E2M1, FourOverSix, StoredScale(_E4M3), 16)

for _member in (
    BlockFormat(_E2M1, FourOverSix(_E4M3), 16),
    BlockFormat(NF4, Absmax(), 64),
    BlockFormat(AF4, Absmax(), 64),
    BlockFormat(Integer(4), Absmax(), 32),
    BlockFormat(Integer(4), MinMax(), 32),
    BlockFormat(Integer(8), Absmax(), 4096),
):
    FORMATS.register(_member.name, _member)
