"""What is said in public of block-scaled formats."""

from collections.abc import Sequence
from itertools import pairwise

from qerror.studies.blocks import element_claims as elements
from qerror.studies.blocks.measures import DENSITIES, LABELS, mean_sqnr_db, sqnr_db
from qerror.studies.finding import Check, Command, Finding, table
from qerror.studies.measures import decibels

_RULES = ("floor", "ceil", "rceil", "even")
_SIZES = (8, 16, 32, 64)
_NARROW = 0.01


def scale_rules() -> Finding:
    """Judge which rule for the scale of MXFP4 is best."""
    found = {
        density: {rule: mean_sqnr_db(f"mxfp4:{rule}", density) for rule in _RULES}
        for density in DENSITIES
    }
    gains = [found[density]["even"] - found[density]["floor"] for density in DENSITIES]
    return Finding(
        "For MXFP4 rounding the scale to even, as some tools do, is better than the floor of OCP's "
        "recommended procedure.",
        "OCP Microscaling Formats 1.0, section 6.3, and the discussions of its implementations",
        f"EVEN gains {decibels(min(gains))} to {decibels(max(gains))} on three densities",
        "SQNR in dB, the mean over the spreads of one binade:\n\n"
        + table(
            ("density", *(rule.upper() for rule in _RULES)),
            [
                (LABELS[density], *(f"{found[density][rule]:.2f}" for rule in _RULES))
                for density in DENSITIES
            ],
        ),
        (
            Check("EVEN has a larger SQNR than FLOOR on all three densities", min(gains) > 0),
            Check(
                "no other of the four rules is better than EVEN on any of them",
                all(max(by, key=lambda rule: by[rule]) == "even" for by in found.values()),
            ),
        ),
        tuple(
            Command(
                f"qerror error mxfp4:{rule} --dist gaussian --binade-average",
                (f"{found['gaussian'][rule]:.2f}",),
            )
            for rule in ("floor", "even")
        ),
        code=(
            "from qerror import parse_format, quantization_error\n"
            "def at(rule): return quantization_error(parse_format(f'mxfp4:{rule}'), 'gaussian', "
            "binade_average=True)\n"
            f"{{rule: round(at(rule).sqnr_db, 2) for rule in {_RULES!r}}}"
        ),
    )


def rotation() -> Finding:
    """Judge whether making the values Gaussian helps every format."""
    formats = {"MXFP4 even": "mxfp4:even", "NVFP4": "nvfp4", "NF4": "nf4:g64", "INT4": "int4:g64"}
    found = {
        label: [
            (mean_sqnr_db if name.startswith("mx") else sqnr_db)(name, density)
            for density in DENSITIES
        ]
        for label, name in formats.items()
    }
    gains = {label: [each[0] - other for other in each[1:]] for label, each in found.items()}
    return Finding(
        "Rotations, which make heavy-tailed values Gaussian, lower the error of 4-bit block "
        "formats.",
        "the argument for Hadamard rotations before quantization",
        f"INT4 in blocks of 64 gains {decibels(gains['INT4'][-1])} from t(5) to the Gaussian, "
        f"NVFP4 loses {decibels(-gains['NVFP4'][-1])}",
        "SQNR in dB; a rotation keeps the power of the values, so the columns compare:\n\n"
        + table(
            ("format", *(LABELS[density] for density in DENSITIES)),
            [(label, *(f"{value:.2f}" for value in each)) for label, each in found.items()],
        )
        + "\n\nBlocks of 16 with a scale of several mantissa bits follow heavy tails better than "
        "a Gaussian: their elements are densest near 0.",
        tuple(
            Check(f"{label} is better on the Gaussian than on the two others", min(each) > 0)
            for label, each in gains.items()
        ),
        (
            Command(
                "qerror sweep --dist gaussian --dist laplace --dist 'student-t(nu=5)' "
                "--formats nvfp4,nf4:g64,int4:g64",
                tuple(f"{value:.2f}" for label in ("NVFP4", "INT4") for value in found[label]),
            ),
        ),
        code=(
            "from qerror import quantization_error\n"
            f"densities = {DENSITIES!r}\n"
            "def at(name): return [round(quantization_error(name, d).sqnr_db, 2) for d in "
            "densities]\n"
            "{name: at(name) for name in ('nvfp4', 'nf4:g64', 'int4:g64')}"
        ),
    )


def smaller_blocks() -> Finding:
    """Judge whether smaller blocks are better where scales have few bits."""
    found = {std: _by_size(std) for std in (1.0, _NARROW)}
    falls = {std: min(a - b for a, b in pairwise(by)) for std, by in found.items()}
    return Finding(
        "Smaller blocks lower the error.",
        "the usual argument for fine-grained scales",
        f"at std {_NARROW:g} NVFP4 without a tensor scale has {found[_NARROW][0]:.2f} dB in blocks "
        f"of {_SIZES[0]} and {found[_NARROW][-1]:.2f} dB in blocks of {_SIZES[-1]}",
        "NVFP4 on a Gaussian without a tensor scale, SQNR in dB by block size:\n\n"
        + table(
            ("std", *map(str, _SIZES)),
            [(f"{std:g}", *(f"{value:.2f}" for value in by)) for std, by in found.items()],
        )
        + "\n\nThe scales of small blocks are smaller, and among the smallest scales that E4M3 "
        "has the steps are wide. A scale for the whole tensor mends it.",
        tuple(
            Check(f"at std {std:g} every smaller block is better", fall > 0)
            for std, fall in falls.items()
        ),
        (
            Command(
                f"qerror sweep --dist gaussian --std {_NARROW:g} --formats nvfp4 "
                f"--over block-size={','.join(map(str, _SIZES))}",
                tuple(f"{value:.2f}" for value in found[_NARROW]),
            ),
        ),
        code=(
            "from qerror import Gaussian, quantization_error\n"
            f"narrow = Gaussian(std={_NARROW!r})\n"
            "def at(name): return round(quantization_error(name, narrow).sqnr_db, 2)\n"
            f"[at(f'nvfp4:n={{n}}') for n in {_SIZES!r}], at('nvfp4:n=8:tensor={_NARROW!r}')"
        ),
    )


def _by_size(std: float) -> Sequence[float]:
    return [sqnr_db(f"nvfp4:n={size}", "gaussian", std) for size in _SIZES]


FINDINGS = (scale_rules, rotation, smaller_blocks, *elements.FINDINGS)
