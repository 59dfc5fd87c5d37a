"""Channels of different spread, looked for in a grid of a tensor's values."""

import math
from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray
from qerror.fitting.channels import Layout, likely_channels
from qerror.storage.tensor import StoredTensor

_ROWS, _COLUMNS = 128, 256
_LEAST = 16  # rows and columns: fewer show no channels
_LONGEST = 1 << 16  # values of a row that are read


def channel_ratio(tensor: StoredTensor) -> float:
    """Return the largest over the smallest spread of 128 rows or 256 columns.

    nan where the spreads differ by no more than chance makes them.

    Notes
    -----
    Rows lie along the first axis, columns along all others together; the spread is the mean
    magnitude. Zeros are left out: pruning is no spread.
    """
    if len(tensor.shape) < 2 or not tensor.size:
        return math.nan
    rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
    if min(rows, columns) < _LEAST:
        return math.nan
    grid = _grid(tensor, rows, columns)
    grid = grid[:, np.isfinite(grid).all(axis=0)]
    if grid.shape[1] < _LEAST or not grid.any():
        return math.nan

    def parts() -> Iterator[FloatArray]:
        yield grid.reshape(-1)

    found = likely_channels(parts, Layout(grid.shape), [0.0])
    if found is None:
        return math.nan
    used = found.spread[found.counts > 0]
    return float(used.max() / used.min())


def _grid(tensor: StoredTensor, rows: int, columns: int) -> FloatArray:
    """Return evenly spaced values of evenly spaced rows."""
    width = min(columns, _LONGEST)
    step = max(width // _COLUMNS, 1)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, _ROWS)).astype(int)).tolist()
    encoding = tensor.encoding
    unit = encoding.values_per_unit
    # The file is mapped once, and of it only what is looked at is read.
    stored = tensor.stored(0, tensor.size)
    found: list[FloatArray] = []
    for row in chosen:
        start, stop = row * columns, row * columns + width
        if unit == 1:
            few = stored.reshape(-1, encoding.bytes_per_unit)[start:stop:step][:_COLUMNS]
            values = encoding.decode(np.ascontiguousarray(few).reshape(-1))
        else:
            first, last = start // unit * unit, min(-(-stop // unit) * unit, tensor.size)
            part = stored[encoding.size_of(first) : encoding.size_of(last)]
            values = encoding.decode(part)[start - first : stop - first : step][:_COLUMNS]
        with np.errstate(invalid="ignore"):  # signalling NaNs
            found.append(values.astype(np.float64))
    return np.stack(found)
