"""On an accelerator: the bits of the processor, and nothing left behind on the processor.

Without one, quantizers run on tensors without values ("meta"), which are on no processor either:
what mixes devices, or looks at values, fails there as well.
"""

import copy

import pytest
import torch
from torch import Tensor

from qerror.pytorch import METHODS, BlockFakeQuantize, FakeQuantize, fake_quantize_blocks

BLOCKS = ["mxfp4", "mxfp8_e4m3:rceil", "nvfp4", "nvfp4:4over6", "nf4:g64", "int4:g32:affine"]
REAL = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def example(method: str) -> FakeQuantize:
    setting = METHODS[method].example
    return FakeQuantize(setting.form, method, role=setting.role, asymmetric=setting.asymmetric)


def data(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def calibrated(method: str) -> FakeQuantize:
    quantizer = example(method)
    quantizer.calibrate(data(64, 512))
    return quantizer.eval()


def results(quantizer: FakeQuantize, x: Tensor, upstream: Tensor) -> tuple[Tensor, ...]:
    """Return y, dx and the parameters' gradients."""
    leaf = x.clone().requires_grad_()
    y = quantizer(leaf)
    y.backward(upstream)
    assert leaf.grad is not None
    grads = [each.grad for each in quantizer.parameters() if each.grad is not None]
    return y.detach(), leaf.grad, *grads


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_processor(method: str) -> None:
    far = calibrated(method).to("meta")
    x = torch.empty(64, 512, device="meta")
    found = results(far, x, torch.empty_like(x))
    assert {each.device.type for each in found} == {"meta"}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_leave_nothing_on_the_processor(name: str) -> None:
    x = torch.empty(64, 512, device="meta", requires_grad=True)
    y = BlockFakeQuantize(name)(x)
    y.backward(torch.empty_like(y))
    assert x.grad is not None
    assert {y.device.type, x.grad.device.type} == {"meta"}


@REAL
@pytest.mark.parametrize("method", METHODS)
def test_bits_of_every_method(method: str) -> None:
    near = calibrated(method)
    far = copy.deepcopy(near).to("cuda")
    x, upstream = data(64, 512, seed=1), data(64, 512, seed=2)
    wanted = results(near, x, upstream)
    found = results(far, x.cuda(), upstream.cuda())
    exact = {
        "dorefa",
        "dorefa-unit",
        "dsq",
    }  # tanh and its like are a library's, within an ulp or two
    for i, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        if i == 0 and method not in exact:
            assert torch.equal(ours.cpu(), theirs)
        else:
            torch.testing.assert_close(ours.cpu(), theirs, rtol=2e-5, atol=2e-6)


@REAL
@pytest.mark.parametrize("method", METHODS)
def test_calibrated_there(method: str) -> None:
    far = example(method).to("cuda")
    far.calibrate(data(64, 512).cuda())
    near = calibrated(method)
    for ours, theirs in zip(far.state_dict().values(), near.state_dict().values(), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-6, atol=0)


@REAL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", BLOCKS)
def test_bits_of_blocks(name: str, dtype: torch.dtype) -> None:
    x = (data(64, 512) * torch.exp2(torch.linspace(-30, 30, 64))[:, None]).to(dtype)
    ours = fake_quantize_blocks(x.cuda(), name).cpu()
    assert torch.equal(ours, fake_quantize_blocks(x, name))


@REAL
@pytest.mark.parametrize("name", BLOCKS)
def test_compiled_code_strays_only_next_to_thresholds(name: str) -> None:
    """Triton divides within two ulp and contracts a product and a sum; powers of two are exact."""
    x = data(64, 512).cuda()
    module = BlockFakeQuantize(name).to("cuda")
    torch.compiler.reset()
    ours, wanted = torch.compile(module, fullgraph=True)(x), module(x)
    if name.startswith("mx"):
        assert torch.equal(ours, wanted)
    near = torch.isclose(ours, wanted, rtol=1e-6, atol=1e-6)
    assert (~near).float().mean() < 1e-3
