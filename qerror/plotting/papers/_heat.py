"""Heat maps that can be read without colour: every cell says its value."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from qerror._arrays import FloatArray


def heat_map(
    ax: Axes,
    values: FloatArray,
    weights: Sequence[str],
    activations: Sequence[str],
    *,
    limits: tuple[float, float] | None = None,
    size: float = 9,
) -> None:
    """Draw decibels, a row a weight format and a column an activation format.

    The best cell is framed; what is undefined, or infinite without error, stays white.
    """
    known = np.where(np.isfinite(values), values, np.nan)
    finite = values[np.isfinite(values)]
    low, high = limits or ((finite.min(), finite.max()) if finite.size else (0.0, 1.0))
    image = ax.imshow(known, cmap="viridis", aspect="auto", vmin=low, vmax=high)
    for (i, j), value in np.ndenumerate(values):
        dark = np.isfinite(value) and _is_dark(image.to_rgba(np.array([value]))[0])
        text = "undefined" if np.isnan(value) else f"{value:z.2f}"
        ax.text(j, i, text, ha="center", va="center", color="white" if dark else "black", size=size)
    if finite.size:
        ax.figure.colorbar(image, ax=ax, label="SQNR in dB")
        i, j = np.unravel_index(int(np.nanargmax(known)), values.shape)
        corner = float(j) - 0.49, float(i) - 0.49
        ax.add_patch(
            Rectangle(corner, 0.98, 0.98, fill=False, edgecolor="black", linewidth=0.2 * size)
        )
    ax.set_xticks(range(len(activations)), activations)
    ax.set_yticks(range(len(weights)), weights)
    ax.set_xlabel("activation format")
    ax.set_ylabel("weight format")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _is_dark(rgba: FloatArray) -> bool:
    """Whether white text stands out better than black (WCAG 2.2, relative luminance)."""
    linear = np.where(rgba[:3] <= 0.04045, rgba[:3] / 12.92, ((rgba[:3] + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722)) < 0.179
