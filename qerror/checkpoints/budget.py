"""Which format for which tensor, at so many bits a value: the least error, and a proof of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from qerror._arrays import positive, real
from qerror.checkpoints.knapsack import Choices, least_error
from qerror.checkpoints.patterns import fits, require_match
from qerror.checkpoints.report import CheckpointReport, TensorReport
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.format import Format
from qerror.formats.names import as_format
from qerror.storage import read_json

_OF_TYPES = {
    "F64": "fp64",
    "F32": "fp32",
    "F16": "fp16",
    "BF16": "bf16",
    "F8_E4M3": "e4m3",
    "F8_E5M2": "e5m2",
    "F4": "e2m1",
}


class Assignment(NamedTuple):
    """What one tensor gets."""

    tensor: str
    """By its name in the file."""
    format: str
    """Of the type that it is stored in where it stays as it is."""
    bits_per_value: float
    size: int
    """How many values it has."""
    mse: float
    """0 where the tensor stays as it is."""
    sqnr_db: float
    best_max_value: float | None
    dimensions: int
    """How many axes it has."""
    is_kept: bool
    """Whether it stays as it is: pinned so, or no format can hold it."""


@dataclass(frozen=True)
class BudgetPlan:
    """The formats of all tensors with the least summed error at a budget."""

    budget: float
    """Bits a value that were given."""
    bits_per_value: float
    """Bits a value that are used."""
    error: float
    """The sum over all tensors of weight times mean squared error."""
    bound: float
    """What no assignment can go below: the least error where tensors may be split between
    formats."""
    is_proven: bool
    """Whether no assignment is better; else the search has ended early, and `gap` says by how
    much another might be."""
    assignments: tuple[Assignment, ...]

    @property
    def gap(self) -> float:
        """By how much the error exceeds the bound, relative to it."""
        return self.error / self.bound - 1 if self.bound > 0 else (math.inf if self.error else 0.0)

    def to_dict(self) -> dict[str, object]:
        """Return plain data: figures, and a row a tensor."""
        return {
            "budget": self.budget,
            "bits_per_value": self.bits_per_value,
            "error": self.error,
            "bound": self.bound,
            "gap": self.gap,
            "is_proven": self.is_proven,
            "tensors": [each._asdict() for each in self.assignments],
        }

    def to_recipe(self) -> dict[str, object]:
        """Return the recipe for `qerror network`: formats of weights by the names of modules.

        Layers that stay as they are, are excluded; activations stay as they are too.
        """
        formats: dict[str, str] = {}
        excluded: list[str] = []
        for each in self.assignments:
            module, dot, kind = each.tensor.rpartition(".")
            if kind != "weight" or not dot or each.dimensions < 2:
                continue  # a recipe speaks of the weights of layers, not of norms and biases
            if each.is_kept:
                excluded.append(module)
            else:
                formats[module] = each.format
        common = max(formats.values(), key=list(formats.values()).count, default="int8")
        return {
            "weights": {"format": common, "calibration": "optimal"},
            "activations": "none",
            "layers": [f"{module}={form}" for module, form in formats.items() if form != common],
            "exclude": excluded,
        }


def plan_budget(
    report: CheckpointReport,
    budget: float,
    *,
    keep: Mapping[str, Format | str] | None = None,
    sensitivities: Mapping[str, float] | None = None,
) -> BudgetPlan:
    """Assign formats to tensors so that their summed error is the least at a budget.

    Minimises the sum over all tensors of weight times mean squared error, where each has one of
    the analysed formats at its best range, and all together take at most so many bits a value.
    A tensor that no format can hold stays as it is.

    Parameters
    ----------
    report : CheckpointReport
        What every format does to every tensor.
    budget : float
        Bits a value, on average over all tensors.
    keep : mapping of str to Format or str, optional
        Formats for tensors by patterns of their names (``*lm_head*``; a name without a wildcard
        also stands for what follows it after a dot). That of its own type leaves a tensor as it
        is; others must be among the analysed ones. The first pattern that fits counts.
    sensitivities : mapping of str to float, optional
        The weights by patterns of names, instead of the sizes.

    Raises
    ------
    InvalidValue
        If even the smallest formats take more, a pattern fits no tensor, a tensor has no
        sensitivity, or a format that is kept was not analysed; if rows are no whole tensors.

    References
    ----------
    A multiple-choice knapsack, as in Kellerer, Pferschy and Pisinger, Knapsack Problems (2004): the
    bound is that of its linear relaxation, the search a dynamic programme over undominated states.
    """
    positive("budget", budget)
    if report.by is not None:
        raise InvalidValue(f"a budget is for whole tensors; the report has rows by {report.by!r}")
    pinned = _pinned(report, keep or {})
    weights = _weights(report, sensitivities)
    options = [_options(each, form) for each, form in zip(report.tensors, pinned, strict=True)]
    size = report.size
    choices = [
        Choices(
            np.array([each.bits_per_value * each.size for each in own]),
            np.array([weight * each.mse for each in own]),
        )
        for own, weight in zip(options, weights, strict=True)
    ]
    least = sum(float(each.cost.min()) for each in choices)
    if least > budget * size:
        raise InvalidValue(
            f"a budget of {budget:g} bits a value: the smallest formats take "
            f"{least / size:.6g}; raise it, add a smaller format, or keep fewer tensors"
        )
    found = least_error(choices, budget * size)
    chosen = tuple(own[i] for own, i in zip(options, found.chosen, strict=True))
    used = math.fsum(each.bits_per_value * each.size for each in chosen)
    return BudgetPlan(
        budget, used / max(size, 1), found.error, found.bound, found.is_proven, chosen
    )


def _pinned(report: CheckpointReport, keep: Mapping[str, Format | str]) -> list[Format | None]:
    """Return the format that each tensor must have, None where it is free."""
    rules = [(pattern, as_format(form)) for pattern, form in keep.items()]
    names = [each.tensor for each in report.tensors]
    for pattern, _ in rules:
        require_match(pattern, names)
    return [next((form for pattern, form in rules if fits(pattern, name)), None) for name in names]


def _weights(report: CheckpointReport, given: Mapping[str, float] | None) -> list[float]:
    if given is None:
        return [float(each.size) for each in report.tensors]
    names = [each.tensor for each in report.tensors]
    for pattern, weight in given.items():
        require_match(pattern, names)
        if real(f"the sensitivity of {pattern!r}", weight) < 0:
            raise InvalidValue(f"the sensitivity of {pattern!r} must not be negative: {weight:g}")
    found = [next((w for p, w in given.items() if fits(p, name)), None) for name in names]
    missing = [name for name, weight in zip(names, found, strict=True) if weight is None]
    if missing:
        raise InvalidValue(
            f"no sensitivity is given for {len(missing):,} tensors, such as {missing[0]!r}; add "
            '"*" for all others'
        )
    return [float(cast("float", weight)) for weight in found]


def _options(each: TensorReport, pinned: Format | None) -> list[Assignment]:
    """Return what a tensor can get."""
    stored = _OF_TYPES.get(each.dtype)
    if pinned is not None and stored is not None and as_format(stored) == pinned:
        return [_as_it_is(each)]
    known = [
        Assignment(
            each.tensor,
            form.format,
            form.bits_per_value,
            each.size,
            form.best_mse,
            form.best_sqnr_db,
            form.best_max_value,
            len(each.shape),
            False,
        )
        for form in each.formats
        if not math.isnan(form.best_mse) and (pinned is None or pinned.name == form.format)
    ]
    if not known and pinned is not None and pinned.name not in [f.format for f in each.formats]:
        raise InvalidValue(
            f"{each.tensor!r} is to be kept in {pinned.name}, which was not analysed; it is "
            f"stored as {each.dtype}. Add {pinned.name} to the formats"
        )
    return known or [_as_it_is(each)]


def _as_it_is(each: TensorReport) -> Assignment:
    """Return a tensor as it is stored; one of zeros alone, or without values, included."""
    form = _OF_TYPES.get(each.dtype)
    name = each.dtype if form is None else as_format(form).name
    axes = len(each.shape)
    bits, size = each.bits_per_value, each.size
    return Assignment(each.tensor, name, bits, size, 0.0, math.inf, None, axes, True)


def read_sensitivities(path: str | Path) -> dict[str, float]:
    """Read sensitivities from a JSON file: a table of patterns of names to numbers.

    Raises
    ------
    InvalidValue
        If there is no such file, or it is no such table.
    InvalidType
        If what it holds is no table of numbers.
    """
    path = Path(path)
    try:
        found: object = read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
    if not isinstance(found, dict):
        raise InvalidType(f"{str(path)!r} must hold a table of names to numbers")
    return {
        pattern: real(f"the sensitivity of {pattern!r}", cast("float", weight))
        for pattern, weight in cast("dict[str, object]", found).items()
    }
