# %% [markdown]
# # Deriving the closed forms
#
# The error of a quantizer is a sum over cells. In a cell $[a, b]$ everything is rounded to one
# level $q$, and two integrals are needed (Kuzmin et al. 2022, appendix A):
#
# $$I = \int_a^b (q - w)^2 p(w)\,dw, \qquad J = \int_a^b w\,(q - w)\,p(w)\,dw.$$
#
# Here sympy derives them for the Gaussian, the uniform and the Student-t density, mpmath checks
# them to 50 digits, and float64 shows why qerror does not use them by default.
#
# To run it: `pip install 'qerror[notebooks]'`, then `jupyter lab notebooks`.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import matplotlib.pyplot as plt
import mpmath as mp
import numpy as np
import sympy as sp

from qerror import Gaussian, Integer, StudentT, Uniform, optimal_scale, quantization_error
from qerror.plotting import use_style

use_style()

w, q, mu = sp.symbols("w q mu", real=True)
A, B, M0, M1, M2 = sp.symbols("A B M0 M1 M2", real=True)
sigma, nu = sp.symbols("sigma nu", positive=True)
k = sp.symbols("k", integer=True, nonnegative=True)

# %% [markdown]
# ## Three partial moments are enough
#
# With $M_n = \int_a^b w^n p\,dw$ both integrals are polynomials in $q$.

# %%
moments = {0: M0, 1: M1, 2: M2}


def in_moments(polynomial):
    """Replace w**n by its partial moment."""
    return sum(c * moments[n] for (n,), c in sp.Poly(sp.expand(polynomial), w).terms())


I_q = in_moments((q - w) ** 2)
J_q = in_moments(w * (q - w))
assert sp.expand(I_q - (q**2 * M0 - 2 * q * M1 + M2)) == 0
assert sp.expand(J_q - (q * M1 - M2)) == 0
I_q, J_q

# %% [markdown]
# So each density needs the antiderivatives of $p$, $w p$ and $w^2 p$.
#
# ## Uniform

# %%
uniform = [sp.integrate(w**n / (B - A), w) for n in range(3)]
a, b = sp.symbols("a b", real=True)


def between(antiderivatives, expression):
    """Put differences of antiderivatives for the moments."""
    steps = [F.subs(w, b) - F.subs(w, a) for F in antiderivatives]
    return expression.subs(dict(zip((M0, M1, M2), steps, strict=True)))


cubic = ((b - q) ** 3 - (a - q) ** 3) / (3 * (B - A))
assert sp.simplify(between(uniform, I_q) - cubic) == 0
sp.factor(between(uniform, J_q))

# %% [markdown]
# ## Gaussian
#
# sympy integrates the standard law; mean and standard deviation follow by $w = \mu + \sigma z$.

# %%
z = sp.symbols("z", real=True)
standard = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
m0, m1, m2 = (sp.integrate(z**n * standard, z).subs(z, (w - mu) / sigma) for n in range(3))
gaussian = [m0, mu * m0 + sigma * m1, mu**2 * m0 + 2 * mu * sigma * m1 + sigma**2 * m2]
p = standard.subs(z, (w - mu) / sigma) / sigma
for n, F in enumerate(gaussian):
    assert sp.simplify(sp.diff(F, w) / p - w**n) == 0
gaussian[2]

# %% [markdown]
# The paper writes the same as $I = (d^2 + \sigma^2)\,\Delta\Phi + 2 d \sigma\,\Delta\varphi
# - \sigma^2 \Delta(z \varphi)$ with $d = q - \mu$:

# %%
d = q - mu
phi, Phi = standard, (1 + sp.erf(z / sp.sqrt(2))) / 2
paper = (d**2 + sigma**2) * Phi + 2 * d * sigma * phi - sigma**2 * z * phi
ours = I_q.subs(dict(zip((M0, M1, M2), gaussian, strict=True))).subs(w, mu + sigma * z)
assert sp.simplify(sp.diff(ours - paper, z)) == 0

# %% [markdown]
# ## Student-t
#
# $p \propto (1 + w^2/\nu)^{-(\nu+1)/2}$. The binomial series is integrated term by term; the ratio
# of consecutive terms is a rational function of $k$, and its roots are the parameters of a
# hypergeometric function.

# %%
power = (nu + 1) / 2
ratios = {}
for n in range(3):
    term = (
        sp.rf(power, k) / sp.factorial(k) * (-1 / nu) ** k * w ** (2 * k + n + 1) / (2 * k + n + 1)
    )
    ratios[n] = sp.factor(sp.hypersimp(term, k))
    c = sp.Rational(n + 1, 2)
    hypergeometric = (k + c) * (k + power) / ((k + c + 1) * (k + 1)) * (-(w**2) / nu)
    assert sp.simplify(ratios[n] - hypergeometric) == 0
ratios

# %% [markdown]
# A ratio $\frac{(k+c)(k+\frac{\nu+1}{2})}{(k+c+1)(k+1)}\,(-w^2/\nu)$ with $c = (n+1)/2$ and the
# first term $w^{n+1}/(n+1)$ say
#
# $$M_n = C\,\frac{w^{n+1}}{n+1}\;{}_2F_1\!\left(\tfrac{n+1}{2}, \tfrac{\nu+1}{2}; \tfrac{n+3}{2};
# -\tfrac{w^2}{\nu}\right).$$
#
# For $n = 1$ this is elementary, up to a constant: $C\,\frac{\nu}{1-\nu}(1 + w^2/\nu)^{(1-\nu)/2}$,
# and at $\nu = 1$ its limit is a logarithm.

# %%
C = sp.gamma(power) / (sp.sqrt(nu * sp.pi) * sp.gamma(nu / 2))
law = C * (1 + w**2 / nu) ** (-power)
odd = C * nu / (1 - nu) * (1 + w**2 / nu) ** ((1 - nu) / 2)
assert sp.simplify(sp.diff(odd, w) / law - w) == 0
assert sp.simplify(sp.diff(C * sp.log(1 + w**2) / 2, w).subs(nu, 1) - (w * law).subs(nu, 1)) == 0
student_t = [
    C * w * sp.hyper([sp.Rational(1, 2), power], [sp.Rational(3, 2)], -(w**2) / nu),
    odd,
    C * w**3 / 3 * sp.hyper([sp.Rational(3, 2), power], [sp.Rational(5, 2)], -(w**2) / nu),
]

# %% [markdown]
# ## Fifty digits
#
# The derived forms against mpmath's quadrature of the integrals themselves.

# %%
mp.mp.dps = 60
CASES = {
    "gaussian": (gaussian, p, {mu: sp.Rational(3, 10), sigma: sp.Rational(7, 5)}),
    "uniform": (uniform, 1 / (B - A), {A: -2, B: 3}),
    "student-t": (student_t, law, {nu: 3}),
}
CELLS = [(-0.75, -0.5, -0.625), (0.0, 0.25, 0.25), (1.5, 2.5, 2.0)]
worst = mp.mpf(0)
for antiderivatives, density, values in CASES.values():
    exact = [sp.lambdify(w, F.subs(values), "mpmath") for F in antiderivatives]
    f = sp.lambdify(w, sp.sympify(density).subs(values), "mpmath")
    for cell in CELLS:
        low, high, level = map(mp.mpf, cell)
        M = [F(high) - F(low) for F in exact]
        for closed, integrand in (
            (
                level**2 * M[0] - 2 * level * M[1] + M[2],
                lambda x, q=level, f=f: (q - x) ** 2 * f(x),
            ),
            (level * M[1] - M[2], lambda x, q=level, f=f: x * (q - x) * f(x)),
        ):
            direct = mp.quad(integrand, [low, high])
            worst = max(worst, abs(closed / direct - 1))
print("largest relative difference:", mp.nstr(worst, 3))
assert worst < mp.mpf(10) ** -50

# %% [markdown]
# ## The same by the library
#
# `closed_form` derives $I(a, b, q)$ and $J(a, b, q)$ when it is called; `qerror formula gaussian
# --latex` prints them. They have to be the formulas above, with a location and a spread:

# %%
from qerror.rigorous.symbolic import closed_form

DERIVED = {name: closed_form(name) for name in CASES}
NAMES = {
    "gaussian": {"mean": sp.Rational(3, 10), "std": sp.Rational(7, 5)},
    "uniform": {"low": -2, "high": 3},
    "student-t": {"nu": 3, "loc": 0, "scale": 1},
}
largest = mp.mpf(0)
for name, (antiderivatives, _, values) in CASES.items():
    exact = [sp.lambdify(w, F.subs(values), "mpmath") for F in antiderivatives]
    form = DERIVED[name]
    numbers = {form.symbols[key]: value for key, value in NAMES[name].items()}
    ends = [form.symbols[key] for key in "abq"]
    square, cross = (
        sp.lambdify(ends, e.subs(numbers), "mpmath") for e in (form.square, form.cross)
    )
    for cell in CELLS:
        low, high, level = map(mp.mpf, cell)
        M = [F(high) - F(low) for F in exact]
        by_hand = level**2 * M[0] - 2 * level * M[1] + M[2], level * M[1] - M[2]
        ours = square(low, high, level), cross(low, high, level)
        largest = max(largest, *(abs(x / y - 1) for x, y in zip(ours, by_hand, strict=True)))
print("largest relative difference:", mp.nstr(largest, 3))
assert largest < mp.mpf(10) ** -50
DERIVED["gaussian"].square

# %% [markdown]
# ## Where float64 loses the digits
#
# $q^2 M_0 - 2 q M_1 + M_2$ subtracts numbers of size $q^2 M_0$ to find one of size
# $\text{step}^2 M_0 / 12$. Each further bit halves the step and so costs two bits of the result.
# First the default path against the closed form at 60 digits, where that is exact:

# %%


def with_mpmath(bits, scale):
    """Return the MSE of an integer format on N(0, 1) from the closed form at 60 digits."""
    top, s = 2 ** (bits - 1) - 1, mp.mpf(scale)
    edges = [-mp.inf] + [s * (n + mp.mpf(1) / 2) for n in range(-top, top)] + [mp.inf]

    def at(x):
        tail = mp.npdf(x) if mp.isfinite(x) else mp.mpf(0)
        cdf = mp.ncdf(x)
        return cdf, -tail, cdf - (x * tail if tail else 0)

    points = [at(x) for x in edges]
    total = mp.mpf(0)
    for n in range(-top, top + 1):
        low, high = points[n + top], points[n + top + 1]
        m = [h - e for h, e in zip(high, low, strict=True)]
        total += (s * n) ** 2 * m[0] - 2 * s * n * m[1] + m[2]
    return total


for bits in (4, 8, 10):
    scale = optimal_scale(Integer(bits), Gaussian()).scale
    found = quantization_error(Integer(bits), Gaussian(), scale).mse
    off = abs(found / with_mpmath(bits, scale) - 1)
    print(f"INT{bits}: default path {mp.nstr(off, 2)} off")
    assert off < 1e-13

# %% [markdown]
# Now float64's closed form (`method="closed-form"`) against the default path:

# %%
DENSITIES = {"gaussian": Gaussian(), "uniform": Uniform(), "student-t(nu=5)": StudentT(nu=5)}
BITS = (4, 6, 8, 10, 12, 14, 16)
lost = {}
for name, density in DENSITIES.items():
    for bits in BITS:
        scale = optimal_scale(Integer(bits), density).scale
        exact = quantization_error(Integer(bits), density, scale).mse
        closed = quantization_error(Integer(bits), density, scale, method="closed-form").mse
        lost[name, bits] = max(abs(closed / exact - 1), 2.0**-53)

print("digits that are right".ljust(24) + "".join(f"INT{bits}".rjust(8) for bits in BITS))
for name in DENSITIES:
    right = [-np.log10(lost[name, bits]) for bits in BITS]
    print(name.ljust(24) + "".join(f"{digits:8.1f}" for digits in right))

# %%
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for (name, _), marker in zip(DENSITIES.items(), "os^", strict=True):
    ax.semilogy(BITS, [lost[name, bits] for bits in BITS], marker=marker, label=name)
ax.axhline(2.0**-53, color="grey", linestyle=":", label="float64's rounding")
ax.set(xlabel="bits of the integer format", ylabel="relative error of the closed form")
ax.legend()
plt.show()

# %% [markdown]
# The sum hides how bad single cells are: the integrand is a square, but computed so, many cells of
# INT16 come out negative.

# %%
from scipy.special import ndtr

scale = optimal_scale(Integer(16), Gaussian()).scale
levels = scale * np.arange(-(2**15) + 1, 2**15)
edges = (levels[1:] + levels[:-1]) / 2
density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
m0, m1, m2 = np.diff(ndtr(edges)), np.diff(-density), np.diff(ndtr(edges) - edges * density)
inner = levels[1:-1]
cells = m2 - 2 * inner * m1 + inner**2 * m0
print(f"{(cells < 0).sum()} of {cells.size} cells are negative")
assert (cells < 0).any()
assert lost["gaussian", 16] > 1e4 * lost["gaussian", 4]

# %% [markdown]
# The default path integrates the positive function $(w - q)^2 p$ itself, with offsets from $q$ that
# are exact: nothing cancels, and INT16 is as exact as INT4.
