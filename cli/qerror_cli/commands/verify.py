"""``qerror verify``: exact figures against samples."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.crosscheck import Pair
    from qerror.formats import ScalarFormat
    from qerror.reporting import Document, View

DEFAULT_FORMATS = "INT8,5M2E,4M3E,3M4E,2M5E,E4M3,E5M2"
SIZE, SIZE_OF_ALL = 1_000_000, 100_000
NOT_MET = 3

_TITLES = {
    "rounding": "round",
    "clipping_low": "clip<",
    "clipping_high": "clip>",
    "mse": "MSE",
    "sqnr_db": "SQNR",
    "mean_error": "E[e]",
    "cross_moment": "E[xe]",
    "signal_power": "E[x^2]",
    "signal_mean": "E[x]",
}


class Count(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A whole number, also written 1e7."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (number >= 2 and number.is_integer()):
            self.fail(f"{value!r} is no whole number of at least 2, such as 1e7", param, ctx)
        return int(number)


@click.command("verify", cls=Command)
@density_options
@click.option(
    "--formats",
    type=FormatList(),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="The formats, separated by commas. See: qerror formats",
)
@click.option("--all", "everything", is_flag=True, help="Every registered format and density.")
@click.option("--scale", type=float, help="The scale of every format.")
@click.option("--max-value", type=float, help="The largest level of every format.")
@click.option(
    "--size",
    type=Count(),
    help=f"Samples per format and density, such as 1e7.  [default: {SIZE:,}; with --all "
    f"{SIZE_OF_ALL:,}]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random numbers.")
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 3 if a figure is more than 5 standard errors off, or all together are "
    "improbable (chi-square below 1e-6).",
)
@output_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    densities: Densities,
    formats: "list[ScalarFormat]",
    everything: bool,
    scale: float | None,
    max_value: float | None,
    size: int | None,
    seed: int,
    check: bool,
    output: Output,
) -> None:
    r"""Check the exact figures against samples that share no code with them.

    Samples are drawn, quantized by the array quantizer and averaged; the table shows by how
    many of its own standard errors each mean lies off (z). Figures are left out where too few
    samples had a part in them; where the fourth moment does not exist they are compared on the
    density cut to an interval. By default formats reach the 2% and 98% quantiles, so that
    there is something to clip.

    \b
    qerror verify --dist student-t --nu 3
    qerror verify --dist laplace --formats int8,e4m3 --size 1e7 --check
    qerror verify --all --check
    """
    import numpy as np

    from qerror.crosscheck import verify
    from qerror.densities import DENSITIES
    from qerror.formats import scalar_formats

    if scale is not None and max_value is not None:
        raise click.UsageError("--scale and --max-value each set the range; give one of them")
    if everything and densities.texts:
        raise click.UsageError("--all takes every density, got --dist too; give one of the two")
    if seed < 0:
        raise click.UsageError(f"--seed must not be negative, got {seed}")
    laws = [family.example for family in DENSITIES.values()] if everything else densities.parse()
    chosen = list(scalar_formats().values()) if everything else formats
    samples = size or (SIZE_OF_ALL if everything else SIZE)
    with Bar("verify") as bar:
        pairs = verify(
            chosen,
            laws,
            size=samples,
            rng=np.random.default_rng(seed),
            scale=scale,
            max_value=max_value,
            progress=bar,
        )
    output.emit(_document(pairs, samples, seed))
    failed = _failures(pairs)
    for line in failed:
        say(line)
    if check and failed:
        ctx.exit(NOT_MET)


def _failures(pairs: "Sequence[Pair]") -> list[str]:
    """Return a line for every check that was not met."""
    from qerror.crosscheck import LEAST_P, total_p
    from qerror.densities import density_name

    lines = [
        f"not met: {pair.format.name} on {density_name(pair.density)}: "
        f"largest |z| {pair.check.worst:.1f}, chi-square p {pair.check.p_value:.1e}"
        for pair in pairs
        if not pair.check.passed
    ]
    chi_square, degrees, p = total_p(pair.check for pair in pairs)
    if p < LEAST_P:
        lines.append(f"not met: chi-square {chi_square:.0f} over all, {degrees} degrees, p {p:.1e}")
    return lines


def _document(pairs: "Sequence[Pair]", size: int, seed: int) -> "Document":
    from qerror.crosscheck import total_p
    from qerror.densities import density_name
    from qerror.reporting import Document

    chi_square, degrees, p = total_p(pair.check for pair in pairs)
    names = list(dict.fromkeys(density_name(pair.density) for pair in pairs))
    params: dict[str, object] = {
        "formats": list(dict.fromkeys(pair.format.name for pair in pairs)),
        "densities": names,
        "size": size,
        "seed": seed,
        "chi_square": chi_square,
        "degrees": degrees,
        "p_value": p,
        "passed": not _failures(pairs),
    }
    rows = [row for pair in pairs for row in _rows(pair)]
    views = (
        [_detail(pairs[0])]
        if len(pairs) == 1
        else [_table(name, [q for q in pairs if density_name(q.density) == name]) for name in names]
    )
    total = f"all: chi-square {chi_square:.1f} with {degrees} degrees of freedom, p {p:.3g}"
    views[-1] = _with_note(views[-1], total)
    return Document("verify", params, rows, views)


def _rows(pair: "Pair") -> "list[dict[str, object]]":
    from qerror.densities import density_name

    place = {
        "density": density_name(pair.density),
        "format": pair.format.name,
        "scale": pair.scale,
        "max_value": pair.format.max_value * pair.scale,
    }
    return [
        {
            **place,
            "figure": name,
            "exact": each.exact,
            "sampled": each.sampled,
            "standard_error": each.standard_error,
            "z": each.z,
            "truncated": each.truncated,
            "not_judged": each.reason or None,
        }
        for name, each in pair.check.judgements.items()
    ]


def _detail(pair: "Pair") -> "View":
    from qerror.densities import density_name
    from qerror.reporting import View, short

    body = [
        (
            f"{name} (cut)" if each.truncated else name,
            short(each.exact, 7),
            short(each.sampled, 7),
            short(each.standard_error, 2),
            _z(each.z, 2),
        )
        for name, each in pair.check.judgements.items()
    ]
    title = (
        f"{pair.format.name} on {density_name(pair.density)}\n"
        f"max value {short(pair.format.max_value * pair.scale)}, "
        f"{pair.check.sampled.size:,} samples"
    )
    header = ("figure", "exact", "sampled", "std error", "z")
    return View(title, header, body, notes=_notes([pair]))


def _z(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:z.{digits}f}"


def _table(name: str, pairs: "Sequence[Pair]") -> "View":
    """One line a format: z of every figure."""
    from qerror.reporting import View

    body = [
        (
            pair.format.name,
            *(
                "" if math.isnan(pair.check.z[key]) else f"{pair.check.z[key]:.1f}"
                for key in _TITLES
            ),
            f"{pair.check.p_value:.2g}",
        )
        for pair in pairs
    ]
    title = f"{name}: (sampled - exact) / standard error"
    return View(title, ("format", *_TITLES.values(), "p"), body, notes=_notes(pairs))


def _notes(pairs: "Sequence[Pair]") -> list[str]:
    """Return the remark on heavy tails once, and why figures are left out."""
    from qerror.reporting import short

    notes: list[str] = []
    cut = next((pair.check.sampled for pair in pairs if pair.check.sampled.truncated), None)
    if cut is not None and cut.truncated is not None:
        low, high = map(short, cut.truncated.cut)
        notes += [
            f"note: E[x^4] does not exist (tail exponent {cut.tails.heaviest:g}); figures that",
            f"note: need it are compared on the density cut to [{low}, {high}]",
        ]
    reasons = dict.fromkeys(
        each.reason for pair in pairs for each in pair.check.judgements.values() if each.reason
    )
    return notes + [f"blank: {reason}" for reason in reasons]


def _with_note(view: "View", note: str) -> "View":
    import dataclasses

    return dataclasses.replace(view, notes=[*view.notes, note])
