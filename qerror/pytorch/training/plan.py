"""How a network is trained, as plain numbers."""

import math
from dataclasses import dataclass

from qerror._arrays import integer, positive, real
from qerror.exceptions import InvalidValue


@dataclass(frozen=True)
class Plan:
    """A training run with AdamW: a linear warm-up, then a cosine to zero.

    Parameters
    ----------
    epochs : int
        Times that every example is seen.
    batch_size : int
        Of all processes together.
    learning_rate : float
        The highest.
    warm_up : float
        Share of the steps in which it rises, in [0, 1).
    weight_decay : float
        Of the network's parameters; those of quantizers have none.
    label_smoothing : float
    shifts : int
        Images are moved by up to so many pixels, at random, both ways.
    quantizer_rate : float
        The learning rate of what quantizers learn, as a share of `learning_rate` and of the value
        from which it starts: at 1 and 0.002 a range moves by up to 0.2% of itself in a step.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.01
    warm_up: float = 0.2
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    shifts: int = 1
    quantizer_rate: float = 1.0

    def __post_init__(self) -> None:
        integer("epochs", self.epochs, 1, 10**6)
        integer("batch_size", self.batch_size, 1, 10**6)
        integer("shifts", self.shifts, 0, 10**4)
        positive("learning_rate", self.learning_rate)
        positive("quantizer_rate", self.quantizer_rate)
        for name in ("warm_up", "weight_decay", "label_smoothing"):
            value: float = getattr(self, name)
            if not 0 <= real(name, value) < 1:
                raise InvalidValue(f"{name} must lie in [0, 1), got {value:g}")

    def share(self, step: int, steps: int) -> float:
        """Return the learning rate of a step as a share of the highest."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
