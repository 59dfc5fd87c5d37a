"""Block-scaled formats: figures, and what is said of them in public."""

from qerror.studies.blocks import bits as bits
from qerror.studies.blocks import phase as phase
from qerror.studies.blocks import sizes as sizes
from qerror.studies.blocks import theta as theta
