"""Block formats in PyTorch: the array quantizer's bits, a straight-through gradient."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror import quantize
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import FORMATS
from qerror.formats.block import BlockFormat
from qerror.pytorch import BlockFakeQuantize, fake_quantize_blocks, quantize_weight

BLOCKS = [
    *(
        name
        for name, form in FORMATS.items()
        if isinstance(form, BlockFormat) and form.block_size <= 64
    ),
    *("mxfp4:rceil", "mxfp4:ceil", "mxfp8_e4m3:even", "mxint8:theta=0.7", "mxfp6_e2m3:theta=3.3"),
    *("nvfp4:of=tensor", "nvfp4:of=32", "nvfp4:tensor=0.01", "nvfp4:smallest=0.001953125"),
    *("nvfp4:4over6:of=tensor", "nvfp4:4over6=mae", "int8:g16:scale=fp16", "nf4:g32:scale=bf16"),
    *("int4:g32:alpha=0.9", "int4:g32:affine=integer", "int16:g32:affine", "int24:g8:affine"),
    *("int4:full:g16", "int24:g16", "4M3E:bias=3.9:g16", "0M7E:g16", "fp16:g16"),
]
"""Of every rule of scales; elements that float32 does not hold too."""


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


def hard(dtype: torch.dtype) -> Tensor:
    """Return values of all magnitudes, zeros, ties, subnormals and what is not finite."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(9, 512, generator=generator, dtype=torch.float64)
    x = x * torch.exp2(torch.linspace(-30, 30, 9, dtype=torch.float64))[:, None]
    x[1], x[2, :64] = 0.0, -0.0
    x[3] *= 1e-36
    x[4, 5], x[5, 100], x[5, 300] = torch.inf, torch.nan, -torch.inf
    x[6] = torch.round(x[6] / x[6].abs().amax() * 16) / 4
    x[7] *= 1e-40 / x[7].abs().amax()
    return x.to(dtype)


def same_bits(ours: Tensor, wanted: Tensor) -> bool:
    kind = torch.int64 if wanted.dtype == torch.float64 else torch.int32
    nan = torch.isnan(wanted)
    same = torch.where(nan, torch.isnan(ours), ours.view(kind) == wanted.view(kind))
    return bool(same.all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", BLOCKS)
def test_bits_of_hard_values(name: str, dtype: torch.dtype) -> None:
    x = hard(dtype)
    with np.errstate(all="ignore"):
        wanted = quantize(x.numpy(), name, engine="numpy")
    assert same_bits(fake_quantize_blocks(x, name), torch.from_numpy(wanted))


def test_half_precision_and_strides() -> None:
    x = data(64, 32).t()
    y = fake_quantize_blocks(x, "mxfp4", 1)
    assert torch.equal(y, fake_quantize_blocks(x.contiguous(), "mxfp4", 1))
    half = x.to(torch.bfloat16)
    wanted = fake_quantize_blocks(half.float(), "mxfp8_e4m3").to(torch.bfloat16)
    assert torch.equal(fake_quantize_blocks(half, "mxfp8_e4m3"), wanted)


# torch's own: its tracer instantiates an abstract Function, and reads a deprecated attribute.
TORCH_WARNS = [
    "ignore:<class 'torch.autograd.function.Function'> should not:DeprecationWarning",
    "ignore:`torch.jit.script:DeprecationWarning",
]
TRACED = [
    "mxfp4", "mxfp8_e4m3:rceil", "nvfp4:of=tensor", "nvfp4:4over6", "nf4:g64", "int4:g32:affine"
]  # fmt: skip


@pytest.mark.thinned(3)
@pytest.mark.filterwarnings(*TORCH_WARNS)
@pytest.mark.parametrize("name", TRACED)
def test_compiles_exports_copies(name: str) -> None:
    module = BlockFakeQuantize(name)
    x = hard(torch.float32).requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager")
    y = compiled(x)
    assert same_bits(y.detach(), module(x).detach())
    upstream = data(9, 512)
    (dx,) = torch.autograd.grad(y, x, upstream)
    assert torch.equal(dx, upstream)
    pure = torch.compile(fake_quantize_blocks, fullgraph=True, backend="aot_eager")
    assert same_bits(pure(x, name).detach(), y.detach())
    program = torch.export.export(module, (x.detach(),))
    assert same_bits(program.module()(x).detach(), y.detach())
    twin = pickle.loads(pickle.dumps(module))
    assert same_bits(twin(x).detach(), y.detach())
    module.enabled = False
    assert module(x) is x


@pytest.mark.thinned(3)
@pytest.mark.slow
@pytest.mark.filterwarnings(*TORCH_WARNS)
@pytest.mark.parametrize("name", ["mxfp4", "nvfp4:of=tensor", "nf4:g64"])
def test_compiled_code_gives_the_same_bits(name: str) -> None:
    module = BlockFakeQuantize(name)
    torch.compiler.reset()
    x = hard(torch.float32)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True)
    assert same_bits(compiled(x), module(x))


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
        BlockFakeQuantize("mxfp4")(data(70))
    with pytest.raises(InvalidValue, match="share a tensor scale"):
        fake_quantize_blocks(data(2, 64), "nvfp4:of=48")
    assert fake_quantize_blocks(torch.empty(0, 32), "mxfp4").shape == (0, 32)
    with pytest.raises(InvalidValue, match="do not divide"):
        fake_quantize_blocks(data(70), "mxfp4")
    with pytest.raises(InvalidValue, match="axis 1 does not exist"):
        fake_quantize_blocks(data(64), "mxfp4", 1)
    with pytest.raises(InvalidType, match="int64"):
        fake_quantize_blocks(torch.arange(64), "mxfp4")
