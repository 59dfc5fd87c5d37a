"""Write the values of fp8-fig3's layer anew: ``python -m figures.make_layer``.

It needs torch and the packages that `make models` installs; the figure itself needs the CSV alone.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import qerror.studies.fp8_quantization as room
from qerror.pytorch.zoo.efficientnet import efficientnet_lite0
from qerror.pytorch.zoo.photos import photo_crops
from qerror.storage import write_atomically

LAYER = "blocks.2.expand"
PHOTOS, INPUTS = 16, 2048


def main() -> None:
    """Run photographs through the network, and keep a layer's weights and some of its inputs."""
    model = efficientnet_lite0()
    layer = model.get_submodule(LAYER)
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...], found: object) -> None:
        del module, found
        seen.append(given[0])

    layer.register_forward_hook(keep)
    with torch.no_grad():
        model(photo_crops(PHOTOS))
    weights: npt.NDArray[Any] = layer.get_parameter("weight").detach().numpy().reshape(-1)
    inputs: npt.NDArray[Any] = seen[0].numpy().reshape(-1)
    inputs = inputs[:: inputs.size // INPUTS][:INPUTS]  # evenly spaced
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("of", "value"))
    for name, values in (("weights", weights), ("inputs", inputs)):
        table.writerows((name, np.format_float_positional(each, trim="0")) for each in values)
    write_atomically(Path(room.__file__).with_name("layer.csv"), text.getvalue().encode())


if __name__ == "__main__":
    main()
