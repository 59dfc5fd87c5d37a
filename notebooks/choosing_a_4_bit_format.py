# %% [markdown]
# # Choosing a 4-bit format
#
# At 4 bits the scales matter as much as the elements: values share one in blocks, and its bits
# count. This notebook chooses between MXFP4, NVFP4, NF4 and groups of INT4, with exact errors: no
# samples, no training runs. SQNR is $10 \log_{10}(E[x^2] / E[e^2])$; `g64` is a block of 64 values.
#
# To run it: `pip install 'qerror[notebooks]'`, then `jupyter lab notebooks`.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import matplotlib.pyplot as plt
import numpy as np

from qerror import (
    Gaussian,
    StudentT,
    format_switches,
    lloyd_max,
    parse_format,
    quantization_error,
    quantize,
    rank_blocks,
    sweep,
)
from qerror.optimize import block_choices, block_density
from qerror.plotting import use_style

use_style()

FORMATS = ["mxfp4:even", "nvfp4", "nf4:g64", "int4:g64", "int4:g64:affine"]

# %% [markdown]
# ## What a value costs
#
# Four bits for the element, and its share of the block's scale: 8 bits for MXFP4 and NVFP4, 16 for
# the others, and 16 more for an offset.

# %%
for name in FORMATS:
    form = parse_format(name)
    print(f"{form.name:16} {form.bits_per_value:5.2f} bits a value")

# %% [markdown]
# ## Formats at equal cost
#
# `rank_blocks` gives each format the smallest blocks that the budget pays for. Scales that are
# powers of two make the error of MXFP4 depend on where the spread lies between two of them; it is
# averaged over that.

# %%
for density in ("gaussian", "laplace", "student-t(nu=5)"):
    print(f"{density} at 4.5 bits")
    for entry in rank_blocks(density, 4.5, FORMATS):
        print(f"  {entry.form.name:16} {entry.report.sqnr_db:6.2f} dB")

# %% [markdown]
# NVFP4 and NF4 lead; on the Gaussian INT4 with an offset is close. Heavier tails cost the integers
# most: their steps are as wide near 0 as at the end of the range.
#
# ## Along the block size
#
# Smaller blocks have smaller errors and cost more, so the honest axis is the cost. The curves of
# NF4 and of affine INT4 cross.

# %%
sizes = [8, 16, 32, 64, 128, 256]
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
result = sweep(["nvfp4", "nf4", "int4", "int4:gN:affine"], Gaussian(), ("block_size", sizes))
for label in dict.fromkeys(record["format"] for record in result.to_records()):
    rows = [row for row in result if row.label("block_size") == label]
    costs = [row.bits_per_value for row in rows]
    ax.plot(costs, [row.report.sqnr_db for row in rows], marker="o", markersize=3, label=label)
ax.set(title="Gaussian", xlabel="bits a value, scales included", ylabel="SQNR in dB", xlim=(4, 8.2))
ax.legend()
plt.show()

# %%
found = format_switches(["nf4:g64", "int4:g64:affine"], Gaussian(), "block_size", 8, 256, points=3)
found

# %% [markdown]
# That is at equal sizes, where the offset costs more. NVFP4 leads NF4 at equal cost where the tails
# are heavy enough, below this number of degrees of freedom:

# %%
format_switches(["nvfp4", "nf4:g32"], StudentT(5), "nu", 3, 30, points=5)

# %% [markdown]
# ## The rule for the scale
#
# OCP's text recommends the floor of $\log_2$ of the largest value. Other rules are other thresholds
# $\theta$: the scale is $2^k$ while the largest value lies in $[\theta 2^k, \theta 2^{k+1})$.

# %%
for choice in block_choices("mxfp4", "gaussian"):
    print(f"{choice.form.name:30} {choice.report.sqnr_db:6.3f} dB")

# %% [markdown]
# Real scales may be a little smaller than the largest value asks for: what is clipped costs less
# than the finer steps gain.

# %%
for choice in block_choices("int4:g64", "gaussian"):
    print(f"{choice.form.name:36} {choice.report.sqnr_db:6.3f} dB")

# %% [markdown]
# ## How far NF4 is from the best levels
#
# The density of a value over its block's largest one, weighted by its square, makes the best 16
# levels for blocks an ordinary Lloyd-Max problem.

# %%
ratio, power = block_density("gaussian", 64)
best = lloyd_max(ratio, 16)
print(f"best levels {-10 * np.log10(best.report.mse * power):.2f} dB")
print(f"NF4         {quantization_error('nf4:g64', 'gaussian').sqnr_db:.2f} dB")
print("best:", np.round(best.codebook.grid().points, 3).tolist())
print("NF4: ", np.round(parse_format("nf4").grid().points, 3).tolist())

# %% [markdown]
# ## Does it hold on data?
#
# Half a million values, quantized bit for bit as the tools do, beside the exact figure.

# %%
x = np.random.default_rng(4).laplace(size=2**19).astype(np.float32)
for name in ("mxfp4:even", "nvfp4", "nf4:g64", "int4:g64"):
    error = quantize(x, name).astype(float) - x
    measured = 10 * np.log10(np.mean(x.astype(float) ** 2) / np.mean(error**2))
    exact = quantization_error(name, "laplace").sqnr_db
    print(f"{parse_format(name).name:12} measured {measured:6.2f} dB, exact {exact:6.2f} dB")

# %% [markdown]
# ## The choice
#
# - Gaussian values, 4.25 bits: NF4 in blocks of 64.
# - 4.5 bits: NVFP4 where tails are as heavy as those of Laplace or t(5), by a little; NF4 in blocks
#   of 32 on lighter ones.
# - More bits: INT4 with an offset in small groups, on Gaussian values.
# - MXFP4 costs about 2 dB at equal bits; with it, round the scale to even.
