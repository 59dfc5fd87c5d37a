"""The papers' analytic figures, exact, and our own: the data of `qerror.studies`, drawn."""

from qerror.plotting.papers import best_format_map as best_format_map
from qerror.plotting.papers import blocks_bits as blocks_bits
from qerror.plotting.papers import blocks_phase as blocks_phase
from qerror.plotting.papers import blocks_size as blocks_size
from qerror.plotting.papers import blocks_theta as blocks_theta
from qerror.plotting.papers import f8net_fig3 as f8net_fig3
from qerror.plotting.papers import f8net_fig4 as f8net_fig4
from qerror.plotting.papers import fp8_fig1 as fp8_fig1
from qerror.plotting.papers import fp8_fig2 as fp8_fig2
from qerror.plotting.papers import fp8_fig3 as fp8_fig3
from qerror.plotting.papers import fp8_fig4 as fp8_fig4
from qerror.plotting.papers import fp8_fig5 as fp8_fig5
from qerror.plotting.papers import fp8_fig7 as fp8_fig7
from qerror.plotting.papers import fp8_fig8 as fp8_fig8
from qerror.plotting.papers import fp8_fig10 as fp8_fig10
from qerror.plotting.papers import int8_fig3 as int8_fig3
from qerror.plotting.papers import int8_fig5 as int8_fig5
from qerror.plotting.papers import int8_fig9 as int8_fig9
from qerror.plotting.papers import lloyd_gap as lloyd_gap
from qerror.plotting.papers._dot import dot_files as dot_files
from qerror.plotting.papers._figure import FIGURES as FIGURES
from qerror.plotting.papers._figure import KINDS as KINDS
from qerror.plotting.papers._figure import PaperFigure as PaperFigure
from qerror.plotting.papers._figure import file_names as file_names
from qerror.plotting.papers._figure import paper_files as paper_files
from qerror.studies import figures_document as figures_document
