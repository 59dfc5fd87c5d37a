"""Results as files and text: JSON, JSON lines, CSV, Markdown, Parquet, aligned text."""

from typing import TYPE_CHECKING

from qerror._later import later
from qerror.reporting._document import Column as Column
from qerror.reporting._document import Document as Document
from qerror.reporting._document import Row as Row
from qerror.reporting._document import View as View
from qerror.reporting._encode import KINDS as KINDS
from qerror.reporting._encode import Kind as Kind
from qerror.reporting._encode import encode as encode
from qerror.reporting._encode import kind_of as kind_of
from qerror.reporting._encode import plain_json as plain_json
from qerror.reporting._layout import Line as Line
from qerror.reporting._layout import lay_out as lay_out
from qerror.reporting._results import block_error_document as block_error_document
from qerror.reporting._results import error_document as error_document
from qerror.reporting._results import sweep_document as sweep_document
from qerror.tables import decibels as decibels
from qerror.tables import short as short

if TYPE_CHECKING:
    from qerror.reporting._bands import bands_document as bands_document
    from qerror.reporting._blocks import blocks_optimum_document as blocks_optimum_document
    from qerror.reporting._blocks import blocks_ranking_document as blocks_ranking_document
    from qerror.reporting._blocks import measured_blocks_document as measured_blocks_document
    from qerror.reporting._catalogue import densities_document as densities_document
    from qerror.reporting._catalogue import format_document as format_document
    from qerror.reporting._catalogue import formats_document as formats_document
    from qerror.reporting._certified import certified_document as certified_document
    from qerror.reporting._channels import channel_ranking_document as channel_ranking_document
    from qerror.reporting._channels import channels_document as channels_document
    from qerror.reporting._checkpoint import analysis_document as analysis_document
    from qerror.reporting._checkpoint import comparison_document as comparison_document
    from qerror.reporting._codebook import codebook_document as codebook_document
    from qerror.reporting._data import MeasuredArray as MeasuredArray
    from qerror.reporting._data import data_document as data_document
    from qerror.reporting._distribution import distribution_document as distribution_document
    from qerror.reporting._dot import dot_document as dot_document
    from qerror.reporting._fixed_point import (
        fixed_point_channels_document as fixed_point_channels_document,
    )
    from qerror.reporting._fixed_point import fixed_point_document as fixed_point_document
    from qerror.reporting._integer import classes_document as classes_document
    from qerror.reporting._optima import optimum_document as optimum_document
    from qerror.reporting._optima import ranking_document as ranking_document
    from qerror.reporting._optima import switches_document as switches_document
    from qerror.reporting._page import analysis_page as analysis_page
    from qerror.reporting._verify import unmet as unmet
    from qerror.reporting._verify import verify_document as verify_document

__getattr__, __dir__ = later(
    __name__,
    {
        "_bands": ("bands_document",),
        "_blocks": (
            "blocks_optimum_document",
            "blocks_ranking_document",
            "measured_blocks_document",
        ),
        "_catalogue": (
            "densities_document",
            "format_document",
            "formats_document",
        ),
        "_certified": ("certified_document",),
        "_channels": (
            "channel_ranking_document",
            "channels_document",
        ),
        "_checkpoint": (
            "analysis_document",
            "comparison_document",
        ),
        "_codebook": ("codebook_document",),
        "_data": (
            "MeasuredArray",
            "data_document",
        ),
        "_distribution": ("distribution_document",),
        "_dot": ("dot_document",),
        "_fixed_point": (
            "fixed_point_channels_document",
            "fixed_point_document",
        ),
        "_integer": ("classes_document",),
        "_optima": (
            "optimum_document",
            "ranking_document",
            "switches_document",
        ),
        "_page": ("analysis_page",),
        "_verify": (
            "unmet",
            "verify_document",
        ),
    },
)
