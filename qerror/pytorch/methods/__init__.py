"""The methods by name: each a recipe of pieces in a file of its own."""

from qerror.pytorch.methods import additive as additive
from qerror.pytorch.methods import clipping as clipping
from qerror.pytorch.methods import fixed as fixed
from qerror.pytorch.methods import floating as floating
from qerror.pytorch.methods import interval as interval
from qerror.pytorch.methods import learned_offset as learned_offset
from qerror.pytorch.methods import learned_step as learned_step
from qerror.pytorch.methods import plain as plain
from qerror.pytorch.methods import shared_clip as shared_clip
from qerror.pytorch.methods import soft as soft
from qerror.pytorch.methods import tanh as tanh
from qerror.pytorch.methods import threshold as threshold
