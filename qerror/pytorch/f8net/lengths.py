"""How fractional lengths follow from data: from the standard deviation, or by a search."""

from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias, final, get_args

import torch
from torch import Tensor

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.optimize import fractional_length_constant
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.methods.fixed import SIGNED, UNSIGNED, any_length_of

Rule: TypeAlias = Literal["exact", "paper", "search"]
"""FL = floor(log2(constant / std)) with the exact constant of a Gaussian (39.224 and, rectified,
72.118 in eight bits) or with the paper's 40 and 70; or the FL with the least error on the data."""


@final
@dataclass(frozen=True)
class Lengths:
    """The rule of fractional lengths, and which are allowed.

    Parameters
    ----------
    rule : {"exact", "paper", "search"}
    bits : int
        Of a code, 2 to 16.
    least : int
        The smallest fractional length.
    most : int, optional
        The largest; by default all bits, less one for a sign.

    Raises
    ------
    InvalidValue
        If the rule is unknown, or lengths are outside of what codes of so many bits have.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), equation 1 and sections 7.1 and 7.9.
    """

    rule: Rule = "exact"
    bits: int = 8
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise InvalidValue(
                f"unknown rule {self.rule!r} of fractional lengths; it is one of "
                f"{', '.join(get_args(Rule))}"
            )
        integer("bits", self.bits, 2, 16)
        if self.rule == "paper":
            _constant(self.rule, self.bits, True)
        for name, value in (("least", self.least), ("most", self.most)):
            if value is not None and not 0 <= integer(name, value, -(2**31), 2**31) <= self.bits:
                raise InvalidValue(
                    f"{name} is a fractional length of {self.bits}-bit codes: 0 to {self.bits}, or "
                    f"{self.bits - 1} with a sign; got {value}"
                )
        if self.least > self.longest(signed=True):
            raise InvalidValue(
                f"least must not be above the largest length with a sign, "
                f"{self.longest(signed=True)}; got {self.least}"
            )

    def longest(self, *, signed: bool) -> int:
        """Return the largest allowed length."""
        legal = self.bits - signed
        return legal if self.most is None else min(self.most, legal)

    def legal(self, length: Tensor, *, signed: bool) -> Tensor:
        """Return a length, or a running one, rounded and clamped to the allowed ones."""
        return length.detach().round().clamp(self.least, self.longest(signed=signed))

    @torch.no_grad()
    def of(self, x: Tensor, *, signed: bool) -> Tensor:
        """Return the allowed length of data: a whole number as a tensor without axes.

        Without a sign the standard deviation is that of the values before a ReLU, as the rule is
        for a rectified Gaussian.
        """
        if self.rule == "search":
            wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
            return self._searched(wide, signed=signed)
        constant = _constant(self.rule, self.bits, signed)
        return self.legal(any_length_of(x, constant), signed=signed)

    def _searched(self, x: Tensor, *, signed: bool) -> Tensor:
        lengths = range(self.least, self.longest(signed=signed) + 1)
        # A ReLU is the clip at 0: what it takes away is no error.
        target = x if signed else x.clamp(min=0)
        errors = [(self._rounded(x, each, signed) - target).square().sum() for each in lengths]
        return self.least + torch.stack(errors).argmin().to(x.dtype)

    def _rounded(self, x: Tensor, length: int, signed: bool) -> Tensor:
        return F.fixed_point(x, word_length=self.bits, fractional_length=length, signed=signed)


@cache
def _constant(rule: Rule, bits: int, signed: bool) -> float:
    """Return the constant over the standard deviation."""
    if rule == "paper":
        if bits != 8:
            raise InvalidValue(f"the paper's constants are for 8 bits, not {bits}: take exact")
        return SIGNED if signed else UNSIGNED
    return fractional_length_constant(bits, signed)
