"""What other choices of its scale rule would bring a block format."""

from dataclasses import replace
from typing import get_args

from qerror.analysis.single import quantization_error
from qerror.densities.names import DensityLike, as_density
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, PowerOfTwo, Rule
from qerror.optimize.blocks import (
    OptimalBlocks,
    as_blocks,
    optimal_multiplier,
    optimal_threshold,
)


def block_choices(
    form: BlockFormat | str, density: DensityLike, *, binade_average: bool = False
) -> tuple[OptimalBlocks, ...]:
    """Return what a block format reaches as it is, and with other choices of its scale rule.

    Parameters
    ----------
    form : BlockFormat or str
        Scales that are powers of two may follow the rules that have names or the best
        threshold; real ones have a best multiplier. Other rules leave no choice.
    density : Density, str or array_like
        Of the values.
    binade_average : bool
        Whether powers of two are averaged over a binade of the density's spread.

    Returns
    -------
    tuple of OptimalBlocks
        The format as given, then the choices, the best last.

    Examples
    --------
    >>> given, best = block_choices("int4:g64", "gaussian")
    >>> f"{given.report.sqnr_db:.2f} {best.report.sqnr_db:.2f}"
    '19.36 19.78'
    """
    density, blocks = as_density(density), as_blocks(form)
    averaged = binade_average and isinstance(blocks.scale, PowerOfTwo)

    def at(chosen: BlockFormat) -> OptimalBlocks:
        report = quantization_error(chosen, density, binade_average=averaged)
        return OptimalBlocks(chosen, report, averaged)

    if isinstance(blocks.scale, PowerOfTwo):
        rules = [replace(blocks, scale=PowerOfTwo(rule)) for rule in get_args(Rule)]
        named = [at(rule) for rule in rules if rule != blocks]
        best = optimal_threshold(blocks, density, binade_average=averaged)
        return _with_best(at(blocks), *named, best)
    if isinstance(blocks.scale, Absmax):
        return _with_best(at(blocks), optimal_multiplier(blocks, density))
    return (at(blocks),)


def _with_best(*choices: OptimalBlocks) -> tuple[OptimalBlocks, ...]:
    """Put the best last, the first of equal ones: all may be 0, or infinite."""
    return *choices[:-1], min(choices, key=lambda each: each.report.mse)
