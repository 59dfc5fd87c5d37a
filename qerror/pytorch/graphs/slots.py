"""Places for quantizers in a traced network, and what stands there until signs are known."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.graphs.declared import Declared, attach
from qerror.pytorch.graphs.sites import Site

QUANTIZERS = "quantizers"
"""The module of a prepared network that holds the quantizers of activations by name."""


class Lowest(nn.Module):
    """Stands where a quantizer will, and looks for values below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.found: float | None = None

    def forward(self, x: object) -> object:
        """Return `x`."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            what = f"of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise InvalidValue(
                f"a quantizer would stand on what is no tensor of real numbers: {what}"
            )
        low = float(x.detach().min())
        self.found = low if self.found is None else min(low, self.found)
        return x

    def read(self) -> float:
        """Return the least value."""
        if self.found is None:
            raise InvalidValue("no calibration batch came by")
        return self.found


@dataclass
class Slot:
    """A place for a quantizer."""

    name: str
    users: set[str]
    modules: tuple[str, ...]
    """Where a hook takes it, of those declared by hand."""
    lowest: Lowest = field(default_factory=Lowest)

    def put(self, graph: torch.fx.GraphModule, module: nn.Module) -> None:
        """Let a module stand there."""
        if not self.modules:
            graph.get_submodule(QUANTIZERS).add_module(_attribute(self.name), module)
        for name in self.modules:
            attach(graph.get_submodule(name), module)


def insert(
    graph: torch.fx.GraphModule, sites: Sequence[Site], declared: Sequence[Declared]
) -> list[Slot]:
    """Make the places, and let values pass through them."""
    if hasattr(graph, QUANTIZERS):
        raise InvalidValue(
            f"the network has a part {QUANTIZERS!r} of its own, where those of a prepared network "
            "stand: rename it"
        )
    graph.add_module(QUANTIZERS, nn.Module())
    slots = [Slot(site.name, set(site.users), ()) for site in sites]
    for each in declared:
        for group in each.inputs:
            names = tuple(each.within(name) for name in group)
            slots.append(Slot(names[0], set(), names))
    for slot in slots:
        slot.put(graph, slot.lowest)
    for site in sites:
        _through(graph, site)
    graph.graph.lint()
    graph.recompile()
    return slots


def _attribute(name: str) -> str:
    """Return a name that a module can have for a part: what modules do has names, too."""
    return f"{name}_" if hasattr(nn.Module, name) or name == "training" else name


def _through(graph: torch.fx.GraphModule, site: Site) -> None:
    """Let the tensors of a site pass its quantizer on the way to those that take them."""
    nodes = {node.name: node for node in graph.graph.nodes}
    target = f"{QUANTIZERS}.{_attribute(site.name)}"
    own = site.users == (site.name,)  # graph 1: a layer's own, before it
    for name in site.tensors:
        tensor = nodes[name]
        place = nodes[site.name].prev if own else _last(tensor)
        with graph.graph.inserting_after(place):
            quantized = graph.graph.call_module(target, (tensor,))
        if own:
            nodes[site.name].replace_input_with(tensor, quantized)
        else:
            users = [each for each in tensor.users if each is not quantized]
            for user in users:
                user.replace_input_with(tensor, quantized)


def _last(tensor: torch.fx.Node) -> torch.fx.Node:
    """Return the node behind which a result can be used: inputs of a network come together."""
    while tensor.op == "placeholder" and tensor.next.op == "placeholder":
        tensor = tensor.next
    return tensor
