"""Jin et al. 2022 (F8Net), figure 4: the best fractional length and where it changes."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, LINES
from qerror.plotting.papers._figure import canvas, panel, register
from qerror.reporting import Document
from qerror.studies.f8net.fig4 import SAMPLED, SHOWN_LENGTH, WINDOWS
from qerror.studies.f8net.rule import CONSTANTS
from qerror.studies.study import column, select

_FIRST, _LAST = 2.0**-4, 2.0**7  # beyond, one length is best


def draw(document: Document) -> Figure:
    """Draw the best length over std, and what other constants lose at one of the steps."""
    figure = canvas(5.8)
    axes = figure.subplots(4, 1)
    for i, signed in enumerate((True, False)):
        kind = "signed, Gaussian" if signed else "unsigned, after a ReLU"
        std = "standard deviation" + ("" if signed else " before the ReLU")
        best, loss = axes[i], axes[2 + i]
        _draw_steps(best, document, signed)
        panel(best, "ab"[i], kind)
        _draw_losses(loss, document, signed)
        panel(loss, "cd"[i], f"{kind}: loss to the best length")
        for ax in (best, loss):
            ax.set_xlabel(std)
    return figure


def _draw_steps(ax: Axes, document: Document, signed: bool) -> None:
    rows = select(document, panel="threshold", signed=signed)
    edges, lengths = column(rows, "threshold"), column(rows, "fractional_length")
    # Above a length's own threshold the next shorter one is best.
    ax.stairs(
        [*lengths[::-1], 0], [_FIRST, *edges[::-1], _LAST], baseline=None, color=COLORS[0], lw=1
    )
    ax.set_xscale("log", base=2)
    ax.set_xlim(_FIRST, _LAST)
    ax.set_yticks(range(0, 9, 2))
    ax.set_ylim(-0.6, 8.6)
    ax.set_ylabel("best FL")


def _draw_losses(ax: Axes, document: Document, signed: bool) -> None:
    rows = select(document, panel="loss", signed=signed)
    for k, (key, label) in enumerate(
        (
            ("rule_loss_db", f"the rule's {CONSTANTS[signed]:g}"),
            ("sampled_loss_db", f"the samples' {SAMPLED[signed]:.2f}"),
        )
    ):
        line, width = LINES[k], 1.6 - 0.7 * k
        ax.plot(
            column(rows, "std"), column(rows, key), line, color=COLORS[k + 1], lw=width, label=label
        )
    (step,) = select(document, panel="threshold", signed=signed, fractional_length=SHOWN_LENGTH)
    (exact,) = column([step], "threshold")
    ax.axvline(exact, ymax=0.6, color="#555555", lw=0.6, ls=":")
    ax.set_xlim(*WINDOWS[signed])
    ax.set_ylim(0, 3.4)
    ax.set_ylabel("loss in dB")
    ax.legend(loc="upper right", handlelength=3)


register("f8net-fig4", draw)
