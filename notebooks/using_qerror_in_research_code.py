# %% [markdown]
# # Using qerror in research code
#
# The command line answers single questions. In a study you call the library: this notebook goes
# through its main calls, a density of your own, sweeps, files, figures and the check by samples.
# Everything it writes goes to a temporary directory.
#
# To run it: `pip install 'qerror[notebooks]'`, then `jupyter lab notebooks`.

# %%
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")  # not the business of a notebook

import csv
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from IPython.display import Image

from qerror import (
    Codebook,
    Density,
    FromScipy,
    Gaussian,
    Laplace,
    QErrorException,
    StudentT,
    lloyd_max,
    optimal_scale,
    parse_format,
    quantization_error,
    scalar_product_error,
    shannon_bound,
    sweep,
)
from qerror.crosscheck import cross_check
from qerror.densities import Piece
from qerror.simulation import quantize

folder = tempfile.TemporaryDirectory()
OUT = Path(folder.name)

# %% [markdown]
# ## Formats, densities, errors
#
# A format is data. Names are those in common use; `conventions` says what a name means here.

# %%
e4m3 = parse_format("e4m3")
for key, value in e4m3.conventions().items():
    print(f"{key:20} {value}")

# %% [markdown]
# One call gives all figures. The scale multiplies the grid; with an array of scales every figure is
# an array.

# %%
report = quantization_error(e4m3, StudentT(nu=4), scale=0.05)
print({name: f"{value:.6g}" for name, value in report.to_dict().items()})
many = quantization_error(e4m3, StudentT(nu=4), scale=np.geomspace(1e-3, 1, 200))
print("best of 200 scales:", round(many.sqnr_db.max(), 3), "dB")
best = optimal_scale(e4m3, StudentT(nu=4))
print(
    "best of all:", round(best.report.sqnr_db, 3), "dB at largest value", round(best.max_value, 3)
)
assert best.report.mse <= many.mse.min()

# %% [markdown]
# ## A density of your own
#
# Most shapes are pieces of known laws: weight, location and spread of each, cut where you like.
# Here is a Laplace density with a different decay on each side.

# %%


@dataclass(frozen=True)
class TwoSidedDecay(Density):
    """exp(-x / right) above 0 and exp(x / left) below it, continuous at 0."""

    left: float
    right: float

    def pieces(self):
        law, total = Laplace().law, self.left + self.right
        return (
            Piece(law, 2 * self.left / total, 0.0, self.left, high=0.0),
            Piece(law, 2 * self.right / total, 0.0, self.right, low=0.0),
        )


skewed = TwoSidedDecay(left=1.0, right=3.0)
print(f"mean {skewed.mean:.12f}, variance {skewed.variance:.12f}")
assert math.isclose(skewed.mean, 2.0, rel_tol=1e-13)
for name in ("int8", "5M2E", "4M3E"):
    found = optimal_scale(name, skewed)
    print(f"{name}: {found.report.sqnr_db:.4f} dB, mean error {found.report.mean_error:.2e}")

# %% [markdown]
# Any continuous distribution of `scipy.stats` works too: those that qerror has count as its own,
# others are slower. Where both exist they agree:

# %%
from scipy import stats

wrapped = FromScipy(stats.laplace_asymmetric(math.sqrt(1 / 3), scale=math.sqrt(3)))
same = quantization_error("4M3E", wrapped, 0.7).mse
assert math.isclose(same, quantization_error("4M3E", skewed, 0.7).mse, rel_tol=1e-10)
gumbel = FromScipy(stats.gumbel_r())
print(f"4M3E on a Gumbel density: {quantization_error('4M3E', gumbel, 0.5).sqnr_db:.6f} dB")

# %% [markdown]
# ## A sweep, to CSV and to a figure
#
# Rows are typed; as plain dictionaries they go into any data frame, or into a file.

# %%
result = sweep(
    ["int8", "5M2E", "4M3E", "3M4E"],
    [Gaussian(), skewed],
    over=("max_value", np.geomspace(1, 100, 25).tolist()),
)
print(len(result), "rows with", ", ".join(result.to_records()[0]))

# %%
from qerror.plotting import sweep_files
from qerror.reporting import encode, sweep_document

(OUT / "sweep.csv").write_bytes(encode(sweep_document(result), "csv"))
with (OUT / "sweep.csv").open(newline="") as stream:
    rows = list(csv.DictReader(stream))
top = max(rows, key=lambda row: float(row["sqnr_db"]))
print(top["density"], top["format"], top["max_value"], top["sqnr_db"])
assert len(rows) == len(result)

# %% [markdown]
# A figure for a paper: SVG, PDF or PNG by the suffix, the same bytes on every run, and beside it
# the plotted numbers.

# %%
files = sweep_files(result, OUT / "sqnr.png")
for path, content in files.items():
    path.write_bytes(content)
assert sweep_files(result, OUT / "sqnr.png") == files
print(sorted(path.name for path in OUT.iterdir()))
Image(files[OUT / "sqnr.png"], width=800)

# %% [markdown]
# ## Products, codebooks, limits

# %%
weight = optimal_scale("4M3E", Gaussian(mean=0.01, std=0.05)).report
activation = optimal_scale("int8", skewed).report
for length in (1, 64, 4096):
    found = scalar_product_error(weight, activation, length)
    print(f"length {length:5}: {found.sqnr_db:.4f} dB, mean error {found.mean_error:.2e}")

# %%
power = Codebook([0.0, *(sign * 2.0**-k for k in range(7) for sign in (1, -1)), 0.75])
print(f"powers of two, {power.bits} bits: {optimal_scale(power, Gaussian()).report.sqnr_db:.3f} dB")
ideal = lloyd_max(Gaussian(), 16)
print(f"16 free levels: {ideal.report.sqnr_db:.3f} dB")
print(f"no code of 4 bits does better than {-10 * math.log10(shannon_bound(Gaussian(), 4)):.3f} dB")

# %% [markdown]
# ## Checked by samples
#
# The simulator shares no code with the analysis. `cross_check` compares all figures and says how
# many standard errors they are apart; `quantize` rounds your own arrays.

# %%
check = cross_check("4M3E", skewed, scale=0.7, size=200_000, rng=np.random.default_rng(4))
for name, judgement in check.judgements.items():
    print(
        f"{name:16} exact {judgement.exact:+.6e}  sampled {judgement.sampled:+.6e}  "
        f"z {judgement.z:+.2f}"
    )
assert check.passed

# %%
x = skewed.sample(100_000, np.random.default_rng(5))
error = quantize(x, parse_format("4M3E"), 0.7) - x
print(f"MSE of an array {np.mean(error**2):.6e}, expected {check.exact.mse:.6e}")

# %% [markdown]
# ## What is refused
#
# Every exception of the library derives from one class, and says what to do.

# %%
for attempt in (
    lambda: parse_format("e4m9"),
    lambda: quantization_error("int8", "gaussian", scale=-1),
    lambda: StudentT(nu=0),
):
    try:
        attempt()
    except QErrorException as exception:
        print(f"{type(exception).__name__}: {exception}")
    else:
        raise AssertionError("nothing was refused")

# %%
folder.cleanup()
assert not OUT.exists()
