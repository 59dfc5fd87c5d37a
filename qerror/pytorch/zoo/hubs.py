"""Networks of torchvision, timm and Hugging Face, for those who have them."""

from typing import Any, cast

from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.zoo.packaged import imported

_LIBRARIES = {"torchvision": "torchvision", "timm": "timm", "hf": "transformers"}


def hub_model(name: str) -> nn.Module:
    """Return a pretrained network by library and name, in evaluation mode.

    Parameters
    ----------
    name : str
        "torchvision:resnet18", "timm:vit_tiny_patch16_224" or "hf:bert-base-uncased"; a folder
        serves as a name for "hf".

    Raises
    ------
    InvalidValue
        If the library is unknown, or has no such network.
    MissingLibrary
        If the library is not installed.
    """
    library, colon, own = name.partition(":")
    if library not in _LIBRARIES or not colon or not own:
        raise InvalidValue(
            f"unknown network {name!r}; write torchvision:NAME, timm:NAME or hf:NAME"
        )
    module = imported(_LIBRARIES[library])
    try:
        model = _made(library, module, own)
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise InvalidValue(f"{library} cannot give {own!r}: {error}") from error
    model = model if library != "hf" else _FirstOutput(model)
    return model.eval()


def _made(library: str, module: Any, name: str) -> nn.Module:
    if library == "torchvision":
        made = module.models.get_model(name, weights="DEFAULT")
    elif library == "timm":
        made = module.create_model(name, pretrained=True)
    else:
        made = module.AutoModel.from_pretrained(name)
    return cast("nn.Module", made)


class _FirstOutput(nn.Module):
    """Returns the first of a network's outputs, which are a tuple or have names."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        """Return a tensor."""
        found: Tensor = self.model(*args, **kwargs)[0]
        return found
