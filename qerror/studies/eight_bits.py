"""The formats that the papers compare."""

EIGHT_BITS = ("INT8", "5M2E", "4M3E", "3M4E", "2M5E")
"""The formats that both FP8 papers compare, by growing number of exponent bits."""

FLOATS = EIGHT_BITS[1:]
"""Those of them that have an exponent."""
