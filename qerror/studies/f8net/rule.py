"""What the F8Net paper states about 8-bit fixed point, each figure beside the exact one."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from qerror._arrays import FloatArray, FrozenMapping
from qerror.analysis import quantization_error
from qerror.densities import Gaussian, Rectified
from qerror.formats import FixedPoint
from qerror.optimize import fractional_length_constant
from qerror.optimize.fractional_length import F8NET_CONSTANTS, F8NET_WORD_LENGTH
from qerror.reporting import Document, View, short
from qerror.studies.finding import Check, Finding

BITS = F8NET_WORD_LENGTH
CONSTANTS = F8NET_CONSTANTS
SPANS = FrozenMapping({True: (0.1, 40.0), False: (0.1, 100.0)})
"""Standard deviations over which section 3.3 states an error below 1%: signed, unsigned."""
BOUND = 0.01
_SHARE_POINTS = 1001  # log-spaced standard deviations between which shares are interpolated


@dataclass(frozen=True)
class Constant:
    """The constant of the rule floor(log2(C / std)), as stated and exact."""

    signed: bool
    stated: float
    exact: float
    missed_octave: float
    """The share of every octave of standard deviations on which the stated one is off by a bit."""
    loss_db: float
    """The most that it loses there."""

    @property
    def check(self) -> Check:
        """What the verdict on the rule is made of."""
        off = abs(self.stated / self.exact - 1)
        return Check(
            f"the constant of the best rule is {self.stated:g} (off by {off:.1%})",
            rounds := round(self.exact) == self.stated,
            None if rounds else off,
        )


@dataclass(frozen=True)
class Range:
    """The largest relative error of the best legal fractional length over a range of std."""

    signed: bool
    low: float
    high: float
    at_low: float
    at_switches: float
    """The error wherever the best length changes: the same at every switch."""
    at_high: float
    share_below: float
    """The share of the range, in octaves, on which the error stays below `BOUND`."""

    @property
    def worst(self) -> float:
        """The largest error of the range."""
        return max(self.at_low, self.at_switches, self.at_high)

    @property
    def check(self) -> Check:
        """What the verdict on the range is made of."""
        off = self.worst / BOUND - 1
        return Check(
            f"the error is below {BOUND:.0%} over the whole range (the worst is {self.worst:.2%})",
            off < 0,
            None if off < 0 else off,
        )


@dataclass(frozen=True)
class Claim:
    """A figure that the F8Net paper states, beside the exact one."""

    statement: str
    stated: float
    exact: float
    verdict: str
    """As on the page of findings: confirmed, refined or refuted."""
    detail: str


def f8net_claims() -> tuple[Claim, ...]:
    """Return what the F8Net paper says about 8-bit fixed point, each beside the exact figure.

    References
    ----------
    Jin et al. 2022, F8Net, section 3.3 and eq. 1; figures 3 and 4 are from 10,000 samples.

    Examples
    --------
    >>> [claim.verdict for claim in f8net_claims()]
    ['refined', 'refuted', 'refined', 'refuted']
    """
    return tuple(
        claim for signed in (True, False) for claim in (_of_constant(signed), _of_range(signed))
    )


def with_claims(document: Document, claims: Sequence[Claim]) -> Document:
    """Return a document on fixed point with claims as a parameter and, if any, as a last table."""
    params = {**document.params, "claims": [asdict(claim) for claim in claims]}
    views = [*document.views, _view(claims)] if claims else document.views
    return replace(document, params=params, views=views)


def rule_constant(signed: bool) -> Constant:
    """Compare the constant of equation 1 with the exact one."""
    stated = CONSTANTS[signed]
    exact = fractional_length_constant(BITS, signed)
    # The rule errs for std 2^FL between the two constants, and loses most next to its own.
    fine, coarse = relative(0, stated, signed), relative(-1, stated, signed)
    octave = abs(math.log2(exact / stated))
    return Constant(signed, stated, exact, octave, abs(20 * math.log10(fine / coarse)))


def error_range(signed: bool) -> Range:
    """Find the largest relative error over the range that section 3.3 states."""
    low, high = SPANS[signed]
    lengths = range(BITS - signed + 1)
    ends = [min(relative(n, std, signed) for n in lengths) for std in (low, high)]
    # Between switches the error first falls, then rises: it is worst at switches and ends.
    switch = relative(1, fractional_length_constant(BITS, signed) / 2, signed)
    spreads = np.geomspace(low, high, _SHARE_POINTS)
    errors = np.min([relatives(n, spreads, signed) for n in lengths], axis=0)
    share = _share_below(np.log(errors / BOUND))
    return Range(signed, low, high, ends[0], switch, ends[1], share)


def relatives(length: int, spreads: FloatArray, signed: bool) -> FloatArray:
    """Return sqrt(MSE) / std at many standard deviations, those before the ReLU."""
    density = Gaussian() if signed else Rectified(Gaussian())
    unit = FixedPoint(BITS, 0, signed)
    return np.sqrt(quantization_error(unit, density, 2.0**-length / spreads).mse)


def relative(length: int, std: float, signed: bool) -> float:
    """Return sqrt(MSE) / std at one standard deviation."""
    return float(relatives(length, np.array([std]), signed)[0])


def _share_below(level: FloatArray) -> float:
    """Return the share of equal steps on which a piecewise linear function is negative."""
    a, b = level[:-1], level[1:]
    crossed = np.abs(np.minimum(a, b)) / (np.abs(a) + np.abs(b))
    return float(np.where((a < 0) == (b < 0), a < 0, crossed).mean())


def _verdict(check: Check) -> str:
    return Finding("", "", "", "", (check,)).verdict


def _kind(signed: bool) -> str:
    return "signed" if signed else "unsigned"


def _of_constant(signed: bool) -> Claim:
    found = rule_constant(signed)
    return Claim(
        f"{_kind(signed)}: best FL = floor(log2({found.stated:g} / std))",
        found.stated,
        found.exact,
        _verdict(found.check),
        f"off by {abs(found.stated / found.exact - 1):.1%}; from {found.stated:g} to "
        f"{found.exact:.2f} the rule loses up to {found.loss_db:.2f} dB",
    )


def _of_range(signed: bool) -> Claim:
    found = error_range(signed)
    return Claim(
        f"{_kind(signed)}: error below {BOUND:.0%} for std {found.low:g}..{found.high:g}",
        BOUND,
        found.worst,
        _verdict(found.check),
        f"{found.at_low:.2%} at {found.low:g}, {found.at_switches:.2%} wherever the best FL "
        f"changes, {found.at_high:.2%} at {found.high:g}",
    )


def _view(claims: Sequence[Claim]) -> View:
    header = ("claim", "stated", "exact", "")
    body = [
        (
            f"{number}. {claim.statement}",
            short(claim.stated, 6),
            short(claim.exact, 6),
            claim.verdict,
        )
        for number, claim in enumerate(claims, start=1)
    ]
    notes = [f"{number}. {claim.detail}" for number, claim in enumerate(claims, start=1)]
    return View("What F8Net states (Jin et al. 2022)", header, body, words=(0, 3), notes=notes)
