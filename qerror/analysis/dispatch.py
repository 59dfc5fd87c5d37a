"""Which path integrates a piece of a density over a grid: chosen here, and nowhere else."""

from dataclasses import replace

import numpy as np

from qerror._arrays import IntArray
from qerror.analysis._batch import Batch, Limits, Sums
from qerror.analysis._cells import cell_sums
from qerror.analysis._endless import far_parts, first_of_the_series, near_part, times
from qerror.analysis._flat import centred_sums, flat_sums
from qerror.analysis._flat_one import one_flat_sum
from qerror.analysis._flat_rules import flat_shares, suits_flat
from qerror.analysis._lattice import lattice_sums
from qerror.analysis._runs import Segments, segments_of, upper_segments_of
from qerror.analysis._tails import one_tail_sum, tail_sums
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_FEW_POINTS = 512  # below, visiting every cell is as fast as cutting segments into zones
_LONG_RUNS = 8  # points per segment that make a segment worth its overhead
_FEW_RUNS = 4  # below, going by both halves at once saves nothing


def piece_sums(grid: Grid, batch: Batch) -> Sums:
    """Integrate one piece of a density by the path that suits it: the one dispatch.

    - Many points in long uniform runs go by runs, in constant time a run (`_lattice`).
    - Few points on a smooth law go by one fixed set of nodes (`_flat`); rows with a cell too
      wide for that go cell by cell, as does everything else (`_cells`). A single scale of a
      symmetric piece takes the same nodes without an array of rows.
    - Binades where squares leave float64, under a power's tail, are a geometric series
      (`_endless`).
    - What lies beyond the grid's ends is the same for all (`_tails`).
    """
    law = batch.piece.law
    lowest, highest = float(grid.edges[0]), float(grid.edges[-1])
    first = first_of_the_series(grid, batch)
    if first is not None:
        total = piece_sums(*near_part(grid, batch, first)) + tail_sums(batch, lowest, highest)
        for part, rows, count in far_parts(grid, batch, first):
            total += times(piece_sums(part, rows), count)
        return total
    smooth = law if isinstance(law, SmoothLaw) else None
    if smooth and grid.size > max(_FEW_POINTS, _LONG_RUNS * grid.steps.size):
        return _by_runs(grid, batch, smooth) + tail_sums(batch, lowest, highest)
    cells = grid.upper_cells if batch.mirrored else grid.cells
    if smooth is None or not suits_flat(batch, cells, smooth):
        return cell_sums(batch, cells) + tail_sums(batch, lowest, highest)
    found = _from_above(grid, batch, smooth)
    if found is not None:
        return found
    tails = tail_sums(batch, lowest, highest)
    shares = flat_shares(batch, cells, smooth)
    if shares.min() > 0:
        return flat_sums(batch, cells, smooth, shares) + tails
    wide, narrow = np.flatnonzero(shares == 0), np.flatnonzero(shares)
    parts: list[tuple[slice | IntArray, Sums]] = [(wide, cell_sums(batch.rows(wide), cells))]
    if narrow.size:
        parts.append((narrow, flat_sums(batch.rows(narrow), cells, smooth, shares[narrow])))
    return Sums.joined(shares.size, parts) + tails


def _from_above(grid: Grid, batch: Batch, law: SmoothLaw) -> Sums | None:
    """Look at the nodes above 0 only, where the grid and the law are symmetric about it."""
    highest, cells = float(grid.edges[-1]), grid.upper_cells
    halves = batch.halves() if grid.is_symmetric and not batch.mirrored else None
    if batch.factors.size > 1:
        found = centred_sums(batch, halves, cells, law) if halves else None
        return found and found + tail_sums(batch, -highest, highest)
    whole = (batch,) if batch.mirrored else (halves or ())
    parts = [one_flat_sum(part, cells, law) for part in whole]
    tails = [one_tail_sum(part, highest, law) for part in whole]
    sums = [a + b for a, b in zip(parts, tails, strict=True) if a is not None]
    if not sums or len(sums) < len(whole):
        return None
    return sums[0] if batch.mirrored else sums[0] + sums[1].mirrored()


def _by_runs(grid: Grid, batch: Batch, law: SmoothLaw) -> Sums:
    """Go by runs, over both halves where the middle of a symmetric grid is no point."""
    many = grid.steps.size > _FEW_RUNS and grid.is_symmetric
    symmetric = batch.mirrored or (many and batch.halves() is not None)
    upper = upper_segments_of(grid) if symmetric else None
    if upper is not None:
        return lattice_sums(batch, upper, law) if batch.mirrored else _in_halves(batch, upper, law)
    whole = lattice_sums(replace(batch, mirrored=False), segments_of(grid), law)
    return replace(whole, mean_error=0.0) if batch.mirrored else whole


def _in_halves(batch: Batch, upper: Segments, law: SmoothLaw) -> Sums:
    """Go by the runs above 0 where rows have limits on both sides of it.

    Up to the nearer limit both halves are alike; from there to the farther one is a part of one.
    """
    assert batch.limits is not None
    low, high = batch.limits
    nearer = np.minimum(-low, high)
    both = replace(batch, mirrored=True, limits=Limits(-nearer, nearer))
    total = lattice_sums(both, upper, law)
    for rest, far in ((batch, high), (batch.mirror_image(), -low)):
        at = np.flatnonzero(far > nearer)
        if at.size:
            part = replace(rest.rows(at), limits=Limits(nearer[at], far[at]))
            found = Sums.joined(low.size, [(at, lattice_sums(part, upper, law))])
            total += found if rest is batch else found.mirrored()
    return total
