"""Arithmetic for formulas that do not mind whether they meet balls or long numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any, TypeAlias

from qerror.exceptions import MissingLibrary

Number: TypeAlias = Any
"""A ball of python-flint, or a long number of mpmath."""


class Context(ABC):
    """The functions that the laws' formulas are made of."""

    @abstractmethod
    def at(self, bits: int) -> AbstractContextManager[Any]:
        """Return a context in which everything is computed with so many bits."""

    @abstractmethod
    def number(self, x: float | Fraction) -> Number:
        """Return a number, exactly or as exactly as the precision allows."""

    @abstractmethod
    def exp(self, x: Number) -> Number: ...
    @abstractmethod
    def log(self, x: Number) -> Number: ...
    @abstractmethod
    def log1p(self, x: Number) -> Number: ...
    @abstractmethod
    def sqrt(self, x: Number) -> Number: ...
    @abstractmethod
    def asinh(self, x: Number) -> Number: ...
    @abstractmethod
    def erfc(self, x: Number) -> Number: ...
    @abstractmethod
    def gamma(self, x: Number) -> Number: ...
    @abstractmethod
    def upper_gamma(self, a: Number, x: Number) -> Number:
        """Return the upper incomplete gamma function."""

    @abstractmethod
    def beta_share(self, a: Number, b: Number, x: Number) -> Number:
        """Return the regularized incomplete beta function."""

    @abstractmethod
    def dilogarithm(self, x: Number) -> Number: ...
    @abstractmethod
    def angle(self, y: Number, x: Number) -> Number:
        """Return the angle of the point (x, y)."""

    @abstractmethod
    def pi(self) -> Number: ...


class Balls(Context):
    """Arb's balls: midpoints with radii that hold every rounding on the way."""

    def __init__(self) -> None:
        try:
            import flint
        except ImportError:
            raise MissingLibrary(
                "enclosures need python-flint, which is not installed: "
                "pip install 'qerror[rigorous]'"
            ) from None
        self._flint: Any = flint

    def at(self, bits: int) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._flint.ctx.workprec(bits)
        return context

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, Fraction):
            return self._flint.arb(self._flint.fmpq(x.numerator, x.denominator))
        return self._flint.arb(x)

    def exp(self, x: Number) -> Number:
        return x.exp()

    def log(self, x: Number) -> Number:
        return x.log()

    def log1p(self, x: Number) -> Number:
        return x.log1p()

    def sqrt(self, x: Number) -> Number:
        return x.nonnegative_part().sqrt()

    def asinh(self, x: Number) -> Number:
        return x.asinh()

    def erfc(self, x: Number) -> Number:
        return x.erfc()

    def gamma(self, x: Number) -> Number:
        return x.gamma()

    def upper_gamma(self, a: Number, x: Number) -> Number:
        return x.gamma_upper(a)

    def beta_share(self, a: Number, b: Number, x: Number) -> Number:
        return x.beta_lower(a, b, 1)

    def dilogarithm(self, x: Number) -> Number:
        return x.polylog(2)

    def angle(self, y: Number, x: Number) -> Number:
        return self._flint.arb.atan2(y, x)

    def pi(self) -> Number:
        return self._flint.arb.pi()

    def ball(self, middle: Number, radius: Number) -> Number:
        """Return a ball about a middle; the radius is rounded up."""
        return middle + self._flint.arb(0, 1) * radius

    def box(self, middle: Number, across: Number, up: Number) -> Any:
        """Return middle +- across +- i up as a box in the complex plane."""
        one = self._flint.arb(0, 1)
        return self._flint.acb(middle + one * across, one * up)

    def largest(self, value: Any) -> Number:
        """Return a bound of |value| for a box."""
        return self._flint.arb(value.abs_upper())

    def expanded(
        self, function: Callable[[Any], Any], inner: list[Number], order: int
    ) -> list[Number]:
        """Return the coefficients of a function of a power series, to so many terms."""
        context = self._flint.ctx
        before, context.cap = context.cap, order
        try:
            found: list[Number] = function(self._flint.arb_series(inner, order)).coeffs()
        finally:
            context.cap = before
        return found


class Digits(Context):
    """Long floating-point numbers of mpmath."""

    def __init__(self) -> None:
        import mpmath

        self._mp: Any = mpmath.mp.clone()

    def at(self, bits: int) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._mp.workprec(bits)
        return context

    def number(self, x: float | Fraction) -> Number:
        if isinstance(x, Fraction):
            return self._mp.mpf(x.numerator) / x.denominator
        return self._mp.mpf(x)

    def exp(self, x: Number) -> Number:
        return self._mp.exp(x)

    def log(self, x: Number) -> Number:
        return self._mp.log(x)

    def log1p(self, x: Number) -> Number:
        return self._mp.log1p(x)

    def sqrt(self, x: Number) -> Number:
        return self._mp.sqrt(max(x, 0))

    def asinh(self, x: Number) -> Number:
        return self._mp.asinh(x)

    def erfc(self, x: Number) -> Number:
        return self._mp.erfc(x)

    def gamma(self, x: Number) -> Number:
        return self._mp.gamma(x)

    def upper_gamma(self, a: Number, x: Number) -> Number:
        return self._mp.gammainc(a, x)

    def beta_share(self, a: Number, b: Number, x: Number) -> Number:
        return self._mp.betainc(a, b, 0, x, regularized=True)

    def dilogarithm(self, x: Number) -> Number:
        return self._mp.polylog(2, x)

    def angle(self, y: Number, x: Number) -> Number:
        return self._mp.atan2(y, x)

    def pi(self) -> Number:
        return +self._mp.pi
