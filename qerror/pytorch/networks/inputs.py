"""What flows into the layers: sampled in one pass over the calibration data."""

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.pytorch.networks.layers import Layer, checked_batches, feed

SAMPLED = 1 << 16
"""Values of one input that are kept from a batch."""


@dataclass(eq=False)
class Inputs:
    """What a layer was given: a sample of every batch."""

    ends: bool = True
    """Whether its smallest and largest value are always in it, for ranges; then it is no random
    sample of a batch with more values than are kept."""
    samples: list[Tensor] = field(default_factory=list[Tensor])
    """One dimension each, float32."""
    low: float = float("inf")
    high: float = float("-inf")
    size: int = 0
    """How many values there were."""

    def add(self, x: Tensor, generator: torch.Generator) -> None:
        """Take a batch."""
        flat = x.detach().reshape(-1).to(torch.float32)
        if not flat.numel():
            return
        ends = torch.stack([flat.amin(), flat.amax()])
        self.low = min(self.low, float(ends[0]))
        self.high = max(self.high, float(ends[1]))
        self.size += flat.numel()
        if flat.numel() > SAMPLED:
            places = torch.randint(flat.numel(), (SAMPLED - 2,), generator=generator)
            chosen = flat[places.to(flat.device)]
            flat = torch.cat([chosen, ends]) if self.ends else chosen
        self.samples.append(flat.clone())

    @property
    def values(self) -> Tensor:
        """All that is kept."""
        return torch.cat(self.samples)


def observe_inputs(
    model: nn.Module,
    layers: Sequence[Layer],
    data: object,
    progress: Progress | None = None,
    *,
    ends: bool = True,
) -> dict[str, Inputs]:
    """Pass the data through a model and return the inputs of its layers, in the order of calls.

    Parameters
    ----------
    model : Module
    layers : sequence of Layer
    data : iterable of batches
    progress : callable, optional
        Called with (done, total); total is 0 where the iterable does not tell.
    ends : bool
        See `Inputs`.

    Raises
    ------
    InvalidValue
        If there is no batch, a value is not finite, or a layer is never called.
    """
    found: dict[str, Inputs] = {}
    generator = torch.Generator().manual_seed(0)

    def watch(layer: Layer) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            del module
            x: Tensor = args[0] if args else next(iter(kwargs.values()))
            inputs = found.setdefault(layer.name, Inputs(ends))
            if layer.has_values:
                inputs.add(x, generator)

        return layer.module.register_forward_pre_hook(hook, with_kwargs=True)

    handles = [watch(layer) for layer in layers]
    try:
        run_all(model, data, progress)
    finally:
        for handle in handles:
            handle.remove()
    _check(found, layers)
    return found


def run_all(model: nn.Module, data: object, progress: Progress | None = None) -> None:
    """Pass all batches through a model in evaluation mode; its mode is then as before."""
    report, total = progress or silent, len(data) if isinstance(data, Sized) else 0
    was_training, done = model.training, 0
    model.eval()
    try:
        with torch.no_grad():
            for batch in checked_batches(data):
                feed(model, batch)
                done += 1
                report(done, max(total, done))
    finally:
        model.train(was_training)
    if not done:
        raise InvalidValue("there is no calibration data: the iterable holds no batch")


def _check(found: dict[str, Inputs], layers: Iterable[Layer]) -> None:
    unused = [layer.name for layer in layers if layer.name not in found]
    if unused:
        raise InvalidValue(
            f"the calibration data never reach {', '.join(unused)}; exclude them, or give data "
            "that use them"
        )
    for name, inputs in found.items():
        if inputs.size and not bool(torch.isfinite(inputs.values).all()):
            raise InvalidValue(f"the input of {name} is not finite on the calibration data")
