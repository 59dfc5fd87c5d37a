"""What blocks give with one or two values that gain no exact amount, by what all others gain.

In phi = a + m, a the part of the exact amounts, the products of `choice` have terms of the first
and of the second order in m. Their sums over the exact amounts and their integrals over the gains
are asked for by name, so that the same terms serve frequencies, where both are factors, and laws
of gains, where they are integrals of signs.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._block_choice_law import GainLaw
from qerror.analysis._block_choice_points import merged

Atoms: TypeAlias = Callable[..., Any]
"""atoms(k, *columns): k values of exact gains, and one more for each column, weighed by it."""
Pair: TypeAlias = Callable[..., Any]
"""pair(atoms, *columns): those with a value of no exact gain for each column, weighed by it."""

_SIX, _FOUR, _X = 6, 7, 8


def first_order(n: int, atoms: Atoms, pair: Pair) -> list[Any]:
    """Return the first six figures of blocks with one such value."""
    return [
        n * pair(atoms(n - 1), 0),
        *(pair(atoms(n - 1), k) + (n - 1) * pair(atoms(n - 2, k), 0) for k in range(1, 6)),
    ]


def first_order_pairs(n: int, atoms: Atoms, pair: Pair) -> list[Any]:
    """Return the two figures of pairs."""
    few = n - 2
    return [
        pair(atoms(n - 2, _FOUR), _FOUR)
        - pair(atoms(n - 2, _SIX), _SIX)
        + 0.5 * few * (pair(atoms(n - 3, _FOUR, _FOUR), 0) - pair(atoms(n - 3, _SIX, _SIX), 0)),
        0.5 * (pair(atoms(n - 2, _X), _FOUR) - pair(atoms(n - 2, _X), _SIX))
        + 0.5 * (pair(atoms(n - 2, _FOUR), _X) - pair(atoms(n - 2, _SIX), _X))
        + 0.5 * few * (pair(atoms(n - 3, _X, _FOUR), 0) - pair(atoms(n - 3, _X, _SIX), 0)),
    ]


def second_order(n: int, atoms: Atoms, pair: Pair) -> list[Any]:
    """Return the first six figures of blocks with two such values."""
    return [
        math.comb(n, 2) * pair(atoms(n - 2), 0, 0),
        *(
            (n - 1) * pair(atoms(n - 2), k, 0) + math.comb(n - 1, 2) * pair(atoms(n - 3, k), 0, 0)
            for k in range(1, 6)
        ),
    ]


def second_order_pairs(n: int, atoms: Atoms, pair: Pair) -> list[Any]:
    """Return the two figures of pairs."""
    few, least = n - 2, 0.5 * math.comb(n - 2, 2)

    def error(column: int) -> Any:
        return (
            0.5 * pair(atoms(n - 2), column, column)
            + few * pair(atoms(n - 3, column), column, 0)
            + least * pair(atoms(n - 4, column, column), 0, 0)
        )

    def cross(column: int) -> Any:
        one = pair(atoms(n - 3, _X), column, 0) + pair(atoms(n - 3, column), _X, 0)
        return (
            0.5 * pair(atoms(n - 2), _X, column)
            + 0.5 * few * one
            + least * pair(atoms(n - 4, _X, column), 0, 0)
        )

    return [error(_FOUR) - error(_SIX), cross(_FOUR) - cross(_SIX)]


def all_orders(n: int, most: int, atoms: Atoms, pair: Pair, *, pairs: bool) -> list[Any]:
    """Return the figures of blocks with one, or one and two such values, with or without pairs."""
    found = first_order(n, atoms, pair) + (first_order_pairs(n, atoms, pair) if pairs else [])
    if most == 1:
        return found
    more = second_order(n, atoms, pair) + (second_order_pairs(n, atoms, pair) if pairs else [])
    return [a + b for a, b in zip(found, more, strict=True)]


def signs(n: int, most: int, atoms: Atoms, pair: Pair) -> Any:
    """Return the first of those figures alone."""
    found = n * pair(atoms(n - 1), 0)
    return found if most == 1 else found + math.comb(n, 2) * pair(atoms(n - 2), 0, 0)


def has_pairs(columns: FloatArray) -> bool:
    """Tell whether errors of one sign prevail, so that pairs of values have anything."""
    return bool(columns[..., [_SIX, _FOUR]].any())


def by_factors(still: Any, moving: Any) -> tuple[Atoms, Pair]:
    """Return both for sums of columns over values of both kinds, at each frequency."""

    def atoms(k: int, *columns: int) -> Any:
        if k < 0:
            return 0.0
        power = still[:, 0] ** k if k else np.ones(1)
        return math.prod((still[:, c] for c in columns), start=power)

    def pair(found: Any, *columns: int) -> Any:
        return math.prod((moving[:, c] for c in columns), start=found)

    return atoms, pair


Law: TypeAlias = tuple[FloatArray, FloatArray]
"""Sums of exact gains, and their probabilities or weights."""


def by_law(
    law: GainLaw, gains: FloatArray, fixed: tuple[FloatArray, ...], n: int, order: int
) -> FloatArray:
    """Return the eight figures, of the first or of both orders, below each place, (4, 8).

    Parameters
    ----------
    law : GainLaw
        Of the values of no exact gain.
    gains : array of shape (k,)
        The exact gains.
    fixed : tuple of array of shape (k, 9)
        The columns of their values below each place.
    n : int
        How many values share a scale.
    order : int
        How many values may be of the law.
    """
    integrals = _Integrals(law)
    pairs = has_pairs(np.stack(fixed)) or has_pairs(law.whole)
    found = np.zeros((len(fixed), 8))
    for place, columns in enumerate(fixed):
        atoms, pair = _by_integrals(integrals, place, gains, columns)
        some = all_orders(n, order, atoms, pair, pairs=pairs)
        found[place, : len(some)] = some
    return found


class _Integrals:
    """The integrals of a law beside sums, each found once."""

    def __init__(self, law: GainLaw) -> None:
        self._law = law
        self._known: tuple[dict[float, FloatArray], dict[float, FloatArray]] = {}, {}

    def at(self, sums: list[float], values: int) -> list[FloatArray]:
        """Return those of one or two values of the law beside each sum."""
        known = self._known[values - 1]
        missing = [y for y in sums if y not in known]
        if missing and values == 1:
            known.update(zip(missing, self._law.signed(np.array(missing)), strict=True))
        elif missing:
            known.update((y, self._law.twice_signed(y)) for y in missing)
        return [known[y] for y in sums]


def _by_integrals(
    integrals: "_Integrals",
    place: int,
    gains: FloatArray,
    fixed: FloatArray,
) -> tuple[Atoms, Pair]:
    @cache
    def atoms(k: int, *columns: int) -> Law | None:
        if k < 0:
            return None
        if columns:
            return _with(atoms(k, *columns[1:]), gains, fixed[:, columns[0]])
        return _with(atoms(k - 1), gains, fixed[:, 0]) if k else (np.zeros(1), np.ones(1))

    def pair(found: Law | None, *columns: int) -> float:
        if found is None:
            return 0.0
        given = integrals.at(found[0].tolist(), len(columns))
        parts = zip(found[1].tolist(), given, strict=True)
        return math.fsum(weight * float(part[place][columns]) for weight, part in parts)

    return atoms, pair


def _with(sums: Law | None, gains: FloatArray, more: FloatArray) -> Law:
    """Return sums with one more value."""
    assert sums is not None
    if gains.size == 1:
        return sums[0], sums[1] * more
    at = np.flatnonzero(more)
    values = np.add.outer(sums[0], gains[at]).ravel()
    return merged(values, np.multiply.outer(sums[1], more[at]).ravel())
