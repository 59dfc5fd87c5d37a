"""Block-scaled formats as fake quantizers: scales follow from the values of each block."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.names import as_format
from qerror.pytorch.gradients import apply
from qerror.pytorch.levels import working
from qerror.simulation.quantize import quantize


@torch.library.custom_op("qerror::block_levels", mutates_args=())
def block_levels(x: Tensor, form: str, axis: int) -> Tensor:
    """Return the block levels of x by `qerror.quantize`, on the host; one node of a graph."""
    levels = quantize(x.detach().cpu().numpy(), form, axis=axis, threads=1)
    return torch.as_tensor(levels, device=x.device)


@block_levels.register_fake  # pyright: ignore[reportUnknownMemberType] - torch leaves it untyped
def _shape(x: Tensor, form: str, axis: int) -> Tensor:
    """Return what a compiler has to know: the result is as wide as x, and contiguous."""
    del form, axis
    return x.new_empty(x.shape)


class _Through(Function):
    """Block levels with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, form: str, axis: int) -> Tensor:
        del ctx
        return cast("Tensor", block_levels(x.contiguous(), form, axis))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        del ctx
        return grad_outputs[0], None, None


def fake_quantize_blocks(x: Tensor, form: BlockFormat | str, axis: int = -1) -> Tensor:
    """Replace values by the levels of their blocks; the gradient goes straight through.

    Parameters
    ----------
    x : Tensor
        float16, bfloat16, float32 or float64; half precision is quantized in float32 and cast
        once. A tensor of another device makes a round trip to the host.
    form : BlockFormat or str
        The format or its name.
    axis : int
        Along which blocks are cut; the block size divides its length.

    Returns
    -------
    Tensor
        The bits of `qerror.quantize`.

    Notes
    -----
    The scale of a block is a function of its largest value, and nothing lies far beyond the
    range: the gradient is that of the identity for every value, as usual for such formats.

    Raises
    ------
    InvalidType
        If `x` holds no floating-point numbers.
    InvalidValue
        If the format has no blocks, or the block size does not divide the axis.
    """
    name = _blocks(form).name
    wide = working(x)
    if not -x.ndim <= axis < x.ndim:
        raise InvalidValue(f"axis {axis} does not exist in a tensor of shape {tuple(x.shape)}")
    return apply(_Through, wide, name, axis).to(x.dtype)


def _blocks(form: BlockFormat | str) -> BlockFormat:
    found = as_format(form)
    if not isinstance(found, BlockFormat):
        raise InvalidType(f"{found.name} has no blocks; use FakeQuantize({found.name!r})")
    return found


class BlockFakeQuantize(nn.Module):
    """`fake_quantize_blocks` as a module; nothing is calibrated, and nothing learns.

    Parameters
    ----------
    form : BlockFormat or str
        The format.
    axis : int
        Along which blocks are cut.

    Attributes
    ----------
    enabled : bool
        Whether values are quantized or passed on.
    """

    enabled: bool

    def __init__(self, form: BlockFormat | str, axis: int = -1) -> None:
        super().__init__()
        self.form = _blocks(form)
        self.axis = axis
        self.enabled = True
        self._name = self.form.name

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized values, or `x` where switched off."""
        if not self.enabled:
            return x
        return apply(_Through, working(x), self._name, self.axis).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the format and the axis."""
        return f"{self._name}, axis={self.axis}"
