# %% [markdown]
# # Choosing an FP8 format
#
# Eight bits can be split into mantissa and exponent in several ways. Kuzmin et al. (2022, section 3
# and appendices A to D) ask which split loses least, and answer with integrals and samples. This
# notebook retells the story with exact integrals alone. `xMyE` has x mantissa and y exponent bits,
# every code finite, and its own bias $2^{y-1}$.
#
# To run it: `pip install 'qerror[notebooks]'`, then `jupyter lab notebooks`.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import matplotlib.pyplot as plt
import numpy as np

from qerror import (
    Clipped,
    Gaussian,
    StudentT,
    optimal_format,
    optimal_scale,
    parse_format,
    quantization_error,
    scalar_product_error,
    sweep,
)
from qerror.optimize import format_switches
from qerror.plotting import use_style
from qerror.simulation import estimate_error

use_style()

FORMATS = ["INT8", "5M2E", "4M3E", "3M4E", "2M5E"]

# %% [markdown]
# ## Where the levels lie
#
# More exponent bits move levels towards 0 and thin them out towards the end of the range.

# %%
figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
for row, name in enumerate(FORMATS):
    levels = parse_format(name).grid(1 / parse_format(name).max_value).points
    ax.plot(levels, np.full(levels.size, -row), "|", markersize=12)
ax.set_yticks(range(0, -len(FORMATS), -1), FORMATS)
ax.set(xlabel="level / largest level", title="the levels of five 8-bit formats")
plt.show()

# %% [markdown]
# ## The error of one value, and its mean
#
# $R(w) = Q(w) - w$ is a saw whose teeth grow with $|w|$ in a floating-point format. Weighted by the
# density and squared, it adds up to the MSE.

# %%
x = np.linspace(-2, 2, 4001)
figure, axes = plt.subplots(2, 3, figsize=(10, 4.2), layout="constrained", sharex=True)
for column, name in zip(axes.T, ("INT8", "4M3E", "3M4E"), strict=True):
    form = parse_format(name)
    grid = form.grid(form.scale_for(4.0))
    error = grid.points[np.searchsorted(grid.thresholds, x)] - x
    column[0].plot(x, error, linewidth=0.7)
    column[0].set_title(name)
    column[1].plot(x, error**2 * Gaussian().pdf(x), linewidth=0.7)
    column[1].set_xlabel("w in standard deviations")
axes[0, 0].set_ylabel("R(w)")
axes[1, 0].set_ylabel("R(w)² p(w)")
plt.show()

# %%
for name in FORMATS:
    form = parse_format(name)
    report = quantization_error(form, Gaussian(), form.scale_for(4.0))
    print(
        f"{name}: rounding {report.rounding:.3e} + clipping {report.clipping:.3e}, "
        f"{report.sqnr_db:.2f} dB"
    )

# %% [markdown]
# ## The bias is a choice
#
# A bias is a scale: one less doubles every level. The format's own bias fits data of one size only;
# the best integer bias follows the size in octaves; a real bias fits always.

# %%
spreads = np.geomspace(1 / 64, 64, 121)
powers = 2.0 ** np.arange(-12, 13)
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained", sharey=True)
for ax, name in zip(axes, FORMATS[1:], strict=True):
    # Only scale / std matters, so the density stays N(0, 1).
    fixed = quantization_error(name, Gaussian(), 1 / spreads).sqnr_db
    integer = [quantization_error(name, Gaussian(), powers / s).sqnr_db.max() for s in spreads]
    real = optimal_scale(name, Gaussian()).report.sqnr_db
    ax.semilogx(spreads, np.full(spreads.size, real), label="real bias")
    ax.semilogx(spreads, integer, "--", label="integer bias")
    ax.semilogx(spreads, fixed, ":", label="fixed bias")
    ax.set(title=name, xlabel="standard deviation", ylim=(0, 45))
    print(
        f"{name}: an integer bias loses up to {real - min(integer):.2f} dB, "
        f"the fixed one up to {real - fixed.min():.2f} dB"
    )
    assert max(integer) <= real + 1e-9
axes[0].set_ylabel("SQNR in dB")
axes[3].legend(loc="lower center")
plt.show()

# %% [markdown]
# The fixed bias fails for few exponent bits, and an integer one costs 5M2E most. From here on every
# format stands at its best real range.
#
# ## The best split depends on the tails

# %%
result = sweep(FORMATS, ["uniform", "gaussian", "student-t(nu=8)", "student-t(nu=3)"])
table = {(row["density"], row["format"]): row["sqnr_db"] for row in result.to_records()}
names = list(dict.fromkeys(row["density"] for row in result.to_records()))
print("SQNR in dB".ljust(18) + "".join(name.rjust(8) for name in FORMATS) + "   best")
for density in names:
    values = [table[density, name] for name in FORMATS]
    best = FORMATS[int(np.argmax(values))]
    print(density.ljust(18) + "".join(f"{value:8.2f}" for value in values) + f"   {best}")
assert [max(FORMATS, key=lambda f, d=d: table[d, f]) for d in names] == [
    "INT8",
    "5M2E",
    "5M2E",
    "3M4E",
]

# %%
tails = sweep(FORMATS, [StudentT(nu=3)], over=("nu", (2 + np.geomspace(0.2, 28, 30)).tolist()))
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name in FORMATS:
    rows = [row for row in tails.to_records() if row["format"] == name]
    ax.semilogx([r["nu"] for r in rows], [r["sqnr_db"] for r in rows], label=name)
ax.set(xlabel="degrees of freedom nu (heavier tails to the left)", ylabel="SQNR in dB")
ticks = [2.2, 3, 4, 6, 10, 20, 30]
ax.set_xticks(ticks, [f"{nu:g}" for nu in ticks])
ax.set_xticks([], minor=True)
ax.legend()
plt.show()

switches = format_switches(FORMATS, StudentT(nu=3), "nu", 2.1, 30.0)
for switch in switches.switches:
    print(f"nu = {switch.value:.6f}: {switch.below.name} below, {switch.above.name} above")

# %% [markdown]
# ## The toy experiment's landscape
#
# The paper learns the largest value c and the mantissa bits m on N(0, 1). This is what the descent
# walks on: the MSE against c for each m.

# %%
c = np.geomspace(1, 64, 400)
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for mantissa in range(1, 7):
    form = parse_format(f"{mantissa}M{7 - mantissa}E")
    ax.loglog(
        c, quantization_error(form, Gaussian(), c / form.max_value).mse, label=f"m = {mantissa}"
    )
best = optimal_scale("5M2E", Gaussian())
ax.plot(best.max_value, best.report.mse, "k*", markersize=10)
ax.set(xlabel="largest value c in standard deviations", ylabel="MSE")
ax.legend()
plt.show()
print(f"least MSE {best.report.mse:.6e} at m = 5, c = {best.max_value:.6f}")
assert optimal_format(8, "gaussian").best.format.name == "5M2E"
assert round(best.max_value, 2) == 4.35

# %% [markdown]
# ## Scalar products (appendices A.2 and B)
#
# The error of $w x$ needs no further integral: it is made of each side's error, power and cross
# moment. With mean 0 on both sides neither the length nor the standard deviations change the SQNR.

# %%
sides = {name: optimal_scale(name, Gaussian()).report for name in FORMATS}
matrix = np.array(
    [[scalar_product_error(sides[a], sides[b]).sqnr_db for b in FORMATS] for a in FORMATS]
)
figure, ax = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
image = ax.imshow(matrix, cmap="cividis")
ax.grid(visible=False)
for i, j in np.ndindex(matrix.shape):
    shade = "black" if matrix[i, j] > 32 else "white"
    ax.text(j, i, f"{matrix[i, j]:.1f}", ha="center", va="center", color=shade)
ax.set_xticks(range(5), FORMATS)
ax.set_yticks(range(5), FORMATS)
ax.set(xlabel="activation", ylabel="weight", title="SQNR of the product in dB")
plt.show()
i, j = np.unravel_index(matrix.argmax(), matrix.shape)
assert (FORMATS[i], FORMATS[j]) == ("5M2E", "5M2E")

# %% [markdown]
# The six terms, for the best pair: the first two decide.

# %%
product = scalar_product_error(sides["5M2E"], sides["5M2E"])
for name, value in product.to_dict().items():
    print(f"{name:24} {value:.6e}" if isinstance(value, float) else f"{name:24} {value}")
assert abs((product.weight_error + product.activation_error) / product.mse - 1) < 1e-3

# %% [markdown]
# ## Exact against sampled (appendix B.2)

# %%
rng = np.random.default_rng(2022)
for name in FORMATS:
    scale = optimal_scale(name, Gaussian()).scale
    sampled = estimate_error(name, Gaussian(), scale=scale, size=100_000, rng=rng)
    exact = quantization_error(name, Gaussian(), scale).mse
    error = sampled.standard_error.mse
    print(f"{name}: exact {exact:.5e}, sampled {sampled.mse:.5e} +- {error:.1e}")
    assert abs(sampled.mse - exact) < 5 * error

# %% [markdown]
# ## Outliers and min-max ranges (appendix D)
#
# Clip Student-t at r, and let every format end at r. The wider the range, the more exponent bits.

# %%
ranges = np.geomspace(2, 1e5, 40)
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name in FORMATS:
    form = parse_format(name)
    sqnr = [
        quantization_error(form, Clipped(StudentT(nu=8), -r, r), form.scale_for(r)).sqnr_db
        for r in ranges.tolist()
    ]
    ax.semilogx(ranges, sqnr, label=name)
ax.set(xlabel="range r", ylabel="SQNR in dB", ylim=(-5, 50))
ax.legend()
plt.show()
found = format_switches(FORMATS, StudentT(nu=8), "range", 2.0, 1e5)
assert [form.name for form in found.winners] == FORMATS
for switch in found.switches:
    print(f"r = {switch.value:.4f}: from {switch.below.name} to {switch.above.name}")

# %% [markdown]
# ## What to take away
#
# - Choose the range (a real bias) first; a fixed bias can cost more than any split gains.
# - Bounded, flat data: INT8. Gaussian data: 5M2E. Tails like Student-t: more exponent bits the
#   smaller nu is.
# - If the range must cover the largest outlier, it decides how many exponent bits are needed.
