"""Block sizes that a number of bits a value allows."""

import math

from qerror.formats.block import BlockFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.stored_scales import Amax, StoredScale

_BUDGET = 1e-9  # bits: what rounding may add to a cost


def smallest_size(form: BlockFormat, bits_per_value: float) -> int | None:
    """Return the smallest block size at which a format costs at most so many bits a value.

    Where N values share a tensor scale from the data it divides N. None if there is no such size.
    """
    rule, element = form.scale, form.element
    whole = tensor_size(form)
    # A block's scale costs a + b n: b is its values' share of a tensor scale.
    shared = rule.bits(element, 2) - rule.bits(element, 1)
    room = bits_per_value - element.bits - shared
    if room <= 0:
        return None
    size = max(1, math.ceil((rule.bits(element, 1) - shared) / (room + _BUDGET)))
    return size if whole is None else _divisor(whole, size)


def tensor_size(form: BlockFormat) -> int | None:
    """Return how many values share a tensor scale from the data, where that is a number."""
    rule = form.scale
    tensor = rule.tensor if isinstance(rule, StoredScale | FourOverSix) else None
    return tensor.size if isinstance(tensor, Amax) else None


def _divisor(whole: int, least: int) -> int | None:
    """Return the smallest divisor that is not below another number, if there is one."""
    root = math.isqrt(whole)
    for size in range(least, root + 1):
        if whole % size == 0:
            return size
    for count in range(min(root, whole // least), 0, -1):
        if whole % count == 0:
            return whole // count
    return None
