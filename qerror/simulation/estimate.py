"""Sampled errors: what the analysis says, found out by trying."""

import math
from collections.abc import Iterable

import numpy as np

from qerror._arrays import FloatArray, integer, positive
from qerror.densities.density import Density
from qerror.densities.names import parse_density
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format, as_scalar_format
from qerror.rounding import as_rule
from qerror.simulation._arguments import require_rng
from qerror.simulation._tails import Tails, cut_of, tails_of
from qerror.simulation.estimate_blocks import estimate_blocks
from qerror.simulation.figures import (
    CHUNK,
    BlockEstimate,
    Estimate,
    Figures,
    Sums,
    TruncatedEstimate,
    error_terms,
)
from qerror.simulation.quantize import quantize, refuse_scale

MOST_SAMPLES = 10**15  # exact in float64, and more than anybody waits for


def estimate_error(
    format: Format | str,  # noqa: A002 - the field's word
    density: Density | str,
    *,
    scale: float = 1.0,
    rounding: str = "nearest-even",
    size: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Estimate | BlockEstimate:
    """Quantize samples of a density and return their mean errors with standard errors.

    Samples are drawn, quantized and forgotten in chunks: memory does not grow with `size`, but
    as far as blocks and tensors that share a scale are drawn whole.

    Parameters
    ----------
    format : Format or str
        The format or its name.
    density : Density or str
        The density, or its text.
    scale : float
        Multiplies the levels; positive. A `BlockFormat` finds its own.
    rounding : str
        As for `quantize`; a `BlockFormat` rounds to nearest even.
    size : int
        Number of values, at least 2. Of a `BlockFormat` at least those of two blocks, or of two
        tensors where the tensor scale comes from the data; more are drawn until the last one is
        whole. ``of=tensor`` makes one tensor of all.
    rng : numpy.random.Generator
        Where the samples come from.
    progress : callable, optional
        Called with (done, total) samples.

    Returns
    -------
    Estimate
        Standard errors come from the samples' own variances. That of an MSE exists only if
        E[X^4] does: where it does not, it is infinite, and `truncated` has the figures of the
        samples within an interval that leaves out 1e-4 of each heavy tail (more for few samples).
    BlockEstimate
        For a `BlockFormat`: standard errors come from the means over blocks, or tensors, whose
        values depend on each other. `truncated` is of other samples, drawn from the truncated
        density.

    Raises
    ------
    InvalidValue, InvalidType
        If the scale is not positive and finite, `size` is too small, or `rng` no generator.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> found = estimate_error("4M3E", "gaussian", scale=0.25, size=100_000, rng=rng)
    >>> abs(found.sqnr_db - 37.278) < 5 * found.standard_error.sqnr_db
    True
    """
    found, density = as_format(format), _as_density(density)
    size = integer("size", size, 2, MOST_SAMPLES)
    require_rng(rng)
    if isinstance(found, BlockFormat):
        refuse_scale(found, scale)
        if as_rule(rounding).name != "nearest-even":
            raise InvalidValue(f"{found.name} is sampled with rounding to nearest even only")
        return estimate_blocks(found, density, size, rng, progress)
    form, scale = as_scalar_format(found), positive("scale", scale)
    grid = form.grid(scale)
    tails = tails_of(density)
    cut = cut_of(density, tails, size)
    whole, within = Sums(), Sums()
    done = 0
    while done < size:
        count = min(CHUNK, size - done)
        x = density.sample(count, rng)
        with np.errstate(over="ignore", invalid="ignore"):
            error = quantize(x, form, scale, rounding=rounding, rng=rng) - x
            below, above = x < grid.min, x > grid.max
            terms = error_terms(x, error, below, above)
            whole.add(terms, below, above)
            if cut is not None:
                kept = (x >= cut[0]) & (x <= cut[1])
                within.add(terms[:, kept], below[kept], above[kept])
        done += count
        if progress is not None:
            progress(done, size)
    truncated = None
    if cut is not None:
        bounded = Tails(math.inf, math.inf)
        truncated = TruncatedEstimate(cut, within.estimate(bounded, None))
    return whole.estimate(tails, truncated)


def figures_of_data(
    errors: Iterable[tuple[FloatArray, FloatArray, tuple[float | FloatArray, float | FloatArray]]],
) -> tuple[Figures, int, tuple[int, int]]:
    """Return the mean errors of data, the number of values, and how many lie below and above.

    Parameters
    ----------
    errors : iterable of (x, e, (low, high))
        Finite values, their errors and the range of the grid, for all values or for each, piece
        by piece.
    """
    sums = Sums()
    for x, error, (low, high) in errors:
        for start in range(0, x.size, CHUNK):
            at = slice(start, start + CHUNK)
            part, of_part = x[at], error[at]
            with np.errstate(over="ignore", invalid="ignore"):
                below = part < (low[at] if isinstance(low, np.ndarray) else low)
                above = part > (high[at] if isinstance(high, np.ndarray) else high)
                sums.add(error_terms(part, of_part, below, above), below, above)
    return sums.figures()


def _as_density(value: Density | str) -> Density:
    if isinstance(value, str):
        return parse_density(value)
    if not isinstance(value, Density):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected a density such as Gaussian(std=2) or its name, got {value!r}")
    return value
