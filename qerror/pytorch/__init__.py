"""Quantizers in PyTorch: the same formats, as functions and modules that calibrate and learn."""

from importlib.util import find_spec

from qerror.exceptions import MissingLibrary

if find_spec("torch") is None:
    raise MissingLibrary(
        "qerror.pytorch needs PyTorch, which is not installed: pip install 'qerror[torch]'"
    )

from qerror.pytorch import functional as functional
from qerror.pytorch.levels import quantize as quantize
