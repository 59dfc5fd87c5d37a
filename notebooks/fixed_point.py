# %% [markdown]
# # Fixed point
#
# F8Net (Jin et al. 2022) runs networks on 8-bit fixed-point products alone: codes times
# $2^{-FL}$. What is left to choose is the fractional length. The paper samples Gaussians and reads
# a rule off its figures; here the same figures are exact, and the rule follows for any word length.
#
# To run it: `pip install 'qerror[notebooks]'`, then `jupyter lab notebooks`.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import math

import matplotlib.pyplot as plt
import numpy as np

from qerror import (
    FixedPoint,
    Gaussian,
    Integer,
    Laplace,
    Rectified,
    StudentT,
    fractional_length_constant,
    optimal_fractional_length,
    optimal_scale,
    quantization_error,
)
from qerror.optimize import fixed_point_choice
from qerror.plotting import use_style
from qerror.studies.f8net import f8net_claims

use_style()

# %% [markdown]
# ## One curve for all fractional lengths
#
# The relative error $\sqrt{E[e^2]}/\sigma$ depends on $\sigma 2^{FL}$ alone. So one call gives the
# curve of any length: the standard deviation stays 1 and the scale is $2^{-FL}/\sigma$.

# %%
SPREADS = np.geomspace(1e-3, 1e3, 601)


def relative_error(length, spreads=SPREADS, signed=True):
    """Return sqrt(MSE) / std; for unsigned codes std is that before the ReLU, as in F8Net."""
    density = Gaussian() if signed else Rectified(Gaussian())
    unit = FixedPoint(8, 0, signed)
    return np.sqrt(quantization_error(unit, density, 2.0**-length / spreads).mse)


direct = quantization_error(FixedPoint(8, 5), Gaussian(std=0.7)).mse
assert math.isclose(math.sqrt(direct) / 0.7, relative_error(5, np.array([0.7]))[0], rel_tol=1e-13)

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, signed in zip(axes, (True, False), strict=True):
    for length in range(9 - signed):
        ax.loglog(SPREADS, relative_error(length, signed=signed), label=f"FL {length}")
    ax.axhline(0.01, color="black", linestyle=":", linewidth=1, label="1%")
    ax.set(xlabel="standard deviation", title="signed" if signed else "unsigned, after a ReLU")
axes[0].set_ylabel("relative error")
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center")
plt.show()

# %% [markdown]
# All curves are one, moved by octaves, so each has the same minimum. The paper observes that the
# minimum varies; only its samples do.

# %%
best = optimal_scale(Integer(8), Gaussian())
lowest = math.sqrt(best.report.mse)
for length in range(8):
    star = 2.0**-length / best.scale
    assert math.isclose(relative_error(length, np.array([star]))[0], lowest, rel_tol=1e-12)
    print(f"FL {length}: best std {star:9.6f}, relative error {lowest:.6%}")

# %% [markdown]
# ## The constant
#
# With $s = \sigma 2^{FL}$ the MSE is $4^{-FL} M(s)$. One bit less of fraction is as good where
# $M(s) = 4 M(s/2)$: one root for all lengths. Hence $FL^* = \lfloor \log_2(C/\sigma) \rfloor$, and
# $C$ depends on the largest code alone.

# %%
for signed, stated in ((True, 40), (False, 70)):
    constant = fractional_length_constant(8, signed)
    kind = "signed" if signed else "unsigned"
    print(f"{kind:9} exact {constant:.8f}, F8Net {stated}")
    for length in range(1, 8):
        edge = np.array([constant * 2.0**-length])
        longer, shorter = (relative_error(n, edge, signed)[0] for n in (length, length - 1))
        assert math.isclose(longer, shorter, rel_tol=1e-12)

# %% [markdown]
# What the paper says, beside the exact figures:

# %%
for claim in f8net_claims():
    print(f"{claim.statement:48} {claim.verdict:10} {claim.detail}")

# %% [markdown]
# ## Any word length

# %%
print("word length   signed C   unsigned C   signed C / largest code")
for word_length in (2, 3, 4, 6, 8, 12, 16):
    signed, unsigned = (fractional_length_constant(word_length, s) for s in (True, False))
    share = signed / (2 ** (word_length - 1) - 1)
    print(f"{word_length:11} {signed:10.4f} {unsigned:12.4f} {share:25.5f}")

# %% [markdown]
# The ratio falls: with more codes the range reaches further into the tails.
#
# ## The rule at work, and what it costs to use powers of two

# %%
choice = fixed_point_choice(8, 0.3)
print(f"std 0.3: {choice.best.format.name}, relative error {choice.best.relative_error:.3%}")
edges = np.geomspace(0.1, 10, 401)
chosen = [math.floor(math.log2(fractional_length_constant(8) / std)) for std in edges]
errors = np.array([relative_error(n, np.array([s]))[0] for n, s in zip(chosen, edges, strict=True)])
free = np.full(edges.size, lowest)

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.semilogx(edges, 100 * errors, label="best fractional length")
ax.semilogx(edges, 100 * free, linestyle="--", label="best real scale")
ax.set(xlabel="standard deviation", ylabel="relative error in %")
figure.legend(loc="outside upper center", ncols=2)
plt.show()
loss = 20 * np.log10(errors / free)
print(f"a power of two costs {loss.mean():.2f} dB on average, {loss.max():.2f} dB at worst")
assert (loss > -1e-9).all()

# %% [markdown]
# ## Other densities
#
# The constant is the Gaussian's. Heavier tails want a larger range, so a shorter fraction; the
# exact choice is one call for any density.

# %%
for density in (Gaussian(), Laplace(scale=math.sqrt(0.5)), StudentT(nu=3, scale=math.sqrt(1 / 3))):
    print(
        f"{density!r:48} variance {density.variance:.3f}  "
        f"FL {optimal_fractional_length(density, 8)}"
    )
assert optimal_fractional_length(Gaussian(), 8) > optimal_fractional_length(
    StudentT(nu=3, scale=math.sqrt(1 / 3)), 8
)

# %% [markdown]
# ## PACT is scaled fixed point
#
# $\mathrm{PACT}(x) = \eta\,\mathrm{fix}(x/\eta)$ with $\eta = 2^{FL}\alpha/(2^{WL}-1)$: the same
# levels for every FL, hence the same error.

# %%
alpha, density = 6.0, Rectified(Gaussian(std=2))
pact = quantization_error(Integer(8, signed=False), density, alpha / 255).mse
for length in range(9):
    eta = 2**length * alpha / 255
    fixed = quantization_error(FixedPoint(8, length, signed=False), density, eta).mse
    assert math.isclose(fixed, pact, rel_tol=1e-12)
print(f"MSE {pact:.12e} for every fractional length")
