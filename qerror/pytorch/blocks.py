"""Block-scaled formats as fake quantizers: scales follow from the values of each block."""

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import MinMax
from qerror.formats.names import as_format
from qerror.pytorch.block_scales import Scaling, nonzero, scalers_of, tensor_scaler_of
from qerror.pytorch.gradients import Replaced, apply
from qerror.pytorch.levels import rounder_of, working


class BlockLevels:
    """The levels of a block format on tensors, what they need of the format found beforehand.

    Parameters
    ----------
    form : BlockFormat
        The format.
    """

    def __init__(self, form: BlockFormat) -> None:
        self.form = form
        self._rounder = rounder_of(form.element)
        self._scalers, self._tensor_scaler = scalers_of(form), tensor_scaler_of(form)
        self._most = float(2**form.element.bits - 1)
        self._by_mae = getattr(form.scale, "error", "mse") == "mae"
        self._affine = isinstance(form.scale, MinMax)

    def __reduce__(self) -> tuple[type["BlockLevels"], tuple[BlockFormat]]:
        """Pickle and copy the format; the rest follows."""
        return BlockLevels, (self.form,)

    def __call__(self, x: Tensor, axis: int) -> Tensor:
        """Return the levels of float32 or float64 values, blocks along an axis.

        Raises
        ------
        InvalidValue
            If the axis does not exist, or the block size does not divide it.
        """
        source = x.movedim(self._checked(x, axis), -1)
        if not x.numel():
            return x.clone()
        blocks = source.reshape(-1, self.form.block_size)
        tensor = self._tensor_scaler(source)
        scaling, *others = (scaler(blocks, tensor) for scaler in self._scalers)
        y = self._results(blocks, scaling)
        for other in others:
            z = self._results(blocks, other)
            y = torch.where(self._error(z, blocks) < self._error(y, blocks), z, y)
        return y.reshape(source.shape).movedim(-1, axis)

    def _checked(self, x: Tensor, axis: int) -> int:
        if not -x.ndim <= axis < x.ndim:
            raise InvalidValue(f"axis {axis} does not exist in a tensor of shape {tuple(x.shape)}")
        size = self.form.block_size
        if x.shape[axis] % size:
            raise InvalidValue(
                f"blocks of {size} do not divide axis {axis} of shape {tuple(x.shape)}; "
                "pad it, or choose another axis or block size"
            )
        return axis

    def _results(self, x: Tensor, scaling: Scaling) -> Tensor:
        """Return the levels of the blocks at their scales."""
        if self._affine:
            return self._steps(x, scaling)
        unit = scaling.unit
        if self._rounder.factor != 1:
            unit = unit * torch.full((), self._rounder.factor, dtype=x.dtype, device=x.device)
        wide = self._widened(x) / nonzero(unit)
        return (self._rounder(wide) * unit).to(x.dtype)

    def _widened(self, x: Tensor) -> Tensor:
        """Return x in float64 where float32 does not hold every step to the element's levels."""
        return x if self._rounder.single else x.to(torch.float64)

    def _steps(self, x: Tensor, scaling: Scaling) -> Tensor:
        """Return equal steps from the smallest value on, or about a zero point."""
        unit, low, zero = scaling
        if low is not None:
            v = torch.round(self._widened(x - low) / nonzero(unit))
            return (torch.clamp(v, 0, self._most) * unit).to(x.dtype) + low
        v = torch.round(self._widened(x) / nonzero(unit))
        start = -cast("Tensor", zero)
        v = torch.clamp(v, start, self._most + start) + 0.0  # one zero, without a sign
        return (v * unit).to(x.dtype)

    def _error(self, y: Tensor, x: Tensor) -> Tensor:
        """Return what the choice between candidates compares, added in the values' order."""
        off = y.to(torch.float64) - x
        each = off.abs() if self._by_mae else off * off
        total = torch.zeros_like(each[:, :1])
        for column in torch.split(each, 1, dim=1):
            total = total + column
        return total


def fake_quantize_blocks(x: Tensor, form: BlockFormat | str, axis: int = -1) -> Tensor:
    """Replace values by the levels of their blocks; the gradient goes straight through.

    Parameters
    ----------
    x : Tensor
        float16, bfloat16, float32 or float64; half precision is quantized in float32 and cast
        once.
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
        If `x` holds no floating-point numbers, or the format has no blocks.
    InvalidValue
        If the axis does not exist, or the block size does not divide it.
    """
    wide, name = working(x), form if isinstance(form, str) else form.name
    return apply(Replaced, wide, _levels(wide.detach(), name, axis)).to(x.dtype)


# One node of a graph: a compiler need not follow how a name becomes a format.
@torch.library.custom_op("qerror::block_levels", mutates_args=())
def _levels(x: Tensor, form: str, axis: int) -> Tensor:
    """Return the block levels of x."""
    return block_levels(form)(x, axis).contiguous()


@_levels.register_fake  # pyright: ignore[reportUnknownMemberType] - torch leaves it untyped
def _shape(x: Tensor, form: str, axis: int) -> Tensor:
    """Return what a compiler has to know: the result is as wide as x, and contiguous."""
    del form, axis
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@lru_cache(maxsize=64)
def block_levels(form: BlockFormat | str) -> BlockLevels:
    """Return what makes block levels.

    Raises
    ------
    InvalidType
        If the format has no blocks.
    """
    found = as_format(form)
    if not isinstance(found, BlockFormat):
        raise InvalidType(f"{found.name} has no blocks; use FakeQuantize({found.name!r})")
    return BlockLevels(found)


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
        self._levels = block_levels(form)
        self.form = self._levels.form
        self.axis = axis
        self.enabled = True

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized values, or `x` where switched off."""
        if not self.enabled:
            return x
        wide = working(x)
        return apply(Replaced, wide, self._levels(wide.detach(), self.axis)).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the format and the axis."""
        return f"{self.form.name}, axis={self.axis}"
