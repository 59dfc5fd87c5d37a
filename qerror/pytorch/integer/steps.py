"""A network's graph as the few steps that integers can do, with normalisations folded."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.folding.batch_norm import NORMS
from qerror.pytorch.networks.layers import checked_batches

Kind: TypeAlias = Literal["convolution", "linear", "add", "average", "largest", "clip", "flatten"]

_CLIPS = (nn.ReLU, nn.ReLU6)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)
_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    F.relu: "relu",
    torch.relu: "relu",
    F.relu6: "relu6",
    torch.flatten: "flatten",
    F.adaptive_avg_pool2d: "global",
    F.avg_pool2d: "average",
    F.max_pool2d: "largest",
    F.dropout: "nothing",
}
_METHODS = {"add": "add", "relu": "relu", "flatten": "flatten", "mean": "mean"}


@dataclass
class Step:
    """One step in floating point: what it takes, what it does, how its result is clipped."""

    name: str
    kind: Kind
    inputs: list[str]
    weight: Tensor | None = None
    bias: Tensor | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    window: tuple[int, int] | None = None
    """Of a pool; None is the whole image."""
    low: float = -float("inf")
    high: float = float("inf")
    users: int = field(default=0)

    def compute(self, given: list[Tensor]) -> Tensor:
        """Return the result before any clip."""
        x = given[0]
        if self.kind == "convolution":
            assert self.weight is not None
            return F.conv2d(
                x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
            )
        if self.kind == "linear":
            assert self.weight is not None
            return F.linear(x, self.weight, self.bias)
        if self.kind == "add":
            return given[0] + given[1]
        if self.kind == "average":
            return F.avg_pool2d(x, self.window or x.shape[2:], self.stride)
        if self.kind == "largest":
            return F.max_pool2d(x, self.window or x.shape[2:], self.stride, self.padding)
        return x.flatten(1) if self.kind == "flatten" else x

    def clipped(self, y: Tensor) -> Tensor:
        """Return a result within the step's clip."""
        return y.clamp(self.low, self.high)


def steps_of(model: nn.Module) -> list[Step]:
    """Return the steps of a network in evaluation mode, in order.

    Raises
    ------
    InvalidValue
        If a normalisation is in training mode, the network cannot be traced, or a layer is none
        that integers express: the message names it.
    """
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and module.training:
            raise InvalidValue(
                f"normalisation {name!r} is in training mode: call eval() before the export"
            )
    try:
        graph = torch.fx.symbolic_trace(copy.deepcopy(model).eval())
    except Exception as error:  # what a forward may raise under tracing is not bounded
        raise InvalidValue(
            f"torch.fx cannot trace {type(model).__name__}; integers need a convolutional network "
            f"whose steps do not depend on the data ({str(error).split('. ')[0]})"
        ) from error
    return Reader(graph).read()


def images_of(data: object) -> list[Tensor]:
    """Return batches of images in float64.

    Raises
    ------
    InvalidType, InvalidValue
        If there is none, or one holds no finite floating-point images of the others' size.
    """
    images = [_image(batch) for batch in checked_batches(data)]
    if not images:
        raise InvalidValue("ranges and lengths follow from data; the iterable has no batch")
    sizes = sorted({tuple(each.shape[1:]) for each in images})
    if len(sizes) > 1:
        raise InvalidValue(f"the images must have one size, got {sizes[0]} and {sizes[1]}")
    return images


def _image(batch: object) -> Tensor:
    first: Any = batch[0] if isinstance(batch, tuple | list) else batch
    if not isinstance(first, Tensor) or not first.is_floating_point():
        raise InvalidType("the batches must be tensors of floating-point images")
    if not bool(torch.isfinite(first).all()):
        raise InvalidValue("the images hold values that are not finite")
    return first.detach().double()


def values_of(steps: Sequence[Step], x: Tensor) -> dict[str, Tensor]:
    """Return the values of every step on a batch; "" names the batch.

    The windows of pools that take the whole image are set by what comes to them.

    Raises
    ------
    InvalidValue
        If a step cannot take what comes to it.
    """
    found = {"": x}
    for step in steps:
        given = [found[name] for name in step.inputs]
        try:
            if step.kind == "average" and step.window is None:
                step.window = (given[0].shape[2], given[0].shape[3])
                step.stride = step.window
            found[step.name] = step.clipped(step.compute(given))
        except RuntimeError as error:
            raise InvalidValue(f"the data do not fit step {step.name!r}: {error}") from None
    return found


class Reader:
    """Reads a graph node by node: each becomes a step, joins the step before it, or is refused."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        self.graph = graph
        self.modules: dict[str, nn.Module] = dict(graph.named_modules())
        self.steps: dict[str, Step] = {}
        self.of: dict[torch.fx.Node, str] = {}  # the step that has a node's result
        self.folded: dict[str, nn.Module] = {}

    def read(self) -> list[Step]:
        """Return the steps."""
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.of[node] = ""
            elif node.op == "output":
                if not isinstance(node.args[0], torch.fx.Node):
                    raise InvalidValue("the network must return one tensor")
            elif node.op == "call_module":
                self._module(node, self.modules[node.target])
            elif node.op in {"call_function", "call_method"}:
                table: Any = _FUNCTIONS if node.op == "call_function" else _METHODS
                self._call(node, table.get(node.target))
            else:
                raise self._unknown(node, f"the tensor {node.target!r} of its own")
        if sum(node.op == "placeholder" for node in self.graph.graph.nodes) != 1:
            raise InvalidValue("the network must take one tensor")
        if not self.steps:
            raise InvalidValue("the network has no layer")
        return list(self.steps.values())

    def _module(self, node: torch.fx.Node, module: nn.Module) -> None:
        if isinstance(module, _NOTHING):
            self.of[node] = self._input(node)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            self._add(node, layer_step(str(node.target), module), node.args[:1])
            self.folded[self.of[node]] = module
        elif isinstance(module, NORMS):
            self._fold(node, module)
        elif isinstance(module, _CLIPS):
            self._clip(node, 6.0 if isinstance(module, nn.ReLU6) else float("inf"))
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            self._add(node, Step(str(node.target), "flatten", []), node.args[:1])
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in {1, (1, 1)}:
            self._add(node, Step(str(node.target), "average", []), node.args[:1])
        elif isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
            self._pool(node, module)
        else:
            raise self._unknown(node, f"{type(module).__name__} {node.target!r}")

    def _call(self, node: torch.fx.Node, kind: str | None) -> None:
        name = str(node.name)
        if (
            kind == "add"
            and len(node.args) == 2
            and all(isinstance(each, torch.fx.Node) for each in node.args)
        ):
            self._add(node, Step(name, "add", []), node.args)
        elif kind in {"relu", "relu6"}:
            self._clip(node, 6.0 if kind == "relu6" else float("inf"))
        elif kind == "flatten" and tuple(node.args[1:]) in {(1,), (1, -1)}:
            self._add(node, Step(name, "flatten", []), node.args[:1])
        elif kind == "nothing":
            self.of[node] = self._input(node)
        elif (kind == "mean" and _is_over_images(node)) or (
            kind == "global" and node.args[1] in {1, (1, 1)}
        ):
            self._add(node, Step(name, "average", []), node.args[:1])
            if kind == "mean" and not node.kwargs.get("keepdim", len(node.args) > 2):
                self._add(node, Step(f"{name}_flat", "flatten", []), (node,))
        else:
            raise self._unknown(node, f"{node.target} ({node.name})")

    def _add(self, node: torch.fx.Node, step: Step, inputs: Any) -> None:
        if step.name in self.steps:  # one module may be called again
            step.name = str(node.name)
        step.inputs = [self.of[each] for each in inputs]
        for name in step.inputs:
            if name:
                self.steps[name].users += 1
        self.steps[step.name] = step
        self.of[node] = step.name

    def _input(self, node: torch.fx.Node) -> str:
        first: Any = node.args[0]
        return self.of[first]

    def _pool(self, node: torch.fx.Node, module: Any) -> None:
        padding = _pair(module.padding)
        plain = not module.ceil_mode and (
            _pair(module.dilation) == (1, 1)
            if isinstance(module, nn.MaxPool2d)
            else padding == (0, 0) and module.divisor_override is None
        )
        if not plain:
            raise self._unknown(node, f"{type(module).__name__} {node.target!r} with such options")
        kind: Kind = "largest" if isinstance(module, nn.MaxPool2d) else "average"
        step = Step(str(node.target), kind, [], stride=_pair(module.stride), padding=padding)
        step.window = _pair(module.kernel_size)
        self._add(node, step, node.args[:1])

    def _clip(self, node: torch.fx.Node, high: float) -> None:
        """Clip the step before, if nothing else takes its result; else one of its own."""
        before: Any = node.args[0]
        name = self.of[before]
        alone = name and len(before.users) == 1 and self.steps[name].kind != "flatten"
        if alone and self.steps[name].low < 0:
            self.steps[name].low, self.steps[name].high = 0.0, high
            self.of[node] = name
            return
        step = Step(str(node.target if node.op == "call_module" else node.name), "clip", [])
        step.low, step.high = 0.0, high
        self._add(node, step, node.args[:1])

    def _fold(self, node: torch.fx.Node, norm: Any) -> None:
        before: Any = node.args[0]
        name = self.of[before]
        module = self.folded.get(name)
        if module is None or len(before.users) > 1 or self.steps[name].low == 0:
            raise self._unknown(node, f"{type(norm).__name__} {node.target!r} not behind a layer")
        if norm.running_mean is None:
            what = f"{type(norm).__name__} {node.target!r} without running statistics"
            raise self._unknown(node, what)
        fuse: Any = fuse_linear_bn_eval if isinstance(module, nn.Linear) else fuse_conv_bn_eval
        fused = fuse(module, norm)
        self.steps[name].weight = fused.weight.detach().double()
        self.steps[name].bias = fused.bias.detach().double()
        self.of[node] = name
        del self.folded[name]

    @staticmethod
    def _unknown(node: torch.fx.Node, what: str) -> InvalidValue:
        return InvalidValue(
            f"integers cannot express {what}, at node {node.name!r}: they do convolutions, linear "
            "layers, normalisations behind them, ReLU, ReLU6, additions, pools and flattening"
        )


def layer_step(name: str, module: Any) -> Step:
    """Return a convolution or a linear layer as a step."""
    weight = module.weight.detach().double()
    bias = None if module.bias is None else module.bias.detach().double()
    if isinstance(module, nn.Linear):
        return Step(name, "linear", [], weight, bias)
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise InvalidValue(f"integers pad with zeros by numbers, not {name!r}'s way")
    return Step(
        name,
        "convolution",
        [],
        weight,
        bias,
        _pair(module.stride),
        _pair(module.padding),
        _pair(module.dilation),
        module.groups,
    )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _is_over_images(node: torch.fx.Node) -> bool:
    axes: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(axes, tuple | list) and {axis % 4 for axis in axes} == {2, 3}
