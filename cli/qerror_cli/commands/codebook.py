"""``qerror codebook``: the best levels for a density, or for blocks of its values."""

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options


@click.command("codebook", cls=Command)
@density_options(data=True)
@click.option("--levels", type=int, default=16, show_default=True, help="How many.")
@click.option(
    "--block-size",
    type=int,
    help="How many values share a scale, their largest magnitude: the levels are then the best "
    "for such blocks, in units of it.",
)
@output_options
def command(densities: Densities, levels: int, block_size: int | None, output: Output) -> None:
    r"""Find the levels with the least mean squared error: Lloyd-Max.

    With --block-size: the best levels on [-1, 1] for blocks that are scaled by their largest
    magnitude, as NF4 is. Densities must then be continuous, with a finite E[X^2], and without
    roots off 0, as an arcsine density has at its ends.

    \b
    qerror codebook --dist gaussian --levels 16
    qerror codebook --dist gaussian --levels 16 --block-size 64
    qerror codebook --data weights.npy --levels 8
    """
    from qerror.analysis import quantization_error
    from qerror.codebooks import lloyd_max
    from qerror.formats import Absmax, BlockFormat
    from qerror.optimize import block_density
    from qerror.reporting import codebook_document

    output.refuse_collisions({}, {"--data": densities.data})
    density = densities.parse_one()
    if block_size is None:
        best = lloyd_max(density, levels)
        output.emit(codebook_document(best.codebook, best.codebook, best.report, density))
        return
    ratio, _ = block_density(density, block_size)
    best = lloyd_max(ratio, levels)
    form = BlockFormat(best.codebook, Absmax(divisor=1.0), block_size)
    report = quantization_error(form, density)
    output.emit(codebook_document(best.codebook, form, report, density))
