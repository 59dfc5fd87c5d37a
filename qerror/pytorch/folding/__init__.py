"""Batch normalisation folded into the layers before it, as backends compute."""

from qerror.pytorch.folding.batch_norm import FoldedBatchNorm as FoldedBatchNorm
from qerror.pytorch.folding.batch_norm import Folding as Folding
from qerror.pytorch.folding.network import fold_batch_norms as fold_batch_norms
from qerror.pytorch.folding.network import fold_graph as fold_graph
