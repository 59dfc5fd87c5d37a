"""Block formats in PyTorch: the array quantizer's bits, a straight-through gradient."""

import copy

import pytest
import torch
from torch import Tensor, nn

from qerror import quantize
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import FORMATS
from qerror.formats.block import BlockFormat
from qerror.pytorch import BlockFakeQuantize, fake_quantize_blocks, quantize_weight

BLOCKS = [
    name
    for name, form in FORMATS.items()
    if isinstance(form, BlockFormat) and form.block_size <= 64
]


def data(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("name", BLOCKS)
def test_bits_of_the_array_quantizer(name: str, axis: int) -> None:
    x = data(64, 64).requires_grad_()
    y = fake_quantize_blocks(x, name, axis)
    wanted = torch.from_numpy(quantize(x.detach().numpy(), name, axis=axis))
    assert torch.equal(y.detach().view(torch.int32), wanted.view(torch.int32))
    (dx,) = torch.autograd.grad(y, x, data(64, 64))
    assert torch.equal(dx, data(64, 64))


def test_half_precision_and_strides() -> None:
    x = data(64, 32).t()
    y = fake_quantize_blocks(x, "mxfp4", 1)
    assert torch.equal(y, fake_quantize_blocks(x.contiguous(), "mxfp4", 1))
    half = x.to(torch.bfloat16)
    wanted = fake_quantize_blocks(half.float(), "mxfp8_e4m3").to(torch.bfloat16)
    assert torch.equal(fake_quantize_blocks(half, "mxfp8_e4m3"), wanted)


@pytest.mark.filterwarnings(
    # torch's own: its tracer instantiates an abstract Function
    "ignore:<class 'torch.autograd.function.Function'> should not:DeprecationWarning"
)
def test_compiles_exports_copies() -> None:
    module = BlockFakeQuantize("mxfp4")
    x = data(4, 64).requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")
    y = compiled(x)
    assert torch.equal(y, module(x))
    (dx,) = torch.autograd.grad(y, x, data(4, 64))
    assert torch.equal(dx, data(4, 64))
    program = torch.export.export(module, (x.detach(),))
    assert torch.equal(program.module()(x), module(x))
    module.enabled = False
    assert module(x) is x


def test_on_a_weight() -> None:
    layer = quantize_weight(nn.Linear(64, 4), BlockFakeQuantize("nvfp4"))
    layer(data(8, 64)).sum().backward()
    original = layer.get_parameter("parametrizations.weight.original")
    assert original.grad is not None
    weight = layer.weight
    assert isinstance(weight, Tensor)
    assert torch.equal(weight, fake_quantize_blocks(original, "nvfp4"))


def test_bad_input() -> None:
    with pytest.raises(InvalidType, match="has no blocks"):
        BlockFakeQuantize("int8")
    with pytest.raises(InvalidValue, match="do not divide"):
        fake_quantize_blocks(data(70), "mxfp4")
    with pytest.raises(InvalidValue, match="axis 1 does not exist"):
        fake_quantize_blocks(data(64), "mxfp4", 1)
    with pytest.raises(InvalidType, match="int64"):
        fake_quantize_blocks(torch.arange(64), "mxfp4")
