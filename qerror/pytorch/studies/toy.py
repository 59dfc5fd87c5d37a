"""Paper 1's toy experiment: the largest level and the mantissa bits of 3M4E learn on N(0, 1)."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from qerror._arrays import integer, positive
from qerror.analysis.single import quantization_error
from qerror.densities.gaussian import Gaussian
from qerror.formats.floating import FloatingPoint
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.reporting import Document, Row

Rule: TypeAlias = Literal["straight-through", "exact"]

RULES: tuple[Rule, ...] = ("straight-through", "exact")

START_C, START_M = 240.0, 3.0
"""3M4E with bias 8."""

_RATE_OF_C = 2000.0  # larger ones overshoot near the optimum, where the curvature is greatest
_LONGER = 3  # times as many iterations for c alone
_EVERY = 5  # iterations between rows of the figure


@dataclass(frozen=True)
class ToyRun:
    """One descent: what was learnt after every step, the start included."""

    rule: Rule
    learning_rate: float
    c: tuple[float, ...]
    m: tuple[float, ...]
    loss: tuple[float, ...]
    """The mean squared error on the batch of every step; one shorter."""

    @property
    def mantissa_bits(self) -> int:
        """The mantissa bits that are used at the end."""
        return min(max(round(self.m[-1]), 1), 6)


def toy_experiment(
    rule: Rule = "straight-through",
    *,
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    iterations: int = 500,
    size: int = 4096,
    seed: int = 0,
    learn_mantissa: bool = True,
) -> ToyRun:
    """Learn c and m of an 8-bit floating-point format on values of N(0, 1) by plain SGD.

    Parameters
    ----------
    rule : {"straight-through", "exact"}
        What c receives.
    learning_rate, momentum : float
        Of SGD, the same for c and m.
    iterations, size : int
        Steps, and fresh values in each.
    seed : int
    learn_mantissa : bool
        Whether m learns too; else it is 5, the best.

    Returns
    -------
    ToyRun

    References
    ----------
    Kuzmin et al. 2022, section 4.3 and figure 5.
    """
    positive("learning_rate", learning_rate)
    integer("iterations", iterations, 1, 10**7)
    generator = torch.Generator().manual_seed(seed)
    learnt = torch.tensor([START_C, START_M if learn_mantissa else 5.0], dtype=torch.float64)
    velocity = torch.zeros_like(learnt)
    c, m, losses = [START_C], [float(learnt[1])], list[float]()
    for _ in range(iterations):
        x = torch.randn(size, generator=generator, dtype=torch.float64)
        loss, slope = _slope(x, learnt, rule)
        slope[1] *= learn_mantissa
        velocity = momentum * velocity + slope
        learnt = learnt - learning_rate * velocity
        learnt[0] = learnt[0].clamp(min=1e-3)  # a step too far must not turn the range over
        c.append(float(learnt[0]))
        m.append(float(learnt[1]))
        losses.append(loss)
    return ToyRun(rule, learning_rate, tuple(c), tuple(m), tuple(losses))


def _slope(x: Tensor, learnt: Tensor, rule: Rule) -> tuple[float, Tensor]:
    """Return the mean squared error and its gradient in (c, m)."""
    variables = learnt.detach().requires_grad_()
    loss = (F.fp(x, variables[0], variables[1], rule=rule) - x).square().mean()
    (slope,) = torch.autograd.grad(loss, variables)
    return float(loss.detach()), slope


def toy_document(iterations: int = 500, size: int = 1000) -> Document:
    """Return descents of the toy experiment as the data of a figure.

    Panels "c and m" (both learn, at several learning rates) and "c" (m is 5, the best number).
    Rows hold the iteration, c, m and the exact mean squared error of the format there.
    """
    rows: list[Row] = []
    for rule in RULES:
        for rate in (1.0, 100.0):
            run = toy_experiment(rule, learning_rate=rate, iterations=iterations, size=size)
            rows += _rows("c and m", run)
        run = toy_experiment(
            rule,
            learning_rate=_RATE_OF_C,
            iterations=_LONGER * iterations,
            size=size,
            learn_mantissa=False,
        )
        rows += _rows("c", run)
    return Document("figure", {"density": "gaussian", "start": START_C, "size": size}, rows)


def _rows(panel: str, run: ToyRun) -> list[Row]:
    found: list[Row] = []
    for i in range(0, len(run.c), _EVERY):
        used = min(max(round(run.m[i]), 1), 6)
        form = FloatingPoint(used, 7 - used)
        mse = quantization_error(form, Gaussian(), form.scale_for(run.c[i])).mse
        found.append(
            {
                "panel": panel,
                "rule": run.rule,
                "learning_rate": run.learning_rate,
                "iteration": i,
                "c": run.c[i],
                "m": run.m[i],
                "format": form.name,
                "mse": mse,
            }
        )
    return found
