"""Numbers that are no scales: refused where they are plain, without harm where they learn."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch import BlockFakeQuantize, FakeQuantize, quantize, quantize_weight
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.methods.fixed import length_of

X = torch.linspace(-2, 2, 9)

PLAIN: dict[str, Callable[[Tensor, float], Tensor]] = {
    "quantize": lambda x, v: quantize(x, "int8", v),
    "fp": lambda x, v: F.fp(x, v, 4),
    "lsq": lambda x, v: F.lsq(x, v, low=-7, high=7),
    "lsq+": lambda x, v: F.lsq_plus(x, v, 0.0, low=-7, high=7),
    "pact": lambda x, v: F.pact(x, v, bits=4, form="unsigned"),
    "dsq": lambda x, v: F.dsq(x, v, low=-7, high=7),
    "qil": lambda x, v: F.qil(x, 1.0, v, bits=4),
    "apot": F.apot,
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_plain_number_that_is_no_scale_is_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=r"must be (positive|finite)"):
        PLAIN[name](X, value)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in PLAIN if name != "quantize"])
def test_a_good_one_passes_in_a_compiled_graph(name: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(PLAIN[name], fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(X, 0.75), PLAIN[name](X, 0.75))


def test_other_plain_numbers() -> None:
    with pytest.raises(InvalidValue, match="mantissa_bits must be finite, got nan"):
        F.fp(X, 1.0, math.nan)
    with pytest.raises(InvalidValue, match="beta must be below alpha, got 2 and 1"):
        F.pact(X, 1.0, 2.0, bits=4, form="asymmetric")
    with pytest.raises(InvalidValue, match="zero_point must be finite"):
        F.lsq(X, 1.0, math.nan, low=-7, high=7)
    with pytest.raises(InvalidValue, match="log2_t must be finite"):
        F.tqt(X, math.inf, bits=4)
    with pytest.raises(InvalidType, match="s must be a real number"):
        F.lsq(X, "1", low=-7, high=7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match=r"c must be at least 1.18e-38 for torch.float32"):
        F.fp(X, 1e-40, 4)


def test_a_clip_of_f8net_that_is_zero_comes_back() -> None:
    alpha = torch.zeros((), requires_grad=True)
    x = X.clone().requires_grad_()
    y = F.f8net_pact(x, alpha, word_length=8, fractional_length=4)
    torch.autograd.backward(y.sum())
    assert not y.detach().abs().gt(1e-20).any()
    assert alpha.grad is not None
    assert float(alpha.grad) == pytest.approx(
        4, rel=1e-7, abs=0
    )  # each is above the clip: y = abs(alpha)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_one_value_has_no_spread() -> None:
    one = torch.tensor([3.0], requires_grad=True)
    y = F.apot(one, 1.0, standardise=True)
    assert y.tolist() == [0.0]
    quantizer = FakeQuantize("int4", "apot")
    torch.autograd.backward(quantizer(torch.ones(1, 1)).sum())
    form = FakeQuantize("fixed8.6", "fixed-point").setting.form
    assert float(length_of(torch.tensor([0.3]), form)) == 7  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert torch.isfinite(FakeQuantize("fixed8.6", "fixed-point")(torch.tensor([0.3]))).all()


def test_a_weight_is_quantized_once() -> None:
    layer = quantize_weight(nn.Linear(4, 4), FakeQuantize("int4"))
    for other in (FakeQuantize("int8"), BlockFakeQuantize("int4:g4")):
        with pytest.raises(InvalidValue, match="weight of this ParametrizedLinear is quantized al"):
            quantize_weight(layer, other)
    nn.utils.parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    quantize_weight(layer, FakeQuantize("int8"))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    quantize_weight(normed, FakeQuantize("int8"))


def test_what_has_no_scale_says_so() -> None:
    with pytest.raises(InvalidValue, match="fp has no scale s; it has c, the largest level, m, th"):
        FakeQuantize("4M3E", "fp").scale()
    with pytest.raises(InvalidValue, match="dorefa has no scale s; it has no state"):
        FakeQuantize("int4", "dorefa").scale()
