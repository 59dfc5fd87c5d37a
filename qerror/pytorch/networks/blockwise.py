"""Block formats on tensors whose axis the blocks do not divide: zeros fill the last one."""

from torch import Tensor, nn
from torch.nn.functional import pad

from qerror.formats.block import BlockFormat
from qerror.pytorch.blocks import BlockFakeQuantize


class BlockwiseFakeQuantize(nn.Module):
    """`BlockFakeQuantize` along one axis, or along all that lie behind the first.

    Parameters
    ----------
    form : BlockFormat or str
    axis : int, optional
        Along which blocks are cut; None takes all axes behind the first as one, which are a
        convolution's products for one output.
    """

    enabled: bool

    def __init__(self, form: BlockFormat | str, axis: int | None = None) -> None:
        super().__init__()
        self.quantizer = BlockFakeQuantize(form, -1)
        self.axis = axis
        self.enabled = True

    @property
    def form(self) -> BlockFormat:
        """The format."""
        return self.quantizer.form

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized values, or `x` where switched off."""
        if not self.enabled:
            return x
        rows = x.flatten(1) if self.axis is None else x.movedim(self.axis, -1)
        length = rows.shape[-1]
        missing = -length % self.form.block_size
        y: Tensor = self.quantizer(pad(rows, (0, missing)))[..., :length]
        return y.reshape(x.shape) if self.axis is None else y.movedim(-1, self.axis)
