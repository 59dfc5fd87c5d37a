"""Noise on the weights: the error of a layer's output against the accuracy."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from qerror._arrays import integer
from qerror.execution import Progress, silent
from qerror.pytorch.networks.layers import Layer, feed, layers_of
from qerror.pytorch.networks.quantize_model import prepared
from qerror.pytorch.studies.layers import pearson, spearman
from qerror.pytorch.zoo import NETWORKS, Network
from qerror.registry import Registry
from qerror.reporting import Document, View

_STRENGTHS = tuple(np.geomspace(0.05, 3.0, 12).tolist())


@dataclass(frozen=True)
class NoiseRow:
    """One layer with noise of one strength on its weights."""

    model: str
    layer: str
    strength: float
    """Standard deviation of the noise over that of the weights."""
    output_mse: float
    """Mean squared error of the layer's output on the calibration data."""
    output_nsr: float
    """The same over the output's mean square."""
    fp32_accuracy: float
    accuracy: float
    """Mean over the draws, in percent."""


def noise_study(
    model: str,
    layer: str | None = None,
    *,
    strengths: Sequence[float] = _STRENGTHS,
    draws: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[NoiseRow]:
    """Add Gaussian noise to the weights of a layer and look at its output and the accuracy.

    Parameters
    ----------
    model : str
        A name in `qerror.pytorch.NETWORKS`.
    layer : str, optional
        By default the one in the middle.
    strengths : sequence of float
    draws : int
        Of the noise, at each strength.
    seed : int
        Of the training and the noise.

    References
    ----------
    Kuzmin et al. 2022, appendix F and figure 13.
    """
    integer("draws", draws, 1, 10**6)
    network = NETWORKS[model]
    net = prepared(network.model(seed))
    layers = layers_of(net)
    names = [each.name for each in layers]
    chosen = layers[len(layers) // 2 if layer is None else _index(layer, names)]
    inputs, reference = _inputs(network, net, chosen), network.run(net)
    generator = torch.Generator().manual_seed(seed)
    rows: list[NoiseRow] = []
    for strength in strengths:
        found = [
            _once(network, net, chosen, strength, generator, inputs, reference)
            for _ in range(draws)
        ]
        mse, nsr, accuracy = np.mean(found, axis=0).tolist()
        fp32 = network.score(reference, reference)
        rows.append(NoiseRow(network.name, chosen.name, strength, mse, nsr, fp32, accuracy))
        (progress or silent)(len(rows), len(strengths))
    return rows


def _index(name: str, names: list[str]) -> int:
    known: Registry[int] = Registry("layer", "qerror network predict")
    for number, each in enumerate(names):
        known.register(each, number)
    return known[name]


def _inputs(network: Network, net: nn.Module, layer: Layer) -> list[Tensor]:
    found: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        del module
        found.append(args[0])

    handle = layer.module.register_forward_pre_hook(keep)
    with torch.no_grad():
        for batch in network.calibration():
            feed(net, batch)
    handle.remove()
    return found


@torch.no_grad()
def _once(  # noqa: PLR0917 - one place calls it
    network: Network,
    net: nn.Module,
    layer: Layer,
    strength: float,
    generator: torch.Generator,
    inputs: Sequence[Tensor],
    reference: Tensor,
) -> tuple[float, float, float]:
    exact = [layer.module(x) for x in inputs]
    kept = layer.weight.detach().clone()
    noise = torch.randn(kept.shape, generator=generator) * strength * kept.std()
    layer.weight.add_(noise)
    error = torch.cat([(layer.module(x) - y).flatten() for x, y in zip(inputs, exact, strict=True)])
    power = torch.cat([y.flatten() for y in exact]).square().mean()
    score = network.score(network.run(net), reference)
    layer.weight.copy_(kept)
    mse = float(error.square().mean())
    return mse, mse / float(power), score


def noise_document(rows: Sequence[NoiseRow]) -> Document:
    """Return the study as data, with the correlations of error and accuracy."""
    mse = [row.output_mse for row in rows]
    accuracy = [row.accuracy for row in rows]
    header = ("noise/std", "output MSE", "accuracy %")
    body = [(f"{row.strength:.3g}", f"{row.output_mse:.4g}", f"{row.accuracy:.2f}") for row in rows]
    notes = [
        f"Pearson of MSE and accuracy {pearson(mse, accuracy):.3f}, of log MSE and accuracy "
        f"{pearson(np.log(mse).tolist(), accuracy):.3f}, Spearman {spearman(mse, accuracy):.3f}",
    ]
    title = f"{rows[0].model}: noise on the weights of {rows[0].layer}"
    params = {"study": "noise", "model": rows[0].model, "layer": rows[0].layer}
    views = [View(title, header, body, (), notes)]
    return Document("network", params, [asdict(row) for row in rows], views)
