"""Results as files and text: JSON, JSON lines, CSV, Markdown, Parquet, aligned text."""

from qerror.reporting._catalogue import densities_document as densities_document
from qerror.reporting._catalogue import format_document as format_document
from qerror.reporting._catalogue import formats_document as formats_document
from qerror.reporting._data import MeasuredArray as MeasuredArray
from qerror.reporting._data import data_document as data_document
from qerror.reporting._document import Column as Column
from qerror.reporting._document import Document as Document
from qerror.reporting._document import Row as Row
from qerror.reporting._document import View as View
from qerror.reporting._dot import dot_document as dot_document
from qerror.reporting._encode import KINDS as KINDS
from qerror.reporting._encode import Kind as Kind
from qerror.reporting._encode import encode as encode
from qerror.reporting._encode import kind_of as kind_of
from qerror.reporting._fixed_point import fixed_point_document as fixed_point_document
from qerror.reporting._layout import Line as Line
from qerror.reporting._layout import lay_out as lay_out
from qerror.reporting._optima import optimum_document as optimum_document
from qerror.reporting._optima import ranking_document as ranking_document
from qerror.reporting._optima import switches_document as switches_document
from qerror.reporting._results import error_document as error_document
from qerror.reporting._results import sweep_document as sweep_document
from qerror.reporting._verify import unmet as unmet
from qerror.reporting._verify import verify_document as verify_document
from qerror.tables import decibels as decibels
from qerror.tables import short as short
