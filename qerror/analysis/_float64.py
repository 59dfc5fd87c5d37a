"""The refusal of what float64 cannot hold."""

from qerror.exceptions import InvalidValue


def beyond_float64() -> InvalidValue:
    """Return the refusal of what float64 cannot square."""
    return InvalidValue(
        "float64 cannot hold the squares of this case: the scale, the format's levels, or the "
        "density's spread or location lie near the ends of its range (1e-308 to 1e308); choose "
        "other units"
    )
