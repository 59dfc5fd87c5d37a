"""Quantization after training: what a format costs a network, over formats and seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from torch import Tensor, nn

from qerror._arrays import integer
from qerror.execution import Progress, silent
from qerror.pytorch.networks.quantize_model import quantize_model
from qerror.pytorch.networks.recipe import ModelRecipe
from qerror.pytorch.studies.intervals import shown
from qerror.pytorch.zoo import NETWORKS, Network
from qerror.reporting import Document, View


@dataclass(frozen=True)
class PtqRow:
    """One network, quantized one way."""

    model: str
    format: str
    """Of weights and layer inputs; both, joined by " x ", where they differ."""
    bits: float
    """Of a weight."""
    calibration: str
    granularity: str
    weights_only: bool
    seed: int
    measure: str
    """What the accuracies are: "accuracy", "agreement" or "cosine"; all in percent."""
    fp32_accuracy: float
    accuracy: float


def ptq_study(
    models: Sequence[str],
    formats: Sequence[str] = (),
    *,
    recipes: Sequence[ModelRecipe] | None = None,
    calibrations: Sequence[str] = ("mse",),
    seeds: int = 1,
    granularity: str = "tensor",
    weights_only: bool = False,
    first: str | None = None,
    last: str | None = None,
    exclude: Sequence[str] = (),
    update_bn: bool = False,
    quick: bool = False,
    progress: Progress | None = None,
) -> list[PtqRow]:
    """Quantize networks after training and judge them.

    Parameters
    ----------
    models : sequence of str
        Names in `qerror.pytorch.NETWORKS`.
    formats : sequence of str
        For weights and layer inputs.
    recipes : sequence of ModelRecipe, optional
        In place of `formats` and all options that make recipes of them.
    calibrations : sequence of str
        Names in `qerror.pytorch.CALIBRATIONS`.
    seeds : int
        Each network is trained from so many seeds; one that comes trained has one.
    granularity, first, last, exclude, update_bn
        As in `ModelRecipe`; the granularity is that of the weights.
    weights_only : bool
        Leave the activations as they are.
    quick : bool
        Train less and judge on less.
    progress : callable, optional
        Called with (done, total) cases.

    Returns
    -------
    list of PtqRow
    """
    integer("seeds", seeds, 1, 10_000)
    recipes = recipes or [
        ModelRecipe.of(
            form,
            calibration=calibration,
            granularity=granularity,
            activations=not weights_only,
            first=first,
            last=last,
            exclude=tuple(exclude),
            update_bn=update_bn,
        )
        for calibration in calibrations
        for form in formats
    ]
    networks = [NETWORKS[name].quick() if quick else NETWORKS[name] for name in models]
    cases = [(network, seed) for network in networks for seed in range(_seeds(network, seeds))]
    total, rows = len(cases) * len(recipes), list[PtqRow]()
    for network, seed in cases:
        for row in _rows(network, seed, recipes):
            rows.append(row)
            (progress or silent)(len(rows), total)
    return rows


def _seeds(network: Network, wanted: int) -> int:
    return wanted if network.trains else 1


def _rows(network: Network, seed: int, recipes: Sequence[ModelRecipe]) -> Iterator[PtqRow]:
    model = network.model(seed)
    reference = network.run(model)
    calibration = network.calibration()
    for recipe in recipes:
        quantized = quantize_model(model, recipe, calibration)
        yield _row(network, seed, recipe, reference, quantized)


def _row(
    network: Network, seed: int, recipe: ModelRecipe, reference: Tensor, quantized: nn.Module
) -> PtqRow:
    return PtqRow(
        network.name,
        recipe.format_name,
        recipe.main.bits,
        recipe.main.calibration,
        recipe.main.granularity,
        recipe.activations is None,
        seed,
        network.measure,
        network.score(reference, reference),
        network.score(network.run(quantized), reference),
    )


def ptq_document(rows: Sequence[PtqRow]) -> Document:
    """Return the study as data, with a table of means over seeds."""
    body: list[tuple[str, ...]] = []
    ordered = sorted(rows, key=_case)
    for (model, form, calibration), group in groupby(ordered, key=_case):
        found = list(group)
        changes = [row.accuracy - row.fp32_accuracy for row in found]
        body.append(
            (
                model,
                form,
                calibration,
                str(len(found)),
                shown([row.fp32_accuracy for row in found]),
                shown([row.accuracy for row in found]),
                shown(changes),
            )
        )
    order = list(dict.fromkeys(_case(row) for row in rows))
    body.sort(key=lambda line: order.index((line[0], line[1], line[2])))
    header = ("network", "format", "calibration", "seeds", "FP32 %", "quantized %", "change")
    measures = ", ".join(
        f"{name}: {kind}" for name, kind in {r.model: r.measure for r in rows}.items()
    )
    notes = [
        f"in percent ({measures}); +- is half of a 95% confidence interval of the mean over seeds",
    ]
    views = [View("Quantized after training", header, body, (0, 1, 2), notes, spare=(3,))]
    return Document("network", {"study": "ptq"}, [asdict(row) for row in rows], views)


def _case(row: PtqRow) -> tuple[str, str, str]:
    return row.model, row.format, row.calibration
