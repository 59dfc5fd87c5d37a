"""Figures of results, by matplotlib: the same input gives the same bytes."""

from importlib.util import find_spec

from qerror.exceptions import MissingLibrary

if find_spec("matplotlib") is None:
    raise MissingLibrary("figures need matplotlib, which is not installed: pip install matplotlib")

from qerror.plotting._distribution import distribution_figure as distribution_figure
from qerror.plotting._distribution import distribution_files as distribution_files
from qerror.plotting._files import check_figure as check_figure
from qerror.plotting._files import render as render
from qerror.plotting._networks import network_files as network_files
from qerror.plotting._style import use_style as use_style
from qerror.plotting._sweep import sweep_figure as sweep_figure
from qerror.plotting._sweep import sweep_files as sweep_files
