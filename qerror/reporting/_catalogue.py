"""What there is, as documents: formats and densities."""

import dataclasses
from collections.abc import Sequence

from qerror.densities import DENSITIES, density_name
from qerror.densities.density import Family
from qerror.formats import FORMATS, BlockFormat, FloatingPoint, Format, ScalarFormat, scalar_formats
from qerror.grids import Grid
from qerror.registry import fold
from qerror.reporting._document import Document, Row, View
from qerror.tables import compact, short

MOST_LISTED = 256  # levels of a grid that are written one by one


def formats_document() -> Document:
    """Return every registered format with its key figures."""
    rows = [_facts(member) | {"also": FORMATS.aliases(name)} for name, member in FORMATS.items()]
    header = ("format", "bits", "levels", "max", "step", "bias", "special", "also")
    body = [_formats_line(name, member) for name, member in scalar_formats().items()]
    notes = [
        "step: the smallest distance between levels. All conventions: qerror show NAME",
        "Other splits of the bits read the same way: 3M2E, 6M1E, U4M4E, 4M3E:bias=3.9, "
        "int6, uint8:zp=128, fixed16.8, p3109_k8p4sf, codebook:-1,0,0.5,1.",
    ]
    views = [View("", header, body, (0, 6, 7), notes), _blocks_view()]
    return Document("formats", {}, rows, views)


def _blocks_view() -> View:
    """Return the table of the formats that share scales."""
    header = ("format", "bits", "element", "values", "scale")
    body = [
        (
            name,
            short(member.bits_per_value, 5),
            member.element.name,
            f"{member.block_size:,}",
            member.scale.summary,
        )
        for name, member in FORMATS.items()
        if isinstance(member, BlockFormat)
    ]
    notes = [
        "bits: a value's, with its share of the scale. values: how many share a scale.",
        "Any scalar format can be an element: 3M2E:g32, nf4:g64:scale=fp16.",
    ]
    return View("Blocks that share a scale", header, body, (0, 2, 4), notes)


def format_document(form: Format) -> Document:
    """Return one format: its convention card, and its levels if it has a grid of few."""
    grid = form.grid() if isinstance(form, ScalarFormat) else None
    card = form.conventions()
    points = grid.points.tolist() if grid is not None and grid.size <= MOST_LISTED else None
    row = _facts(form) | {"conventions": card, "points": points}
    notes = _levels(grid, points) if grid is not None and points is not None else []
    view = View("", ("", ""), list(card.items()), (0, 1), notes)
    return Document("format", {"format": form.name}, [row], [view])


def densities_document() -> Document:
    """Return every family of densities with its parameters and an example to copy."""
    rows: list[Row] = [
        {
            "density": name,
            "parameters": _parameters(family),
            "about": family.summary,
            "example": density_name(family.example),
            "also": DENSITIES.aliases(name),
        }
        for name, family in sorted(DENSITIES.items())
    ]
    kinds = [
        (name, ", ".join(_parameters(family)), ", ".join(DENSITIES.aliases(name)))
        for name, family in sorted(DENSITIES.items())
    ]
    about = [(name, family.summary) for name, family in sorted(DENSITIES.items())]
    examples = [(f"--dist '{row['example']}'",) for row in rows]
    views = [
        View("Families and their parameters", ("density", "parameters", "also"), kinds, (0, 1, 2)),
        View("", ("density", "p(x) up to a factor, or in words"), about, (0, 1)),
        View("Examples to copy; densities nest in each other", ("",), examples),
    ]
    return Document("densities", {}, rows, views)


def _formats_line(name: str, member: ScalarFormat) -> tuple[str, ...]:
    grid = member.grid()
    floating = member if isinstance(member, FloatingPoint) else None
    return (
        name,
        str(member.bits),
        short(grid.size, 3),
        compact(member.max_value),
        compact(_finest_step(grid)),
        short(floating.bias) if floating else "",
        floating.specials if floating else "",
        next(iter(FORMATS.aliases(name)), ""),
    )


def _facts(form: Format) -> dict[str, object]:
    facts: dict[str, object] = {
        "format": form.name,
        "family": fold(type(form).__name__),
        "bits": form.bits_per_value,
    }
    match form:
        case ScalarFormat():
            return facts | _grid_facts(form)
        case BlockFormat():
            return facts | _block_facts(form)
        case _:
            return facts


def _block_facts(form: BlockFormat) -> dict[str, object]:
    return {
        "element": form.element.name,
        "block_size": form.block_size,
        "scale": form.scale.summary,
    }


def _grid_facts(form: ScalarFormat) -> dict[str, object]:
    grid = form.grid()
    floating = form if isinstance(form, FloatingPoint) else None
    return {
        "bits": form.bits,
        "levels": grid.size,
        "min_value": grid.min,
        "max_value": grid.max,
        "finest_step": _finest_step(grid),
        "bias": floating.bias if floating else None,
        "specials": floating.specials if floating else None,
    }


def _finest_step(grid: Grid) -> float:
    return min((segment.step for segment in grid.segments), default=0.0)


def _levels(grid: Grid, points: Sequence[float]) -> list[str]:
    """List the levels; of a grid that is its own mirror image, those from zero up."""
    shown = [x for x in points if x >= 0] if grid.is_symmetric else points
    title = "levels from 0 up; those below mirror them:" if grid.is_symmetric else "levels:"
    return [title, " ".join(short(x, 8) for x in shown)]


def _parameters(family: Family) -> list[str]:
    """Return the parameters as one would write them: "nu", "loc=0"."""
    return [
        f"{field.name}={field.default:g}" if isinstance(field.default, float) else field.name
        for field in dataclasses.fields(family.make)  # type: ignore[arg-type]
    ]
