"""Predicted against measured errors of the layers of networks: rows, ranks, and what fails."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from qerror.execution import Progress
from qerror.pytorch.networks.predict import Kind, LayerPrediction, Prediction, predict_each
from qerror.pytorch.networks.recipe import ModelRecipe
from qerror.pytorch.zoo import NETWORKS
from qerror.reporting import Document, Row, View
from qerror.tables import short

KINDS: tuple[Kind, ...] = ("weight", "activation", "output")


@dataclass(frozen=True)
class Agreement:
    """How well predictions of one kind hold, over layers and formats."""

    kind: Kind
    count: int
    spearman: float
    """Rank correlation of predicted and measured SQNR."""
    median_db: float
    """Median of the absolute differences in dB."""
    best_right: float
    """Share of the layers whose best format was predicted, in percent."""


def predict_study(
    model: str,
    formats: Sequence[str] = (),
    *,
    recipes: Sequence[ModelRecipe] | None = None,
    calibration: str = "mse",
    seed: int = 0,
    exclude: Sequence[str] = (),
    quick: bool = False,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Predict and measure every layer of a network in several formats, or after several recipes.

    Parameters
    ----------
    model : str
        A name in `qerror.pytorch.NETWORKS`.
    formats : sequence of str
        For weights and layer inputs.
    recipes : sequence of ModelRecipe, optional
        In place of `formats`, `calibration` and `exclude`.
    calibration : str
    seed : int
        Of the training.
    exclude : sequence of str
        As in `ModelRecipe`.
    quick : bool
        Train less.
    progress : callable, optional
        Called with (done, total) recipes.
    """
    network = NETWORKS[model].quick() if quick else NETWORKS[model]
    recipes = recipes or [
        ModelRecipe.of(form, calibration=calibration, exclude=tuple(exclude)) for form in formats
    ]
    return predict_each(network.model(seed), network.calibration(), recipes, progress=progress)


def agreements(predictions: Sequence[Prediction]) -> list[Agreement]:
    """Return how well the predictions hold, by kind; kinds without rows are left out."""
    found: list[tuple[Kind, list[LayerPrediction]]] = [
        (kind, [row for each in predictions for row in each.of(kind)]) for kind in KINDS
    ]
    return [_agreement(kind, rows) for kind, rows in found if rows]


def _agreement(kind: Kind, rows: Sequence[LayerPrediction]) -> Agreement:
    finite = [row for row in rows if _is_finite(row)]
    expected = [row.predicted_sqnr_db for row in finite]
    seen = [row.measured_sqnr_db for row in finite]
    differences = [abs(a - b) for a, b in zip(expected, seen, strict=True)]
    layers = list(dict.fromkeys(row.layer for row in finite))
    right = [_best(finite, layer, 0) == _best(finite, layer, 1) for layer in layers]
    share = 100 * sum(right) / max(len(right), 1)
    middle = median(differences) if differences else float("nan")
    return Agreement(kind, len(finite), spearman(expected, seen), middle, share)


def _is_finite(row: LayerPrediction) -> bool:
    return math.isfinite(row.predicted_sqnr_db) and math.isfinite(row.measured_sqnr_db)


def _best(rows: Sequence[LayerPrediction], layer: str, which: int) -> str:
    own = [row for row in rows if row.layer == layer]
    return max(own, key=lambda row: (row.predicted_sqnr_db, row.measured_sqnr_db)[which]).format


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the rank correlation; nan where one side is constant or too short."""
    if len(a) < 2:
        return float("nan")
    return pearson(_ranks(a), _ranks(b))


def pearson(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the linear correlation; nan where one side is constant."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else float("nan")


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks, ties at their mean."""
    x = np.asarray(values)
    _, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: list[float] = (ends - 0.5 * (counts - 1))[where].tolist()
    return middle


def predict_document(model: str, predictions: Sequence[Prediction]) -> Document:
    """Return the study as data: a row a layer, kind and format; agreement and failures to read."""
    rows: list[Row] = [{"model": model, **asdict(row)} for each in predictions for row in each.rows]
    found = [row for each in predictions for row in each.rows]
    views = [_agreement_view(model, predictions), _layers_view(found)]
    failing = [row for row in found if row.reason]
    if failing:
        views.append(_failing_view(failing))
    return Document("network", {"study": "predict", "model": model}, rows, views)


def _agreement_view(model: str, predictions: Sequence[Prediction]) -> View:
    header = ("kind", "cases", "Spearman", "median difference dB", "best format right %")
    body = [
        (
            each.kind,
            str(each.count),
            f"{each.spearman:.3f}",
            f"{each.median_db:.2f}",
            f"{each.best_right:.0f}",
        )
        for each in agreements(predictions)
    ]
    return View(f"{model}: predicted against measured", header, body)


def _layers_view(rows: Sequence[LayerPrediction]) -> View:
    header = ("layer", "kind", "format", "n", "predicted dB", "measured dB")
    body = [
        (
            row.layer,
            row.kind,
            row.format,
            str(row.length),
            f"{row.predicted_sqnr_db:.2f}",
            f"{row.measured_sqnr_db:.2f}",
        )
        for row in rows
    ]
    return View("SQNR of every layer", header, body, (0, 1, 2), spare=(3,))


def _failing_view(rows: Sequence[LayerPrediction]) -> View:
    body = [
        (
            row.layer,
            row.kind,
            row.format,
            short(row.predicted_sqnr_db - row.measured_sqnr_db, 2),
            row.reason,
        )
        for row in rows
    ]
    header = ("layer", "kind", "format", "off by dB", "reason")
    return View("Where the prediction is off by more than 1 dB", header, body, (0, 1, 2, 4))
