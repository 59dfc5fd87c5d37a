"""Training with quantizers in place: what it gives back of what a format costs."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.floating import FloatingPoint
from qerror.formats.integer import Integer
from qerror.formats.names import as_format
from qerror.pytorch.networks.layers import layers_of
from qerror.pytorch.networks.quantize_model import INPUT, quantize_model
from qerror.pytorch.networks.recipe import ModelRecipe, TensorRecipe
from qerror.pytorch.studies.intervals import shown
from qerror.pytorch.training import Plan, train
from qerror.pytorch.zoo import Classifier
from qerror.pytorch.zoo.networks import one_thread, trained_here
from qerror.registry import Registry
from qerror.reporting import Document, View

MODES: Registry[tuple[str, tuple[str, ...]]] = Registry("mode", "qerror network qat --help")
"""What learns beside the weights, by name: the method for floating point and its state."""

MODES.register("fixed", ("straight-through", ()))
MODES.register("range", ("fp", ("c",)))
MODES.register("format", ("fp", ("c", "m")))

_QUICK = 6
"""Epochs with quantizers at most, of a study that is to be quick."""

STARTS: Registry[str] = Registry("start", "qerror network qat --help")
"""Where training starts, by name: the calibration that sets the ranges."""

STARTS.register("fixed-format", "unit")
STARTS.register("flexible-bias", "mse")
STARTS.register("flexible-format", "mse")
STARTS.register("minmax", "minmax")
STARTS.register("norm", "norm")


@dataclass(frozen=True)
class QatRow:
    """One network, trained with quantizers one way; accuracies in percent."""

    model: str
    format: str
    bits: float
    start: str
    mode: str
    seed: int
    epochs: int
    fp32_accuracy: float
    ptq_accuracy: float
    """Before this training."""
    accuracy: float
    """After it."""
    recovered: float
    """Share of the loss that the training gave back, in percent; nan where nothing was lost."""
    int8_accuracy: float
    """After a conversion of the trained weights, and of all inputs, to INT8."""


@dataclass(frozen=True)
class QatCase:
    """What is trained."""

    network: Classifier
    form: str
    """By the name that the table has."""
    start: str
    mode: str
    seed: int
    plan: Plan
    recipe: ModelRecipe

    @property
    def name(self) -> str:
        """A name for a file."""
        form = self.form.replace(" ", "").replace(":", "_")
        return f"{self.network.name}-{form}-{self.start}-{self.mode}-{self.seed}"


def qat_study(
    models: Sequence[str],
    formats: Sequence[str] = (),
    *,
    recipe: ModelRecipe | None = None,
    starts: Sequence[str] = ("flexible-bias",),
    modes: Sequence[str] = ("range",),
    seeds: int = 1,
    epochs: int = 20,
    checkpoints: Path | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> list[QatRow]:
    """Train networks with quantizers in place, from quantization after training.

    Parameters
    ----------
    models : sequence of str
        Networks that are trained here.
    formats : sequence of str
        For weights and layer inputs: integers, or floating point without special codes.
    recipe : ModelRecipe, optional
        In place of `formats`, `starts` and `modes`: its calibration is then the start, and its
        method the mode.
    starts : sequence of str
        Names in `STARTS`. "fixed-format" keeps a format's own bias; "flexible-bias" has the range
        with the least error; "flexible-format" the mantissa bits too (Kuzmin et al. 2022, 5.3);
        integers have "flexible-bias", "minmax" and "norm".
    modes : sequence of str
        Names in `MODES`: "fixed" ranges, ranges that learn, or range and mantissa bits.
    seeds, epochs : int
    checkpoints : Path, optional
        A folder that keeps a checkpoint of every case; a study that was stopped goes on there.
    quick : bool
        Train less: a third before, six epochs with quantizers at most.
    progress : callable, optional
        Called with (done, total) steps of all trainings.
    """
    integer("seeds", seeds, 1, 10_000)
    if checkpoints is not None and not checkpoints.is_dir():
        raise InvalidValue(
            f"there is no folder {str(checkpoints)!r} for checkpoints; make it first"
        )
    kinds = qat_kinds(formats, starts, modes) if recipe is None else [_own(recipe)]
    cases = list(qat_cases(models, kinds, range(seeds), epochs, quick))
    rows: list[QatRow] = []
    for number, case in enumerate(cases):
        path = None if checkpoints is None else checkpoints / f"{case.name}.checkpoint"
        report = _part(progress or silent, number, len(cases))
        rows.append(qat_case(case, checkpoint=path, progress=report))
    return rows


_Kind: TypeAlias = tuple[str, str, str, ModelRecipe]
"""Format, start and mode by name, and the recipe."""


def qat_kinds(formats: Sequence[str], starts: Sequence[str], modes: Sequence[str]) -> list[_Kind]:
    """Return every combination with its recipe; what cannot be is refused before any work."""
    return [
        (as_format(form).name, start, mode, qat_recipe(form, start, mode))
        for form in formats
        for start in starts
        for mode in modes
    ]


def _own(recipe: ModelRecipe) -> _Kind:
    return recipe.format_name, recipe.main.calibration, recipe.main.method, recipe


def qat_cases(
    models: Sequence[str],
    kinds: Sequence[_Kind],
    seeds: Iterable[int],
    epochs: int,
    quick: bool,
) -> Iterator[QatCase]:
    """Yield what is trained, with the plan of the training."""
    for name in models:
        network = trained_here(name, quick=quick)
        plan = replace(network.plan, epochs=min(epochs, _QUICK) if quick else epochs)
        for form, start, mode, recipe in kinds:
            for seed in seeds:
                yield QatCase(network, form, start, mode, seed, plan, recipe)


def _part(progress: Progress, number: int, count: int) -> Progress:
    """Return the progress of one training as that of all."""
    return lambda done, total: progress(number * total + done, count * total)


def qat_recipe(form: str, start: str, mode: str) -> ModelRecipe:
    """Return the recipe of a case.

    Raises
    ------
    InvalidValue
        If integers are to learn mantissa bits, or a start does not suit the format.
    """
    calibration = STARTS[start]
    method, learn = MODES[mode]
    name = form
    known = as_format(form)
    if isinstance(known, Integer):
        if mode == "format" or start in {"fixed-format", "flexible-format"}:
            raise InvalidValue(
                f"{known.name} has no bias and no mantissa bits: use the modes fixed or range, "
                "and the starts flexible-bias, minmax or norm"
            )
        method, learn = ("straight-through", ()) if mode == "fixed" else ("lsq", ("s",))
    elif isinstance(known, FloatingPoint) and known.specials == "none":
        if start == "norm":
            raise InvalidValue(f"the start norm is for integers, not {known.name}")
        if start == "flexible-format":
            name = f"best:{known.bits}"
    else:
        raise InvalidValue(f"{known.name} cannot be trained here; use an integer or an xMyE format")
    part = TensorRecipe(name, calibration, method=method, learn=learn)
    return ModelRecipe(part, part)


def qat_case(
    case: QatCase, *, checkpoint: Path | None = None, progress: Progress | None = None
) -> QatRow:
    """Quantize, judge, train, judge again, convert to INT8, and judge that."""
    network = case.network
    model = network.model(case.seed)
    before = network.score(network.run(model), torch.empty(0))
    quantized = quantize_model(model, case.recipe, network.calibration())
    ptq = network.score(network.run(quantized), torch.empty(0))
    with one_thread():
        train(
            quantized,
            network.data().train,
            case.plan,
            seed=case.seed,
            checkpoint=checkpoint,
            progress=progress,
        )
    after = network.score(network.run(quantized), torch.empty(0))
    converted = quantize_model(plain(quantized), "int8", network.calibration())
    return QatRow(
        network.name,
        case.form,
        case.recipe.main.bits,
        case.start,
        case.mode,
        case.seed,
        case.plan.epochs,
        before,
        ptq,
        after,
        100 * (after - ptq) / (before - ptq) if before > ptq else math.nan,
        network.score(network.run(converted), torch.empty(0)),
    )


def plain(model: nn.Module) -> nn.Module:
    """Return a copy of a quantized network without quantizers; its weights are the levels."""
    found = copy.deepcopy(model)
    for layer in layers_of(found):
        if parametrize.is_parametrized(layer.module, "weight"):
            _settle(layer.module)
        if INPUT in dict(layer.module.named_children()):
            layer.module._forward_pre_hooks.clear()
            layer.module._forward_pre_hooks_with_kwargs.clear()
            delattr(layer.module, INPUT)
    return found


def _settle(module: nn.Module) -> None:
    """Make a parametrized weight a plain one, of the value that it has.

    `remove_parametrizations` would take the weight away from every copy: they share a class.
    """
    value = cast("Tensor", module.weight).detach().clone()
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    module.weight = nn.Parameter(value)


def qat_document(rows: Sequence[QatRow]) -> Document:
    """Return the study as data, with a table of means over seeds."""
    order = list(dict.fromkeys(_case(row) for row in rows))
    body: list[tuple[str, ...]] = []
    for _, group in groupby(sorted(rows, key=lambda row: order.index(_case(row))), key=_case):
        found = list(group)
        first = found[0]
        lost = [row.fp32_accuracy - row.ptq_accuracy for row in found]
        back = [row.accuracy - row.ptq_accuracy for row in found]
        share = f"{100 * sum(back) / sum(lost):.0f}" if sum(lost) > 0 else "-"
        body.append(
            (
                *(first.model, first.format, first.start, first.mode, str(len(found))),
                shown([row.fp32_accuracy for row in found]),
                shown([row.ptq_accuracy for row in found]),
                shown([row.accuracy for row in found]),
                share,
                shown([row.int8_accuracy for row in found]),
            )
        )
    header = (
        *("network", "format", "start", "learns", "seeds"),
        *("FP32 %", "before %", "after %", "back %", "to INT8 %"),
    )
    notes = [
        "before, after: the training with quantizers in place. back: share of the loss that it "
        "gave back, of the means. to INT8: after a conversion of the trained network",
    ]
    views = [View("Training with quantizers", header, body, (0, 1, 2, 3), notes, spare=(4, 9))]
    return Document("network", {"study": "qat"}, [asdict(row) for row in rows], views)


def _case(row: QatRow) -> tuple[str, str, str, str]:
    return row.model, row.format, row.start, row.mode
