"""The module around every method: formats, dtypes, compiling, exporting, saving, copying."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qerror import quantize as on_arrays
from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats import FORMATS
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.pytorch import (
    METHODS,
    FakeQuantize,
    FixedLength,
    PerChannel,
    PerGroup,
    PowerOfTwo,
    QuantizedConcat,
    QuantizedInput,
    calibrating,
    functional,
    quantize_weight,
    quantizers,
)
from qerror.pytorch.calibration import MSE as Least  # noqa: N811 - a loss is near
from qerror.pytorch.calibration import Ema, Fitted, MinMax, Norm
from qerror.pytorch.recipe import Role

SCALARS = [name for name, form in FORMATS.items() if isinstance(form, ScalarFormat)]


def example(method: str, **options: Any) -> FakeQuantize:
    setting = METHODS[method].example
    return FakeQuantize(
        setting.form, method, role=setting.role, asymmetric=setting.asymmetric, **options
    )


def data(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def calibrated(method: str, x: Tensor, **options: Any) -> FakeQuantize:
    quantizer = example(method, **options)
    quantizer.calibrate(x)
    return quantizer


def bits_of(x: Tensor) -> Tensor:
    return x.detach().contiguous().view(torch.int32)


@pytest.mark.parametrize("name", SCALARS)
def test_every_format_in_the_module(name: str) -> None:
    x = torch.cat([data(3000), torch.tensor([0.0, -0.0, -1e-6, 1e6, -1e6])])
    quantizer = FakeQuantize(name, calibration=MinMax())
    quantizer.calibrate(data(3000))
    wanted = on_arrays(x.numpy(), name, float(quantizer.scale()))
    assert torch.equal(bits_of(quantizer(x)), bits_of(torch.from_numpy(wanted)))


def test_levels_of_methods_are_those_of_the_array_quantizer() -> None:
    x = torch.cat([data(3000), torch.tensor([0.0, -0.0, -1e-6, 1e6, -1e6])])
    for method, name, parameter in (
        ("fp", "4M3E", "c"),
        ("fp", "2M5E", "c"),
        ("lsq", "int4", "s"),
        ("lsq", "int8:full", "s"),
        ("lsq", "uint4", "s"),
        ("dsq", "int8", "s"),
        ("pact", "int4", "alpha"),
        ("pact", "uint8", "alpha"),
    ):
        role: Role = "activation" if method == "pact" else "weight"
        quantizer = FakeQuantize(name, method, role=role, calibration=MinMax())
        quantizer.calibrate(x[:-2])
        value = float(quantizer.get_parameter_or_buffer(parameter).detach())
        form = as_scalar_format(name)
        top = form.max_value if parameter != "s" else 1.0
        scale = np.float32(value) / np.float32(top)
        wanted = on_arrays(x.numpy(), form, float(scale))
        assert torch.equal(bits_of(quantizer(x)), bits_of(torch.from_numpy(wanted))), method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_quantized_in_single_and_cast_once(
    method: str, dtype: torch.dtype
) -> None:
    quantizer = calibrated(method, data(512)).eval()
    x = data(512, seed=1).to(dtype).requires_grad_()
    y = quantizer(x)
    assert y.dtype == dtype
    assert torch.equal(y, quantizer(x.float()).to(dtype))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    for parameter in quantizer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS)
def test_autocast_changes_nothing(method: str) -> None:
    quantizer = calibrated(method, data(64, 32)).eval()
    x = data(64, 32, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        y = quantizer(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, quantizer(x))


# torch's own: its tracer instantiates an abstract Function, and reads a deprecated attribute.
TORCH_WARNS = [
    "ignore:<class 'torch.autograd.function.Function'> should not:DeprecationWarning",
    "ignore:.*isinstance.*LeafSpec.*:FutureWarning",
    "ignore:`torch.jit.script:DeprecationWarning",
]


@pytest.mark.thinned(5)
@pytest.mark.filterwarnings(*TORCH_WARNS)
@pytest.mark.parametrize("method", METHODS)
def test_compiles_as_one_graph(method: str) -> None:
    torch.compiler.reset()  # one limit of recompilations serves all instances
    quantizer = calibrated(method, data(64, 32))
    twin = copy.deepcopy(quantizer)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    x = data(64, 32, seed=1).requires_grad_()
    (plain, plain_grads), (ours, our_grads) = (
        (y, torch.autograd.grad(y, [x, *module.parameters()], data(64, 32, seed=2)))
        for y, module in ((quantizer(x), quantizer), (compiled(x), twin))
    )
    assert torch.equal(bits_of(ours), bits_of(plain))
    for grad, wanted in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings(*TORCH_WARNS)
@pytest.mark.parametrize("method", ["fp"])
def test_compiled_code_gives_the_same_bits(method: str) -> None:
    torch.compiler.reset()
    quantizer = calibrated(method, data(4096))
    twin = copy.deepcopy(quantizer)
    compiled = torch.compile(twin, fullgraph=True)
    x = torch.cat([data(4093, seed=1), torch.tensor([0.0, -0.0, -1e-9])])
    assert torch.equal(bits_of(compiled(x)), bits_of(quantizer(x)))
    with torch.no_grad():
        for name, parameter in quantizer.named_parameters():
            parameter.mul_(1.1 if name == "c" else 1.0)
            twin.get_parameter(name).copy_(parameter)
    assert torch.equal(bits_of(compiled(x)), bits_of(quantizer(x)))


@pytest.mark.filterwarnings(*TORCH_WARNS)
@pytest.mark.parametrize("method", METHODS)
def test_exports(method: str) -> None:
    quantizer = calibrated(method, data(16, 8)).eval()
    x = data(16, 8, seed=1)
    program = torch.export.export(copy.deepcopy(quantizer), (x,))
    assert torch.equal(program.module()(x), quantizer(x))


@pytest.mark.parametrize("method", METHODS)
def test_state_travels(method: str) -> None:
    quantizer = calibrated(method, data(512) * 3)
    quantizer(data(512))
    quantizer.eval()
    other = example(method).eval()
    other.load_state_dict(quantizer.state_dict())
    x = data(512, seed=1)
    for twin in (other, copy.deepcopy(quantizer), pickle.loads(pickle.dumps(quantizer))):
        assert torch.equal(twin(x), quantizer(x))
        assert not twin.training
        other.calibrate(data(512))  # a loaded one calibrates again
        other.load_state_dict(quantizer.state_dict())


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].states(METHODS[m].example)])
def test_parameters_move_after_calibration(method: str) -> None:
    """Calibration writes in place: what an optimizer holds goes on learning."""
    quantizer = example(method)
    learnt = dict(quantizer.named_parameters())
    if not learnt:
        assert not any(state.learns for state in quantizer.states)
        return
    optimizer = torch.optim.SGD(learnt.values(), lr=1e-2)
    quantizer.calibrate(data(512))
    before = {name: value.detach().clone() for name, value in learnt.items()}
    loss = (quantizer(data(512, seed=1) * 3) * data(512, seed=2)).sum()
    loss.backward()
    optimizer.step()
    for name, value in quantizer.named_parameters():
        assert value is learnt[name]
        assert not torch.equal(value, before[name]), name


@pytest.mark.parametrize("rule", [PowerOfTwo(), FixedLength(8)])
def test_powers_of_two_stay_so(rule: Any) -> None:
    quantizer = FakeQuantize("int4", "lsq", scale_rule=rule, calibration=Least())
    quantizer.calibrate(data(512))
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.3)
    seen: set[float] = set()
    for step in range(40):
        optimizer.zero_grad()
        x = data(512, seed=step) * (1 + step / 5)
        (quantizer(x) - x).square().mean().backward()
        optimizer.step()
        scale = float(quantizer.scale().detach())
        assert np.frexp(scale)[0] == 0.5
        codes = quantizer(x).detach() / scale
        assert torch.equal(codes, codes.round())
        seen.add(scale)
    assert len(seen) > 1


@pytest.mark.parametrize("method", ["straight-through", "lsq", "dsq"])
def test_channels_and_groups(method: str) -> None:
    weight = data(6, 4, 8) * torch.arange(1.0, 7)[:, None, None]
    options: dict[str, Any] = {"calibration": MinMax(), "learn": ["s"]}
    by_channel = FakeQuantize("int8", method, granularity=PerChannel(6), **options)
    by_channel.calibrate(weight)
    y = by_channel(weight)
    for i in range(6):
        alone = FakeQuantize("int8", method, **options)
        alone.calibrate(weight[i])
        assert torch.equal(alone(weight[i]), y[i])
    by_group = FakeQuantize("int8", method, granularity=PerGroup((6, 4, 8), 4), **options)
    by_group.calibrate(weight)
    y = by_group(weight)
    assert y.shape == weight.shape
    alone = FakeQuantize("int8", method, **options)
    alone.calibrate(weight[2, 1, 4:])
    assert torch.equal(alone(weight[2, 1, 4:]), y[2, 1, 4:])
    y.sum().backward()
    assert by_group.get_parameter("s").shape == (6, 4, 2)
    middle = FakeQuantize("int8", method, granularity=PerGroup((6, 4, 8), 2, axis=1), **options)
    middle.calibrate(weight)
    torch.testing.assert_close(
        middle(weight), weight, rtol=0, atol=float(middle.scale().detach().max())
    )


def test_a_channels_gradient_scale_counts_its_own_values() -> None:
    weight, upstream = data(6, 32), data(6, 32, seed=1)
    whole = FakeQuantize("int4", "lsq", granularity=PerChannel(6))
    whole.calibrate(weight)
    (whole(weight) * upstream).sum().backward()
    alone = FakeQuantize("int4", "lsq")
    alone.calibrate(weight[3])
    (alone(weight[3]) * upstream[3]).sum().backward()
    grads = whole.get_parameter("s").grad, alone.get_parameter("s").grad
    assert grads[0] is not None
    assert grads[1] is not None
    torch.testing.assert_close(grads[0][3], grads[1])


def test_weights_by_parametrization() -> None:
    layer = nn.Linear(8, 4)
    plain = layer.weight
    quantize_weight(layer, FakeQuantize("int4", "lsq", granularity=PerChannel(4)))
    assert torch.unique(layer.weight[0]).numel() <= 15
    assert not torch.equal(layer.weight, plain)
    x = data(16, 8)
    layer(x).square().sum().backward()
    assert plain.grad is not None
    assert plain.grad.abs().sum() > 0
    assert {name.rpartition(".")[2] for name, _ in layer.named_parameters()} == {
        "bias",
        "original",
        "s",
    }
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(x), layer(x))
    torch.nn.utils.parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert torch.equal(layer.weight, plain)
    with pytest.raises(InvalidValue, match="no parameter 'kernel'"):
        quantize_weight(layer, FakeQuantize("int4"), "kernel")
    with pytest.raises(InvalidValue, match="activations"):
        quantize_weight(layer, FakeQuantize("int4", role="activation"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first = quantize_weight(nn.Linear(8, 8), FakeQuantize("int8"))
    second = quantize_weight(nn.Linear(8, 4), FakeQuantize("int8", "lsq"))
    active = FakeQuantize("uint8", "pact", role="activation")
    return nn.Sequential(first, nn.ReLU(), QuantizedInput(second, active))


@pytest.mark.filterwarnings(*TORCH_WARNS)
def test_a_network_calibrates_trains_saves_and_exports() -> None:
    model = network()
    assert len(list(quantizers(model))) == 3
    with calibrating(model):
        for i in range(3):
            model(data(32, 8, seed=i))
    assert not any(q.observing for q in quantizers(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses: list[float] = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (model(data(64, 8)) - data(64, 4, seed=9)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    other = network()
    other.load_state_dict(model.state_dict())
    x = data(16, 8, seed=7)
    assert torch.equal(other(x), model(x))
    program = torch.export.export(model.eval(), (x,))
    assert torch.equal(program.module()(x), model(x))


def test_parts_of_a_concatenation_share_one_range() -> None:
    quantizer = FakeQuantize("int8", role="activation", calibration=MinMax())
    joined = QuantizedConcat(quantizer, 1)
    parts = [data(4, 2), 5 * data(4, 3, seed=1)]
    with calibrating(joined):
        joined(parts)
    largest = max(float(part.abs().max()) for part in parts)
    assert float(quantizer.scale()) * 127 == pytest.approx(largest, rel=1e-7, abs=0)
    codes = joined(parts) / quantizer.scale()
    assert torch.allclose(codes, codes.round(), atol=1e-4)
    for wrong in (
        FakeQuantize("int8"),
        FakeQuantize("int8", role="activation", granularity=PerChannel(4)),
    ):
        with pytest.raises(InvalidValue, match="share one range"):
            QuantizedConcat(wrong)


def test_flags() -> None:
    quantizer = calibrated("lsq", data(64))
    x = data(64)
    quantizer.enabled = False
    assert quantizer(x) is x
    quantizer.enabled = True
    assert not torch.equal(quantizer(x), x)
    before = quantizer.get_parameter("s").detach().clone()
    with calibrating(quantizer):  # nothing passes: nothing changes
        pass
    assert torch.equal(quantizer.get_parameter("s"), before)


def test_an_error_inside_calibration_leaves_ranges_alone() -> None:
    quantizer = FakeQuantize("int8", role="activation")
    with pytest.raises(InvalidValue, match="NaN"), calibrating(quantizer):
        quantizer(torch.tensor([1.0, float("nan")]))
    assert float(quantizer.scale()) == 1.0
    assert not quantizer.observing


def test_nothing_of_a_calibration_that_failed_is_left_for_the_next() -> None:
    quantizer = FakeQuantize("int8", role="activation", calibration=MinMax())
    large, wrong, ones = torch.full((4,), 1000.0), torch.tensor([float("nan")]), torch.ones(4)
    with pytest.raises(InvalidValue, match="NaN"), calibrating(quantizer):
        _ = [quantizer(each) for each in (large, wrong)]
    with calibrating(quantizer):
        quantizer(ones)
    assert float(quantizer.scale()) * 127 == pytest.approx(1.0, rel=1e-7, abs=0)
    with pytest.raises(InvalidValue, match="NaN"):
        quantizer.calibrate([large, wrong])
    with calibrating(quantizer):
        quantizer(ones)
    assert float(quantizer.scale()) * 127 == pytest.approx(1.0, rel=1e-7, abs=0)


def test_a_range_beyond_the_dtype_of_the_state_is_refused() -> None:
    quantizer, x = FakeQuantize("int8", calibration=MinMax()), data(64).double() * 1e200
    with pytest.raises(InvalidValue, match=r"s would be .*beyond torch\.float32"):
        quantizer.calibrate(x)
    assert float(quantizer.scale()) == 1.0
    quantizer.double().calibrate(x)
    assert (quantizer(x) - x).abs().max() <= x.abs().max() / 254 * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_mantissa_bits_kept_in_another_dtype_are_the_same(dtype: torch.dtype) -> None:
    quantizer, x = example("fp").to(dtype), data(256)
    assert quantizer.get_parameter("m").dtype == dtype
    quantizer.get_parameter("c").data.fill_(4.0)
    expected = functional.fp(x, 4.0, 4)
    assert torch.equal(bits_of(quantizer(x)), bits_of(expected))


def test_moving_averages_in_a_module() -> None:
    quantizer = FakeQuantize("int8", role="activation", calibration=MinMax(), accumulator=Ema(0.5))
    quantizer.calibrate([torch.tensor([-1.0, 1.0]), torch.tensor([-3.0, 3.0])])
    assert float(quantizer.scale()) * 127 == pytest.approx(2.0, rel=1e-7, abs=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [torch.zeros(32), torch.full((32,), 0.7), torch.full((32,), -1e-30)])
def test_never_a_nan(method: str, x: Tensor) -> None:
    quantizer = calibrated(method, x)
    tracked = x.clone().requires_grad_()
    y = quantizer(tracked)
    y.sum().backward()
    assert tracked.grad is not None
    for value in (y, tracked.grad, *quantizer.state_dict().values()):
        assert torch.isfinite(value).all()
    if not x.any():
        assert not y.detach().any() or method == "lsq+"


def test_a_range_at_zero_or_below_gives_no_nan_and_comes_back() -> None:
    quantizer = FakeQuantize("int4", "lsq")
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=100.0)
    with torch.no_grad():
        quantizer.get_parameter("s").fill_(-1.0)
    x = data(256)
    (quantizer(x) - x).square().mean().backward()
    assert torch.isfinite(quantizer(x)).all()
    optimizer.step()
    assert float(quantizer.get_parameter("s").detach()) > 0


UNSUPPORTED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("fp", "int8", {}),
    ("fp", "e4m3", {}),
    ("fp", "4M3E", {"scale_rule": PowerOfTwo()}),
    ("lsq", "4M3E", {}),
    ("lsq+", "5M2E", {}),
    ("pact", "int8:full", {"role": "activation"}),
    ("pact", "uint8", {"scale_rule": PowerOfTwo(), "asymmetric": True}),
    ("pact", "uint8", {"rule": "exact"}),
    ("dorefa", "int8:full", {}),
    ("dorefa", "uint4", {}),
    ("dsq", "int4", {"rule": "exact"}),
    ("qil", "uint4", {}),
    ("apot", "int8", {}),
    ("apot", "int4", {"granularity": PerChannel(4)}),
    ("tqt", "int8", {}),
    ("fixed-point", "int8", {}),
    ("f8net", "fixed8.4:full", {}),
    ("straight-through", "uint8:zp=3", {"asymmetric": True}),
    ("straight-through", "nf4", {"asymmetric": True}),
    ("straight-through", "4M3E", {"asymmetric": True}),
)


@pytest.mark.parametrize(("method", "form", "options"), UNSUPPORTED)
def test_what_a_method_does_not_take_is_refused(
    method: str, form: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue, match=f"{method.replace('+', '.')} takes .*; got"):
        FakeQuantize(form, method, **options)


def test_other_bad_input() -> None:
    with pytest.raises(UnknownName, match="did you mean lsq"):
        FakeQuantize("int8", "lsqq")
    with pytest.raises(InvalidValue, match="has no t to learn; it has s"):
        FakeQuantize("int8", "lsq", learn=["t"])
    with pytest.raises(InvalidType, match="int64"):
        FakeQuantize("int8")(torch.arange(3))
    with pytest.raises(InvalidValue, match="expected 4 channels"):
        FakeQuantize("int8", granularity=PerChannel(4))(torch.ones(3, 3))
    with pytest.raises(InvalidValue, match="nothing was observed"):
        FakeQuantize("int8").calibrate([])
    with pytest.raises(InvalidValue, match="role='activation'"):
        QuantizedInput(nn.ReLU(), FakeQuantize("int8"))
    with pytest.raises(InvalidType, match="use BlockFakeQuantize"):
        FakeQuantize("mxfp4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "activations"}, "role must be 'weight' or 'activation'"),
        ({"rule": "ste"}, "rule must be 'straight-through' or 'exact'"),
        ({"granularity": "channel"}, "granularity must be of type Granularity, got 'channel'"),
        ({"scale_rule": PowerOfTwo}, "scale_rule must be of type ScaleRule, got PowerOfTwo, the"),
        ({"calibration": "mse"}, "calibration must be of type Calibration, got 'mse'"),
        ({"accumulator": Ema}, "accumulator must be of type Accumulator, got Ema, the class"),
    ],
)
def test_pieces_of_another_kind_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidType, InvalidValue), match=message):
        FakeQuantize("int8", **options)


def test_start_of_lsq_plus() -> None:
    x = data(4096)
    quantizer = FakeQuantize("int4", "lsq+")
    quantizer.calibrate(x)
    reach = max(abs(float(x.mean() + sign * 3 * x.std())) for sign in (1, -1))
    assert float(quantizer.scale().detach()) == pytest.approx(reach / 8, rel=1e-6, abs=0)
    shifted = FakeQuantize("uint4", "lsq+", role="activation", asymmetric=True)
    shifted.calibrate(x)
    low, high = float(x.min()), float(x.max())
    assert float(shifted.scale().detach()) == pytest.approx((high - low) / 15, rel=1e-6, abs=0)


def test_the_running_length_of_f8net() -> None:
    quantizer = example("f8net")
    x = data(4096).relu()
    sigma = float(x.std())
    length = np.clip(np.floor(np.log2(70 / sigma)), 0, 8)
    quantizer(x)
    assert float(quantizer.get_buffer("length")) == pytest.approx(
        0.9 * 6 + 0.1 * length, rel=1e-7, abs=0
    )
    kept = float(quantizer.get_buffer("length"))
    quantizer.eval()(x)
    assert float(quantizer.get_buffer("length")) == kept


def test_learn_chooses_parameters() -> None:
    only = FakeQuantize("4M3E", "fp", learn=["c"])
    assert [name for name, _ in only.named_parameters()] == ["c"]
    assert [name for name, _ in only.named_buffers()] == ["m"]
    fixed = FakeQuantize("int8", "lsq", learn=(), calibration=Norm(2))
    assert not list(fixed.parameters())
    fitted = FakeQuantize("int8", calibration=Fitted())
    fitted.calibrate(data(4096))
    assert 3 < float(fitted.scale()) * 127 < 4.5
