"""Best thresholds, multipliers, block sizes and codebooks of block-scaled formats."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NoReturn, cast, final

import numpy as np

from qerror._arrays import positive
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, PowerOfTwo
from qerror.formats.format import Format
from qerror.formats.names import as_format
from qerror.formats.scale_rule import largest
from qerror.optimize._block_costs import smallest_size
from qerror.optimize._block_scan import least
from qerror.optimize.ranking import behind

_PER_OCTAVE = 24  # thresholds looked at: the error has a few minima an octave at most
_OCTAVES = (-2, 1)  # of a threshold about the largest level: where everything clips, or nothing
# Of levels without symmetry the best may lie far above 1: not all of them are worth having.
_MULTIPLIERS = (*np.linspace(0.4, 1.1, 36).tolist(), *np.geomspace(1.125, 2.6, 35).tolist())

_RARE = 2.0  # octaves by which the best range exceeds the values that are not far out
_FARTHER_PER_OCTAVE = 8

# Elements and rules that are ranked by default; the block size follows from the budget.
RANKED = (
    "mxfp4:floor",
    "mxfp4:even",
    "mxfp4:rceil",
    "nvfp4",
    "nf4:g64",
    "int4:g64",
    "int4:g64:affine",
    "mxfp6_e2m3:even",
    "mxfp6_e3m2:even",
    "mxint8",
    "mxfp8_e4m3:even",
    "mxfp8_e5m2:even",
    "int8:g64",
)


@final
@dataclass(frozen=True)
class OptimalBlocks:
    """A block format at its best, and the error that it has there."""

    form: BlockFormat
    report: BlockErrorReport
    binade_average: bool = False
    """Whether the error is averaged over a binade of the density's spread."""

    def __repr__(self) -> str:
        return (
            f"OptimalBlocks({self.form.name}, {self.form.bits_per_value:g} bits, "
            f"{self.report.sqnr_db:.4f} dB)"
        )


@final
@dataclass(frozen=True)
class RankedBlocks:
    """A place in a ranking of block formats at one cost."""

    form: BlockFormat
    report: BlockErrorReport
    below_best_db: float

    def __repr__(self) -> str:
        return (
            f"RankedBlocks({self.form.name}, {self.form.bits_per_value:g} bits, "
            f"{self.report.sqnr_db:.4f} dB, {self.below_best_db:.4f} below the best)"
        )


def optimal_threshold(
    form: BlockFormat | str, density: DensityLike, *, binade_average: bool = False
) -> OptimalBlocks:
    """Return the block format at the threshold theta that makes its error least.

    Parameters
    ----------
    form : BlockFormat or str
        With a scale that is a power of two, such as "mxfp4"; its own rule does not matter.
    density : Density, str or array_like
        Of the values.
    binade_average : bool
        Whether the error is that at the density's own spread, or averaged over a binade: the
        best threshold depends on where the spread lies between two powers of two.

    Returns
    -------
    OptimalBlocks
        Its format has the rule PowerOfTwo(theta). Of point masses, whose error goes in steps, the
        best of a scan of 24 thresholds an octave, and more where it still falls at an end.

    Raises
    ------
    InvalidType
        If the format's scale is no power of two.

    Examples
    --------
    >>> best = optimal_threshold("mxfp4", "gaussian")
    >>> round(best.form.scale.rule, 3), round(best.report.sqnr_db, 3)
    (3.613, 19.046)
    """
    density, blocks = as_density(density), as_blocks(form)
    if not isinstance(blocks.scale, PowerOfTwo):
        raise InvalidType(
            f"a threshold theta is a choice of scales that are powers of two, as in mxfp4; "
            f"{blocks.name} has another rule"
        )
    top = math.log2(largest(blocks.element))
    count = (_OCTAVES[1] - _OCTAVES[0]) * _PER_OCTAVE
    start = [top + _OCTAVES[0] + k / _PER_OCTAVE for k in range(count + 1)]
    start += [start[-1] + step for step in _farther(blocks.block_size, _OCTAVES[1])]

    def at(exponent: float) -> BlockFormat:
        return replace(blocks, scale=PowerOfTwo(2.0**exponent))

    return _optimal(at, start, density, binade_average)


def optimal_multiplier(form: BlockFormat | str, density: DensityLike) -> OptimalBlocks:
    """Return the block format at the multiplier alpha of its absmax scale with the least error.

    Parameters
    ----------
    form : BlockFormat or str
        With a real scale, such as "int4:g64" or "nf4:g64".
    density : Density, str or array_like
        Of the values.

    Returns
    -------
    OptimalBlocks
        The best of a scan from 0.4 (of large blocks 4 / sqrt(n)) to 2.6, and farther where the
        error still falls there, closed in on. Point masses have many minima: there another may
        lie deeper (0.05 dB below, of INT8 on four values).

    Raises
    ------
    InvalidType
        If the format's scale is not real.

    Examples
    --------
    >>> best = optimal_multiplier("int4:g64", "gaussian")
    >>> round(best.form.scale.multiplier, 2)
    0.92
    """
    density, blocks = as_density(density), as_blocks(form)
    rule = blocks.scale
    if not isinstance(rule, Absmax):
        raise InvalidType(
            f"a multiplier is a choice of real scales, as in int4:g64; {blocks.name} has another "
            "rule"
        )

    def at(exponent: float) -> BlockFormat:
        return replace(blocks, scale=replace(rule, multiplier=2.0**exponent))

    start = [math.log2(multiplier) for multiplier in _MULTIPLIERS]
    farther = [start[0] - step for step in _farther(blocks.block_size, -start[0])]
    start = [*reversed(farther), *start]
    return _optimal(at, start, density, binade_average=False)


def block_size_for(form: BlockFormat | str, bits_per_value: float) -> int | None:
    """Return the smallest block size at which a format costs at most so many bits a value.

    A smaller block mostly has a smaller error, but not where a tensor scale limits its scale or a
    power of two lets its largest value clip, as "floor": it is a larger share of a smaller block.
    On a Gaussian MXFP4 gains 0.14 dB from blocks of 16 to 48, MXFP8_E4M3 0.9 from 32 to 512. Where
    N values share a tensor scale the size divides N. None if the elements alone cost as much, or no
    such size fits.
    """
    return smallest_size(as_blocks(form), positive("bits_per_value", bits_per_value))


def rank_blocks(
    density: DensityLike,
    bits_per_value: float,
    forms: Sequence[BlockFormat | str] = RANKED,
    *,
    binade_average: bool = True,
) -> tuple[RankedBlocks, ...]:
    """Rank block formats at equal cost, each in the smallest blocks that the budget allows.

    A few are better in larger ones, which cost less: see `block_size_for`.

    Parameters
    ----------
    density : Density, str or array_like
        Of the values, which are taken as independent, those of an array too:
        `rank_measured_blocks` ranks an array by its own blocks, and takes a second where this
        may take minutes.
    bits_per_value : float
        The budget, scales included.
    forms : sequence of BlockFormat or str
        Elements and rules; their own block sizes do not matter.
    binade_average : bool
        Whether formats whose scales are powers of two are taken at the average over a binade of
        the density's spread, which is fair where the spread is not known, or at the spread given.

    Returns
    -------
    tuple of RankedBlocks
        The best first, equally good ones in their order; a format whose elements alone cost more
        is left out.

    Raises
    ------
    InvalidValue
        If no format fits the budget.
    """
    density = as_density(density)
    found: list[OptimalBlocks] = []
    for form in forms:
        size = block_size_for(form, bits_per_value)
        if size is not None:
            blocks = replace(as_blocks(form), block_size=size)
            averaged = binade_average and isinstance(blocks.scale, PowerOfTwo)
            found.append(OptimalBlocks(blocks, _report(blocks, density, averaged), averaged))
    if not found:
        refuse_cost(forms, bits_per_value)
    # By twelve digits: rounding would put equally good ones in any order.
    found.sort(key=lambda each: float(f"{each.report.mse:.12e}"))
    least = found[0].report.mse
    return tuple(
        RankedBlocks(each.form, each.report, behind(each.report.mse, least)) for each in found
    )


def refuse_cost(
    forms: Sequence[BlockFormat | str], bits_per_value: float, where: str = ""
) -> NoReturn:
    """Say that no format fits a budget.

    Raises
    ------
    InvalidValue
        Always.
    """
    needed = sorted({as_blocks(form).element.bits for form in forms})
    raise InvalidValue(
        f"no format fits {bits_per_value:g} bits a value{f' {where}' if where else ''}: the "
        f"elements need {', '.join(map(str, needed))} bits and their scales some more"
    )


def _farther(block_size: int, reach: float) -> list[float]:
    """Return steps in octaves beyond a scan that reaches so many of them.

    A few values far out set the scale of large blocks, and it may pay to let them clip by far, with
    a higher error between there and what suits them: one value in n may be sqrt(n) times as large
    as the others before its own error outweighs theirs.
    """
    count = math.ceil((0.5 * math.log2(block_size) - _RARE - reach) * _FARTHER_PER_OCTAVE)
    return [(k + 1) / _FARTHER_PER_OCTAVE for k in range(count)]


def _optimal(
    at: Callable[[float], BlockFormat],
    start: Iterable[float],
    density: Density,
    binade_average: bool,
) -> OptimalBlocks:
    """Return the best of the formats at all places."""

    @cache
    def report(place: float) -> BlockErrorReport:
        return _report(at(place), density, binade_average)

    place = least(lambda place: report(place).mse, start)
    return OptimalBlocks(at(place), report(place), binade_average)


def _report(form: BlockFormat, density: Density, averaged: bool) -> BlockErrorReport:
    return quantization_error(form, density, binade_average=averaged)


def as_blocks(form: BlockFormat | str) -> BlockFormat:
    """Return a block format, given as such or by its name; `InvalidType` for any other."""
    found = as_format(cast("Format | str", form))
    if not isinstance(found, BlockFormat):
        raise InvalidType(
            f"a block-scaled format is needed, such as mxfp4 or int4:g64; got {found.name}"
        )
    return found
