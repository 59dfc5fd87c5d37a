"""Kuzmin et al. 2022, figure 4: how floating point is simulated, by a scale for each element."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from qerror._arrays import FloatArray
from qerror.formats import FloatingPoint
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

FORM = FloatingPoint(2, 3)
"""2M3E: few enough levels that each can be seen."""
BIASES = (4.0, 4.6)
"""Its default, an integer, and a real one."""
LOW, HIGH = 2.0**-5, 2.0**4.5


def element_scale(x: FloatArray, bias: float) -> FloatArray:
    """Return the step with which each element is rounded (equation 9; 11 where b is real)."""
    with np.errstate(divide="ignore"):
        binade = np.floor(np.log2(np.abs(x)) + bias)
    # Below the second binade all elements share the step of the subnormal values.
    return np.asarray(np.exp2(np.maximum(binade, 1) - bias - FORM.mantissa_bits))


def simulated(x: FloatArray, bias: float) -> FloatArray:
    """Round each element to a multiple of its own scale (equation 8), and clip it."""
    scale = element_scale(x, bias)
    top = FORM.max_value * 2.0 ** (FORM.bias - bias)
    return np.clip(scale * np.rint(x / scale), -top, top)


def data() -> Document:
    """Return the scale of an element, what is rounded, and what comes out, over |x|.

    - panel "scale": the scale from `low` to `high`, by bias;
    - panel "rounded": x / scale at the two ends of each such stretch;
    - panel "result": the level between its thresholds, at the integer bias.
    """
    rows = [row for bias in BIASES for row in _scales(bias)]
    return figure_data({"format": FORM.name, "biases": list(BIASES)}, [*rows, *_levels()])


def _scales(bias: float) -> Iterator[Row]:
    first, last = np.ceil(np.log2(LOW) + bias), np.floor(np.log2(HIGH) + bias)
    ends = np.exp2(np.arange(int(first), int(last) + 1) - bias)
    for low, high in pairwise([LOW, *ends.tolist(), HIGH]):
        (scale,) = element_scale(np.array([(low * high) ** 0.5]), bias).tolist()
        yield {"panel": "scale", "bias": bias, "low": low, "high": high, "scale": scale}
        for x in (low, high):
            yield {"panel": "rounded", "bias": bias, "x": x, "quotient": x / scale}


def _levels() -> Iterator[Row]:
    bias = BIASES[0]
    levels = [x for x in FORM.grid().points.tolist() if x >= 0]
    thresholds = [0.5 * (a + b) for a, b in pairwise(levels)]
    for low, high in pairwise([0.0, *thresholds, HIGH]):
        (level,) = simulated(np.array([0.5 * (low + high)]), bias).tolist()
        yield {"panel": "result", "bias": bias, "low": low, "high": high, "level": level}


STUDIES.register(
    "fp8-fig4",
    Study(
        "How floating point is simulated: a scale for each element",
        "Kuzmin et al. 2022, figure 4",
        data,
        "2M3E, a format of 6 bits whose levels can be seen one by one. (a) The scale s by which "
        "an element x is divided: a power of two that doubles with every binade of |x|, and "
        "stays where the subnormal values begin; a real bias b moves all of it. (b) The quotient "
        "|x| / s, which is rounded to a whole number: from 4 to 8 in every binade, and from 0 to "
        "4 below them. (c) The result, s round(x / s): each step is a level of the format, at "
        "bias 4; beyond the largest one, 14, it is clipped.",
    ),
)
