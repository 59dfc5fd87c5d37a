"""Places between the extremes of blocks whose levels include 0, in panels, and integrals over them.

Let r be a place in units of the width of a block, r = 0 at 0, and S the steps: the error there is
1 / S times a sawtooth psi(S r) = S r - round(S r). Functions of r are given in the nodes of panels;
their integrals from 0, with powers of the sawtooth, are matrices that no density enters.
"""

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.analysis._affine_ratios import lagrange
from qerror.densities.quadrature import gauss_legendre

ORDER = 20
"""Nodes of a panel."""
KINDS = 4
"""Integrals of a function times psi^2, psi, r psi and r."""
# Shares of a panel that cells have, and nodes that those need.
_PARTS = ((0.015, 4), (0.06, 5), (0.15, 7), (0.35, 9), (0.7, 11), (np.inf, 12))
_CELL = ORDER + 2  # nodes of a panel's polynomial times psi^2
_SAME = 1e-9  # of a step


class Places(NamedTuple):
    """Panels of 0 < r < 1, each with its mirror image in 1/2."""

    edges: tuple[float, ...]
    """Of the panels below 1/2, from 0 on."""

    @property
    def lengths(self) -> FloatArray:
        """Of all panels."""
        half = np.diff(self.edges)
        return np.concatenate([half, half[::-1]])

    @property
    def nodes(self) -> FloatArray:
        """All nodes, ascending: shape (panels * ORDER,)."""
        t = gauss_legendre(ORDER)[0]
        below = (np.array(self.edges[:-1])[:, None] + np.diff(self.edges)[:, None] * t).ravel()
        return np.concatenate([below, 1 - below[::-1]])

    def halved(self, some: IntArray) -> "Places":
        """Return places with some panels, and their mirror images, cut in two."""
        count = len(self.edges) - 1
        at = np.unique(np.minimum(some, 2 * count - 1 - some))
        middle = 0.5 * (np.array(self.edges)[at] + np.array(self.edges)[at + 1])
        return Places(tuple(np.union1d(self.edges, middle).tolist()))


class Part(NamedTuple):
    """A panel's cells, which end halfway between levels and at them."""

    value: FloatArray
    """From a function at the panel's nodes to it at the cells', shape (ORDER, k)."""
    integrals: FloatArray
    """To the four integrals from the panel's start to the cells' nodes, shape (ORDER, 4 k)."""
    starts: FloatArray
    """To that with psi^2 to where the cells start, shape (ORDER, cells)."""
    whole: FloatArray
    """To the four integrals over all of the panel, shape (ORDER, 4)."""


class _Panel(NamedTuple):
    nodes: FloatArray
    weights: FloatArray
    psi: FloatArray
    counts: IntArray
    """Nodes of each cell."""
    begins: BoolArray
    """Whether a cell starts at a level."""
    part: Part


class Cells(NamedTuple):
    """Nodes of all cells, ascending, and what belongs to each panel."""

    nodes: FloatArray
    weights: FloatArray
    psi: FloatArray
    sector: IntArray
    """Which cell starts at the last level below a node."""
    parts: tuple[Part, ...]

    @property
    def half(self) -> "Cells":
        """Those below 1/2."""
        count, panels = self.nodes.size // 2, len(self.parts) // 2
        nodes, weights, psi, sector = self.nodes, self.weights, self.psi, self.sector
        some = slice(count)
        return Cells(nodes[some], weights[some], psi[some], sector[some], self.parts[:panels])


@lru_cache(maxsize=16)
def cells_of(places: Places, steps: int) -> Cells:
    """Return the cells of so many steps in all panels."""
    half = tuple(itertools.pairwise(places.edges))
    panels = [_panel(low, high, steps, mirrored=False) for low, high in half]
    panels += [_panel(low, high, steps, mirrored=True) for low, high in reversed(half)]
    nodes, weights, psi, counts, begins = (
        np.concatenate([panel[k] for panel in panels]) for k in range(5)
    )
    last = np.maximum.accumulate(np.where(begins, np.arange(counts.size), 0))
    return Cells(
        frozen(nodes),
        frozen(weights),
        frozen(psi),
        np.repeat(last, counts),
        tuple(panel[5] for panel in panels),
    )


def _panel(low: float, high: float, steps: int, *, mirrored: bool) -> _Panel:
    """Return the cells of one panel, or of its mirror image: there a is 1 less the place."""
    cuts = np.arange(1, steps + 1) / (2 * steps)
    ends = np.concatenate([[low], cuts[(low < cuts) & (cuts < high)], [high]])
    level = np.rint(steps * 0.5 * (ends[1:] + ends[:-1]))
    width = np.diff(ends)
    if mirrored:
        ends, level, width = ends[::-1], level[::-1], width[::-1]
    start, sign = ends[:-1], -1.0 if mirrored else 1.0
    at_level = steps * start
    begins = (start == 0) | ((np.abs(at_level - np.rint(at_level)) < _SAME) & (at_level > 0.5))
    limits, counts = (np.array(x) for x in zip(*_PARTS, strict=True))
    counts = counts[np.searchsorted(limits, width / (high - low))]

    def local(a: FloatArray) -> FloatArray:
        return (high - a if mirrored else a - low) / (high - low)

    t, w = gauss_legendre(_CELL)
    a = start[:, None] + sign * width[:, None] * t
    psi = sign * (steps * a - level[:, None])
    basis = _basis(local(a).ravel()).reshape(*a.shape, ORDER)
    place = 1 - a if mirrored else a
    kinds = np.stack([psi * psi, psi, psi * place, place])
    each = np.einsum("kcm,cmj,m,c->kcj", kinds, basis, w, width)
    before = np.concatenate([np.zeros((KINDS, 1, ORDER)), np.cumsum(each, axis=1)], axis=1)
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    integrals: list[FloatArray] = []
    for cell, count in enumerate(counts.tolist()):
        u, v = gauss_legendre(count)
        within = _to_nodes(count) * width[cell]
        part = np.einsum("im,km,mj->kij", within, kinds[:, cell], basis[cell])
        integrals.append(before[:, cell, None] + part)
        nodes.append(start[cell] + sign * width[cell] * u)
        weights.append(width[cell] * v)
    x = np.concatenate(nodes)
    part = Part(
        frozen(_basis(local(x)).T.copy()),
        frozen(np.concatenate(integrals, axis=1).reshape(-1, ORDER).T.copy()),
        frozen(before[0, :-1].T.copy()),
        frozen(before[:, -1].T.copy()),
    )
    found = sign * (steps * x - np.repeat(level, counts))
    return _Panel(1 - x if mirrored else x, np.concatenate(weights), found, counts, begins, part)


@lru_cache(maxsize=16)
def _to_nodes(count: int) -> FloatArray:
    """Return the matrix from values at a cell's inner nodes to integrals up to its own nodes."""
    t, w = gauss_legendre(_CELL)
    stop = gauss_legendre(count)[0]
    basis = lagrange((stop[:, None] * t).ravel(), t, w).reshape(count, _CELL, _CELL)
    found: FloatArray = np.einsum("i,k,ikj->ij", stop, w, basis)
    return frozen(found)


def _basis(x: FloatArray) -> FloatArray:
    t, w = gauss_legendre(ORDER)
    return lagrange(x, t, w)
