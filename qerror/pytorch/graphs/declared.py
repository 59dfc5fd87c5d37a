"""Quantizers that are declared by hand, in modules that torch.fx cannot look into."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.networks.layers import KINDS, Layer

SLOT = "input_quantizer"
"""The name of a declared quantizer in the module whose inputs it takes."""


@final
@dataclass(frozen=True)
class Declared:
    """A module that stays whole, and where quantizers stand in it.

    Parameters
    ----------
    module : str
        Its name in the network.
    inputs : tuple of tuple of str
        Modules in it, by their names there ("" is the module itself). All tensors that the
        modules of one tuple take share one quantizer, as those of a concatenation must. The
        weights of layers in it are quantized in any case.

    Raises
    ------
    InvalidType
        If `inputs` are no tuples of names.

    Examples
    --------
    >>> Declared("blocks.3", (("conv1", "skip"), ("conv2",)))
    Declared(module='blocks.3', inputs=(('conv1', 'skip'), ('conv2',)))
    """

    module: str
    inputs: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        groups: Any = self.inputs
        for group in groups:
            if isinstance(group, str) or not all(isinstance(each, str) for each in group):
                raise InvalidType(
                    f"inputs are tuples of names, such as (('conv1', 'skip'), ('conv2',)), got "
                    f"{group!r} in them"
                )

    def check(self, model: nn.Module) -> None:
        """Refuse what the network does not have.

        Raises
        ------
        InvalidValue
            If there is no module of a name, or one stands in two groups.
        """
        known = dict(model.named_modules())
        if not self.module or self.module not in known:
            raise InvalidValue(
                f"there is no module {self.module!r} to declare; names look like "
                f"{', '.join(repr(name) for name in list(known)[1:6])}"
            )
        names = [name for group in self.inputs for name in group]
        for name in names:
            if self.within(name) not in known:
                raise InvalidValue(f"{self.module!r} has no module {name!r} to declare")
            if names.count(name) > 1:
                raise InvalidValue(
                    f"{name!r} of {self.module!r} is declared twice: its inputs have one range"
                )

    def within(self, name: str) -> str:
        """Return a module's name in the network."""
        return f"{self.module}.{name}" if name else self.module

    def layers(self, model: nn.Module) -> Iterator[Layer]:
        """Yield the layers in the module."""
        for name, module in model.get_submodule(self.module).named_modules():
            if isinstance(module, KINDS):
                yield Layer(self.within(name), module)


def attach(module: nn.Module, quantizer: nn.Module) -> None:
    """Let a quantizer take every tensor that a module is given."""
    if not hasattr(module, SLOT):
        module.register_forward_pre_hook(_quantize, with_kwargs=True)
    setattr(module, SLOT, quantizer)


def _quantize(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace the tensors; a plain function, so that models can be copied."""
    quantizer = module.get_submodule(SLOT)
    return (
        tuple(_each(quantizer, value) for value in args),
        {name: _each(quantizer, value) for name, value in kwargs.items()},
    )


def _each(quantizer: nn.Module, value: Any) -> Any:
    """Quantize a tensor, or those in a list, which a concatenation takes."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return quantizer(value)
    if isinstance(value, list | tuple):
        return type(value)(_each(quantizer, each) for each in value)
    return value
