"""The exact expected errors of a block-scaled format on a density."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_steps import BlockSums, Steps, clipped_share, likely_codes, step_sums
from qerror.analysis._float64 import beyond_float64
from qerror.analysis.block_report import BlockErrorReport, CodeProbabilities
from qerror.densities.density import Density
from qerror.densities.empirical import Empirical
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, MinMax, PowerOfTwo
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import ScaleRule, largest
from qerror.formats.stored_scales import Amax, StoredScale, scale_levels

_PHASES = (4, 8, 16, 32, 64, 128, 256)  # of a binade: each doubling looks between the last ones
_NARROWEST = 1e10  # places over widths: of 16 digits, 6 are left
_HEAVIEST = 0.5  # exponent of a tail: maxima of blocks stay within float64
_SMALLEST, _LARGEST = 1e-100, 1e100  # sizes whose cubes stay within float64
_TENSOR = 2**20  # values of a tensor where only a density is given
_ENDS = 1e-13  # of the MSE: phases whose ends differ by more are no period
_PLACES = 24  # of a rule over phases that are no period
_SETTLED = 1e-14  # of the MSE: smooth densities get there by the first or second doubling


class BlockFigures(NamedTuple):
    """What the analysis of a rule returns."""

    sums: BlockSums
    codes: CodeProbabilities = CodeProbabilities()
    clipped: float = math.nan
    """P(M > scale * largest level)."""


Analysis: TypeAlias = Callable[[BlockFormat, Density], BlockFigures]


def block_error(
    form: BlockFormat, density: Density, *, binade_average: bool = False
) -> BlockErrorReport:
    """Return the exact expected errors of one value of a block; see `quantization_error`."""
    _require_floats(density)
    if binade_average:
        return _over_a_binade(form, density)
    kind = type(form.scale)
    if kind not in _ANALYSES:
        raise InvalidValue(f"the error of blocks scaled by {kind.__name__} is not analysed")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        figures = _ANALYSES[kind](form, density)
    return _report(form, density, figures)


def _require_floats(density: Density) -> None:
    """Refuse densities whose squares leave float64, or whose values it hardly tells apart."""
    positions = density.atoms().positions
    sizes = [float(np.abs(positions).max(initial=0.0))]
    for piece in density.pieces():
        width = min(piece.spread, piece.high - piece.low)
        size = abs(piece.centre)
        if not size <= _NARROWEST * width:
            raise InvalidValue(
                f"a density of width {width:g} at {size:g} leaves a maximum of blocks few of "
                f"float64's digits: the width must be at least {1 / _NARROWEST:g} of the place; "
                "subtract a mean, or take 'discrete' for values that do not vary"
            )
        ends = [abs(end) for end in (piece.low, piece.high) if math.isfinite(end)]
        sizes += [size + width, *ends]
    if (exponent := min(_tail_exponents(density))) < _HEAVIEST:
        raise InvalidValue(
            f"P(|X| > x) falls as x^-{exponent:g}: maxima of blocks leave float64; it must fall as "
            f"x^-{_HEAVIEST} at least"
        )
    reach = max(sizes)
    if not (reach == 0 or _SMALLEST < reach < _LARGEST):
        raise beyond_float64()


def _report(form: BlockFormat, density: Density, figures: BlockFigures) -> BlockErrorReport:
    rounding, low, high, mean, cross, _ = figures.sums.singles.tolist()
    if _is_infinite(form, density):
        left, right = _tail_exponents(density)
        low, high = math.inf if left <= 2 else low, math.inf if right <= 2 else high
        cross = -math.inf
    x, probability = density.atoms()
    return BlockErrorReport(
        rounding=rounding,
        clipping_low=low,
        clipping_high=high,
        mean_error=mean,
        cross_moment=cross,
        signal_power=density.second_moment,
        signal_mean=density.mean,
        code_probabilities=figures.codes,
        clipped_blocks=figures.clipped,
        zero_blocks=float(probability[x == 0].sum()) ** form.block_size,
        pair_error=figures.sums.pair_error,
        pair_cross=figures.sums.pair_cross,
        bits_per_value=form.bits_per_value,
        block_size=form.block_size,
    )


def _is_infinite(form: BlockFormat, density: Density) -> bool:
    """Tell whether E[e^2] is infinite.

    A scale that follows the largest value without bound keeps that value's own error, if it is a
    level, at 0; what is left needs the second largest, whose square has a mean for tails that
    fall faster than 1/x.
    """
    if math.isfinite(density.second_moment):
        return False
    rule = form.scale
    follows = isinstance(rule, Absmax) and _is_level(form, rule.gain_for(form.element))
    from_data = isinstance(rule, MinMax) or (
        isinstance(rule, StoredScale | FourOverSix)
        and isinstance(rule.tensor, Amax)
        # Four-over-six refuses tensors whose largest value is no level.
        and (isinstance(rule, FourOverSix) or _is_level(form, 1 / rule.divisor_for(form.element)))
    )
    exponents = [e for e in _tail_exponents(density) if e < math.inf]
    return not (follows or from_data) or min(exponents, default=math.inf) <= 1


def _is_level(form: BlockFormat, gain: float) -> bool:
    """Tell whether a largest magnitude is a level at both signs, at a scale of gain times it."""
    from qerror.analysis._block_absmax import edge_of  # noqa: PLC0415 - as the paths below

    return edge_of(form.element.grid(), gain).exact


def _tail_exponents(density: Density) -> tuple[float, float]:
    """Return the exponents of the tails to the left and to the right."""
    left = [p.law.tail_exponent(-1.0) for p in density.pieces() if p.low == -math.inf]
    right = [p.law.tail_exponent(1.0) for p in density.pieces() if p.high == math.inf]
    return min(left, default=math.inf), min(right, default=math.inf)


# The path of each rule is imported by its first call: all of them together take longer than one
# block's error.


def _by_power(form: BlockFormat, density: Density) -> BlockFigures:
    assert isinstance(form.scale, PowerOfTwo)
    return _at_steps(form, density, form.scale, lambda codes: codes.astype(np.float64))


def _by_stored(form: BlockFormat, density: Density) -> BlockFigures:
    rule = form.scale
    assert isinstance(rule, StoredScale)
    levels, _ = scale_levels(rule.format)
    if not isinstance(rule.tensor, Amax):
        return _at_steps(form, density, rule, lambda codes: levels[codes])
    from qerror.analysis._block_tensor import tensor_sums  # noqa: PLC0415

    size = rule.tensor.size or _tensor_size(density, form.block_size)
    found = tensor_sums(form.element, density, form.block_size, size, rule)
    codes = {float(levels[code]): p for code, p in found.codes.items()}
    return BlockFigures(found.sums, _sorted_codes(codes), found.clipped)


def _tensor_size(density: Density, block_size: int) -> int:
    """Return how many values share a tensor scale where the format leaves it to the data.

    A sample has its size; a density has none, and a large tensor is assumed.
    """
    size = density.size if isinstance(density, Empirical) else _TENSOR
    return max(1, math.ceil(size / block_size)) * block_size


def _by_absmax(form: BlockFormat, density: Density) -> BlockFigures:
    from qerror.analysis._block_absmax import absmax_sums  # noqa: PLC0415

    rule, element, n = form.scale, form.element, form.block_size
    assert isinstance(rule, Absmax)
    gain = rule.gain_for(element)
    clips = gain * largest(element) < 1
    x, probability = density.atoms()
    never_zero = 1 - float(probability[x == 0].sum()) ** n
    sums = absmax_sums(element.grid(), density, n, gain)
    return BlockFigures(sums, clipped=never_zero if clips else 0.0)


def _at_steps(
    form: BlockFormat,
    density: Density,
    rule: PowerOfTwo | StoredScale,
    key: Callable[[IntArray], FloatArray],
) -> BlockFigures:
    """Analyse a scale that is constant between known maxima."""
    given = rule.steps(form.element)
    n = form.block_size
    steps = Steps.of(density, given, n)
    at, probability = likely_codes(steps, n)
    keys = key(given.codes[at])
    return BlockFigures(
        step_sums(form.element.grid(), density, n, steps),
        CodeProbabilities(tuple(keys.tolist()), tuple(probability.tolist())),
        clipped_share(density, n, steps, largest(form.element)),
    )


def _sorted_codes(codes: Mapping[float, float]) -> CodeProbabilities:
    keys = sorted(codes)
    return CodeProbabilities(tuple(keys), tuple(codes[key] for key in keys))


def _by_ends(form: BlockFormat, density: Density) -> BlockFigures:
    from qerror.analysis._block_minmax import minmax_sums  # noqa: PLC0415

    assert isinstance(form.scale, MinMax)
    sums = minmax_sums(density, form.block_size, form.element.bits, form.scale.zero)
    return BlockFigures(sums)


def _by_choice(form: BlockFormat, density: Density) -> BlockFigures:
    from qerror.analysis._block_four_over_six import four_over_six_sums  # noqa: PLC0415

    assert isinstance(form.scale, FourOverSix)
    rule, n, size = form.scale, form.block_size, None
    if isinstance(rule.tensor, Amax):
        size = rule.tensor.size or _tensor_size(density, n)
    found = four_over_six_sums(form.element, density, n, rule, size)
    return BlockFigures(found.sums, _sorted_codes(found.codes), found.clipped)


_ANALYSES: dict[type[ScaleRule], Analysis] = {
    PowerOfTwo: _by_power,
    StoredScale: _by_stored,
    Absmax: _by_absmax,
    MinMax: _by_ends,
    FourOverSix: _by_choice,
}


def _over_a_binade(form: BlockFormat, density: Density) -> BlockErrorReport:
    """Average over densities of 2^u times the spread, 0 <= u < 1, in units of the density's own.

    The errors are periodic in u, so that equally spaced phases converge fast; but for what lies
    beyond the range of the scales, which counts where tails are hardly of finite power.
    """
    found = [_phase(form, density, k / _PHASES[0]) for k in range(_PHASES[0])]
    before = after = _averaged(found)
    for count in _PHASES[1:]:
        found += [_phase(form, density, k / count) for k in range(1, count, 2)]
        after = _averaged(found)
        if not abs(after.mse - before.mse) > _SETTLED * after.mse:
            break
        before = after
        if count == _PHASES[2] and _differ(found[0], _phase(form, density, 1.0)):
            places, weights = gauss_legendre(_PLACES)
            return _averaged([_phase(form, density, u) for u in places.tolist()], weights.tolist())
    return after


def _differ(one: tuple[float, BlockErrorReport], other: tuple[float, BlockErrorReport]) -> bool:
    """Tell whether the errors at both ends of a binade are not the same."""
    first, second = (report.mse / factor**2 for factor, report in (one, other))
    return abs(second - first) > _ENDS * first


def _phase(form: BlockFormat, density: Density, u: float) -> tuple[float, BlockErrorReport]:
    factor = 2.0**u
    return factor, block_error(form, density.affine(factor))


def _averaged(
    found: list[tuple[float, BlockErrorReport]], weights: list[float] | None = None
) -> BlockErrorReport:
    """Average reports, each measured in units of its own density."""
    given = weights or [1.0] * len(found)
    size = sum(given)

    def mean(name: str, power: int) -> float:
        terms = (
            weight * getattr(report, name) / factor**power
            for weight, (factor, report) in zip(given, found, strict=True)
        )
        return math.fsum(terms) / size

    codes: dict[float, float] = {}
    for weight, (_, report) in zip(given, found, strict=True):
        for key, p in report.code_probabilities.items():
            codes[key] = codes.get(key, 0.0) + weight * p / size
    squares = ("rounding", "clipping_low", "clipping_high", "cross_moment", "signal_power")
    one = found[0][1]
    return BlockErrorReport(
        **{name: mean(name, 2) for name in squares},
        mean_error=mean("mean_error", 1),
        signal_mean=mean("signal_mean", 1),
        code_probabilities=_sorted_codes(codes),
        clipped_blocks=mean("clipped_blocks", 0),
        zero_blocks=one.zero_blocks,
        pair_error=mean("pair_error", 2),
        pair_cross=mean("pair_cross", 2),
        bits_per_value=one.bits_per_value,
        block_size=one.block_size,
    )
