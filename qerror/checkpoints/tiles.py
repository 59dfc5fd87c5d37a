"""What a format does to tiles of a matrix, whose values share a scale over rows and columns."""

import math

import numpy as np

from qerror.formats.block import BlockFormat
from qerror.simulation.block_sums import BlockSums, block_sums
from qerror.simulation.counting import Engine
from qerror.storage.scaled import Tile
from qerror.storage.tensor import StoredTensor

_AT_ONCE = 1 << 20  # values of whole rows of tiles at a time, about


def tile_sums(tensor: StoredTensor, form: BlockFormat, tile: Tile, engine: Engine) -> BlockSums:
    """Quantize a tensor tile by tile and return the sums of its errors.

    Parameters
    ----------
    tensor : StoredTensor
        All its axes but the last are rows.
    form : BlockFormat
        With blocks as large as a tile. Tiles at the ends may be smaller: zeros beside them change
        no largest magnitude and add no error.
    tile : Tile
        Its rows and columns.
    engine : {"numpy", "numba"}
        As for `block_sums`.
    """
    columns = tensor.shape[-1] if tensor.shape else 1
    rows = tensor.size // columns if columns else 0
    step = max(_AT_ONCE // max(columns * tile.rows, 1), 1) * tile.rows
    found = [
        _band(tensor, form, tile, (start, min(start + step, rows)), engine)
        for start in range(0, rows, step)
    ]
    padded = math.prod(
        -(-length // side) * side for length, side in zip((rows, columns), tile, strict=True)
    )
    return BlockSums(
        math.fsum(each.noise for each in found),
        math.fsum(each.power for each in found),
        sum(each.size for each in found) - (padded - tensor.size),
        sum(each.spoiled for each in found),
    )


def _band(
    tensor: StoredTensor, form: BlockFormat, tile: Tile, rows: tuple[int, int], engine: Engine
) -> BlockSums:
    columns = tensor.shape[-1] if tensor.shape else 1
    x = tensor.values(rows[0] * columns, rows[1] * columns).reshape(-1, columns)
    down, across = -(-len(x) // tile.rows), -(-columns // tile.columns)
    padded = np.zeros((down * tile.rows, across * tile.columns), x.dtype)
    padded[: len(x), :columns] = x
    tiles = padded.reshape(down, tile.rows, across, tile.columns).swapaxes(1, 2)
    return block_sums(np.ascontiguousarray(tiles).reshape(-1), form, engine)
