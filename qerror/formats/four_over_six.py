"""Four-over-six: two stored scales are tried in each block."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast, final

from qerror._arrays import FrozenMapping
from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats.format import ScalarFormat
from qerror.formats.scale_rule import ScaleRule, largest
from qerror.formats.stored_scales import (
    Amax,
    StoredScale,
    check_tensor,
    read_stored,
    stored_options,
)

_SHARED_TOP = 256.0  # of E4M3, so that 1.5 times it is a scale too


@final
@dataclass(frozen=True, slots=True)
class FourOverSix(ScaleRule):
    """Two stored scales a block, M / 6 and M / 4; the one with the smaller error is kept.

    E2M1 has no level between 4 and 6, where the largest values of a block fall if M becomes 6.
    A tie keeps M / 6.

    The exact error of its blocks takes a second (of few values, or by absolute errors, some), and
    as many as the scale format has levels that are met and tensors have largest values: minutes
    for a tensor scale from the data with 512 scales (ufixed9.1). It is right to 1e-12 (2e-11 of
    a generalized Gaussian with beta = 0.6); of densities without a bound, as `Arcsine`, small
    blocks reach 1e-5 or are refused. Below a tensor scale from the data, kinks off 0
    leave 3e-10. Point masses off 0 beside other values take a minute and, in blocks of 4 values
    and more, leave some 1e-6 of the MSE and 1e-3 of the cross moment; more of absolute errors, and
    of more than two dozen kinks and point masses, which nobody has measured. Of point masses
    alone (`Discrete`, `Empirical`) it has all digits where half a block has no more than half a
    million sums: 12 values in blocks of 16, 40 in blocks of 8, 700 in blocks of 4. More of them
    leave up to 4e-8 of the MSE in blocks of 16 (3e-10 of a thousand), 2e-6 in blocks of 4 to 8,
    a hundred times that by absolute errors, and in E[x e] and the probabilities of codes up to
    1e-3 and 2e-5 (1e-2 and 2e-4); blocks of 3 of more than 700 values are refused.

    Parameters
    ----------
    format, tensor, smallest
        As for `StoredScale`. A tensor scale from the data is amax / (6 * 256): M / 4 of the
        largest block is then 384, still within E4M3.
    error : {"mse", "mae"}
        What is compared: the block's squared or absolute error.

    Raises
    ------
    InvalidValue, UnknownName
        As `StoredScale`; or if `error` is neither.

    References
    ----------
    .. [1] Cook et al. 2025, Four Over Six (arXiv 2512.02010).
    """

    format: ScalarFormat
    tensor: float | Amax = 1.0
    smallest: float | None = None
    error: Literal["mse", "mae"] = "mse"

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {
            "4over6": "4over6|4over6=mae",
            **{key: text for key, text in StoredScale.OPTIONS.items() if key != "divisor"},
        }
    )

    def __post_init__(self) -> None:
        same = StoredScale(self.format, self.tensor, self.smallest)
        for name in ("format", "tensor", "smallest"):
            object.__setattr__(self, name, getattr(same, name))
        if self.error not in {"mse", "mae"}:
            raise UnknownName(f"4over6 compares 'mse' or 'mae', got {self.error!r}")

    @property
    def candidates(self) -> tuple[StoredScale, StoredScale]:
        """The two rules, M / 6 and M / 4."""
        rule = StoredScale(self.format, self.tensor, self.smallest, 6.0)
        return rule, replace(rule, divisor=4.0)

    def tensor_for(self, amax: float, element: ScalarFormat) -> float:
        """Return the tensor scale that the largest magnitude of all blocks sets."""
        return amax / self.amax_divisor(element)

    def amax_divisor(self, element: ScalarFormat) -> float:
        """Return the largest magnitude for which the tensor scale is 1."""
        return largest(element) * _SHARED_TOP

    def check(self, element: ScalarFormat, block_size: int) -> None:
        if element.grid().points[-2:].tolist() != [4.0, 6.0]:
            raise InvalidValue(
                f"4over6 is for elements whose largest levels are 4 and 6, as E2M1; got "
                f"{element.name}"
            )
        check_tensor(self.tensor, block_size)

    def bits(self, element: ScalarFormat, block_size: int) -> float:
        return self.candidates[0].bits(element, block_size)

    @property
    def summary(self) -> str:
        return f"{self.format.name}, M/6 or M/4"

    def card(self, element: ScalarFormat) -> dict[str, str]:
        name = self.format.name
        return self.candidates[0].card(element) | {
            "rule": f"s = tensor scale * {name}(M / 6 / tensor scale) or {name}(M / 4 / ...), "
            f"whichever has the smaller {self.error.upper()} in the block; ties to 6",
            "exact error": "right to 1e-12 of the MSE; to 1e-5 in small blocks of unbounded "
            "densities, and less beside point masses: see the documentation of FourOverSix",
            "other tools": "a tensor scale from amax / (6 * 448) lets M / 4 saturate; some compare "
            "the largest error instead",
        }

    def options(self) -> dict[str, str]:
        error = "" if self.error == "mse" else self.error
        return {"4over6": error} | stored_options(self.format, self.tensor, self.smallest)

    @classmethod
    def read(cls, options: Mapping[str, str], current: ScaleRule) -> ScaleRule:
        error = current.error if isinstance(current, cls) else "mse"
        if options.get("4over6"):
            error = cast("Literal['mse', 'mae']", options["4over6"])
        before = current if isinstance(current, cls | StoredScale) else None
        start = (before.format, before.tensor, before.smallest) if before else None
        return cls(*read_stored(options, start), error)
