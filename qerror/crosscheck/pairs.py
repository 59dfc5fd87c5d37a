"""Cross-checks of many formats on many densities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qerror.crosscheck.check import CrossCheck, cross_check
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.exceptions import InvalidValue
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.simulation.estimate_blocks import shared_values

_LEAST_SAMPLES = 10_000  # of blocks or tensors, for standard errors that can be relied on
_MOST_RAISED = 4_000_000  # some seconds of sampling


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
    rounding: str = "nearest-even",
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
    rounding : str
        The mode of analysis and samples alike; not for a `BlockFormat`.
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
            check = cross_check(form, density, scale=at, rounding=rounding, size=count, rng=rng)
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
