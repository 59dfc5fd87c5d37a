"""What a fit returns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qerror.densities.density import Density
from qerror.densities.discrete import Discrete
from qerror.densities.mixture import Mixture
from qerror.densities.truncated import Truncated
from qerror.fitting.channel_lattice import ChannelLattices
from qerror.fitting.channels import ChannelSpread
from qerror.fitting.lattice import Lattice


@dataclass(frozen=True)
class Candidate:
    """One family at its maximum likelihood."""

    family: str
    """By name."""
    density: Density
    log_likelihood: float
    """Natural logarithm, over the values that are no point masses."""
    parameters: int
    """Number of fitted parameters."""
    bounds: tuple[str, ...] = ()
    """The parameters that ended at the edge of what is searched, such as "nu <= 10000": the
    likelihood still rises beyond it."""


@dataclass(frozen=True)
class FitResult:
    """The density that makes the data most likely."""

    density: Density
    """The best candidate, joined with point masses where values repeat."""
    candidates: tuple[Candidate, ...]
    """Every family that fits the data, the most likely first; one more parameter must raise the
    log-likelihood by 1 (Akaike's criterion), or Student's t would displace every Gaussian."""
    excluded: Mapping[str, str]
    """The families that cannot have made the data, each with the reason."""
    size: int
    """Number of values."""
    atoms: tuple[tuple[float, float], ...]
    """Values that make up more than 1% of the data each, with their shares."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value."""
    lattice: Lattice | None = None
    """The grid that all values lie on, if they do: data that have been quantized already. On a
    coarse one `density` is made of point masses alone, and no family is fitted."""
    channels: ChannelSpread | None = None
    """The channels of an array, where their spreads differ by more than chance: `density` is
    then a mixture of scales of one shape."""
    channel_lattices: ChannelLattices | None = None
    """The grids of an array's channels, where each lies on one of its own: `density` is then made
    of the values themselves, and no family is fitted."""

    @cached_property
    def predictive(self) -> Density:
        """The density to predict errors with, which has a variance.

        The fitted one; or, where that has none (Student's t with nu <= 2), the same cut to the
        limits of the data: the sample's errors are finite, and those of the whole density not.
        """
        if math.isfinite(self.density.second_moment):
            return self.density
        whole = self.candidates[0].density
        if self.channels is not None:
            whole = self.channels.mixture(self.channels.predictive_shape)
            return joined(whole, self.atoms)
        return joined(Truncated(whole, *self.limits), self.atoms)


def joined(density: Density | None, atoms: Sequence[tuple[float, float]]) -> Density:
    """Return a density mixed with point masses, either of which may be missing."""
    if not atoms and density is not None:
        return density
    values, shares = zip(*atoms, strict=True)
    total = min(math.fsum(shares), 1.0)
    masses = Discrete(values, [share / math.fsum(shares) for share in shares])
    if density is None:
        return masses
    return Mixture((density, masses), (1 - total, total))
