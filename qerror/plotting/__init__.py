"""Figures of results, by matplotlib: the same input gives the same bytes."""

from qerror.plotting._files import check_figure as check_figure
from qerror.plotting._files import render as render
from qerror.plotting._sweep import sweep_figure as sweep_figure
from qerror.plotting._sweep import sweep_files as sweep_files
