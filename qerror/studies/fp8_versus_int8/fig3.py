"""Van Baalen et al. 2023, figure 3: gates of a multiply-accumulate, and the SQNR they buy."""

from collections.abc import Iterator

from qerror._arrays import FrozenMapping
from qerror.analysis import scalar_product_error
from qerror.densities import Density, Gaussian, StudentT, Uniform, density_name
from qerror.optimize import optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, figure_data

READ = FrozenMapping(
    {
        "fixed point + 12 bits": (721, 874, 899, 1070, 1510),
        "FP16": (1400, 1278, 1186, 1113, 1051),
        "FP32": (2335, 2213, 2121, 2048, 1987),
    }
)
"""2-input gates by accumulator, read off the paper's figure to about 6: INT8, E2, E3, E4, E5."""
ACCURACY = 6
DENSITIES: tuple[Density, ...] = (Uniform(-1, 1), Gaussian(), StudentT(3))

# The paper's cost table, in 2-input gates.
_FULL_ADDER, _HALF_ADDER, _FLIP_FLOP = 5, 2, 4
_GUARD_BITS = 12
_BITS = 8


def data() -> Document:
    """Return gate counts as read, the part that the cost table determines, and SQNR.

    - panel "gates": per format and accumulator the count read off the figure; computed from
      the cost table: the multiplier of the significands, the adder of the exponents and, for
      the fixed-point accumulator, its adder and register. The rest (alignment shifts, signs,
      normalisation) is the difference: the table alone does not determine it.
    - panel "sqnr": SQNR of products of two factors of one density, both in the format.
    """
    return figure_data({"accuracy": ACCURACY, "formats": list(EIGHT_BITS)}, [*_gates(), *_sqnr()])


def _gates() -> Iterator[Row]:
    for accumulator, counts in READ.items():
        for exponent_bits, name, read in zip((0, 2, 3, 4, 5), EIGHT_BITS, counts, strict=True):
            parts = {
                "multiplier": multiplier_gates(significand_bits(exponent_bits)),
                "exponent_adder": adder_gates(exponent_bits) if exponent_bits else 0,
                "accumulator_gates": _accumulator_gates(accumulator, exponent_bits),
            }
            yield {
                "panel": "gates",
                "format": name,
                "accumulator": accumulator,
                "read": read,
                **parts,
                "rest": read - sum(parts.values()),
            }


def significand_bits(exponent_bits: int) -> int:
    """Return the width of the factors' significands, the hidden bit included; all of INT8."""
    return _BITS - exponent_bits if exponent_bits else _BITS


def adder_gates(bits: int) -> int:
    """Return the gates of an adder: N - 1 full adders and a half adder."""
    return (bits - 1) * _FULL_ADDER + _HALF_ADDER


def multiplier_gates(bits: int) -> int:
    """Return the gates of an N x N multiplier: N^2 AND gates, then the reduction."""
    return bits * bits + (bits - 1) * (bits - 1) * _FULL_ADDER + (bits - 1) * _HALF_ADDER


def fixed_bits(exponent_bits: int) -> int:
    """Return the width of a fixed-point sum that holds every product, and 12 bits more.

    Magnitudes of a format with m mantissa bits are integers below 2^(2^e - 1 + m) in units of
    its smallest one, for e >= 1.
    """
    if not exponent_bits:
        return 2 * _BITS + _GUARD_BITS
    magnitude = (1 << exponent_bits) - 1 + (_BITS - 1 - exponent_bits)
    return 2 * magnitude + 1 + _GUARD_BITS


def _accumulator_gates(accumulator: str, exponent_bits: int) -> int:
    if accumulator.startswith("FP"):
        return _FLIP_FLOP * int(accumulator[2:])  # the register; the adder's shifts are the rest
    width = fixed_bits(exponent_bits)
    return adder_gates(width) + _FLIP_FLOP * width


def _sqnr() -> Iterator[Row]:
    for density in DENSITIES:
        for name in EIGHT_BITS:
            side = optimal_scale(name, density).report
            yield {
                "panel": "sqnr",
                "format": name,
                "density": density_name(density),
                "sqnr_db": scalar_product_error(side, side).sqnr_db,
            }


STUDIES.register(
    "int8-fig3",
    Study(
        "Gates of a multiply-accumulate as read from the paper, and SQNR against gates",
        "van Baalen et al. 2023, figure 3",
        data,
        "(a) to (c): gates of a multiply-accumulate as read off the paper's figure, split "
        "into what its cost table determines and the rest, by accumulator. (d) to (f): SQNR "
        "of a product of two factors of one density against those gates; the marker's fill "
        "tells the accumulator, the dashed line joins what nothing beats in both.",
    ),
)
