"""The analysis against the simulation: exact figures, sampled figures, and how far apart."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FrozenMapping, positive
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.crosscheck._chi_square import chi_square_p as chi_square_p
from qerror.crosscheck._chi_square import quadratic_form, scales_chi_square
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.densities.truncated import Truncated
from qerror.exceptions import InvalidValue
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.simulation.estimate import estimate_error
from qerror.simulation.estimate_blocks import shared_values, with_tensor_of
from qerror.simulation.figures import BASIC, NAMES, OF_BLOCKS, BlockEstimate, Estimate
from qerror.tables import html_table, short

_LEAST_SAMPLES = 10_000  # of blocks or tensors, for standard errors that can be relied on
_MOST_RAISED = 4_000_000
_SAME = 1e-9  # shares of blocks that rounding may tell apart
_RARE = 25.0  # blocks of the rarer kind, for a share to be judged by its standard error
MOST_Z = 5.0  # a false alarm in 1.7 million fields
LEAST_P = 1e-6
LEAST_TOTAL_P = 1e-4  # of many checks together: one figure a run, so it may be asked more of
_RESOLVED = 2.0**-84  # of the signal's power: float64 samples do not resolve smaller errors
_EXPECTED = 100.0  # samples that would have to lie beyond the range for none to be a contradiction
_FLOAT64 = 1e-13  # relative: what a sample's error, the sums, and the exact figure itself may lose


@dataclass(frozen=True)
class Judgement:
    """One figure: exact, sampled, and the distance in standard errors."""

    exact: float
    sampled: float
    standard_error: float
    z: float
    """(sampled - exact) / standard_error; nan where it is not judged."""
    truncated: bool
    """Whether these are the figures of the truncated density."""
    reason: str
    """Why it is not judged; empty if it is."""


@dataclass(frozen=True, repr=False)
class CrossCheck:
    """The verdict of samples on the exact figures of one format and density."""

    exact: ErrorReport[float]
    sampled: Estimate
    judgements: Mapping[str, Judgement]
    """By the name of the figure. Where a variance does not exist, exact and sampled are those
    within `sampled.truncated.cut`."""
    chi_square: float
    """Of all plain means together, with their covariance; 0 if none is judged."""
    degrees: int
    """Its degrees of freedom."""
    scales: tuple[float, int] = (0.0, 0)
    """Chi-square of how often each stored scale occurs in blocks, and its degrees of freedom;
    (0, 0) where there are none, or too few samples."""

    @property
    def z(self) -> Mapping[str, float]:
        """The distance of every figure in standard errors; nan where it is not judged."""
        return FrozenMapping({name: each.z for name, each in self.judgements.items()})

    @property
    def worst(self) -> float:
        """The largest |z|; 0 if no figure is judged."""
        return max((abs(z) for z in self.z.values() if not math.isnan(z)), default=0.0)

    @property
    def p_value(self) -> float:
        """The probability of so large a chi-square if the exact figures are right."""
        return chi_square_p(self.chi_square, self.degrees)

    @property
    def passed(self) -> bool:
        """Whether no figure is further off than 5 standard errors and all together are likely."""
        likely = min(self.p_value, chi_square_p(*self.scales)) >= LEAST_P
        return self.worst <= MOST_Z and likely

    def __repr__(self) -> str:
        judged = sum(not each.reason for each in self.judgements.values())
        verdict = "passed" if self.passed else "not passed"
        return (
            f"<CrossCheck {verdict}: {judged} of {len(self.judgements)} figures judged on "
            f"{self.sampled.size:,} samples, largest |z| {self.worst:.2f}, p {self.p_value:.3g}>"
        )

    def _repr_html_(self) -> str:
        header = ("figure", "exact", "sampled", "std error", "z")
        body = [
            (
                name,
                short(each.exact, 7),
                short(each.sampled, 7),
                short(each.standard_error, 2),
                each.reason or f"{each.z:z.2f}",
            )
            for name, each in self.judgements.items()
        ]
        return html_table(repr(self).strip("<>"), header, body)


def cross_check(
    format: Format | str,  # noqa: A002 - the field's word
    density: Density | str,
    *,
    scale: float = 1.0,
    size: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> CrossCheck:
    """Compare exact and sampled errors of a format on a density.

    Parameters
    ----------
    format, density, scale, size, rng, progress
        As for `estimate_error`.

    Returns
    -------
    CrossCheck
        A figure is judged only where its standard error can be trusted: enough samples had a
        part in it, and its variance exists. Where the fourth moment does not exist, figures
        that need it are compared on the density truncated to an interval; the others as they
        are. Of a `BlockFormat` also pairs in one block, shares of blocks that clip or are zero,
        and how often each scale occurs.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> cross_check("int8", "laplace", scale=0.05, size=10_000, rng=rng).passed
    True
    """
    form, density, names = as_format(format), as_density(density), NAMES
    sampled = estimate_error(form, density, scale=scale, size=size, rng=rng, progress=progress)
    if isinstance(form, BlockFormat):
        # Where a tensor scale comes from all values, the analysis must know how many they are.
        form, names = with_tensor_of(form, size)[0], (*NAMES, *OF_BLOCKS)
    else:
        scale = positive("scale", scale)
    cases = [_case(form, density, scale, sampled)]
    if sampled.truncated is not None:
        cut = Truncated(density, *sampled.truncated.cut)
        cases.append(_case(form, cut, scale, sampled.truncated.estimate, truncated=True))
    judgements = FrozenMapping({name: _judged(name, cases) for name in names})
    chi_square, degrees = _chi_square(cases[-1], judgements)
    exact, scales = cases[0].exact, (0.0, 0)
    if isinstance(sampled, BlockEstimate) and isinstance(exact, BlockErrorReport):
        scales = scales_chi_square(exact.code_probabilities, sampled)
    return CrossCheck(exact, sampled, judgements, chi_square, degrees, scales)


@dataclass(frozen=True)
class Pair:
    """One cross-check with what it was made on."""

    format: Format
    density: Density
    scale: float
    """1 for formats that find their own scales."""
    check: CrossCheck

    @property
    def max_value(self) -> float | None:
        """The largest level; None where it depends on the values."""
        return self.format.max_value * self.scale if isinstance(self.format, ScalarFormat) else None


def verify(
    formats: Sequence[Format | str],
    densities: Sequence[Density | str],
    *,
    size: int,
    rng: np.random.Generator,
    scale: float | None = None,
    max_value: float | None = None,
    progress: Progress | None = None,
) -> list[Pair]:
    """Cross-check every format on every density, each pair on samples of its own.

    Parameters
    ----------
    formats, densities : sequence
        Formats and densities, or their names.
    size : int
        Samples per pair. Of a `BlockFormat` at least 10,000 blocks, or tensors where a tensor scale
        comes from the data, as far as four million values go.
    rng : numpy.random.Generator
        Where the samples come from.
    scale, max_value : float, optional
        The scale of all formats, or their largest level; by default each format reaches the
        2% and 98% quantiles of the density (`telling_scale`). Not for a `BlockFormat`.
    progress : callable, optional
        Called with (done, total) pairs.
    """
    chosen = [as_format(each) for each in formats]
    on = [as_density(each) for each in densities]
    if scale is not None or max_value is not None:
        _refuse_blocks(chosen)
    pairs: list[Pair] = []
    for density in on:
        for form in chosen:
            at, count = _scale_and_size(form, density, scale, max_value, size)
            check = cross_check(form, density, scale=at, size=count, rng=rng)
            pairs.append(Pair(form, density, at, check))
            if progress is not None:
                progress(len(pairs), len(on) * len(chosen))
    return pairs


def _refuse_blocks(formats: Sequence[Format]) -> None:
    blocks = [form.name for form in formats if isinstance(form, BlockFormat)]
    if blocks:
        raise InvalidValue(
            f"scale and max_value are for formats whose values stand alone; {', '.join(blocks)} "
            "find their scales in the values: leave out the scale, or these formats"
        )


def _scale_and_size(
    form: Format, density: Density, scale: float | None, max_value: float | None, size: int
) -> tuple[float, int]:
    if isinstance(form, BlockFormat):
        return 1.0, max(size, min(_LEAST_SAMPLES * shared_values(form), _MOST_RAISED))
    found = as_scalar_format(form)
    if max_value is not None:
        return found.scale_for(max_value), size
    return telling_scale(found, density) if scale is None else scale, size


def telling_scale(form: ScalarFormat, density: Density) -> float:
    """Return a scale at which samples show rounding and clipping alike.

    The level farthest from zero reaches the farther of the 2% and 98% quantiles.
    """
    reach = float(np.abs(density.ppf(np.array([0.02, 0.98]))).max())
    grid = form.grid()
    far = max(-grid.min, grid.max)
    return reach / far if reach > 0 and far > 0 else 1.0


def total_p(checks: Iterable[CrossCheck]) -> tuple[float, int, float]:
    """Return the chi-square of independent checks together, its degrees of freedom and p."""
    checks = list(checks)
    chi_square = math.fsum(check.chi_square for check in checks)
    degrees = sum(check.degrees for check in checks)
    return chi_square, degrees, chi_square_p(chi_square, degrees)


@dataclass(frozen=True)
class _Case:
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
        off, least = found - exact, self._resolution(name)
        if error == 0 and abs(off) > least:
            rare = isinstance(self.sampled, BlockEstimate) and self._may_be_rare(off)
            return (math.nan, _TOO_FEW) if rare else (math.copysign(math.inf, off), "")
        return off / max(error, least) if off else 0.0, ""

    def _resolution(self, name: str) -> float:
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
        return _FLOAT64 * by_name.get(name, math.sqrt(power * mse))

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


_DECIBELS = 10 / math.log(10)
_SMALL = 0.5  # of a standard error: more than this must not hang on a few samples
_NOT_SEEN = "no sample lies beyond the range"
_TOO_FEW = "too few samples had a part in it"
_NOT_THERE = "it does not exist or is infinite"
_ONE_SAMPLE = "a single sample has no standard error; say how many values make one: of=<N>"
_OF_ERRORS = ("mse", "sqnr_db", "mean_error", "cross_moment", "pair_error", "pair_cross")
_SHARES = ("clipped_blocks", "zero_blocks")


def _case(
    form: Format, density: Density, scale: float, sampled: Estimate, truncated: bool = False
) -> _Case:
    """Return the exact figures beside the sampled ones."""
    if isinstance(form, BlockFormat):
        report = quantization_error(form, density)
        assert isinstance(report, BlockErrorReport)
        chance = 1.0 if math.isnan(report.clipped_blocks) else report.clipped_blocks
        size = math.sqrt(report.signal_power) if math.isfinite(report.signal_power) else 0.0
        return _Case(report, sampled, (chance, chance), (size, size), truncated)
    grid = as_scalar_format(form).grid(scale)
    # An atom at an end of the range is inside.
    low, high = math.nextafter(grid.min, -math.inf), math.nextafter(grid.max, math.inf)
    chances = float(density.mass(-math.inf, low)), float(density.mass(high, math.inf))
    exact = quantization_error(form, density, scale)
    return _Case(exact, sampled, chances, (grid.min, grid.max), truncated)


def _judged(name: str, cases: list[_Case]) -> Judgement:
    """Return the first judgement that is one."""
    found = [case.judge(name) for case in cases]
    return next((each for each in found if not each.reason), found[-1])


def _chi_square(case: _Case, judgements: Mapping[str, Judgement]) -> tuple[float, int]:
    """Return d' C^-1 d over the plain means that are judged, and its degrees of freedom.

    Figures that depend linearly on others count once. A combination in which nearly all cancels
    takes no part: what is left of it may rest on a few samples beyond the range.
    """
    # In one sample: those of the truncated density where there is one.
    own = {name: case.judge(name) for name in BASIC}
    usable = [
        i
        for i, name in enumerate(BASIC)
        if not own[name].reason and own[name].standard_error > 0 and not judgements[name].reason
    ]
    if not usable:
        return 0.0, 0
    z = np.array([own[BASIC[i]].z for i in usable])
    return quadratic_form(case.sampled.covariance[np.ix_(usable, usable)], z)
