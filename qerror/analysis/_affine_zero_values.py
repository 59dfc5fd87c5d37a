"""Densities and masses at places between the extremes of blocks of given widths."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.analysis._affine_ratios import lagrange
from qerror.analysis._affine_zero_places import ORDER, Places
from qerror.densities.density import Density
from qerror.densities.extreme import below, beyond
from qerror.densities.quadrature import gauss_legendre

_ROUGH = 1e-12  # of all: the last coefficients of a panel's series
_DEEPEST = 60  # halvings of panels


class Values(NamedTuple):
    """A density at places r of blocks of some widths, on both sides of 0; (widths, places)."""

    width: FloatArray
    """As a column."""
    upper: FloatArray
    lower: FloatArray
    within: FloatArray
    """log P(l < X < u), by A."""
    ends: FloatArray
    """p(l) p(u) dl du / (dw dA), by A."""
    above: FloatArray
    """P(0 < X < w)."""
    beneath: FloatArray
    """P(-w < X < 0)."""
    upper_end: FloatArray
    """p(w)."""
    lower_end: FloatArray

    @classmethod
    def of(cls, density: Density, places: Places, width: FloatArray) -> "Values":
        r, w = places.nodes, width[:, None]
        x = (w * r).ravel()
        upper = density.pdf(x).reshape(width.size, -1)
        lower = upper if density.is_symmetric else density.pdf(-x).reshape(upper.shape)
        beyond_upper, inside_upper = _masses(upper, places, w, beyond(density, width))
        if density.is_symmetric:
            beyond_lower, inside_lower = beyond_upper, inside_upper
        else:
            beyond_lower, inside_lower = _masses(lower, places, w, below(density, -width))
        without = beyond_lower[:, :-1] + beyond_upper[:, -2::-1]
        inside = inside_lower[:, :-1] + inside_upper[:, -2::-1]
        with np.errstate(divide="ignore"):
            within = np.where(
                without < 0.5, np.log1p(-np.minimum(without, 0.75)), np.log(np.maximum(inside, 0.0))
            )
        return cls(
            w,
            upper,
            lower,
            within,
            lower * upper[:, ::-1] * w,
            inside_upper[:, -1],
            inside_lower[:, -1],
            density.pdf(width),
            density.pdf(-width),
        )


def _masses(
    p: FloatArray, places: Places, w: FloatArray, rest: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return P(X > r w) and P(0 < X < r w) at the nodes, and for r = 1 last."""
    up, whole = _cumulative()
    parts = p.reshape(p.shape[0], -1, ORDER) * (places.lengths[:, None] * w[:, :, None])
    each = parts @ whole
    within = parts @ up
    before = np.cumsum(each, axis=1)
    after = np.cumsum(each[:, ::-1], axis=1)[:, ::-1] + rest[:, None]
    inside = (before - each)[:, :, None] + within
    outside = after[:, :, None] - within
    shape = (p.shape[0], -1)
    return (
        np.concatenate([outside.reshape(shape), rest[:, None]], axis=1),
        np.concatenate([inside.reshape(shape), before[:, -1:]], axis=1),
    )


@lru_cache(maxsize=1)
def _cumulative() -> tuple[FloatArray, FloatArray]:
    """Return the matrix from values at a panel's nodes to integrals up to them, and over it."""
    t, w = gauss_legendre(ORDER)
    basis = lagrange((t[:, None] * t).ravel(), t, w).reshape(ORDER, ORDER, ORDER)
    return frozen(np.einsum("i,k,ikj->ji", t, w, basis)), w


def settled_places(density: Density, n: int, spread: float, width: FloatArray) -> Places:
    """Return panels fine enough for all that these widths need."""
    count = math.ceil(math.log2(float(width[-1]) / spread)) + 1
    places = Places((0.0, *(0.5**k for k in range(max(count, 2), 0, -1))))
    for _ in range(_DEEPEST):
        values = Values.of(density, places, width)
        rough = np.flatnonzero(_roughness(values, n, places) > _ROUGH)
        if not rough.size:
            break
        places = places.halved(rough)
    return places


@lru_cache(maxsize=1)
def _last_coefficients() -> FloatArray:
    t, w = gauss_legendre(ORDER)
    k = np.array([ORDER - 2, ORDER - 1])
    basis = np.polynomial.legendre.legvander(2 * t - 1, ORDER - 1)[:, k]
    return frozen((2 * k + 1) * basis * w[:, None])


def _roughness(values: Values, n: int, places: Places) -> FloatArray:
    """Return about which part of all errors panels' polynomials leave."""
    w, lengths = values.width, places.lengths
    chance = values.ends * np.exp(max(n - 4, 0) * values.within) * w**3
    parts = chance.reshape(w.size, -1, ORDER) * lengths[:, None]
    each = (parts @ gauss_legendre(ORDER)[1]).sum(axis=1)
    for p, inside in ((values.upper_end, values.above), (values.lower_end, values.beneath)):
        each += p * inside ** (n - 2) * w[:, 0] ** 3
    last = _last_coefficients()
    found = np.abs(parts @ last).max(axis=2).sum(axis=0)
    found = np.maximum(found, found[::-1])
    for p in (values.upper, values.lower):
        laid = p.reshape(w.size, -1, ORDER) * (lengths[:, None] * (w * each[:, None])[:, :, None])
        found = np.maximum(found, np.abs(laid @ last).max(axis=2).sum(axis=0))
    share: FloatArray = found / each.sum()
    return share
