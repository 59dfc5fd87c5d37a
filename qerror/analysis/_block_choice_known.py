"""What a choice of scales needs no frequencies for."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.analysis._block_choice_law import GainLaw
from qerror.analysis._block_choice_nodes import Nodes
from qerror.analysis._block_choice_orders import by_law
from qerror.analysis._block_choice_points import PointSums, exactly, merged
from qerror.analysis._block_choice_products import between

_MOST_PLACES = 64  # sums of exact gains beside two others


class Known(NamedTuple):
    """What needs no frequencies: blocks of values of exact gains, and of one other value."""

    gains: FloatArray
    """The exact gains, 0 among them."""
    fixed: tuple[FloatArray, ...]
    """Sums of the columns over values of each, shape (gains, 9), below the four places."""
    total: FloatArray
    leaves_some: bool
    """Whether there are values of other gains."""

    order: int
    """How many of those blocks may have."""

    @classmethod
    def of(cls, nodes: Nodes, n: int, apart: GainLaw | bool) -> "Known":
        """Sum what is known; `apart` says that point masses count as exact gains.

        A law of the gains gives blocks with two values of other gains too.
        """
        fixed: BoolArray = nodes.flat if isinstance(apart, GainLaw) else nodes.gain == 0
        if apart:
            fixed = fixed | nodes.point
        gains, _ = merged(np.append(nodes.gain[fixed], 0.0), np.ones(int(fixed.sum()) + 1))
        sums: dict[int, FloatArray] = {}
        exact: dict[int, FloatArray] = {}
        for place in set(nodes.places):
            at = fixed[:place]
            nearest = np.abs(nodes.gain[:place][at, None] - gains).argmin(axis=1)
            columns = np.zeros((gains.size, nodes.columns.shape[1]))
            np.add.at(columns, nearest, nodes.columns[:place][at])
            sums[place] = columns
            at = at | isinstance(apart, GainLaw)
            moving = nodes.gain[:place][~at], nodes.columns[:place][~at]
            exact[place] = exactly(gains, columns, moving, n)
        each = tuple(sums[place] for place in nodes.places)
        found = np.stack([exact[place] for place in nodes.places])
        if not isinstance(apart, GainLaw):
            return cls(gains, each, between(found), not fixed.all(), 1)
        beside = PointSums.of(gains, np.ones(gains.size), n)
        order = 2 if beside is not None and beside.fewer[1].values.size <= _MOST_PLACES else 1
        more = found + by_law(apart, gains, each, n, order)
        return cls(gains, each, between(more), n > order and not fixed.all(), order)
