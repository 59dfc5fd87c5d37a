"""One figure at a time: exact beside sampled, and whether samples can judge it."""

import math
from dataclasses import dataclass

from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_scalar_format
from qerror.simulation.figures import BlockEstimate, Estimate

_SAME = 1e-9  # shares of blocks that rounding may tell apart
_RARE = 25.0  # blocks of the rarer kind, for a share to be judged by its standard error
_RESOLVED = 2.0**-84  # of the signal's power: float64 samples do not resolve smaller errors
_EXPECTED = 100.0  # samples that would have to lie beyond the range for none to be a contradiction
_FLOAT64 = 1e-13  # relative: what a sample's error, the sums, and the exact figure itself may lose
_DECIBELS = 10 / math.log(10)
_SMALL = 0.5  # of a standard error: more than this must not hang on a few samples
_NOT_SEEN = "no sample lies beyond the range"
_TOO_FEW = "too few samples had a part in it"
_NOT_THERE = "it does not exist or is infinite"
_ONE_SAMPLE = "a single sample has no standard error; say how many values make one: of=<N>"
_OF_ERRORS = ("mse", "sqnr_db", "mean_error", "cross_moment", "pair_error", "pair_cross")
_SHARES = ("clipped_blocks", "zero_blocks")


@dataclass(frozen=True)
class Judgement:
    """One figure: exact, sampled, and the distance in standard errors."""

    exact: float
    """What the analysis says."""
    sampled: float
    """What the samples say."""
    standard_error: float
    """Of the samples' figure."""
    z: float
    """(sampled - exact) / standard_error; nan where it is not judged."""
    truncated: bool
    """Whether these are the figures of the truncated density."""
    reason: str
    """Why it is not judged; empty if it is."""


@dataclass(frozen=True)
class Case:
    """Figures to compare: of the density as it is, or of the truncated one."""

    exact: ErrorReport[float]
    sampled: Estimate
    chances: tuple[float, float]
    """The probabilities of values below and above the range; of blocks, bounds on them."""
    limits: tuple[float, float]
    """The range, or what stands for its size."""
    truncated: bool

    def judge(self, name: str) -> Judgement:
        """Compare one figure."""
        exact, found = getattr(self.exact, name), getattr(self.sampled, name)
        error = getattr(self.sampled.standard_error, name)
        z, reason = self._distance(name, exact, found, error)
        return Judgement(exact, found, error, z, self.truncated, reason)

    def _distance(self, name: str, exact: float, found: float, error: float) -> tuple[float, str]:
        reason = self._obstacle(name, exact, error)
        if reason:
            return math.nan, reason
        if name in _SHARES:
            return self._share_distance(exact, found, error)
        expected = self._unseen(name)
        if expected is not None:
            # So many should have been beyond the range, and none was.
            many = expected > _EXPECTED
            return (-math.sqrt(expected), "") if many else (math.nan, _NOT_SEEN)
        if error > 0 and (not self.sampled.settled[name] or self._rests_on_few(name, error)):
            return math.nan, _TOO_FEW
        # Where nothing is random, the samples' own rounding is all that is left.
        off, least = found - exact, self.resolution(name)
        if error == 0 and abs(off) > least:
            rare = isinstance(self.sampled, BlockEstimate) and self._may_be_rare(off)
            return (math.nan, _TOO_FEW) if rare else (math.copysign(math.inf, off), "")
        return off / max(error, least) if off else 0.0, ""

    def resolution(self, name: str) -> float:
        """Return what the rounding of samples to float64 may move a figure by."""
        power, mse = self.exact.signal_power, self.exact.mse
        if not math.isfinite(power) or not math.isfinite(mse):
            return 0.0
        by_name = {
            "signal_power": power,
            "cross_moment": power,
            "pair_cross": power,
            "signal_mean": math.sqrt(power),
            "mean_error": math.sqrt(power),
            "sqnr_db": _DECIBELS * math.sqrt(power / mse) if mse else 0.0,
        }
        # Where every value is a level, the samples still round scales and offsets.
        least = _FLOAT64**2 * power
        return _FLOAT64 * by_name.get(name, math.sqrt(power * max(mse, least)))

    def _obstacle(self, name: str, exact: float, error: float) -> str:
        """Say why no number of samples could judge a figure, if so."""
        if isinstance(self.sampled, BlockEstimate) and self.sampled.samples < 2:
            return _ONE_SAMPLE
        if math.isnan(error) and not math.isfinite(exact):
            return _NOT_THERE
        if not math.isfinite(error):
            return "its variance is infinite"
        if not math.isfinite(exact):
            return _NOT_THERE
        return "float64 samples do not resolve so small errors" if self._is_unresolved(name) else ""

    def _is_unresolved(self, name: str) -> bool:
        power = self.exact.signal_power
        fine = self.exact.rounding <= _RESOLVED * power and math.isfinite(power)
        coarse = self.exact.clipping > _RESOLVED * power
        of_rounding = name == "rounding" or (name in _OF_ERRORS and not coarse)
        return of_rounding and fine and self.exact.mse > 0

    def _may_be_rare(self, off: float) -> bool:
        """Tell whether blocks unlike all that were drawn could make up for a difference.

        Such as those without their usual largest value.
        """
        assert isinstance(self.sampled, BlockEstimate)
        power = self.exact.signal_power
        return abs(off) <= max(power, math.sqrt(power)) * _EXPECTED / self.sampled.samples

    def _share_distance(self, exact: float, found: float, error: float) -> tuple[float, str]:
        """Return how far a share of blocks is off, where both outcomes occur often enough."""
        assert isinstance(self.sampled, BlockEstimate)
        rare = min(exact, 1 - exact) * self.sampled.blocks
        if 0 < found < 1 and rare >= _RARE and error > 0:
            return (found - exact) / error, ""
        if min(found, 1 - found) == 0 and abs(found - exact) * self.sampled.samples > _EXPECTED:
            return math.copysign(
                math.sqrt(abs(found - exact) * self.sampled.samples), found - exact
            ), ""
        return (0.0, "") if abs(found - exact) <= _SAME else (math.nan, _TOO_FEW)

    def _unseen(self, name: str) -> float | None:
        """Return how many samples should show a clipping error of which there is none."""
        below, above = self.sampled.clipped
        counts = {"clipping_low": below, "clipping_high": above, "clipping": below + above}
        if counts.get(name, 1) or getattr(self.exact, name) == 0:
            return None
        if isinstance(self.sampled, BlockEstimate):
            return 0.0  # at least: bounds say no more, and blocks that clip are judged themselves
        low, high = self.chances
        chance = {"clipping_low": low, "clipping_high": high, "clipping": low + high}[name]
        return self.sampled.size * chance

    def _rests_on_few(self, name: str, error: float) -> bool:
        """Tell whether rare samples beyond the range, badly known, could matter to a figure.

        Bounds by Cauchy and Schwarz: |E[e; beyond]| <= sqrt(P E[e^2; beyond]), and likewise for
        x e, with E[x^2; beyond] <= 2 limit^2 P + 2 E[e^2; beyond].
        """
        share = 0.0
        sides = zip(("clipping_low", "clipping_high"), self.chances, self.limits, strict=True)
        for side, chance, limit in sides:
            if self.sampled.settled[side] or name == side:
                continue
            square = max(getattr(self.exact, side), getattr(self.sampled, side))
            power = 2 * (limit * limit * chance + square)
            share += {
                "clipping": square,
                "mse": square,
                "sqnr_db": square * _DECIBELS / max(self.exact.mse, 1e-300),
                "mean_error": math.sqrt(chance * square),
                "cross_moment": math.sqrt(power * square),
            }.get(name, 0.0)
        return share > _SMALL * error


def case_of(  # noqa: PLR0917 - one comparison
    form: Format,
    density: Density,
    scale: float,
    sampled: Estimate,
    rounding: str,
    truncated: bool = False,
) -> Case:
    """Return the exact figures beside the sampled ones."""
    if isinstance(form, BlockFormat):
        report = quantization_error(form, density)
        assert isinstance(report, BlockErrorReport)
        chance = 1.0 if math.isnan(report.clipped_blocks) else report.clipped_blocks
        size = math.sqrt(report.signal_power) if math.isfinite(report.signal_power) else 0.0
        return Case(report, sampled, (chance, chance), (size, size), truncated)
    grid = as_scalar_format(form).grid(scale)
    # An atom at an end of the range is inside.
    low, high = math.nextafter(grid.min, -math.inf), math.nextafter(grid.max, math.inf)
    chances = float(density.mass(-math.inf, low)), float(density.mass(high, math.inf))
    exact = quantization_error(form, density, scale, rounding=rounding)
    return Case(exact, sampled, chances, (grid.min, grid.max), truncated)
