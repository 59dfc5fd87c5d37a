"""What the papers claim, each claim beside the exact figures that judge it."""

from collections.abc import Callable, Sequence

from docs.claims import f8net, fp8_quantization, fp8_versus_int8, mqbench
from docs.claims._finding import Finding

PAPERS: dict[str, Sequence[Callable[[], Finding]]] = {
    "FP8 Quantization: The Power of the Exponent (Kuzmin et al. 2022)": fp8_quantization.FINDINGS,
    "FP8 versus INT8 for efficient deep learning inference (van Baalen et al. 2023)": (
        fp8_versus_int8.FINDINGS
    ),
    "F8Net: Fixed-Point 8-bit Only Multiplication (Jin et al. 2022)": f8net.FINDINGS,
    "MQBench (Li et al. 2021)": mqbench.FINDINGS,
}
"""The findings of each paper, in the paper's order."""
