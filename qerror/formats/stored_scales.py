"""Scales that are stored in a number format of their own: NVFP4, UE5M3, FP16, two levels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, SupportsFloat, TypeAlias, cast, final

import numpy as np

from qerror._arrays import FloatArray, FrozenMapping, IntArray, integer, positive
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block_scales import Absmax
from qerror.formats.format import ScalarFormat, shortest
from qerror.formats.names import as_scalar_format, number, whole
from qerror.formats.scale_rule import ScaleRule, ScaleSteps, largest

MOST_VALUES = 2**53
MOST_SCALE_BITS = 16
TENSOR_BITS = 32


@final
@dataclass(frozen=True, slots=True)
class Amax:
    """A tensor scale that follows from the largest magnitude of `size` values.

    Parameters
    ----------
    size : int or None
        How many values share it, a multiple of the block size. None: all that are given, which
        a simulation knows and a density does not.
    """

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            object.__setattr__(self, "size", integer("of", self.size, 1, MOST_VALUES))

    @property
    def text(self) -> str:
        """As in a name: "4096", or "tensor" for all values."""
        return "tensor" if self.size is None else str(self.size)


@final
@dataclass(frozen=True, slots=True)
class StoredScale(ScaleRule):
    """A level of a scale format: s = tensor * round(M / divisor / tensor), nearest even.

    NVFP4 is ``StoredScale("e4m3", Amax(N))`` over E2M1; FP16 and BF16 scales of groups, UE5M3
    and two-level groups are the same with other formats.

    Parameters
    ----------
    format : ScalarFormat or str
        Of the scale; its negative levels are not used.
    tensor : float or Amax
        A second scale above the blocks': a positive number, or Amax(N): (largest magnitude of N
        values) / (divisor * largest level of `format`), so that no block scale saturates.
    smallest : float, optional
        A positive level of `format` to which smaller scales are raised. Without it a scale may
        become 0, and with it the block.
    divisor : float, optional
        What M / s is before rounding; by default q.

    Raises
    ------
    InvalidValue
        If `tensor` or `divisor` is not positive, `smallest` is no positive level, or `format`
        has no positive level.

    Examples
    --------
    >>> StoredScale("e4m3", smallest=2.0**-9).smallest
    0.001953125
    """

    format: ScalarFormat
    tensor: float | Amax = 1.0
    smallest: float | None = None
    divisor: float | None = None

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {
            "scale": "scale=<format>",
            "tensor": "tensor=<real>",
            "of": "of=<integer>|tensor",
            "smallest": "smallest=<real>",
            "divisor": "divisor=<real>",
        }
    )

    def __post_init__(self) -> None:
        form = as_scalar_format(cast("ScalarFormat | str", self.format))
        object.__setattr__(self, "format", form)
        object.__setattr__(self, "smallest", _check_scale_format(form, self.smallest))
        object.__setattr__(self, "tensor", _as_tensor(self.tensor))
        if self.divisor is not None:
            object.__setattr__(self, "divisor", positive("divisor", self.divisor))

    def divisor_for(self, element: ScalarFormat) -> float:
        """Return M / s before rounding: the divisor given, or q."""
        return largest(element) if self.divisor is None else self.divisor

    def tensor_for(self, amax: float, element: ScalarFormat) -> float:
        """Return the tensor scale that the largest magnitude of all blocks sets."""
        return amax / self.amax_divisor(element)

    def amax_divisor(self, element: ScalarFormat) -> float:
        """Return the largest magnitude for which the tensor scale is 1."""
        return self.divisor_for(element) * self.format.max_value

    def steps(self, element: ScalarFormat, tensor: float | None = None) -> ScaleSteps:
        """Return the scales, and the maxima between which each holds, at a tensor scale.

        Parameters
        ----------
        element : ScalarFormat
            The element format.
        tensor : float, optional
            The tensor scale; by default the rule's own, which must be a number.

        Raises
        ------
        InvalidValue
            If the tensor scale depends on the values.
        """
        scale = tensor if tensor is not None else self.tensor
        if isinstance(scale, Amax):
            raise InvalidValue("the tensor scale depends on the values: pass it as tensor=<float>")
        levels, codes = scale_levels(self.format)
        first = 0 if self.smallest is None else int(np.searchsorted(levels, self.smallest))
        levels, codes = levels[first:], codes[first:]
        cuts = 0.5 * (levels[:-1] + levels[1:])
        upward = self.format.grid().round_half_even(cuts) > cuts
        edges = np.concatenate([[0.0], cuts * self.divisor_for(element) * scale, [np.inf]])
        return ScaleSteps(edges, levels * scale, codes, upward)

    def check(self, element: ScalarFormat, block_size: int) -> None:
        del element
        check_tensor(self.tensor, block_size)

    def bits(self, element: ScalarFormat, block_size: int) -> float:
        del element
        return self.format.bits + _tensor_bits(self.tensor, block_size)

    @property
    def summary(self) -> str:
        return self.format.name

    def card(self, element: ScalarFormat) -> dict[str, str]:
        divisor = shortest(self.divisor_for(element))
        return _stored_card(self.format, self.tensor, self.smallest) | {
            "rule": f"s = tensor scale * {self.format.name}(M / {divisor} / tensor scale), "
            "nearest even, saturating",
        }

    def options(self) -> dict[str, str]:
        more = {} if self.divisor is None else {"divisor": shortest(self.divisor)}
        return stored_options(self.format, self.tensor, self.smallest) | more

    @classmethod
    def read(cls, options: Mapping[str, str], current: ScaleRule) -> ScaleRule:
        start = (
            (current.format, current.tensor, current.smallest) if isinstance(current, cls) else None
        )
        form, tensor, smallest = read_stored(options, start)
        divisor = current.divisor if isinstance(current, StoredScale | Absmax) else None
        if "divisor" in options:
            divisor = number("divisor", options["divisor"])
        return cls(form, tensor, smallest, divisor)


Stored: TypeAlias = tuple[ScalarFormat, float | Amax, float | None]


def scale_levels(form: ScalarFormat) -> tuple[FloatArray, IntArray]:
    """Return the levels of a scale format from 0 up and their codes, which count them."""
    points = form.grid().points
    levels = points[points >= 0]
    return levels, np.arange(levels.size)


def _check_scale_format(form: ScalarFormat, smallest: float | None) -> float | None:
    if form.bits > MOST_SCALE_BITS:
        raise InvalidValue(f"a scale format has at most {MOST_SCALE_BITS} bits, got {form.name}")
    if form.max_value <= 0:
        raise InvalidValue(f"{form.name} has no positive level, so it cannot store scales")
    if smallest is None:
        return None
    value, (levels, _) = positive("smallest", smallest), scale_levels(form)
    if value not in levels:
        above = levels[levels > 0]
        near = above[np.abs(above - value).argmin()]
        raise InvalidValue(
            f"smallest must be a positive level of {form.name}, got {shortest(value)}; the "
            f"nearest is {shortest(near)}"
        )
    return value


def _as_tensor(tensor: object) -> float | Amax:
    if isinstance(tensor, Amax):
        return tensor
    if isinstance(tensor, SupportsFloat) and not isinstance(tensor, np.ndarray):
        return positive("tensor", tensor)
    raise InvalidType(f"tensor must be a number or Amax(N), got {tensor!r}")


def check_tensor(tensor: float | Amax, block_size: int) -> None:
    """Refuse a tensor scale that would be shared by parts of blocks."""
    size = tensor.size if isinstance(tensor, Amax) else None
    if size is not None and size % block_size:
        raise InvalidValue(
            f"of={size} values share a tensor scale: it must be a multiple of the block size "
            f"{block_size}"
        )


def _tensor_bits(tensor: float | Amax, block_size: int) -> float:
    size = tensor.size if isinstance(tensor, Amax) else None
    return 0.0 if size is None else TENSOR_BITS * block_size / size


def _stored_card(
    form: ScalarFormat, tensor: float | Amax, smallest: float | None
) -> dict[str, str]:
    return {
        "scale": f"{form.name}, {form.bits} bits, times a tensor scale",
        "rule": "",
        "tensor scale": _tensor_text(tensor),
        "zero blocks": "scale 0, every code 0"
        if smallest is None
        else f"scale {shortest(smallest)}, every code 0",
        "not finite": "a NaN makes the whole block NaN; at an infinity the scale saturates",
        "smallest scale": "0: a block whose scale rounds to 0 becomes 0"
        if smallest is None
        else f"{shortest(smallest)}: smaller ones are raised to it",
        "other tools": "smallest scale 0, 2^-9 (smallest subnormal of E4M3), 2^-6 (smallest "
        "normal) or replaced by 1; some multiply by a rounded reciprocal; some leave the tensor "
        "scale out",
    }


def _tensor_text(tensor: float | Amax) -> str:
    if not isinstance(tensor, Amax):
        return f"{shortest(tensor)}, fixed; of=<N> takes it from N values"
    values = "all values" if tensor.size is None else f"{tensor.size:,} values"
    return f"from the largest magnitude of {values}: the largest block scale is then the top level"


def stored_options(
    form: ScalarFormat, tensor: float | Amax, smallest: float | None
) -> dict[str, str]:
    """Return the options of a name that say these."""
    # A name's own colons would part the options.
    options = {"scale": form.name.replace(":", "/")}
    if isinstance(tensor, Amax):
        options["of"] = tensor.text
    elif tensor != 1:
        options["tensor"] = shortest(tensor)
    return options if smallest is None else options | {"smallest": shortest(smallest)}


def read_stored(options: Mapping[str, str], start: Stored | None) -> Stored:
    """Return format, tensor scale and smallest scale from the options and what was before."""
    form, tensor, smallest = start or (None, 1.0, None)
    if "scale" in options:
        form = as_scalar_format(options["scale"].replace("/", ":"))
    if form is None:
        raise InvalidValue("stored scales need their format: scale=fp16")
    if "tensor" in options and "of" in options:
        raise InvalidValue("tensor= and of= each set the tensor scale; give one of them")
    if "tensor" in options:
        tensor = number("tensor", options["tensor"])
    elif "of" in options:
        tensor = Amax(None if options["of"] == "tensor" else whole("of", options["of"]))
    if "smallest" in options:
        smallest = number("smallest", options["smallest"])
    return form, tensor, smallest
