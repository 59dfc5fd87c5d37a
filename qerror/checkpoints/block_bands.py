"""Where the SQNR of values in blocks lies: how much blocks of the fitted density differ."""

import math

import numpy as np

from qerror.analysis.bands import band_of_blocks, is_light
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import QErrorException
from qerror.formats.block import BlockFormat
from qerror.simulation.block_sums import at_largest
from qerror.simulation.blocks import quantize_blocks

_VALUES = 1 << 18  # of the blocks that are drawn, if there are so many
_FEWEST, _MOST = 256, 1 << 15  # blocks


def block_band(form: BlockFormat, density: Density, size: int, amax: float) -> tuple[float, float]:
    """Return between which SQNR in dB 95% of samples of so many values lie; nan if unknown.

    The centre is the exact SQNR of the density, the width follows from drawn blocks: always the
    same ones, up to 32,768 of them, so that the width itself is right to some percent.

    Parameters
    ----------
    form : BlockFormat
        What the values are quantized to.
    density : Density
        What they follow.
    size : int
        How many there are.
    amax : float
        The largest magnitude, which sets a tensor's scale.
    """
    length, alone = form.block_size, at_largest(form, amax)
    blocks = size // length
    if blocks < 2:
        return math.nan, math.nan
    count = min(max(_VALUES // length, _FEWEST), _MOST)
    x = np.asarray(density.sample(count * length, np.random.default_rng(0))).reshape(-1, length)
    try:
        e = quantize_blocks(x, alone) - x
        centre = quantization_error(alone, density).sqnr_db
    except QErrorException:
        return math.nan, math.nan
    terms = np.stack([(x * x).mean(1), (x * e).mean(1), (e * e).mean(1), np.abs(e).mean(1)], -1)
    if not terms[:, 2].any():
        return math.nan, math.nan
    found = band_of_blocks("sqnr_db", terms, blocks, light=is_light(density))
    of_drawn = 10 * math.log10(float(terms[:, 0].mean() / terms[:, 2].mean()))
    shift = centre - of_drawn if math.isfinite(centre) else 0.0
    return found.low + shift, found.high + shift
