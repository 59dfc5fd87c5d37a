"""The training loop: seeded, resumable, in one process or several."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.pytorch.examples import Batch, Examples
from qerror.pytorch.fake_quantize import quantizers
from qerror.pytorch.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from qerror.pytorch.training.distributed import mean_over_processes, own_part, rank, shared
from qerror.pytorch.training.plan import Plan
from qerror.storage import check_writable


@dataclass(frozen=True)
class Trained:
    """What a run has to tell; the network itself was trained in place."""

    losses: tuple[float, ...]
    """The mean loss of every epoch."""


def train(
    model: nn.Module,
    examples: Examples,
    plan: Plan,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    until: int | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a classifier in place.

    Parameters
    ----------
    model : Module
        Takes inputs, returns logits.
    examples : Examples
    plan : Plan
    seed : int
        Of the order of the examples and their shifts.
    checkpoint : Path, optional
        A file that is written after every epoch. If it is there already, the run goes on from
        it, and ends with the same numbers as one that was never stopped.
    until : int, optional
        Stop after so many epochs of the plan, to go on later.
    progress : callable, optional
        Called with (done, total) steps.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidValue
        If there are fewer examples than a batch holds, the loss is no longer finite, or the
        checkpoint is damaged or belongs to another run. The checkpoint of the last good epoch
        stays.
    """
    if len(examples) < plan.batch_size:
        raise InvalidValue(
            f"a batch of {plan.batch_size} needs as many examples, got {len(examples)}"
        )
    run = _Run(model, examples, plan, seed)
    if checkpoint is not None:
        check_writable(checkpoint)
        if checkpoint.exists():
            run.restore(load_checkpoint(checkpoint, run.name))
    model.train()
    for _ in range(run.epoch, min(until or plan.epochs, plan.epochs)):
        run.one_epoch(progress or silent)
        if checkpoint is not None and rank() == 0:
            save_checkpoint(checkpoint, run.checkpoint())
    model.eval()
    return Trained(tuple(run.losses))


class _Run:
    """A run between two steps."""

    def __init__(self, model: nn.Module, examples: Examples, plan: Plan, seed: int) -> None:
        self.model, self.examples, self.plan = model, examples, plan
        self.optimizer = torch.optim.AdamW(_groups(model, plan), lr=plan.learning_rate, fused=True)
        self.generator = torch.Generator().manual_seed(seed)
        self.name = _name(model, examples, plan, seed)
        self.epoch = 0
        self.losses: list[float] = []
        self._shared = shared(model)

    def one_epoch(self, progress: Progress) -> None:
        """See every example once."""
        total, steps = 0.0, len(self.examples) // self.plan.batch_size
        all_steps = steps * self.plan.epochs
        for number, (x, y) in enumerate(self._batches()):
            step = self.epoch * steps + number
            total += self._step(x, y, self.plan.share(step, all_steps))
            progress(step + 1, all_steps)
        self.epoch += 1
        self.losses.append(total / steps)

    def _batches(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.examples), generator=self.generator)
        size = self.plan.batch_size
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            shift = torch.randint(0, 2 * self.plan.shifts + 1, (size, 2), generator=self.generator)
            mine = own_part(torch.arange(size))
            x = self.examples.inputs[chosen[mine]]
            yield shifted(x, shift[mine], self.plan.shifts), self.examples.targets[chosen[mine]]

    def _step(self, x: Tensor, y: Tensor, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["highest"]
        self.optimizer.zero_grad()
        logits = self._shared(x)
        loss = cross_entropy(logits, y, label_smoothing=self.plan.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        known = float(mean_over_processes(loss.detach().clone()))
        if known - known != 0:
            raise InvalidValue(
                f"the loss is {known} in epoch {self.epoch + 1}; lower the learning rate "
                f"({self.plan.learning_rate:g})"
            )
        self.optimizer.step()
        return known

    def checkpoint(self) -> Checkpoint:
        """Return where the run stands."""
        state = self.generator.get_state()
        model, optimizer = self.model.state_dict(), self.optimizer.state_dict()
        return Checkpoint(self.name, self.epoch, model, optimizer, state, tuple(self.losses))

    def restore(self, found: Checkpoint) -> None:
        """Go back to where a run stood."""
        self.model.load_state_dict(found.model)
        self.optimizer.load_state_dict(found.optimizer)
        self.generator.set_state(found.generator)
        self.epoch, self.losses = found.epoch, list(found.losses)


def _groups(model: nn.Module, plan: Plan) -> list[dict[str, object]]:
    """Return the parameters with decay, those without, and each of a quantizer by itself.

    Adam moves every parameter by steps of about the learning rate. Scales and largest levels have
    units of their own, from 0.01 to 100 in one network: each has a rate in proportion to the value
    from which it starts.
    """
    learnt = {id(each) for quantizer in quantizers(model) for each in quantizer.parameters()}
    rest = [each for each in model.parameters() if id(each) not in learnt]
    own = [each for each in model.parameters() if id(each) in learnt]
    rate, decay = plan.learning_rate, plan.weight_decay
    groups: Iterable[tuple[list[nn.Parameter], float, float]] = (
        ([each for each in rest if each.ndim > 1], rate, decay),
        ([each for each in rest if each.ndim <= 1], rate, 0.0),
        *(([each], rate * plan.quantizer_rate * _size(each), 0.0) for each in own),
    )
    return [
        {"params": params, "highest": highest, "weight_decay": lost}
        for params, highest, lost in groups
        if params
    ]


def _size(parameter: Tensor) -> float:
    """Return the mean magnitude of a parameter, 1 where it is 0."""
    return float(parameter.detach().abs().mean()) or 1.0


def _name(model: nn.Module, examples: Examples, plan: Plan, seed: int) -> str:
    """Return a name that a run shares only with itself."""
    shapes = [(key, tuple(value.shape)) for key, value in model.state_dict().items()]
    pieces = (shapes, tuple(examples.inputs.shape), sorted(asdict(plan).items()), seed)
    digest = hashlib.sha256(repr(pieces).encode())
    digest.update(examples.inputs.numpy(force=True).tobytes())
    return f"{type(model).__name__}-{digest.hexdigest()[:16]}"


def shifted(x: Tensor, shift: Tensor, most: int) -> Tensor:
    """Move images (n, channels, height, width) by their own numbers of pixels in 0..2 most."""
    if not most:
        return x
    n, _, height, width = x.shape
    padded = pad(x, (most,) * 4, mode="replicate")
    rows = shift[:, :1] + torch.arange(height)
    columns = shift[:, 1:] + torch.arange(width)
    image = torch.arange(n)[:, None, None]
    return padded.movedim(1, -1)[image, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
