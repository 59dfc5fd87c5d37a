"""Write sixteen_bits.json: python -m tests.oracles.make_sixteen_bits, from the repository root.

Rigorous values (see exact.py) of formats with tens of thousands of points, 30 digits each; too
slow to be made anew in every run.
"""

import json
from pathlib import Path

from qerror.densities import density_name, parse_density
from qerror.formats import as_scalar_format
from tests.oracles.exact import exact_report

CASES = [
    *((name, density, c) for name in ("INT16", "FP16", "BF16") for density, c in (
        ("gaussian", 6.0),
        ("gaussian(mean=0.3, std=0.7)", 3.0),
        ("laplace", 20.0),
        ("logistic(loc=0.1)", 15.0),
        ("uniform(low=-0.9, high=1.3)", 2.0),
        ("clipped(gaussian, low=-2.1, high=2.6)", 2.5),
    )),
    ("INT16", "gaussian", 1e4),
    ("FP16", "gaussian", 65504.0),
    ("BF16", "gaussian", 1e38),
    ("INT16", "student-t(nu=3)", 500.0),
    ("FP16", "student-t(nu=3)", 1000.0),
    ("INT16", "generalized-gaussian(beta=1.5)", 8.0),
]  # fmt: skip
FIGURES = (
    "rounding",
    "clipping_low",
    "clipping_high",
    "mean_error",
    "cross_moment",
    "signal_power",
    "signal_mean",
)


def main() -> None:
    rows: list[dict[str, object]] = []
    for name, text, top in CASES:
        form, density = as_scalar_format(name), parse_density(text)
        scale = form.scale_for(top)
        exact = exact_report(form.grid(), density, scale)
        figures = {key: getattr(exact, key).mid().str(30, radius=False) for key in FIGURES}
        case = {"format": form.name, "density": density_name(density), "scale": scale}
        rows.append({**case, "expected": figures})
        print(name, text, top, flush=True)  # noqa: T201 - it takes minutes
    path = Path(__file__).with_name("sixteen_bits.json")
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
