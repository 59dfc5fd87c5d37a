"""Jin et al. 2022 (F8Net), figure 4: the best fractional length and where it changes."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, LINES
from qerror.plotting.papers._figure import canvas, panel, register
from qerror.reporting import Document
from qerror.studies.f8net.fig4 import SAMPLED
from qerror.studies.f8net.rule import CONSTANTS
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the best length over std, and what other constants lose against it."""
    figure = canvas(5.6)
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 1, 1, 1))
    for i, signed in enumerate((True, False)):
        rows = select(document, panel="best", signed=signed)
        kind = "signed, Gaussian" if signed else "unsigned, after a ReLU"
        std = column(rows, "std")
        best, loss = axes[i], axes[2 + i]
        lengths = column(rows, "fractional_length")
        best.plot(std, lengths, drawstyle="steps-post", color=COLORS[0], lw=1)
        best.set_ylabel("best FL")
        panel(best, "ab"[i], kind)
        for k, (key, label) in enumerate(
            (
                ("rule_loss_db", f"the rule's {CONSTANTS[signed]:g}"),
                ("sampled_loss_db", f"the samples' {SAMPLED[signed]:.2f}"),
            )
        ):
            loss.plot(std, column(rows, key), LINES[k], color=COLORS[k + 1], lw=0.8, label=label)
        loss.set_ylabel("loss in dB")
        panel(loss, "cd"[i], f"{kind}: loss to the best FL")
        loss.legend(loc="upper right", handlelength=3)
        loss.set_ylim(0, 2.2)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xlim(2.0**-5, 2.0**8)  # beyond, one length is best
    axes[-1].set_xlabel("standard deviation; of the Gaussian before the ReLU")
    return figure


register("f8net-fig4", draw)
