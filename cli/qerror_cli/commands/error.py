"""``qerror error``: one format on one density."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command, was_given
from qerror_cli.data import DataErrors, data_options
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, file_option, output_options, plotted_files, save, say
from qerror_cli.parameters import FormatType, rounding_option
from qerror_cli.progress import Bar
from qerror_cli.ranges import DataRange, MaxValue, range_options, scale_of_density

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.formats import BlockFormat, Format, ScalarFormat
    from qerror.reporting import Document


_METHOD = "quadrature"


@click.command("error", cls=Command)
@click.argument("form", metavar="FORMAT", type=FormatType())
@density_options(instead="--data")
@range_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measure on the arrays of a .npy or .npz file instead of a density.",
)
@data_options
@click.option(
    "--method",
    type=click.Choice(["quadrature", "closed-form"]),
    default=_METHOD,
    show_default=True,
    help="closed-form: the papers' formulas, for comparison; they lose digits to cancellation.",
)
@rounding_option
@click.option(
    "--binade-average",
    is_flag=True,
    help="For block formats: average over where the data lie between two powers of two.",
)
@click.option(
    "--band",
    is_flag=True,
    help="With --data: say where the SQNR of as many values of the fitted density should lie.",
)
@click.option(
    "--certify",
    is_flag=True,
    help="Show value and radius, proved by ball arithmetic (needs qerror[rigorous]).",
)
@click.option("--digits", type=int, help="Show so many digits instead, by mpmath.")
@click.option(
    "--distribution",
    is_flag=True,
    help="Show how the error is distributed instead: its quantiles, and how often it is large.",
)
@click.option("--atol", type=float, help="With --distribution: also P(|e| > ATOL + RTOL |x|).")
@click.option("--rtol", type=float, help="The relative part of that tolerance.")
@file_option(
    "--plot",
    help="With --distribution: draw it into FILE (.svg, .png or .pdf); its data goes to a .csv "
    "beside it.",
)
@output_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    form: "Format",
    densities: Densities,
    scale: float | None,
    max_value: MaxValue | None,
    bias: float | None,
    data: Path | None,
    axis: int | None,
    dtype: str | None,
    fit: str | None,
    method: str,
    rounding: str,
    binade_average: bool,
    band: bool,
    certify: bool,  # noqa: ARG001 - asked of the context, beside --digits
    digits: int | None,
    distribution: bool,
    atol: float | None,
    rtol: float | None,
    plot: Path | None,
    output: Output,
) -> None:
    r"""Break down the error of FORMAT on a density, or on data, into rounding and clipping.

    The format stands at a scale, a largest value or a bias of your choice. A block format takes its
    scales from the data: how often it takes each is shown too.

    \b
    qerror error 4M3E --dist gaussian --max-value 4
    qerror error e4m3 --dist 'truncated(student-t(nu=2), low=-20, high=20)' --scale 0.1
    qerror error 4M3E --data weights.npy --max-value best --axis 0
    qerror error nvfp4 --data weights.npy
    qerror error int8 --data weights.npy --max-value best --rounding stochastic
    qerror error mxfp4 --dist gaussian --binade-average
    qerror error int8 --dist gaussian --max-value 4 --certify
    qerror error int8 --dist gaussian --max-value 4 --distribution --atol 0.01 --rtol 0.01
    """
    from qerror.analysis import quantization_error
    from qerror.formats import BlockFormat, as_scalar_format
    from qerror.reporting import error_document

    rigorous = _check_views(ctx, data is not None or isinstance(form, BlockFormat))
    if data is not None:
        _check_data(ctx, densities)
        output.refuse_collisions({}, {"--data": data})
        place = DataRange(scale, max_value, bias, axis)
        errors = DataErrors(data, form, place, dtype, rounding)
        if band and isinstance(form, BlockFormat):
            raise click.UsageError("--band is for formats whose values stand alone")
        output.emit(_on_data(errors, fit, band))
        return
    if others := was_given(ctx, "fit", "axis", "dtype", "band"):
        raise click.UsageError(f"{' and '.join(others)} goes with --data: nothing else has values")
    if isinstance(form, BlockFormat):
        given = was_given(ctx, "scale", "max_value", "bias", "method", "rounding")
        output.emit(_of_blocks(form, densities.parse_one(), binade_average, given))
        return
    if binade_average:
        raise click.UsageError("--binade-average is for block formats such as mxfp4, on a density")
    form = as_scalar_format(form)
    density = densities.parse_one()
    chosen = scale_of_density(form, density, DataRange(scale, max_value, bias), rounding)
    if distribution:
        output.refuse_collisions(plotted_files(plot))
        output.emit(_of_distribution(form, density, chosen, rounding, (atol, rtol), plot))
        return
    if rigorous:
        output.emit(_certified(form, density, chosen, rounding, digits))
        return
    report = quantization_error(form, density, chosen, method=method, rounding=rounding)
    if scale is max_value is bias is None:
        say("note: no --scale, --max-value or --bias given: scale 1")
    output.emit(error_document(form, density, chosen, report, method, rounding))


def _check_views(ctx: click.Context, with_others: bool) -> bool:
    """Refuse views of the error that do not go together; tell whether one with a proof is asked.

    `with_others`: whether data or values that share scales are in play, which have no such views.
    """
    stray = was_given(ctx, "atol", "rtol", "plot")
    distribution = bool(was_given(ctx, "distribution"))
    if stray and not distribution:
        raise click.UsageError(f"{' and '.join(stray)} go with --distribution")
    if distribution and (with_others or ctx.params["method"] != _METHOD):
        raise click.UsageError(
            "--distribution is for formats whose values stand alone, on a density, by the default "
            "method; leave out --data, --method or the block format"
        )
    rigorous = was_given(ctx, "certify", "digits")
    crowded = len([*rigorous, *was_given(ctx, "method")]) > 1
    if rigorous and (with_others or distribution or crowded):
        raise click.UsageError(
            f"{' and '.join(rigorous)}: one of --certify, --digits and --method, for formats whose "
            "values stand alone, on a density"
        )
    return bool(rigorous)


def _certified(
    form: "ScalarFormat", density: "Density", scale: float, rounding: str, digits: int | None
) -> "Document":
    from qerror.reporting import certified_document
    from qerror.rigorous import enclosure, high_precision

    if digits is None:
        proved = enclosure(form, density, scale, rounding=rounding)
        return certified_document(form, density, scale, proved, rounding)
    found = high_precision(form, density, scale, digits=digits, rounding=rounding)
    return certified_document(form, density, scale, found, rounding)


def _of_distribution(  # noqa: PLR0917 - one command's options
    form: "ScalarFormat",
    density: "Density",
    scale: float,
    rounding: str,
    tolerance: tuple[float | None, float | None],
    plot: Path | None,
) -> "Document":
    from qerror.analysis import error_distribution
    from qerror.densities import density_name
    from qerror.reporting import distribution_document

    found = error_distribution(form, density, scale, rounding=rounding)
    if plot is not None:
        from qerror.plotting import distribution_files

        title = f"{form.name} on {density_name(density)}, max value {form.max_value * scale:.6g}"
        for path, content in distribution_files(found, title, plot).items():
            save(path, content)
    return distribution_document(form, scale, found, *tolerance)


def _on_data(errors: DataErrors, fit: str | None, band: bool) -> "Document":
    errors.say_what_is_left_out("left out")
    errors.require_values()
    with Bar("range") as bar:
        scales = errors.scales(bar)
    errors.say_cost()
    with Bar("measure") as bar:
        measured = errors.measure(scales, bar)
    with Bar("fit") as bar:
        fitted = errors.fit(fit, bar)
    if errors.rounding.startswith("stochastic"):
        say(f"note: measured are the expectations of {errors.rounding} rounding over its draws")
    return errors.document("data", scales, measured, fitted, bands=band, rounding=errors.rounding)


def _of_blocks(
    form: "BlockFormat", density: "Density", average: bool, given: list[str]
) -> "Document":
    from qerror.analysis import quantization_error
    from qerror.reporting import block_error_document

    if given:
        raise click.UsageError(
            f"{form.name} takes its scales from the data; leave out {' and '.join(given)}"
        )
    report = quantization_error(form, density, binade_average=average)
    return block_error_document(form, density, report, binade_average=average)


def _check_data(ctx: click.Context, densities: Densities) -> None:
    """Refuse options that say something about a density beside --data."""
    if densities.texts:
        raise click.UsageError("--data and --dist each say what to quantize; give one of them")
    if densities.given:
        raise click.UsageError(
            f"{' and '.join(densities.given)} set a density's parameters, but --data are what is "
            "quantized; leave out the one or the other"
        )
    if was_given(ctx, "method"):
        raise click.UsageError("--method is for densities; --data are measured")
    if was_given(ctx, "binade_average"):
        raise click.UsageError("--binade-average is for densities; --data are measured as they are")
