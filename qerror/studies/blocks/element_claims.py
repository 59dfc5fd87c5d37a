"""What is said in public of the elements of 4-bit blocks, and of scales tried twice."""

import math

from qerror.codebooks import lloyd_max
from qerror.optimize import block_density
from qerror.studies.blocks.measures import DENSITIES, LABELS, sqnr_db
from qerror.studies.finding import Check, Command, Finding, table
from qerror.studies.measures import decibels

_BLOCK = 64
_COSTS = {4.25: 64, 4.5: 32, 5.0: 16}
"""Bits of a value by the block size of NF4; affine INT4 pays as much at twice the size."""
_TRIED = DENSITIES[:2]


def normal_float() -> Finding:
    """Judge whether NF4 is the best codebook on a Gaussian."""
    nf4 = sqnr_db(f"nf4:g{_BLOCK}", "gaussian")
    int4 = sqnr_db(f"int4:g{_BLOCK}", "gaussian")
    ratio, power = block_density("gaussian", _BLOCK)
    found = lloyd_max(ratio, 16)
    best = -10 * math.log10(found.report.mse * power)
    return Finding(
        "NF4 is the optimal 4-bit data type for normally distributed values.",
        "Dettmers et al. 2023 (QLoRA), section 3, and discussions of 4-bit weights",
        f"the best 16 levels for blocks of {_BLOCK} lead NF4 by {decibels(best - nf4)}",
        f"A Gaussian in blocks of {_BLOCK} with a real scale, SQNR in dB:\n\n"
        + table(
            ("levels", "SQNR dB"),
            [("INT4", f"{int4:.2f}"), ("NF4", f"{nf4:.2f}"), ("Lloyd-Max", f"{best:.2f}")],
        )
        + "\n\nNF4 has 0 and both ends of the range among its levels. The least squared error has "
        f"neither: its last level lies at {found.codebook.max_value:.3f} of a block's largest "
        "value, which is then no longer met exactly, and the steps before it are finer. The paper "
        "means levels that are used equally often; here the squared error decides.",
        (
            Check(
                f"no other 16 levels have a smaller error in blocks of {_BLOCK} "
                f"({decibels(best - nf4)} are left)",
                best <= nf4,
            ),
        ),
        (
            Command(
                f"qerror sweep --dist gaussian --formats nf4:g{_BLOCK},int4:g{_BLOCK}",
                (f"{nf4:.2f}", f"{int4:.2f}"),
            ),
        ),
        code=(
            "from math import log10\n"
            "from qerror import lloyd_max, quantization_error\n"
            "from qerror.optimize import block_density\n"
            f"ratio, power = block_density('gaussian', {_BLOCK})\n"
            f"nf4 = quantization_error('nf4:g{_BLOCK}', 'gaussian').mse\n"
            "best = lloyd_max(ratio, 16).report.mse * power\n"
            "f'{10 * log10(nf4 / best):.2f} dB'"
        ),
        beside=(Check(f"NF4 is better than INT4 in blocks of {_BLOCK}", nf4 > int4),),
    )


def affine() -> Finding:
    """Judge NF4 against INT4 with an offset where both cost the same."""
    leads = {
        bits: {
            density: sqnr_db(f"nf4:g{size}", density) - sqnr_db(f"int4:g{2 * size}:affine", density)
            for density in DENSITIES
        }
        for bits, size in _COSTS.items()
    }
    least = min(lead for by in leads.values() for lead in by.values())
    cheap, dear = min(_COSTS), max(_COSTS)
    return Finding(
        "At equal cost NF4 has a smaller error than INT4 with a scale and an offset for each "
        "group.",
        "discussions of NF4 against the affine groups of GPTQ and AWQ",
        f"on a Gaussian NF4 leads by {decibels(leads[cheap]['gaussian'])} at {cheap:g} bits and "
        f"is {decibels(-leads[dear]['gaussian'])} behind at {dear:g}",
        "By how many dB NF4 leads; scales and offsets are 16 bits each, so affine groups are twice "
        "as large:\n\n"
        + table(
            ("bits a value", "NF4", "affine INT4", *(LABELS[density] for density in DENSITIES)),
            [
                (
                    f"{bits:g}",
                    f"g{size}",
                    f"g{2 * size}",
                    *(f"{v:.2f}" for v in leads[bits].values()),
                )
                for bits, size in _COSTS.items()
            ],
        )
        + "\n\nThe smaller the groups, the more of the range an offset saves, and the less the "
        "tails matter for which NF4 has its wide outer steps.",
        tuple(
            Check(f"NF4 leads on {LABELS[density]} at {bits:g} bits ({lead:+.2f} dB)", lead > 0)
            for bits, by in leads.items()
            for density, lead in by.items()
        ),
        tuple(
            Command(
                f"qerror optimize --bits-per-value {bits:g} --dist gaussian "
                "--formats nf4:g64,int4:g64:affine",
                (
                    f"{sqnr_db(f'nf4:g{size}', 'gaussian'):.2f}",
                    f"{abs(leads[bits]['gaussian']):.2f}",
                ),
            )
            for bits, size in _COSTS.items()
        ),
        beside=(Check("NF4 never loses a whole dB", least > -1),),
    )


def four_over_six() -> Finding:
    """Judge what a second scale, tried for every block, brings NVFP4."""
    once = {density: sqnr_db("nvfp4", density) for density in _TRIED}
    twice = {density: sqnr_db("nvfp4:4over6", density) for density in _TRIED}
    gains = {density: twice[density] - once[density] for density in _TRIED}
    return Finding(
        "Trying a second scale for every block of NVFP4, at which its largest value becomes 4 and "
        "not 6, lowers the error.",
        "the four-over-six proposals for NVFP4",
        f"{decibels(gains['gaussian'])} on a Gaussian, {decibels(gains['laplace'])} on Laplace",
        "SQNR in dB, the tensor scale suiting the data:\n\n"
        + table(
            ("density", "NVFP4", "four over six", "gain"),
            [(LABELS[d], f"{once[d]:.2f}", f"{twice[d]:.2f}", f"{gains[d]:.2f}") for d in _TRIED],
        )
        + "\n\nBetween 4 and 6 the elements have no level: a block whose second largest values lie "
        "there is better off with its largest one at 4.",
        tuple(
            Check(f"it gains on {LABELS[density]} ({gain:+.2f} dB)", gain > 0)
            for density, gain in gains.items()
        ),
        (
            Command(
                "qerror sweep --dist gaussian --formats nvfp4,nvfp4:4over6",
                (f"{once['gaussian']:.2f}", f"{twice['gaussian']:.2f}"),
            ),
        ),
    )


FINDINGS = (normal_float, affine, four_over_six)
