"""Kuzmin et al. 2022: their claims, in the paper's order."""

from qerror.studies.fp8_quantization import format_claims as formats
from qerror.studies.fp8_quantization import mantissa_claims as mantissa
from qerror.studies.fp8_quantization import range_claims as ranges

FINDINGS = (
    formats.uniform,
    formats.gaussian,
    formats.tails,
    ranges.toy_optimum,
    ranges.toy_learning,
    mantissa.toy_mantissa,
    ranges.maxima,
    ranges.fixed_bias,
    ranges.integer_bias,
    ranges.fixed_bias_by_exponent_bits,
    ranges.integer_bias_by_exponent_bits,
    formats.two_terms,
    formats.best_pair,
    formats.sampled,
    formats.same_optimum,
    formats.growing_range,
)
