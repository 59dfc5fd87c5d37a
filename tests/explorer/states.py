"""Random states of the page, and what the library says of them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qerror import quantization_error
from qerror.analysis import ErrorReport
from qerror.densities.density import DENSITIES, Family
from qerror.formats import FORMATS, BlockFormat, parse_format

SHARE = 1e-9
"""The tolerance, relative to the figure or to the error's own size."""


def spellings_of_qerror() -> list[str]:
    """Return all names of the library's own formats: other tests may have registered more."""
    return [
        key
        for key, shown in FORMATS.spellings.items()
        if type(FORMATS[shown]).__module__.startswith("qerror.")
    ]


def densities_of_qerror() -> dict[str, Family]:
    """Return the library's own families of densities by name."""
    return {
        name: each for name, each in DENSITIES.items() if each.make.__module__.startswith("qerror.")
    }


class State(NamedTuple):
    """A format, a density and a largest value, None for formats that take their own scale."""

    format: str
    density: str
    top: float | None


def _number(rng: np.random.Generator, low: float, high: float) -> str:
    return f"{float(np.exp(rng.uniform(np.log(low), np.log(high)))):.4g}"


def _signed(rng: np.random.Generator) -> str:
    return f"{rng.uniform(-2, 2):.3g}"


_NAMED = (
    *("e4m3", "e5m2", "fp4", "nf4", "bf16", "fp32", "ue8m0", "ue5m3", "fp8_e4m3"),
    *("p3109_k8p4se", "q:ti3.4", "torch.int8"),
)
_FORMATS: tuple[Callable[[np.random.Generator], str], ...] = (
    lambda rng: f"int{rng.integers(2, 17)}",
    lambda rng: f"int{rng.integers(2, 9)}:full",
    lambda rng: f"uint{rng.integers(1, 13)}",
    lambda rng: f"uint8:zp={rng.integers(0, 256)}",
    lambda rng: f"{rng.integers(0, 8)}M{rng.integers(1, 7)}E",
    lambda rng: f"{rng.integers(1, 5)}M{rng.integers(2, 6)}E:bias={rng.uniform(-3, 12):.3f}",
    lambda rng: f"U{rng.integers(1, 5)}M{rng.integers(2, 6)}E",
    lambda rng: (
        f"{rng.integers(2, 4)}M{rng.integers(3, 6)}E:specials="
        f"{rng.choice(['ieee', 'fn', 'fnuz', 'p3109'])}"
    ),
    lambda rng: f"fixed{rng.integers(3, 13)}.{rng.integers(-3, 9)}",
    lambda rng: "codebook:" + ",".join(f"{x:.3f}" for x in sorted(rng.normal(0, 2, 7)) if x)[:60],
    lambda rng: str(rng.choice(_NAMED)),
)

_SIMPLE: tuple[Callable[[np.random.Generator], str], ...] = (
    lambda rng: f"gaussian(mean={_signed(rng)}, std={_number(rng, 0.1, 5)})",
    lambda rng: f"gaussian(std={_number(rng, 0.01, 100)})",
    lambda rng: f"laplace(loc={_signed(rng)}, scale={_number(rng, 0.1, 5)})",
    lambda rng: f"logistic(scale={_number(rng, 0.1, 5)})",
    lambda rng: f"student-t(nu={_number(rng, 1.1, 60)})",
    lambda rng: f"t(nu={_number(rng, 2.1, 20)}, loc={_signed(rng)}, scale={_number(rng, 0.1, 5)})",
    lambda rng: f"uniform(low={-rng.uniform(0.1, 3):.3g}, high={rng.uniform(0.1, 3):.3g})",
    lambda rng: f"generalized-gaussian(beta={_number(rng, 0.5, 8)}, scale={_number(rng, 0.3, 3)})",
    lambda rng: f"log-uniform(low={_number(rng, 1e-3, 0.5)}, high={_number(rng, 1, 50)})",
    lambda rng: f"arcsine(low={-rng.uniform(0.1, 3):.3g}, high={rng.uniform(0.1, 3):.3g})",
    lambda rng: f"half-gaussian(std={_number(rng, 0.1, 5)})",
    lambda rng: f"discrete([{_signed(rng)}, 5.5, 7], [0.25, 0.5, 0.25])",
    lambda rng: f"empirical([{', '.join(f'{x:.3g}' for x in rng.normal(0, 2, 40))}])",
)


def _density(rng: np.random.Generator) -> str:
    simple = str(_SIMPLE[rng.integers(len(_SIMPLE))](rng))
    low, high = -rng.uniform(0.2, 4), rng.uniform(0.2, 4)
    smooth = f"student-t(nu={_number(rng, 0.7, 30)})"
    match int(rng.integers(8)):
        case 0:
            return f"truncated({smooth}, low={low:.3g}, high={high:.3g})"
        case 1:
            return f"clipped(gaussian(mean={_signed(rng)}), low={low:.3g}, high={high:.3g})"
        case 2:
            return f"rectified(laplace(loc={_signed(rng)}))"
        case 3:
            return f"mixture(0.75*{simple}, 0.25*gaussian(std={_number(rng, 0.2, 10)}))"
        case _:
            return simple


def random_states(count: int, seed: int) -> list[State]:
    """Draw states; the same seed draws the same ones."""
    rng = np.random.default_rng(seed)
    found: list[State] = []
    while len(found) < count:
        form = str(_FORMATS[rng.integers(len(_FORMATS))](rng))
        density = _density(rng)
        top = float(f"{np.exp(rng.uniform(np.log(0.2), np.log(60))):.4g}")
        if parse_format(form).grid().max > 0:  # type: ignore[attr-defined]
            found.append(State(form, density, top))
    return found


BLOCK_STATES = [
    State(form, density, None)
    for form in ("mxfp4", "mxfp8_e4m3:rceil", "mxint8", "mxfp6_e2m3:even", "nvfp4",
                 "nvfp4:tensor=0.01", "nf4:g64", "int4:g32", "nf4:g64:alpha=0.9", "int4:g8",
                 "mxfp4:g1", "int8:channel=4096")
    for density in ("gaussian(std=1.3)", "student-t(nu=5)", "gaussian(mean=0.3)",
                    "truncated(gaussian, low=-1, high=2)")
]  # fmt: skip


BLOCK_DATA_STATES = [
    State(form, density, None)
    for form in ("mxfp4", "mxfp4:ceil:g4", "mxint8:rceil", "nvfp4", "nvfp4:tensor=0.01", "nf4:g64",
                 "int4:g8", "mxfp4:g1", "nf4:g16:alpha=0.9")
    for density in (
        f"empirical({np.random.default_rng(4).standard_t(5, 400).round(3).tolist()})",
        # On edges of scales, on thresholds, and 0.
        "empirical([0, 0, 1, -1, 2, 3, -4, 6, 6, 12, -0.75, 1.5, 24, 5, 2.5])",
        "discrete([0, 0.5, 8, -8], [0.9, 0.05, 0.03, 0.02])",
        "rectified(laplace(loc=0.1))",
        "clipped(gaussian(mean=0.2), low=-1.5, high=2.25)",
    )
]  # fmt: skip


def disagreement(state: State, found: dict[str, float | str | None]) -> str:
    """Say which figures of the page are not the library's; nothing if all are."""
    form = parse_format(state.format)
    report: ErrorReport[float]
    if isinstance(form, BlockFormat):
        report = quantization_error(form, state.density)
    else:
        report = quantization_error(form, state.density, max_value=state.top)
    mse, power = report.mse, report.signal_power
    size = math.sqrt(mse) if math.isfinite(mse) else 1.0
    both = math.sqrt(mse * power) if math.isfinite(mse) and math.isfinite(power) else 1.0
    wanted = {
        "mse": (report.mse, mse),
        "rounding": (report.rounding, report.rounding),
        "clippingLow": (report.clipping_low, mse),
        "clippingHigh": (report.clipping_high, mse),
        "meanError": (report.mean_error, size),
        "crossMoment": (report.cross_moment, both),
        "signalPower": (power, power),
        "sqnr": (report.sqnr_db, 1.0),
    }
    wrong: list[str] = []
    for name, (value, unit) in wanted.items():
        given = found[name]
        page = math.nan if given is None else float(given)
        # What float64 leaves of sums that should be nothing.
        least = 1e-28 * (power if math.isfinite(power) else 1.0)
        close = abs(page - value) <= SHARE * abs(unit) + (0 if name == "sqnr" else least)
        same = page == value or (math.isnan(page) and not math.isfinite(value)) or close
        if name == "sqnr" and mse <= least:
            continue
        if not (same or (math.isnan(page) and math.isnan(value))):
            wrong.append(f"{name}: page {page!r}, library {value!r}")
    return f"{state}: {'; '.join(wrong)}" if wrong else ""
