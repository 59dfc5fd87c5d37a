"""Pairwise sums: neighbours, then neighbours of these, until one is left.

All nodes of a level are alike, but the last one where the count is odd. Each level's rounding
errors add to the whole sum's as they are; those of different nodes have no more in common than
their signs, which matters where rounding has a direction.
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.accumulators._addition import PARTS, Addition, Cells, Rates
from qerror.accumulators._opening import Opening
from qerror.accumulators._sums import Sums
from qerror.accumulators._trail import Trail
from qerror.accumulators._walk import cells_of, largest_sum, moved
from qerror.accumulators.accumulator import FloatAccumulator

# Both laws are wide here, and cells whose sums straddle a binade's edge are worth 0.1 dB.
_PARTS = 2 * PARTS


class Node(NamedTuple):
    """A partial sum of `size` terms, and its error's moments."""

    size: int
    mean: float
    variance: float
    """Var(T)."""
    error: float
    """E[A]."""
    spread: float
    """Var(A)."""
    cross: float
    """Cov(A, T)."""
    last: FloatArray
    """P(last bit at 2^k or above), by kind."""


class Tree:
    """A register into which two partial sums are added at a time."""

    def __init__(self, sums: Sums, register: FloatAccumulator, most: int) -> None:
        self.sums = sums
        self.addition = Addition(sums.terms, register, largest_sum(sums.terms, most), _PARTS)
        self._known: dict[tuple[int, int], tuple[Node, float]] = {}

    def after(self, count: int) -> Trail:
        """Return what the sum of `count` terms has gone through."""
        terms, add = self.sums.terms, self.addition
        last = add.whole(np.tile(add.term_last, (add.exponents.size * add.parts, 1)))
        leaf = Node(1, terms.mean, terms.variance, 0.0, 0.0, 0.0, last)
        full, many, rest = leaf, count, None
        counts, errors = [1.0], [0.0]
        while many + (rest is not None) > 1:
            pair, error = self._joined(full, full) if many > 1 else (full, 0.0)
            odd, last_error = (full if many % 2 else None), 0.0
            if odd is not None and rest is not None:
                rest, last_error = self._joined(odd, rest)
            else:
                rest = odd or rest
            full, many = pair, many // 2
            counts.append(float(min(pair.size, count)))
            errors.append(error or last_error)
        whole = full if many else rest
        assert whole is not None  # one node is left
        second = whole.spread + whole.error**2
        return Trail.of(
            counts,
            errors,
            whole.error,
            second,
            whole.cross - whole.spread,
            whole.variance,
            whole.last,
        )

    def _joined(self, left: Node, right: Node) -> tuple[Node, float]:
        """Return the sum of two nodes, and E[e^2] of adding them."""
        key = left.size, right.size
        if key not in self._known:
            self._known[key] = self._join(left, right)
        return self._known[key]

    def _join(self, left: Node, right: Node) -> tuple[Node, float]:
        add = self.addition
        size = left.size + right.size
        listed = add.cells.values.size == add.terms.values.size  # bins are the values themselves
        if size == 2 and not listed:
            a, rates = self._leaves()
            b, other = a, rates
        else:
            a, b = self._cells(left), self._cells(right)
            rates = add.pair(a, b)
            other = add.pair(b, a) if left.size != right.size else rates
        e, e2 = float(a.masses @ rates.first), float(a.masses @ rates.second)
        centred = [
            float((cells.masses * (cells.values - node.mean)) @ each.first)
            for cells, node, each in ((a, left, rates), (b, right, other))
        ]
        slopes = [
            node.cross / node.variance if node.variance > 0 else 0.0 for node in (left, right)
        ]
        with_errors = sum(slope * each for slope, each in zip(slopes, centred, strict=True))
        with_sums = sum(centred)
        own = e2 - e * e
        assert rates.last is not None  # of all pairs of cells
        return Node(
            size,
            left.mean + right.mean + e,
            max(left.variance + right.variance + 2 * with_sums + own, 0.0),
            left.error + right.error + e,
            max(left.spread + right.spread + own + 2 * with_errors, 0.0),
            left.cross + right.cross + with_errors + with_sums + own,
            rates.last,
        ), e2

    def _leaves(self) -> tuple[Cells, Rates]:
        """Return two terms' cells, and what adding them costs, the second one known exactly."""
        opening = Opening(self.addition, 2)
        masses = opening.start()
        rates = opening.rates(masses, opening.masses(self.sums.of(2)))
        opening.advance(masses)
        last = opening.last(opening.masses(self.sums.of(2)))
        kinds = self.addition.kinds_of(opening.middle)
        return Cells(opening.middle, masses, kinds, last), rates._replace(last=last)

    def _cells(self, node: Node) -> Cells:
        if node.size == 1:
            return self.addition.cells
        law = moved(self.sums.shape(node.size), node.mean, node.variance)
        return cells_of(law, self.addition, node.last)
