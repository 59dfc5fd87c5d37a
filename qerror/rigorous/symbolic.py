"""The papers' closed forms as sympy expressions, derived when they are asked for.

In a cell [a, b] everything is rounded to one level q, and with M_n the integral of w^n p(w) over
the cell (Kuzmin et al. 2022, appendix A.3)

    I(a, b, q) = int (q - w)^2 p = q^2 M_0 - 2 q M_1 + M_2,
    J(a, b, q) = int w (q - w) p = q M_1 - M_2.
"""

# sympy is published without types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from qerror._arrays import FrozenMapping
from qerror.exceptions import InvalidValue, UnknownName
from qerror.registry import fold

Expression: TypeAlias = Any
"""A sympy expression."""


class ClosedForm(NamedTuple):
    """What one cell costs, in the symbols a, b, q and the density's parameters."""

    square: Expression
    """I(a, b, q), the expected squared error"""
    cross: Expression
    """and J(a, b, q), that times w."""
    density: Expression
    """p(w)."""
    symbols: Mapping[str, Expression]
    """Every symbol by its name."""

    def latex(self) -> str:
        """Return both as LaTeX, a line each."""
        import sympy

        return f"I(a, b, q) = {sympy.latex(self.square)}\nJ(a, b, q) = {sympy.latex(self.cross)}"

    def python(self) -> str:
        """Return both as Python functions that need nothing but mpmath."""
        from sympy.printing.pycode import MpmathPrinter

        names = ", ".join(self.symbols)
        printer = MpmathPrinter({"fully_qualified_modules": True})
        functions = (
            f"def {name}({names}):\n    return {printer.doprint(expression)}"
            for name, expression in (("I", self.square), ("J", self.cross))
        )
        return "import mpmath\n\n\n" + "\n\n\n".join(functions)


def closed_form(density: object) -> ClosedForm:
    """Return the closed forms of I and J of a family, derived by sympy.

    Parameters
    ----------
    density : Density or str
        Of the families "gaussian", "uniform", "student-t" and "laplace"; of a density only its
        family counts, the parameters stay symbols.

    Returns
    -------
    ClosedForm
        For a Student-t, nu is taken as none of the numbers 1 and 2. For a Laplace density both
        limits of the cell lie on one side of its location, at or above it.

    Raises
    ------
    UnknownName
        If no closed form is derived for the family.

    References
    ----------
    Kuzmin et al. 2022, appendix A.3.

    Examples
    --------
    >>> from qerror.rigorous.symbolic import closed_form
    >>> found = closed_form("uniform")
    >>> found.square
    (-(a - q)**3 + (b - q)**3)/(3*high - 3*low)
    """
    name = density if isinstance(density, str) else _family_of(density)
    known = {fold(key): key for key in _DERIVED}
    found = known.get(fold(name))
    if found is None:
        raise UnknownName(
            f"no closed form is derived for {name!r}, only for {', '.join(_DERIVED)}; the exact "
            "figures need none: quantization_error"
        )
    return _derived(found)


def _family_of(density: object) -> str:
    """Return the registered name of a density's class."""
    from qerror.densities.density import DENSITIES  # noqa: PLC0415

    for name, family in DENSITIES.items():
        if family.make is type(density):
            return name
    raise InvalidValue(f"a density or the name of a family is expected, got {density!r}")


@lru_cache(maxsize=16)
def _derived(name: str) -> ClosedForm:
    return _DERIVED[name]()


def _symbols() -> tuple[Expression, ...]:
    import sympy

    return tuple(sympy.symbols("w a b q", real=True))


def _from_moments(
    antiderivatives: list[Expression], density: Expression, parameters: list[Expression]
) -> ClosedForm:
    """Put antiderivatives of w^n p, which are differentiated as a proof, into I and J."""
    import sympy

    w, a, b, q = _symbols()
    for n, found in enumerate(antiderivatives):
        rest = sympy.simplify(sympy.diff(found, w) - w**n * density)
        if rest != 0:
            raise AssertionError(f"sympy's antiderivative of w^{n} p leaves {rest}")
    m0, m1, m2 = (found.subs(w, b) - found.subs(w, a) for found in antiderivatives)
    square, cross = q**2 * m0 - 2 * q * m1 + m2, q * m1 - m2
    return _made(square, cross, density, parameters)


def _made(
    square: Expression, cross: Expression, density: Expression, parameters: list[Expression]
) -> ClosedForm:
    symbols = {str(symbol): symbol for symbol in (*_symbols()[1:], *parameters)}
    return ClosedForm(square, cross, density, FrozenMapping(symbols))


def _uniform() -> ClosedForm:
    import sympy

    w, a, b, q = _symbols()
    low, high = sympy.symbols("low high", real=True)
    p = 1 / (high - low)
    square = ((b - q) ** 3 - (a - q) ** 3) / (3 * (high - low))
    cross = sympy.integrate(sympy.expand(w * (q - w) * p), (w, a, b))
    if sympy.simplify(square - sympy.integrate(sympy.expand((w - q) ** 2 * p), (w, a, b))) != 0:
        raise AssertionError("the cubic form is not the integral")
    return _made(square, sympy.factor(cross), p, [low, high])


def _gaussian() -> ClosedForm:
    import sympy

    w, *_ = _symbols()
    mean, std = sympy.Symbol("mean", real=True), sympy.Symbol("std", positive=True)
    z = sympy.Symbol("z", real=True)
    bell = sympy.exp(-(z**2) / 2) / sympy.sqrt(2 * sympy.pi)
    moments = [sympy.integrate(z**n * bell, z) for n in range(3)]
    p = bell.subs(z, (w - mean) / std) / std
    return _from_moments(_placed(moments, z, (w, mean, std)), p, [mean, std])


def _laplace() -> ClosedForm:
    import sympy

    w, *_ = _symbols()
    loc, scale = sympy.Symbol("loc", real=True), sympy.Symbol("scale", positive=True)
    z = sympy.Symbol("z", real=True)
    tail = sympy.exp(-z) / 2
    moments = [sympy.integrate(z**n * tail, z) for n in range(3)]
    p = tail.subs(z, (w - loc) / scale) / scale
    return _from_moments(_placed(moments, z, (w, loc, scale)), p, [loc, scale])


def _student_t() -> ClosedForm:
    """Integrate by 2F1: int z^2k (1 + z^2/nu)^-m is odd in z, and its series is Gauss's."""
    import sympy

    w, *_ = _symbols()
    nu = sympy.Symbol("nu", positive=True)
    loc, scale = sympy.Symbol("loc", real=True), sympy.Symbol("scale", positive=True)
    z = sympy.Symbol("z", real=True)
    peak = sympy.gamma((nu + 1) / 2) / (sympy.sqrt(sympy.pi * nu) * sympy.gamma(nu / 2))
    m, half = (nu + 1) / 2, sympy.Rational(1, 2)
    density = peak * (1 + z**2 / nu) ** (-m)

    def even(n: int) -> Expression:
        order = half * (n + 1)
        return peak * z ** (n + 1) / (n + 1) * sympy.hyper((m, order), (order + 1,), -(z**2) / nu)

    first = peak * nu / (1 - nu) * (1 + z**2 / nu) ** (1 - m)
    if sympy.simplify(sympy.diff(first, z) - z * density) != 0:
        raise AssertionError("the antiderivative of z p is another one")
    for n in (0, 2):
        _check_series(even(n), z**n * density, z)
    moments = [even(0), first, even(2)]
    p = density.subs(z, (w - loc) / scale) / scale
    a, b, q = _symbols()[1:]
    placed = _placed(moments, z, (w, loc, scale))
    m0, m1, m2 = (found.subs(w, b) - found.subs(w, a) for found in placed)
    return _made(q**2 * m0 - 2 * q * m1 + m2, q * m1 - m2, p, [nu, loc, scale])


def _check_series(found: Expression, integrand: Expression, z: Expression) -> None:
    """Compare the series of a hypergeometric antiderivative with the integrated one."""
    import sympy

    hyper = next(iter(found.atoms(sympy.hyper)))
    (top, order), (bottom,), x = hyper.args
    series = sum(
        sympy.rf(top, k) * sympy.rf(order, k) / sympy.rf(bottom, k) * x**k / sympy.factorial(k)
        for k in range(4)
    )
    wanted = sympy.integrate(sympy.series(integrand, z, 0, 9).removeO(), z)
    rest = sympy.expand(sympy.simplify(found.subs(hyper, series) - wanted))
    if any(sympy.simplify(rest.coeff(z, k)) != 0 for k in range(8)):
        raise AssertionError("the hypergeometric series is another one")


def _placed(
    moments: list[Expression], z: Expression, place: tuple[Expression, Expression, Expression]
) -> list[Expression]:
    """Return the antiderivatives of w^n p for w = location + spread z."""
    w, location, spread = place
    at = [found.subs(z, (w - location) / spread) for found in moments]
    first = location * at[0] + spread * at[1]
    second = location**2 * at[0] + 2 * location * spread * at[1] + spread**2 * at[2]
    return [at[0], first, second]


_DERIVED: Mapping[str, Callable[[], ClosedForm]] = FrozenMapping(
    {
        "gaussian": _gaussian,
        "uniform": _uniform,
        "student-t": _student_t,
        "laplace": _laplace,
    }
)
FAMILIES = tuple(_DERIVED)
"""The families with closed forms."""
