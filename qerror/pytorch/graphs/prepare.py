"""One call from a network to what a backend computes of it: graph, folding, quantizers, ranges."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from qerror._arrays import integer
from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.execution import Progress, silent
from qerror.pytorch.backends import Backend
from qerror.pytorch.fake_quantize import FakeQuantize, calibrating
from qerror.pytorch.folding import FoldedBatchNorm, Folding, fold_graph
from qerror.pytorch.graphs.algorithms import (
    Algorithm,
    as_algorithm,
    as_backend,
    check_combination,
    folding_of,
)
from qerror.pytorch.graphs.declared import Declared
from qerror.pytorch.graphs.sites import Site, plan
from qerror.pytorch.graphs.slots import QUANTIZERS, insert
from qerror.pytorch.networks.calibrations import CALIBRATIONS
from qerror.pytorch.networks.layers import KINDS, Layer, checked_batches, feed
from qerror.pytorch.recipe import Role
from qerror.pytorch.tracing import check_graph, traced
from qerror.pytorch.wrapping import quantize_weight

_REMEDY = (
    "Declare by hand what stands in it: prepare(..., declared=[Declared(MODULE, (('conv1', "
    "'skip'), ('conv2',)))])"
)


def prepare(
    model: nn.Module,
    data: object,
    backend: Backend | str = "Academic",
    algorithm: Algorithm | str = "lsq",
    *,
    bits: int = 4,
    folding: Folding | int | None = None,
    declared: Sequence[Declared] = (),
    progress: Progress | None = None,
) -> torch.fx.GraphModule:
    """Return a network that is fake-quantized as a backend computes it, ready to be trained.

    Parameters
    ----------
    model : Module
        A convolutional network, which stays as it is; torch.fx must be able to trace it.
    data : iterable
        Batches for calibration, as `quantize_model` takes them.
    backend : Backend or str
        A record, or a name in `qerror.pytorch.backends.BACKENDS`: granularity, zero points, scale
        rule, graph, folding, and the width of the first and the last layer.
    algorithm : Algorithm or str
        A record, or a name in `ALGORITHMS`.
    bits : int
        Of weights and activations, where the backend has no width of its own.
    folding : Folding or int, optional
        How normalisations behind layers fold; by default 4 where the backend folds. Others stay.
    declared : sequence of Declared
        What stands in modules that cannot be traced.
    progress : callable, optional
        Called with (done, total) passes of batches.

    Returns
    -------
    GraphModule
        Calibrated, in evaluation mode. `sites_of` lists the quantizers of its activations.

    Raises
    ------
    InvalidType
        If the model is none.
    InvalidValue
        If the backend cannot compute the algorithm or the folding, the network cannot be traced
        (the message names the module), there is nothing to quantize or, asked for, to fold, or
        the data do not fit.

    Notes
    -----
    DoReFa divides weights by the largest tanh, so that they lie in [-1, 1] whatever their unit.
    Where a normalisation stands behind the layer, it takes that up. Folded into the weight, its
    factor gamma/s would be divided away: evaluation would compute in another unit than training,
    and by strategy 4 the running deviation s would be multiplied, batch by batch, by the ratio of
    what the divided weights give to gamma, without an end unless that is below 1. Backends that
    fold therefore compute the weights of PACT and DoReFa in their own unit (`dorefa-unit`).

    References
    ----------
    Li et al. 2021 (MQBench, arXiv 2111.03759), section 3.

    Examples
    --------
    >>> from qerror.pytorch.zoo.resnet import BasicBlock
    >>> block = BasicBlock(4, 8, 2).eval()
    >>> found = prepare(block, torch.randn(16, 4, 8, 8), "TensorRT", "lsq", bits=8)
    >>> [(site.tensors, site.users) for site in sites_of(found)]
    [(('x',), ('conv1', 'skip_0')), (('relu',), ('conv2',)), (('skip_0',), ('add',))]
    """
    work = _Work(
        as_backend(backend),
        as_algorithm(algorithm),
        integer("bits", bits, 2, 16),
        folding_of(as_backend(backend), folding),
        tuple(declared),
    )
    check_combination(work.backend, work.algorithm, bits=bits, folding=folding)
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for each in work.declared:
        if not isinstance(each, Declared):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
            raise InvalidType(f"declared must hold Declared records, got {each!r}")
        each.check(model)
    batches = list(checked_batches(data))
    if not batches:
        raise InvalidValue("activations need calibration data; the iterable has no batch")
    _refuse_quantized(model)
    graph = traced(model, _REMEDY, [each.module for each in work.declared]).eval()
    with torch.no_grad():
        check_graph(graph, model, lambda each: feed(each, batches[0]))
    work.weights(graph, asked=folding is not None)
    sites = plan(graph, work.backend.graph, tuple(each.module for each in work.declared))
    work.activations(graph, sites, batches, progress or silent)
    return graph.eval()  # its quantizers too


def sites_of(model: nn.Module) -> tuple[Site, ...]:
    """Return where the quantizers of activations stand in a network from `prepare`.

    Raises
    ------
    InvalidValue
        If it comes from elsewhere.
    """
    meta = getattr(model, "meta", {})
    if QUANTIZERS not in meta:
        raise InvalidValue("only networks from qerror.pytorch.graphs.prepare know their sites")
    found: tuple[Site, ...] = meta[QUANTIZERS]
    return found


@dataclass
class _Work:
    """What is asked for, and what becomes of it."""

    backend: Backend
    algorithm: Algorithm
    bits: int
    folding: Folding
    declared: tuple[Declared, ...]
    edges: set[str] = field(default_factory=set)
    """The nodes of the first and the last layer."""
    edge_layers: set[str] = field(default_factory=set)
    """The same by the names of the modules."""

    # ---- weights

    def weights(self, graph: torch.fx.GraphModule, *, asked: bool) -> None:
        """Fold normalisations, and quantize every weight, folded or not."""
        names = self._layers(graph)
        folded: tuple[str, ...] = ()
        if self.folding is not Folding.NOT:
            folded = fold_graph(graph, self._weight, self.folding)
            if asked and not folded:
                raise InvalidValue(
                    "the network has no normalisation right behind a layer, so there is nothing "
                    "to fold; leave folding out"
                )
        for name in (each for each in names if each not in folded):
            module = graph.get_submodule(name)
            quantize_weight(module, self._weight(name, module))
        for each in self.declared:
            for layer in each.layers(graph):
                quantize_weight(layer.module, self._weight(layer.name, layer.module))

    def _layers(self, graph: torch.fx.GraphModule) -> list[str]:
        modules = dict(graph.named_modules())
        whole = {each.module for each in self.declared}
        calls = [node for node in graph.graph.nodes if node.op == "call_module"]
        found = [
            node
            for node in calls
            if isinstance(modules[str(node.target)], KINDS) and str(node.target) not in whole
        ]
        if not found and not self.declared:
            raise InvalidValue("the network has no convolution and no linear layer")
        if found and self.backend.first_last_bits is not None:
            self.edges = {found[0].name, found[-1].name}
            self.edge_layers = {str(found[0].target), str(found[-1].target)}
        return list(dict.fromkeys(str(node.target) for node in found))

    def _weight(self, name: str, module: nn.Module) -> FakeQuantize:
        layer = Layer(name, module)
        axis = layer.output_axis
        with _naming(f"layer {name}"):
            if not bool(torch.isfinite(layer.weight).all()):
                raise InvalidValue("its weights are not all finite")
            quantizer = self._quantizer(
                "weight",
                edge=name in self.edge_layers,
                channels=layer.weight.shape[axis],
                axis=axis,
            )
        return quantizer.to(layer.weight.device)

    # ---- activations

    def activations(
        self,
        graph: torch.fx.GraphModule,
        sites: Sequence[Site],
        batches: Sequence[object],
        progress: Progress,
    ) -> None:
        """Insert quantizers and calibrate them: one pass for signs, one for ranges."""
        slots = insert(graph, sites, self.declared)
        total = 2 * len(batches)
        with calibrating(graph):  # weights stay as they are, too
            for number, batch in enumerate(batches):
                feed(graph, batch)
                progress(number + 1, total)
        device = next((each.device for each in graph.parameters()), torch.device("cpu"))
        for slot in slots:
            with _naming(f"the tensor at {slot.name!r}"):
                negative = slot.lowest.read() < 0
                quantizer = self._quantizer(
                    "activation", edge=bool(self.edges & slot.users), negative=negative
                )
            slot.put(graph, quantizer.to(device))
        with calibrating(graph):
            for number, batch in enumerate(batches):
                feed(graph, batch)
                progress(len(batches) + number + 1, total)
        graph.meta[QUANTIZERS] = tuple(sites)

    def _quantizer(
        self,
        role: Role,
        *,
        edge: bool,
        channels: int | None = None,
        axis: int = 0,
        negative: bool = True,
    ) -> FakeQuantize:
        bits = self.backend.first_last_bits if edge else None
        named = self.algorithm.calibration
        return self.backend.quantizer(
            bits or self.bits,
            role,
            self.algorithm.method(role, edge=edge, folds=self.backend.folds),
            channels=channels,
            axis=axis,
            negative=negative,
            calibration=None if named is None else CALIBRATIONS[named],
        )


def _refuse_quantized(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, FakeQuantize | FoldedBatchNorm):
            raise InvalidValue(
                f"{name} is quantized or folded already; give the model before it was"
            )


@contextlib.contextmanager
def _naming(what: str) -> Generator[None]:
    """Add a name to what is raised."""
    try:
        yield
    except QErrorException as error:
        raise type(error)(f"{what}: {error}") from error
