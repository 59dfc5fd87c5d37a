"""The analysis against the simulation: exact figures, sampled figures, and how far apart."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FrozenMapping, positive
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.report import ErrorReport
from qerror.crosscheck._chi_square import chi_square_p, quadratic_form, scales_chi_square
from qerror.crosscheck.judgement import Case, Judgement, case_of
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.densities.truncated import Truncated
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format
from qerror.simulation.estimate import estimate_error
from qerror.simulation.estimate_blocks import with_tensor_of
from qerror.simulation.figures import BASIC, NAMES, OF_BLOCKS, BlockEstimate, Estimate
from qerror.tables import html_table, short

MOST_Z = 5.0  # a false alarm in 1.7 million fields
LEAST_P = 1e-6
LEAST_TOTAL_P = 1e-4  # of many checks together: one figure a run, so it may be asked more of


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
    rounding: str = "nearest-even",
    size: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> CrossCheck:
    """Compare exact and sampled errors of a format on a density.

    Parameters
    ----------
    format, density, scale, rounding, size, rng, progress
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
    sampled = estimate_error(
        form, density, scale=scale, rounding=rounding, size=size, rng=rng, progress=progress
    )
    if isinstance(form, BlockFormat):
        # Where a tensor scale comes from all values, the analysis must know how many they are.
        form, names = with_tensor_of(form, size)[0], (*NAMES, *OF_BLOCKS)
    else:
        scale = positive("scale", scale)
    cases = [case_of(form, density, scale, sampled, rounding)]
    if sampled.truncated is not None:
        cut = Truncated(density, *sampled.truncated.cut)
        cases.append(case_of(form, cut, scale, sampled.truncated.estimate, rounding, True))
    judgements = FrozenMapping({name: _judged(name, cases) for name in names})
    chi_square, degrees = _chi_square(cases[-1], judgements)
    exact, scales = cases[0].exact, (0.0, 0)
    if isinstance(sampled, BlockEstimate) and isinstance(exact, BlockErrorReport):
        scales = scales_chi_square(exact.code_probabilities, sampled)
    return CrossCheck(exact, sampled, judgements, chi_square, degrees, scales)


def total_p(checks: Iterable[CrossCheck]) -> tuple[float, int, float]:
    """Return the chi-square of independent checks together, its degrees of freedom and p."""
    checks = list(checks)
    chi_square = math.fsum(check.chi_square for check in checks)
    degrees = sum(check.degrees for check in checks)
    return chi_square, degrees, chi_square_p(chi_square, degrees)


def _judged(name: str, cases: list[Case]) -> Judgement:
    """Return the first judgement that is one."""
    found = [case.judge(name) for case in cases]
    return next((each for each in found if not each.reason), found[-1])


def _chi_square(case: Case, judgements: Mapping[str, Judgement]) -> tuple[float, int]:
    """Return d' C^-1 d over the plain means that are judged, and its degrees of freedom.

    Figures that depend linearly on others count once. A combination in which nearly all cancels
    takes no part: what is left of it may rest on a few samples beyond the range.
    """
    # In one sample: those of the truncated density where there is one. What the samples' rounding
    # can move by its standard error is not random, and has no share in their covariance.
    own = {name: case.judge(name) for name in BASIC}
    usable = [
        i
        for i, name in enumerate(BASIC)
        if not own[name].reason
        and own[name].standard_error > case.resolution(name)
        and not judgements[name].reason
    ]
    if not usable:
        return 0.0, 0
    z = np.array([own[BASIC[i]].z for i in usable])
    return quadratic_form(case.sampled.covariance[np.ix_(usable, usable)], z)
