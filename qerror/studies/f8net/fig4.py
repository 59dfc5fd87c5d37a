"""Jin et al. 2022 (F8Net), figure 4: the best fractional length and where it changes."""

import math
from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray, FrozenMapping
from qerror.analysis import quantization_error
from qerror.analysis.decibels import decibels_above
from qerror.densities import Gaussian, Rectified
from qerror.formats import FixedPoint
from qerror.optimize import fractional_length_constant
from qerror.reporting import Document, Row
from qerror.studies.f8net.fig3 import SHOWN_STDS, relative_errors
from qerror.studies.f8net.rule import CONSTANTS
from qerror.studies.study import STUDIES, Study, figure_data

SAMPLED = FrozenMapping({True: 38.05, False: 69.00})
"""Those of the samples that its authors published with their code."""
SHOWN_LENGTH = 4
"""The length whose upper threshold is shown closer; the others are the same, octaves apart."""
WINDOWS = FrozenMapping({True: (2.3, 2.6), False: (4.2, 4.6)})
"""Standard deviations around that threshold, signed and unsigned."""
_POINTS = 61  # of a window
_AFTER = 1 + 1e-9  # just beyond a threshold


def data() -> Document:
    """Return the best legal fractional length over std, and the std at which it changes.

    - panel "best": the best length among 0..8 (7 if signed), its relative error, and the
      length and error by the paper's rule.
    - panel "loss": around one threshold, by how many dB the length of the paper's rule, and that
      of its published samples, lie above the best; the others repeat it every octave.
    - panel "threshold": the largest std at which `fractional_length` is best: exactly
      C / 2^FL with one constant, by the paper's rule, and by its published samples.
    """
    rows = [
        row
        for signed in (True, False)
        for row in (*_best(signed), *_losses(signed), *_thresholds(signed))
    ]
    constants = {
        "signed": fractional_length_constant(8, signed=True),
        "unsigned": fractional_length_constant(8, signed=False),
    }
    return figure_data({"word_length": 8, "constants": constants}, rows)


def _best(signed: bool) -> Iterator[Row]:
    errors = relative_errors(signed)
    for i, std in enumerate(SHOWN_STDS):
        at = [float(each[i]) for each in errors]
        best = min(range(len(at)), key=lambda length: (at[length], -length))
        rule = min(max(_by_rule(CONSTANTS[signed], std), 0), len(at) - 1)
        yield {
            "panel": "best",
            "signed": signed,
            "std": std,
            "fractional_length": best,
            "relative_error": at[best],
            "rule_fractional_length": rule,
            "rule_relative_error": at[rule],
        }


def _by_rule(constant: float, std: float) -> int:
    return math.floor(math.log2(constant / std))


def _losses(signed: bool) -> Iterator[Row]:
    density = Gaussian() if signed else Rectified(Gaussian())
    stds = _window(signed)
    mse = {
        length: quantization_error(FixedPoint(8, length, signed), density, 1 / stds).mse
        for length in (SHOWN_LENGTH - 1, SHOWN_LENGTH)
    }
    for i, std in enumerate(stds.tolist()):
        least = min(float(each[i]) for each in mse.values())
        row: Row = {"panel": "loss", "signed": signed, "std": std}
        for key, constants in (("rule", CONSTANTS), ("sampled", SAMPLED)):
            chosen = float(mse[_by_rule(constants[signed], std)][i])
            row = {**row, f"{key}_loss_db": decibels_above(chosen, least)}
        yield row


def _window(signed: bool) -> FloatArray:
    """Return even points, and both sides of the two thresholds at which a loss jumps."""
    edges = np.array([CONSTANTS[signed], SAMPLED[signed]]) / 2**SHOWN_LENGTH
    exact = fractional_length_constant(8, signed) / 2**SHOWN_LENGTH
    even = np.linspace(*WINDOWS[signed], _POINTS)
    return np.sort(np.concatenate([even, edges, edges * _AFTER, [exact]]))


def _thresholds(signed: bool) -> Iterator[Row]:
    constant = fractional_length_constant(8, signed)
    for length in range(1, 9 - signed):
        yield {
            "panel": "threshold",
            "signed": signed,
            "fractional_length": length,
            "threshold": constant / 2**length,
            "rule_threshold": CONSTANTS[signed] / 2**length,
            "sampled_threshold": SAMPLED[signed] / 2**length,
        }


STUDIES.register(
    "f8net-fig4",
    Study(
        "Best fractional length of 8-bit fixed point and the thresholds between lengths",
        "Jin et al. 2022 (F8Net), figure 4",
        data,
        "(a, b) The best legal fractional length over the standard deviation, signed on a "
        "Gaussian and unsigned on its ReLU: it changes at C / 2^FL, exactly. (c, d) One of these "
        "steps closer, from length 4 to 3, marked by a thin line; the others look the same, "
        "octaves apart. By how many dB the rule floor(log2(40 / std)), with 70 for unsigned "
        "codes, and the rule with the constants of the samples published with the paper's code, "
        "38.05 and 69.00, lie above the best; the exact constants are 39.224 and 72.118.",
    ),
)
