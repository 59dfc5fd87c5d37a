# %% [markdown]
# # Formats in real networks
#
# Does the exact analysis of a tensor tell what a format costs a network? This notebook trains a
# small residual network on scikit-learn's digits, quantizes it, and predicts the error of every
# layer from densities alone. The second half reads the results of the longer studies in
# `docs/networks`, on MobileNet, a vision transformer, EfficientNet-Lite0 and MiniLM.
#
# To run it: `pip install 'qerror[notebooks]' 'qerror[torch]'`, then `jupyter lab notebooks`. The
# training takes seconds, and once only: weights are kept in the cache.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from qerror.plotting import use_style
from qerror.pytorch import NETWORKS, ModelRecipe, predict, quantize_model, quantized_layers
from qerror.pytorch.studies import agreements

use_style()
_ = torch.set_num_threads(1)

RESULTS = Path("../docs/networks")


def read(name):
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# %% [markdown]
# ## A network, and what formats cost it
#
# A network of the library comes with its data and its measure. `quick()` is a third of its
# training.

# %%
network = NETWORKS["digits-resnet"].quick()
model, data = network.model(seed=0), network.calibration()
reference = network.run(model)
print(f"{network.score(reference, reference):.2f}% of 445 images are right")

# %%
for form in ("int8", "5M2E", "4M3E", "3M4E", "int4", "2M1E", "int3", "1M1E"):
    quantized = quantize_model(model, form, data)
    print(f"{form:5} {network.score(network.run(quantized), reference):6.2f}%")

# %% [markdown]
# A recipe says what is quantized how; as a file it serves `qerror network ptq --recipe`.

# %%
recipe = ModelRecipe.of("int4", granularity="channel", first="int8", last="int8")
quantized = quantize_model(model, recipe, data)
print(f"{network.score(network.run(quantized), reference):.2f}% with\n")
print(recipe.to_toml())
for layer in quantized_layers(quantized)[:3]:
    print(layer.name, layer.weight, layer.activation)

# %% [markdown]
# ## Predicted and measured
#
# A density is fitted to every weight and every layer input, and cut at the limits of the data. The
# exact analysis gives their errors, and the scalar product of independent factors that of the
# output. The measurement quantizes the tensors themselves.

# %%
found = [predict(model, data, form) for form in ("int8", "4M3E", "int4")]
for each in agreements(found):
    print(f"{each.kind:10} rank correlation {each.spearman:.3f}, off by {each.median_db:.2f} dB")

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, kind in zip(axes, ("weight", "activation", "output"), strict=True):
    rows = [row for each in found for row in each.of(kind)]
    ax.scatter(
        [row.predicted_sqnr_db for row in rows], [row.measured_sqnr_db for row in rows], s=12
    )
    ax.axline((20, 20), slope=1, color="#888888", linewidth=0.8)
    ax.set(title=kind, xlabel="predicted SQNR in dB", ylabel="measured")
plt.show()

# %% [markdown]
# ## The best format of every tensor
#
# From the studies: `qerror network formats --model minilm` and `--model efficientnet-lite0`. Every
# point is a weight or a layer input, at the best range of each format. What more exponent bits gain
# over INT8 grows with the kurtosis of the tensor: the transformer's outliers are what FP8 is for.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, name in zip(axes, ("efficientnet", "minilm"), strict=True):
    rows = read(f"formats-{name}")
    first = {
        (row["layer"], row["kind"]): float(row["sqnr_db"])
        for row in rows
        if row["format"] == "INT8"
    }
    for form in ("5M2E", "4M3E", "3M4E"):
        own = [row for row in rows if row["format"] == form]
        ax.scatter(
            [float(row["kurtosis"]) for row in own],
            [float(row["sqnr_db"]) - first[row["layer"], row["kind"]] for row in own],
            s=10,
            label=form,
        )
    ax.axhline(0, color="#888888", linewidth=0.8)
    ax.set(xscale="log", title=name, xlabel="kurtosis", ylabel="gain over INT8 in dB")
    ax.legend()
plt.show()

# %% [markdown]
# ## Training with quantizers
#
# At three bits quantization alone costs these networks dearly; training with the quantizers in
# place gives most of it back, from every range that it starts with (`qerror network qat`).

# %%
for row in read("qat-int3"):
    print(
        f"{row['model']:17} {row['start']:14} {float(row['fp32_accuracy']):6.1f}% -> "
        f"{float(row['ptq_accuracy']):5.1f}% -> {float(row['accuracy']):5.1f}%"
    )

# %% [markdown]
# ## The error of a layer and the accuracy
#
# Noise on the weights of one layer: the error of its output goes with the accuracy of the network
# (`qerror network noise`), as in figure 13 of Kuzmin et al. 2022.

# %%
rows = read("noise-resnet")
plt.figure(figsize=(4.5, 3), layout="constrained")
plt.plot(
    [float(row["output_mse"]) for row in rows], [float(row["accuracy"]) for row in rows], marker="o"
)
plt.xscale("log")
plt.xlabel("mean squared error of the layer's output")
plt.ylabel("accuracy in %")
plt.show()
