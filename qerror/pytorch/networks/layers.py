"""Which modules of a network are quantized, and how they are found and named."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KINDS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, nn.Embedding)
"""The modules that have a weight to quantize."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A module with a weight, by its name in the network."""

    name: str
    module: nn.Module

    @property
    def weight(self) -> Tensor:
        """The weight."""
        return cast("Tensor", self.module.weight)

    @property
    def has_values(self) -> bool:
        """Whether its input are numbers to quantize; an embedding's are indices."""
        return not isinstance(self.module, nn.Embedding)

    @property
    def output_axis(self) -> int:
        """The axis of the weight that counts the outputs."""
        return 1 if isinstance(self.module, TRANSPOSED) else 0

    @property
    def input_axis(self) -> int:
        """The axis of the weight along which groups and blocks are cut."""
        if isinstance(self.module, nn.Linear | nn.Embedding):
            return -1
        return 0 if isinstance(self.module, TRANSPOSED) else 1

    @property
    def length(self) -> int:
        """How many products are summed for one output; on average where it varies."""
        if isinstance(self.module, nn.Embedding):
            return 1
        if isinstance(self.module, TRANSPOSED):
            # An output meets the taps that lie a stride apart.
            strides: Any = self.module.stride
            taps = self.weight[0, 0].numel() / int(math.prod(strides))
            return max(1, round(float(self.weight.shape[0] * taps / self._groups)))
        return self.weight[0].numel()

    @property
    def _groups(self) -> int:
        return cast("int", getattr(self.module, "groups", 1))


def layers_of(model: nn.Module, exclude: Sequence[str] = ()) -> list[Layer]:
    """Return the layers to quantize in the order in which they are registered.

    Raises
    ------
    InvalidType
        If `model` is no module.
    InvalidValue
        If there is none, or a pattern excludes nothing.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    names = [name for name, _ in model.named_modules()]
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InvalidValue(
                f"the pattern {pattern!r} matches no module; names look like "
                f"{', '.join(repr(name) for name in names[1:6])}"
            )
    found = [
        Layer(name, module)
        for name, module in model.named_modules()
        if isinstance(module, KINDS) and not _is_excluded(name, exclude)
    ]
    if not found:
        kinds = "convolution, Linear, Embedding or MultiheadAttention"
        raise InvalidValue(
            f"{type(model).__name__} has nothing to quantize: no {kinds} that is not excluded"
        )
    return found


def _is_excluded(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a pattern matches the name or that of a module around it."""
    parts = name.split(".")
    around = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(each, pattern) for each in around for pattern in patterns)


def feed(model: nn.Module, batch: object) -> Any:
    """Call a model with a batch: a tensor; a tuple of it and targets; or named inputs.

    Raises
    ------
    InvalidType
        If the batch is something else.
    InvalidValue
        If its shape does not fit the model.
    """
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    if isinstance(batch, Mapping):
        named = cast("Mapping[str, Tensor]", batch)
        return _called(model, lambda: model(**{k: v.to(device) for k, v in named.items()}), named)
    if isinstance(batch, list | tuple) and batch:
        batch = cast("Sequence[object]", batch)[0]
    if not isinstance(batch, Tensor):
        raise InvalidType(
            "a batch must be a tensor, a tuple that begins with one, or a mapping of named "
            f"tensors, got {type(batch).__name__}"
        )
    x = batch.to(device)
    return _called(model, lambda: model(x), {"": x})


def _called(model: nn.Module, call: Callable[[], Any], given: Mapping[str, Tensor]) -> Any:
    try:
        return call()
    except (RuntimeError, TypeError, IndexError) as error:
        shapes = ", ".join(f"{name} {tuple(each.shape)}".strip() for name, each in given.items())
        raise InvalidValue(
            f"{type(model).__name__} cannot take a batch of shape {shapes}: {error}"
        ) from error


def checked_batches(data: object) -> Iterator[object]:
    """Yield the batches of an iterable; a single tensor or mapping is one batch.

    Raises
    ------
    InvalidType
        If `data` cannot be iterated over.
    InvalidValue
        If a batch holds nothing.
    """
    if isinstance(data, Tensor | Mapping):
        yield _not_empty(data)
        return
    try:
        batches = iter(cast("Any", data))
    except TypeError:
        raise InvalidType(
            f"data must be an iterable of batches, got {type(data).__name__}"
        ) from None
    yield from map(_not_empty, batches)


def _not_empty(batch: object) -> object:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(first, Tensor) and not first.numel():
        raise InvalidValue(f"a batch of the data is empty: its shape is {tuple(first.shape)}")
    return batch
