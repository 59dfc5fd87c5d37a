"""Where the quantizers of activations stand, by MQBench's three graphs: a plan, nothing is moved.

Graph 1 quantizes what layers take, each for itself. Graphs 2 and 3 quantize tensors as hardware
stores them: once, for all that takes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from qerror.pytorch.backends import Graph
from qerror.pytorch.graphs.kinds import (
    Kind,
    Node,
    kinds_of,
    layer_input,
    origins,
    parts,
    tensors,
)


@dataclass(frozen=True)
class Site:
    """A quantizer of activations, by the names of the graph's nodes.

    Parameters
    ----------
    name : str
        Of the quantizer: the module `quantizers.NAME` of the network, with a "_" behind it where
        modules have something else of that name, such as `half`.
    tensors : tuple of str
        The nodes whose results it quantizes: one, or all inputs of concatenations together.
    users : tuple of str
        The layers, additions, concatenations and pools for which it stands there.
    """

    name: str
    tensors: tuple[str, ...]
    users: tuple[str, ...]


def plan(
    graph: torch.fx.GraphModule, number: Graph, declared: tuple[str, ...] = ()
) -> tuple[Site, ...]:
    """Return where quantizers stand in a traced network.

    Parameters
    ----------
    graph : GraphModule
    number : {1, 2, 3}
    declared : tuple of str
        Modules whose own quantizers are declared by hand.

    Raises
    ------
    InvalidValue
        If a weight stands where no quantizer can reach it.

    References
    ----------
    Li et al. 2021 (arXiv 2111.03759), section 3.3, figures 4, 15 and 16, appendices E and G.
    """
    kinds = kinds_of(graph, declared)
    if number == 1:
        return tuple(
            Site(node.name, (layer_input(node).name,), (node.name,))
            for node in graph.graph.nodes
            if kinds[node] == "layer"
        )
    return _Stored(kinds, number).sites()


class _Stored:
    """Tensors as hardware stores them: each has one quantizer, and joined ones share it."""

    def __init__(self, kinds: Mapping[Node, Kind], number: Graph) -> None:
        self.kinds = kinds
        self.number = number
        self.users: dict[Node, list[str]] = {}
        self.group: dict[Node, Node] = {}

    def sites(self) -> tuple[Site, ...]:
        """Return a site for every tensor or group that something asks for, in order."""
        for node in self.kinds:
            for tensor in self._asked(node):
                for origin in origins(tensor, self.kinds):
                    self.users.setdefault(origin, []).append(node.name)
            if self.kinds[node] == "concat":
                self._join(list(origins(node, self.kinds)))
        members: dict[Node, list[Node]] = {}
        for tensor in (each for each in self.kinds if each in self.users):
            members.setdefault(self._root(tensor), []).append(tensor)
        return tuple(self._site(group) for group in members.values())

    def _site(self, group: list[Node]) -> Site:
        users = dict.fromkeys(user for each in group for user in self.users[each])
        return Site(group[0].name, tuple(each.name for each in group), tuple(users))

    def _asked(self, node: Node) -> tuple[Node, ...]:
        """Return the tensors that a step wants quantized."""
        kind = self.kinds[node]
        if kind in {"layer", "pool", "largest"}:
            return (layer_input(node),)
        if kind == "concat":
            return parts(node)
        if kind == "add":
            main = self._main(node) if self.number == 2 else None
            return tuple(each for each in tensors(node) if each is not main)
        return ()

    # ---- additions

    def _main(self, addition: Node) -> Node | None:
        """Return the input whose layer does the addition: it is in the accumulator yet.

        A layer can, if nothing else takes its result. Where two can, it is the one at the end of
        the longer branch: the other is the shortcut's.
        """
        able = [each for each in tensors(addition) if self._accumulates(each)]
        return max(able, key=lambda each: self._length(each, addition), default=None)

    def _accumulates(self, node: Node) -> bool:
        """Tell whether a node is a layer, or the normalisation behind one, with one user."""
        while self.kinds[node] == "norm" and len(node.users) == 1:
            node = layer_input(node)
        return self.kinds[node] == "layer" and len(node.users) == 1

    def _length(self, end: Node, addition: Node) -> int:
        """Return how many layers are before one input of an addition and before no other."""
        others = [each for each in tensors(addition) if each is not end]
        behind = {node for each in others for node in _before(each)}
        return sum(self.kinds[node] == "layer" and node not in behind for node in _before(end))

    # ---- groups

    def _root(self, node: Node) -> Node:
        while node in self.group:
            node = self.group[node]
        return node

    def _join(self, nodes: list[Node]) -> None:
        first = self._root(nodes[0])
        for each in nodes[1:]:
            root = self._root(each)
            if root is not first:
                self.group[root] = first


def _before(node: Node) -> Iterator[Node]:
    """Yield a node and all that it depends on, each once."""
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            yield each
            waiting.extend(each.all_input_nodes)
