"""One choice from each of several lists, with the least total error at a limited total cost.

A multiple-choice knapsack. Where choices may be mixed, the least error is a convex function of
the cost that is left, made of the lists' convex hulls: a bound at any point of the search. The
search goes list by list and keeps the partial sums that no other beats in cost and error at once
(dominance) and from which the bound leaves room below the best assignment known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray

_MOST_STATES = 1 << 20
_ROOM = 1e-12  # relative: roundings of sums must not prune what is best


class Choices(NamedTuple):
    """What can be chosen for one thing: costs and errors, shape (n,) each, n >= 1."""

    cost: FloatArray
    error: FloatArray


class Found(NamedTuple):
    """The best assignment."""

    chosen: tuple[int, ...]
    """The place in each list."""
    error: float
    bound: float
    """The least error where choices may be mixed."""
    is_proven: bool
    """Whether nothing is better; else states had to be given up."""


class _Curve(NamedTuple):
    """The least error of several lists, mixed, against their cost: convex and piecewise linear."""

    cost: FloatArray
    error: FloatArray

    def at(self, room: FloatArray) -> FloatArray:
        """Return the least error with so much cost left; inf where even the least is too much."""
        found = np.interp(room, self.cost, self.error)
        return np.where(room < self.cost[0], np.inf, found)


class _States(NamedTuple):
    """Partial sums, by cost; error falls as cost grows."""

    cost: FloatArray
    error: FloatArray
    parent: IntArray
    choice: IntArray


def least_error(lists: Sequence[Choices], limit: float) -> Found:
    """Choose one of each list so that the errors' sum is least and the costs' at most `limit`.

    Parameters
    ----------
    lists : sequence of Choices
        The sum of the least costs must not exceed `limit`.
    limit : float
    """
    hulls = [_hull(each) for each in lists]
    # The large ones first: what is left at the end can fill small gaps.
    order = sorted(range(len(lists)), key=lambda i: (-float(np.ptp(lists[i].cost)), i))
    sorted_lists, sorted_hulls = [lists[i] for i in order], [hulls[i] for i in order]
    curves = _curves(sorted_lists, sorted_hulls)
    known = _greedy(sorted_lists, sorted_hulls, limit)
    best = sum(float(lists[i].error[j]) for i, j in zip(order, known, strict=True))
    stages, is_proven = _stages(sorted_lists, curves, limit, best)
    last = stages[-1] if stages else None
    if last is not None and last.error.size and float(last.error.min()) <= best:
        known = _traced(stages)
    chosen = [0] * len(lists)
    for i, j in zip(order, known, strict=True):
        chosen[i] = j
    error = sum(float(each.error[j]) for each, j in zip(lists, chosen, strict=True))
    bound = float(curves[0].at(np.array([limit]))[0])
    return Found(tuple(chosen), error, min(bound, error), is_proven)


def _hull(each: Choices) -> list[int]:
    """Return the choices on the lower convex hull, by cost, error falling."""
    order = np.lexsort((each.error, each.cost)).tolist()
    hull: list[int] = []
    for i in order:
        if hull and each.error[i] >= each.error[hull[-1]]:
            continue
        while len(hull) > 1 and not _bends(each, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return hull


def _bends(each: Choices, a: int, b: int, c: int) -> bool:
    """Tell whether b lies below the line from a to c."""
    first = (each.error[a] - each.error[b]) * (each.cost[c] - each.cost[b])
    return bool(first > (each.error[b] - each.error[c]) * (each.cost[b] - each.cost[a]))


def _steps(each: Choices, hull: list[int]) -> tuple[FloatArray, FloatArray]:
    """Return what each step along a hull costs, and what it saves."""
    return np.diff(each.cost[hull]), -np.diff(each.error[hull])


def _curves(lists: Sequence[Choices], hulls: Sequence[list[int]]) -> list[_Curve]:
    """Return, for each place in the order, the curve of the lists from there on."""
    costs, saved = np.empty(0), np.empty(0)
    start_cost = end_error = 0.0
    curves = [_Curve(np.zeros(1), np.zeros(1))]
    for each, hull in zip(reversed(lists), reversed(hulls), strict=True):
        own = _steps(each, hull)
        costs, saved = np.append(costs, own[0]), np.append(saved, own[1])
        order = np.argsort(-saved / costs, kind="stable")
        costs, saved = costs[order], saved[order]
        start_cost += float(each.cost[hull[0]])
        end_error += float(each.error[hull[-1]])
        path = start_cost + np.append(0.0, np.cumsum(costs))
        # Summed from the end, where little is left: no difference in which a small error drowns.
        rest = np.append(np.cumsum(saved[::-1])[::-1], 0.0)
        curves.append(_Curve(path, rest + end_error))
    return curves[::-1]


def _greedy(lists: Sequence[Choices], hulls: Sequence[list[int]], limit: float) -> list[int]:
    """Return an assignment: from the least costs up, the steps that save most for their cost."""
    at = [0] * len(lists)
    room = limit - sum(float(each.cost[hull[0]]) for each, hull in zip(lists, hulls, strict=True))
    steps = [
        (-saved / cost, i, k, cost)
        for i, (each, hull) in enumerate(zip(lists, hulls, strict=True))
        for k, (cost, saved) in enumerate(zip(*_steps(each, hull), strict=True))
    ]
    for _, i, k, cost in sorted(steps):
        if at[i] == k and cost <= room:
            at[i], room = k + 1, room - cost
    return [hull[k] for hull, k in zip(hulls, at, strict=True)]


def _stages(
    lists: Sequence[Choices], curves: Sequence[_Curve], limit: float, best: float
) -> tuple[list[_States], bool]:
    """Return the states after each list; `curves[i]` bounds what is left before list i."""
    is_proven = True
    stages: list[_States] = []
    cost, error = np.zeros(1), np.zeros(1)
    allowed = best * (1 + _ROOM)
    for i, each in enumerate(lists):
        costs = (cost[:, None] + each.cost).reshape(-1)
        errors = (error[:, None] + each.error).reshape(-1)
        bound = errors + curves[i + 1].at(limit - costs)
        kept = np.flatnonzero(bound <= allowed)
        order = kept[np.lexsort((errors[kept], costs[kept]))]
        least = np.minimum.accumulate(errors[order])
        better = np.append(True, errors[order][1:] < least[:-1])[: order.size]
        order = order[better]
        if order.size > _MOST_STATES:
            is_proven = False
            order = np.sort(order[np.argsort(bound[order], kind="stable")[:_MOST_STATES]])
            order = order[np.argsort(costs[order], kind="stable")]
        cost, error = costs[order], errors[order]
        width = each.cost.size
        stages.append(_States(cost, error, order // width, order % width))
    return stages, is_proven


def _traced(stages: Sequence[_States]) -> list[int]:
    """Return the choices that lead to the least error of the last stage."""
    state = int(np.argmin(stages[-1].error))
    found: list[int] = []
    for stage in reversed(stages):
        found.append(int(stage.choice[state]))
        state = int(stage.parent[state])
    return found[::-1]
