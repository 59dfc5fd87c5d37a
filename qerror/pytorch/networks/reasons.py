"""Why a prediction fails, in words: what the theory assumes, and what the data have instead."""

from dataclasses import dataclass

import torch
from torch import Tensor

FAILS = 1.0
"""dB from which on a prediction counts as off."""

_HEAVY = 20.0
_SPREAD = 3.0


@dataclass(frozen=True)
class Facts:
    """What is known of a tensor."""

    kurtosis: float
    """E[(x - mean)^4] / variance^2: 3 for a Gaussian."""
    spread: float
    """The largest standard deviation of a channel over their median; 1 without channels."""

    def joined(self, other: "Facts") -> "Facts":
        """Return the worse of both."""
        return Facts(max(self.kurtosis, other.kurtosis), max(self.spread, other.spread))


def facts_of(values: Tensor, axis: int | None) -> Facts:
    """Return the facts of a tensor, with channels along an axis."""
    wide, spread = values.detach().to(torch.float64), 1.0
    if axis is not None and wide.shape[axis] > 1:
        each = wide.movedim(axis, 0).flatten(1).std(1, correction=0)
        spread = float(each.max() / each.median().clamp(min=1e-300))
    return Facts(kurtosis_of(wide), spread)


def kurtosis_of(values: Tensor) -> float:
    """Return E[(x - mean)^4] / variance^2: 3 for a Gaussian, 1 where all values are equal."""
    wide = values.detach().to(torch.float64)
    centred = wide - wide.mean()
    variance = float(centred.square().mean())
    return float(centred.pow(4).mean()) / variance**2 if variance > 0 else 1.0


def reason(kind: str, difference: float, gain: float, facts: Facts, family: str) -> str:
    """Return why a prediction is off, empty if it is not.

    Parameters
    ----------
    kind : str
    difference : float
        Predicted minus measured SQNR in dB.
    gain : float
        Measured over predicted signal power in dB.
    facts : Facts
    family : str
        Of the density that was fitted.
    """
    if not abs(difference) > FAILS:
        return ""
    causes: list[str] = []
    if facts.kurtosis > _HEAVY:
        causes.append(f"outliers: kurtosis {facts.kurtosis:.3g}")
    if facts.spread > _SPREAD:
        causes.append(f"channels differ: spread {facts.spread:.3g}")
    if kind == "output" and abs(gain) > FAILS:
        causes.append(f"weights and inputs depend: power {gain:+.1f} dB of independent ones")
    if kind != "output" and not causes:
        causes.append(f"no {family}: the data have another shape")
    return "; ".join(causes) or "errors depend on each other"
