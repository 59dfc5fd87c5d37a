"""Block formats at their best, and ranked at equal cost, as documents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qerror.analysis.report import ErrorReport
from qerror.densities import Density, density_name
from qerror.formats import BlockFormat, PowerOfTwo
from qerror.optimize.blocks import OptimalBlocks, RankedBlocks, as_blocks
from qerror.optimize.measured_blocks import MeasuredBlocks
from qerror.optimize.ranking import behind
from qerror.reporting._channels import titled
from qerror.reporting._document import Document, Row, View
from qerror.simulation.figures import Figures
from qerror.tables import decibels, short

if TYPE_CHECKING:
    from qerror.storage import StoredArray

_AVERAGED = (
    "note: formats whose scales are powers of two are at the mean over a binade of the density's "
    "spread"
)
_OWN = "note: every format is at the density's own spread"


def _ranked(
    asked: Row,
    ranking: Sequence[tuple[RankedBlocks | MeasuredBlocks, ErrorReport[float] | Figures]],
) -> tuple[list[Row], tuple[str, ...], list[tuple[str, ...]]]:
    """Return rows, header and cells of block formats from the best to the worst."""
    rows: list[Row] = [
        {
            **asked,
            "rank": rank,
            "format": entry.form.name,
            "block_size": entry.form.block_size,
            "bits_per_value": entry.form.bits_per_value,
            **report.to_dict(),
            "below_best_db": entry.below_best_db,
        }
        for rank, (entry, report) in enumerate(ranking, start=1)
    ]
    body: list[tuple[str, ...]] = [
        (
            str(rank),
            entry.form.name,
            str(entry.form.block_size),
            short(entry.form.bits_per_value, 6),
            short(report.mse),
            decibels(report.sqnr_db),
            decibels(entry.below_best_db),
        )
        for rank, (entry, report) in enumerate(ranking, start=1)
    ]
    return rows, ("rank", "format", "block", "bits", "MSE", "SQNR dB", "dB below"), body


def _left_out(
    asked: Sequence[BlockFormat | str] | None, ranking: Sequence[RankedBlocks | MeasuredBlocks]
) -> list[str]:
    """Return a note about the formats that were asked for and have no place, if any."""
    placed = {(each.form.element, each.form.scale) for each in ranking}
    names = [
        form.name_at_any_size
        for form in map(as_blocks, asked or ())
        if (form.element, form.scale) not in placed
    ]
    return (
        [f"note: left out, as they do not fit: {', '.join(dict.fromkeys(names))}"] if names else []
    )


def blocks_ranking_document(
    ranking: Sequence[RankedBlocks],
    density: Density,
    bits_per_value: float,
    *,
    averaged: bool,
    asked: Sequence[BlockFormat | str] | None = None,
) -> Document:
    """Return block formats at equal cost, from the best to the worst.

    Parameters
    ----------
    ranking : sequence of RankedBlocks
        Of `rank_blocks`.
    density, bits_per_value
        What it was asked for.
    averaged : bool
        Whether powers of two were averaged over a binade of the density's spread.
    asked : sequence of BlockFormat or str, optional
        The formats, where they were chosen: those without a place are then named.
    """
    name = density_name(density)
    rows, header, body = _ranked({"density": name}, [(each, each.report) for each in ranking])
    title = f"{name}: at most {bits_per_value:g} bits a value, scales included"
    powers = any(isinstance(each.form.scale, PowerOfTwo) for each in ranking)
    notes = [_AVERAGED if averaged else _OWN] if powers else []
    notes += _left_out(asked, ranking)
    params: Row = {"density": name, "bits_per_value": bits_per_value, "binade_average": averaged}
    view = View(title, header, body, (1,), notes, marked=(0,), spare=(4, 0))
    return Document("block-ranking", params, rows, [view])


def measured_blocks_document(
    array: "StoredArray",
    ranking: Sequence[MeasuredBlocks],
    bits_per_value: float,
    axis: int,
    asked: Sequence[BlockFormat | str] | None = None,
) -> Document:
    """Return block formats at equal cost, measured on the blocks of an array.

    Parameters
    ----------
    array
        That was measured.
    ranking : sequence of MeasuredBlocks
        Of `rank_measured_blocks`.
    bits_per_value, axis
        What it was asked for.
    asked
        The formats, where they were chosen: those without a place are then named.
    """
    where: Row = {"file": str(array.path), "array": array.name or None, "axis": axis}
    rows, header, body = _ranked(where, [(each, each.measured.figures) for each in ranking])
    title = (
        f"{titled(array)}: at most {bits_per_value:g} bits a value, scales included\n"
        f"measured in blocks along axis {axis % len(array.shape)}"
    )
    wider = [
        f"{each.form.name} ({each.smallest})"
        for each in ranking
        if each.form.block_size > each.smallest
    ]
    notes = [
        f"note: in larger blocks than the budget asks for, as those do not divide "
        f"{array.shape[axis]:,}: {', '.join(wider)}"
    ]
    notes = [*(notes if wider else []), *_left_out(asked, ranking)]
    params: Row = {**where, "shape": list(array.shape), "bits_per_value": bits_per_value}
    view = View(title, header, body, (1,), notes, marked=(0,), spare=(4, 0))
    return Document("measured-blocks", params, rows, [view])


def blocks_optimum_document(
    given: OptimalBlocks, choices: Sequence[OptimalBlocks], density: Density
) -> Document:
    """Return a block format as given beside what other choices of its scale rule reach.

    Parameters
    ----------
    given : OptimalBlocks
        The format as it was asked for.
    choices : sequence of OptimalBlocks
        With other rules, or the best threshold or multiplier.
    density : Density
        Of the values.
    """
    name, averaged = density_name(density), given.binade_average
    listed = sorted({each.form: each for each in (given, *choices)}.values(), key=_mse)
    least = listed[0].report.mse
    rows: list[Row] = [
        {
            "density": name,
            "format": each.form.name,
            "given": each.form == given.form,
            **_threshold(each.form),
            "bits_per_value": each.form.bits_per_value,
            **each.report.to_dict(),
            "loss_db": _loss(each, least),
        }
        for each in listed
    ]
    body = [
        (
            each.form.name,
            *(short(value, 6) for value in _threshold(each.form).values()),
            short(each.report.mse),
            decibels(each.report.sqnr_db),
            decibels(_loss(each, least)),
        )
        for each in listed
    ]
    header = ("format", *_threshold(given.form), "MSE", "SQNR dB", "loss dB")
    title = f"{given.form.name} on {name}\nhow its scale may follow from the values"
    notes = [_AVERAGED] if averaged else []
    notes += [] if choices else [f"note: {given.form.name} leaves no choice of its scale"]
    params: Row = {"format": given.form.name, "density": name, "binade_average": averaged}
    view = View(title, header, body, (0,), notes, marked=(0,), spare=(len(header) - 3,))
    return Document("block-optimum", params, rows, [view])


def _mse(each: OptimalBlocks) -> float:
    return each.report.mse


def _loss(each: OptimalBlocks, least: float) -> float:
    return behind(each.report.mse, least)


def _threshold(form: BlockFormat) -> dict[str, float]:
    rule = form.scale
    return {"theta": rule.theta_for(form.element)} if isinstance(rule, PowerOfTwo) else {}
