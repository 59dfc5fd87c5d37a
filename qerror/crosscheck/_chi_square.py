"""Chi-square of means that vary together, and of the scales that blocks store."""

from collections.abc import Mapping

import numpy as np
from scipy import special

from qerror._arrays import FloatArray
from qerror.simulation.figures import BlockEstimate

_DEPENDENT = 1e-2  # of the largest eigenvalue of the correlation: smaller ones take no part
_LEAST_EXPECTED = 25.0  # blocks with a scale; rarer ones count together
_SAMPLES_A_SCALE = 20  # tensors for each scale: fewer do not tell how they vary together
_UNEXPECTED = 100.0  # blocks of scales of which there should be next to none


def chi_square_p(chi_square: float, degrees: int) -> float:
    """Return the probability that chi-square is larger; 1 without degrees of freedom."""
    if not degrees:
        return 1.0
    return float(special.gammaincc(0.5 * degrees, 0.5 * chi_square))


def quadratic_form(covariance: FloatArray, z: FloatArray) -> tuple[float, int]:
    """Return d' C^-1 d for deviations d in units of their own spread, and its degrees.

    Combinations in which nearly all cancels take no part.
    """
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    values, vectors = np.linalg.eigh(correlation)
    kept = values > _DEPENDENT * values.max()
    along = vectors[:, kept].T @ z
    return float((along * along / values[kept]).sum()), int(kept.sum())


def scales_chi_square(exact: Mapping[float, float], sampled: BlockEstimate) -> tuple[float, int]:
    """Return chi-square of how often each scale occurs, and its degrees of freedom.

    Blocks are independent where each is a sample (Pearson). Blocks of one tensor are not: then
    the shares' covariance is that of the tensors, if there are enough of them.
    """
    if not exact:
        return 0.0, 0
    common = [code for code, p in exact.items() if p * sampled.blocks >= _LEAST_EXPECTED]
    independent = sampled.samples == sampled.blocks
    expected = np.array([exact[code] for code in common])
    if independent and _is_surprising(expected, common, sampled):
        return np.inf, 1
    known = sampled.scales.covariance.size and sampled.samples >= _SAMPLES_A_SCALE * len(common)
    if len(common) < 2 or not (independent or known):
        return 0.0, 0
    at = np.delete(np.arange(len(common)), expected.argmax())  # the others settle the last one
    shares = dict(zip(sampled.scales.codes, sampled.scales.shares, strict=True))
    found = np.array([shares.get(code, 0.0) for code in common])
    if independent:
        return _pearson(found[at], expected[at], sampled.blocks), at.size
    covariance = _covariance_of(common, sampled)[np.ix_(at, at)]
    spread = np.sqrt(np.diag(covariance))
    if not spread.all():
        return 0.0, 0
    return quadratic_form(covariance, (found - expected)[at] / spread)


def _pearson(found: FloatArray, expected: FloatArray, size: int) -> float:
    """Return d' C^-1 d for shares of a multinomial law, all other outcomes being one more."""
    off, rest = found - expected, 1 - float(expected.sum())
    return size * float((off * off / expected).sum() + off.sum() ** 2 / rest)


def _is_surprising(expected: FloatArray, common: list[float], sampled: BlockEstimate) -> bool:
    """Tell whether many blocks have scales of which next to none were expected."""
    shares = dict(zip(sampled.scales.codes, sampled.scales.shares, strict=True))
    rest = 1 - sum(shares.get(code, 0.0) for code in common)
    unlikely = (1 - expected.sum()) * sampled.blocks < _LEAST_EXPECTED
    return bool(unlikely and rest * sampled.blocks > _UNEXPECTED)


def _covariance_of(codes: list[float], sampled: BlockEstimate) -> FloatArray:
    known = {code: i for i, code in enumerate(sampled.scales)}
    seen = [i for i, code in enumerate(codes) if code in known]
    at = [known[codes[i]] for i in seen]
    covariance = np.zeros((len(codes), len(codes)))
    covariance[np.ix_(seen, seen)] = sampled.scales.covariance[np.ix_(at, at)]
    return covariance
