"""How many of 2,000 measurements lie inside their 95% bands: python -m benchmarks.band_coverage."""

from collections.abc import Iterator

import numpy as np

from qerror.analysis import expected_bands
from qerror.analysis.measurements import FIGURES
from qerror.densities import Density, Gaussian, Laplace, Mixture, StudentT
from qerror.formats import as_scalar_format
from qerror.simulation import quantize

SETS, PARTS = 2000, 8
SIZES = (64, 1000, 5000)
CASES: tuple[tuple[str, Density, float], ...] = (
    ("int8", Gaussian(), 3.92),
    ("4M3E", Gaussian(), 5.1),
    ("int8", Laplace(), 8.0),
    ("int4", Gaussian(), 2.5),
    ("int8", Mixture((Gaussian(), Gaussian(0.0, 4.0)), (0.95, 0.05)), 6.0),
    ("int8", StudentT(8.0), 20.0),
    ("4M3E", StudentT(5.0), 30.0),
    ("int8", StudentT(3.0), 60.0),
    ("int8", StudentT(2.0), 30.0),
)


def measured(
    name: str, density: Density, max_value: float, size: int, rng: np.random.Generator
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the figures of some of the data sets, by formulas on the arrays themselves."""
    scale = as_scalar_format(name).scale_for(max_value)
    for _ in range(PARTS):
        x = density.sample(SETS // PARTS * size, rng).reshape(-1, size)
        q = quantize(x, name, scale)
        e = q - x
        mse, power = (e * e).mean(axis=1), (x * x).mean(axis=1)
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(q, axis=1)
        yield {
            "sqnr_db": 10 * np.log10(power / mse),
            "cosine_similarity": (x * q).sum(axis=1) / norms,
            "relative_l2": np.sqrt(mse / power),
            "mse": mse,
            "mean_absolute": np.abs(e).mean(axis=1),
            "psnr_db": 10 * np.log10(max_value**2 / mse),
        }


def main() -> None:
    """Print a line a case: the share inside, in percent, for every figure."""
    rng = np.random.default_rng(20261125)
    print("format density size", *FIGURES)
    for name, density, top in CASES:
        for size in SIZES:
            bands = expected_bands(name, density, max_value=top, size=size).bands
            inside = dict.fromkeys(FIGURES, 0)
            for figures in measured(name, density, top, size, rng):
                for figure, values in figures.items():
                    low, high = bands[figure][:2]
                    inside[figure] += int(((low <= values) & (values <= high)).sum())
            shares = (f"{100 * count / SETS:.1f}" for count in inside.values())
            print(name, density, size, *shares, flush=True)


if __name__ == "__main__":
    main()
