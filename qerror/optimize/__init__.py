"""Searching: best ranges, best fractional lengths, best formats."""

from typing import TYPE_CHECKING

from qerror._later import later
from qerror.optimize.channels import ChannelScales as ChannelScales
from qerror.optimize.channels import channels_of as channels_of
from qerror.optimize.channels import optimal_channel_scales as optimal_channel_scales
from qerror.optimize.optimum import Leeway as Leeway
from qerror.optimize.optimum import LocalMinimum as LocalMinimum
from qerror.optimize.optimum import OptimalScale as OptimalScale
from qerror.optimize.scale import optimal_scale as optimal_scale

if TYPE_CHECKING:
    from qerror.optimize.block_law import block_density as block_density
    from qerror.optimize.block_ranges import block_choices as block_choices
    from qerror.optimize.blocks import OptimalBlocks as OptimalBlocks
    from qerror.optimize.blocks import RankedBlocks as RankedBlocks
    from qerror.optimize.blocks import block_size_for as block_size_for
    from qerror.optimize.blocks import optimal_multiplier as optimal_multiplier
    from qerror.optimize.blocks import optimal_threshold as optimal_threshold
    from qerror.optimize.blocks import rank_blocks as rank_blocks
    from qerror.optimize.channel_ranking import ChannelRanking as ChannelRanking
    from qerror.optimize.channel_ranking import RankedChannels as RankedChannels
    from qerror.optimize.channel_ranking import rank_by_channel as rank_by_channel
    from qerror.optimize.fractional_length import FixedPointChoice as FixedPointChoice
    from qerror.optimize.fractional_length import FractionalLength as FractionalLength
    from qerror.optimize.fractional_length import fixed_point_choice as fixed_point_choice
    from qerror.optimize.fractional_length import fixed_point_choice_of as fixed_point_choice_of
    from qerror.optimize.fractional_length import (
        fractional_length_constant as fractional_length_constant,
    )
    from qerror.optimize.fractional_length import (
        optimal_fractional_length as optimal_fractional_length,
    )
    from qerror.optimize.measured_blocks import MeasuredBlocks as MeasuredBlocks
    from qerror.optimize.measured_blocks import rank_measured_blocks as rank_measured_blocks
    from qerror.optimize.ranges import RangeChoice as RangeChoice
    from qerror.optimize.ranges import best_zero_point as best_zero_point
    from qerror.optimize.ranges import compare_ranges as compare_ranges
    from qerror.optimize.ranking import FormatRanking as FormatRanking
    from qerror.optimize.ranking import RankedFormat as RankedFormat
    from qerror.optimize.ranking import formats_of_width as formats_of_width
    from qerror.optimize.ranking import optimal_format as optimal_format
    from qerror.optimize.switches import FormatSwitch as FormatSwitch
    from qerror.optimize.switches import FormatSwitches as FormatSwitches
    from qerror.optimize.switches import format_switches as format_switches

__getattr__, __dir__ = later(
    __name__,
    {
        "block_law": ("block_density",),
        "block_ranges": ("block_choices",),
        "blocks": (
            "OptimalBlocks",
            "RankedBlocks",
            "block_size_for",
            "optimal_multiplier",
            "optimal_threshold",
            "rank_blocks",
        ),
        "channel_ranking": (
            "ChannelRanking",
            "RankedChannels",
            "rank_by_channel",
        ),
        "fractional_length": (
            "FixedPointChoice",
            "FractionalLength",
            "fixed_point_choice",
            "fixed_point_choice_of",
            "fractional_length_constant",
            "optimal_fractional_length",
        ),
        "measured_blocks": (
            "MeasuredBlocks",
            "rank_measured_blocks",
        ),
        "ranges": (
            "RangeChoice",
            "best_zero_point",
            "compare_ranges",
        ),
        "ranking": (
            "FormatRanking",
            "RankedFormat",
            "formats_of_width",
            "optimal_format",
        ),
        "switches": (
            "FormatSwitch",
            "FormatSwitches",
            "format_switches",
        ),
    },
)
