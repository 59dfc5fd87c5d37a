"""From a traced network to the few steps that integers can do, with normalisations folded."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import copy
import math
import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.folding.fusion import NORMS, fused
from qerror.pytorch.integer.nodes import (
    Node,
    argument,
    is_over_images,
    layer_step,
    pair,
    spoken,
    takes_numbers,
)
from qerror.pytorch.integer.steps import PASSED, Kind, Step

_CLIPS = (nn.ReLU, nn.ReLU6)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)
_FUNCTIONS: dict[Any, str] = {
    **dict.fromkeys((operator.add, torch.add), "add"),
    **dict.fromkeys((F.relu, torch.relu), "relu"),
    F.relu6: "relu6",
    torch.flatten: "flatten",
    torch.reshape: "reshape",
    torch.mean: "mean",
    F.adaptive_avg_pool2d: "global",
    F.avg_pool2d: "average",
    F.max_pool2d: "largest",
    getattr: "shape",
    operator.getitem: "item",
}
_METHODS = {
    **{name: name for name in ("add", "relu", "flatten", "reshape", "mean")},
    "add_": "add",
    "relu_": "relu",
    "view": "reshape",
    "size": "shape",
}


class Reader:
    """Reads a graph node by node: each becomes a step, joins the step before it, or is refused."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        self.graph = graph
        self.modules: dict[str, nn.Module] = dict(graph.named_modules())
        self.steps: dict[str, Step] = {}
        self.of: dict[Node, str] = {}  # the step that has a node's result
        self.same: dict[Node, Node] = {}  # what a node hands on, value for value
        self.folded: dict[str, nn.Module] = {}
        self.sizes: dict[Node, str] = {}  # nodes that are a shape, or the number of images in it

    def read(self) -> list[Step]:
        """Return the steps."""
        self._drop_dead()
        result = ""
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.of[node] = ""
            elif node.op == "output":
                if not isinstance(node.args[0], Node):
                    raise InvalidValue("the network must return one tensor")
                result = self.of[self._source(node)]
            elif node.op == "call_module":
                self._module(node, self.modules[node.target])
            elif node.op in {"call_function", "call_method"}:
                table: Any = _FUNCTIONS if node.op == "call_function" else _METHODS
                self._call(node, table.get(node.target))
            else:
                raise self._unknown(node, f"the tensor {node.target!r} of its own")
        if sum(node.op == "placeholder" for node in self.graph.graph.nodes) != 1:
            raise InvalidValue("the network must take one tensor")
        return self._needed(result)

    def _drop_dead(self) -> None:
        """Remove nodes that nothing takes, so that they do not count as users of others."""
        for node in reversed(self.graph.graph.nodes):
            if node.op not in {"output", "placeholder"} and not node.users:
                self.graph.graph.erase_node(node)

    def _needed(self, result: str) -> list[Step]:
        """Return the steps that the network's result depends on: it is that of the last."""
        needed = {result}
        for step in reversed(self.steps.values()):
            if step.name in needed:
                needed.update(step.inputs)
        found = [step for step in self.steps.values() if step.name in needed]
        if not found:
            raise InvalidValue("the network has no layer")
        for step in found:
            step.users = sum(each.inputs.count(step.name) for each in found)
        return found

    # ---- nodes

    def _module(self, node: Node, module: nn.Module) -> None:
        name = str(node.target)
        if isinstance(module, _NOTHING):
            self._pass(node)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            self._add(node, layer_step(name, module), self._source(node))
            self.folded[self.of[node]] = module
        elif isinstance(module, NORMS):
            self._fold(node, module)
        elif isinstance(module, _CLIPS):
            self._clip(node, name, 6.0 if isinstance(module, nn.ReLU6) else math.inf)
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            self._add(node, Step(name, "flatten", []), self._source(node))
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            self._places(node, name, module.output_size)
        elif isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
            self._pool(node, name, module)
        else:
            raise self._unknown(node, f"{type(module).__name__} {name!r}")

    def _call(self, node: Node, kind: str | None) -> None:
        name = str(node.name)
        if kind == "add" and self._is_plain_sum(node):
            self._add(node, Step(name, "add", []), *node.args)
        elif kind in {"relu", "relu6"}:
            self._clip(node, name, 6.0 if kind == "relu6" else math.inf)
        elif kind in {"flatten", "reshape"} and (features := self._flat(node, kind)) is not None:
            self._add(node, Step(name, "flatten", [], features=features), self._source(node))
        elif kind == "mean" and is_over_images(node):
            self._add(node, Step(name, "average", []), self._source(node))
            if not argument(node, 2, "keepdim", False):
                self._add(node, Step(f"{name}_flat", "flatten", []), node)
        elif kind == "global":
            self._places(node, name, argument(node, 1, "output_size", None))
        elif kind in {"average", "largest"} and takes_numbers(node):
            make: Any = nn.AvgPool2d if kind == "average" else nn.MaxPool2d
            named = {key: value for key, value in node.kwargs.items() if key != "input"}
            rest: Any = node.args[1:]
            self._pool(node, name, make(*rest, **named))
        elif kind in {"shape", "item"} and self._is_size(node, kind):
            return
        elif kind == "add":
            raise self._unknown(node, f"{spoken(node)} of other than two tensors as they are")
        else:
            raise self._unknown(node, spoken(node))

    def _add(self, node: Node, step: Step, *inputs: Any) -> None:
        if step.name in self.steps:  # one module may be called again
            step.name = str(node.name)
        step.inputs = [self.of[each] for each in inputs]
        self.steps[step.name] = step
        self.of[node] = step.name

    def _source(self, node: Node) -> Node:
        """Return what a node takes first."""
        first: Any = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
        if first not in self.of:
            raise self._unknown(node, f"{spoken(node)} of what is no image")
        found: Node = first
        return found

    def _pass(self, node: Node) -> None:
        source = self._source(node)
        self.of[node], self.same[node] = self.of[source], source

    # ---- shapes

    def _is_plain_sum(self, node: Node) -> bool:
        """Tell whether a node adds two tensors, each once."""
        if len(node.args) != 2 or node.kwargs.get("alpha", 1) != 1:
            return False
        return all(isinstance(each, Node) and each in self.of for each in node.args)

    def _is_size(self, node: Node, kind: str) -> bool:
        """Take note of a node that is a shape, or the number of images in it."""
        source: Any = node.args[0]
        rest: Any = node.args[1:]
        if kind == "item":
            found = "images" if self.sizes.get(source) == "shape" and rest == (0,) else None
        else:
            found = {(): "shape", ("shape",): "shape", (0,): "images"}.get(rest)
        if found is not None:
            self.sizes[node] = found
        return found is not None

    def _flat(self, node: Node, kind: str) -> int | None:
        """Return how many features a node flattens images to, 0 if it does not say; else None."""
        if kind == "flatten":
            start, end = argument(node, 1, "start_dim", 0), argument(node, 2, "end_dim", -1)
            return 0 if (start, end) == (1, -1) else None
        shape: Any = node.args[1:] or (node.kwargs.get("shape", ()),)
        if len(shape) == 1 and isinstance(shape[0], tuple | list):
            shape = shape[0]
        if len(shape) != 2:
            return None
        images, features = shape
        if features == -1 and self.sizes.get(images) == "images":
            return 0
        known = self.sizes.get(images) == "images" or images == -1
        return features if known and isinstance(features, int) and features > 0 else None

    # ---- pools

    def _places(self, node: Node, name: str, size: Any) -> None:
        """Take means over windows that cut an image into so many places."""
        places: Any = (size, size) if isinstance(size, int) else tuple(size or ())
        if len(places) != 2 or not all(isinstance(each, int) and each > 0 for each in places):
            raise self._unknown(node, f"a mean over places of sizes {size}")
        self._add(node, Step(name, "average", [], places=places), self._source(node))

    def _pool(self, node: Node, name: str, module: Any) -> None:
        padding = pair(module.padding)
        plain = not module.ceil_mode and (
            pair(module.dilation) == (1, 1) and not module.return_indices
            if isinstance(module, nn.MaxPool2d)
            else padding == (0, 0) and module.divisor_override is None
        )
        if not plain:
            raise self._unknown(node, f"{type(module).__name__} {name!r} with such options")
        kind: Kind = "largest" if isinstance(module, nn.MaxPool2d) else "average"
        step = Step(name, kind, [], stride=pair(module.stride), padding=padding)
        step.window = pair(module.kernel_size)
        self._add(node, step, self._source(node))

    # ---- what joins the step before

    def _clip(self, node: Node, name: str, high: float) -> None:
        """Clip the step that has the values, if nothing else takes them; else one of its own."""
        source = self._source(node)
        step = self._clippable(source)
        if step is not None:
            step.low, step.high = max(step.low, 0.0), min(step.high, high)
            self.of[node] = self.of[source]
        else:
            self._add(node, Step(name, "clip", [], low=0.0, high=high), source)

    def _clippable(self, node: Node) -> Step | None:
        """Return the step whose values a node has, whole or in part, if it alone takes them.

        Clips and what moves values or takes the largest of them may change places.
        """
        while self.of[node] and len(node.users) == 1:
            step = self.steps[self.of[node]]
            if node not in self.same and step.kind not in PASSED:
                return step
            node = self.same.get(node) or self._source(node)
        return None

    def _fold(self, node: Node, norm: Any) -> None:
        source = self._source(node)
        name, alone = self.of[source], len(source.users) == 1
        while source in self.same:
            source = self.same[source]
            alone = alone and len(source.users) == 1
        module = self.folded.get(name)
        if module is None or not alone or self.steps[name].low == 0:
            raise self._unknown(node, f"{type(norm).__name__} {node.target!r} not behind a layer")
        if norm.running_mean is None:
            what = f"{type(norm).__name__} {node.target!r} without running statistics"
            raise self._unknown(node, what)
        # In float64, as all that follows: the factor would else be rounded to the network's type.
        found = fused(copy.deepcopy(module).double(), copy.deepcopy(norm).double())
        self.steps[name].weight = found.weight.detach()
        self.steps[name].bias = found.bias.detach()
        self.of[node] = name
        del self.folded[name]

    @staticmethod
    def _unknown(node: Node, what: str) -> InvalidValue:
        return InvalidValue(
            f"integers cannot express {what}, at node {node.name!r}: they do convolutions, linear "
            "layers, normalisations behind them, ReLU, ReLU6, additions, pools and flattening"
        )
