"""Number formats: named rules that make grids. One family is one file and one line here."""

from qerror.formats import standards as standards  # registers the well-known names
from qerror.formats import standards_blocks as standards_blocks  # and those of blocks
from qerror.formats.block import BlockFormat as BlockFormat
from qerror.formats.block_scales import Absmax as Absmax
from qerror.formats.block_scales import MinMax as MinMax
from qerror.formats.block_scales import PowerOfTwo as PowerOfTwo
from qerror.formats.codebook import Codebook as Codebook
from qerror.formats.fixed import FixedPoint as FixedPoint
from qerror.formats.floating import FloatingPoint as FloatingPoint
from qerror.formats.format import FORMATS as FORMATS
from qerror.formats.format import Format as Format
from qerror.formats.format import ScalarFormat as ScalarFormat
from qerror.formats.format import scalar_formats as scalar_formats
from qerror.formats.four_over_six import FourOverSix as FourOverSix
from qerror.formats.integer import Integer as Integer
from qerror.formats.lists import as_formats as as_formats
from qerror.formats.lists import parse_formats as parse_formats
from qerror.formats.names import as_format as as_format
from qerror.formats.names import as_grid as as_grid
from qerror.formats.names import as_scalar_format as as_scalar_format
from qerror.formats.names import parse_format as parse_format
from qerror.formats.power import ExponentOnly as ExponentOnly
from qerror.formats.scale_rule import ScaleRule as ScaleRule
from qerror.formats.scale_rule import ScaleSteps as ScaleSteps
from qerror.formats.stored_scales import Amax as Amax
from qerror.formats.stored_scales import StoredScale as StoredScale
