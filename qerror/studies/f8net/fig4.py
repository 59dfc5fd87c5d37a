"""Jin et al. 2022 (F8Net), figure 4: the best fractional length and where it changes."""

import math
from collections.abc import Iterator

from qerror.analysis.decibels import decibels_above
from qerror.optimize import fractional_length_constant
from qerror.reporting import Document, Row
from qerror.studies.f8net.fig3 import STDS, relative_errors
from qerror.studies.f8net.rule import CONSTANTS
from qerror.studies.study import STUDIES, Study, figure_data

SAMPLED = {True: 38.05, False: 69.00}
"""Those of the samples that its authors published with their code."""


def data() -> Document:
    """Return the best legal fractional length over std, and the std at which it changes.

    - panel "best": the best length among 0..8 (7 if signed), its relative error, and the
      length and error by the paper's rule.
    - panel "threshold": the largest std at which `fractional_length` is best: exactly
      C / 2^FL with one constant, by the paper's rule, and by its published samples.
    """
    rows = [row for signed in (True, False) for row in (*_best(signed), *_thresholds(signed))]
    constants = {
        "signed": fractional_length_constant(8, signed=True),
        "unsigned": fractional_length_constant(8, signed=False),
    }
    return figure_data({"word_length": 8, "constants": constants}, rows)


def _best(signed: bool) -> Iterator[Row]:
    errors = relative_errors(signed)
    for i, std in enumerate(STDS):
        at = [float(each[i]) for each in errors]
        best = min(range(len(at)), key=lambda length: (at[length], -length))
        rule, sampled = (
            min(max(math.floor(math.log2(constants[signed] / std)), 0), len(at) - 1)
            for constants in (CONSTANTS, SAMPLED)
        )
        yield {
            "panel": "best",
            "signed": signed,
            "std": std,
            "fractional_length": best,
            "relative_error": at[best],
            "rule_fractional_length": rule,
            "rule_relative_error": at[rule],
            "rule_loss_db": 2 * decibels_above(at[rule], at[best]),
            "sampled_loss_db": 2 * decibels_above(at[sampled], at[best]),
        }


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
        "Gaussian and unsigned on its ReLU. (c, d) By how many dB the rule floor(log2(40 / "
        "std)), with 70 for unsigned codes, and the rule with the constants of the samples "
        "published with the paper's code lie above the best; the exact constants are 39.224 "
        "and 72.118.",
    ),
)
