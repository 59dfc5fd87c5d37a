"""Figures of results, by matplotlib: the same input gives the same bytes."""

from qerror.exceptions import MissingLibrary

try:
    import matplotlib as _matplotlib  # noqa: F401, ICN001 - only to see whether it is there
except ImportError as error:
    raise MissingLibrary(
        "figures need matplotlib, which is not installed: pip install matplotlib"
    ) from error

from qerror.plotting._files import check_figure as check_figure
from qerror.plotting._files import render as render
from qerror.plotting._sweep import sweep_figure as sweep_figure
from qerror.plotting._sweep import sweep_files as sweep_files
