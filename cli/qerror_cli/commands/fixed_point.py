"""``qerror fixed-point``: the best fractional length."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.data import dtype_option
from qerror_cli.density_options import Densities, data_option
from qerror_cli.output import Output, output_options

if TYPE_CHECKING:
    from qerror.reporting import Document


@click.command("fixed-point", cls=Command)
@click.option(
    "--word-length",
    type=int,
    default=8,
    show_default=True,
    help="Bits of a code, the sign included.",
)
@click.option(
    "--std",
    type=float,
    help="Standard deviation of the Gaussian, before a ReLU.  [this or --data]",
)
@data_option
@dtype_option
@click.option(
    "--axis",
    type=int,
    help="With --data: along which the channels lie; each gets a fractional length of its own.",
)
@click.option("--claims", is_flag=True, help="Also check what the F8Net paper states on 8 bits.")
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    word_length: int,
    std: float | None,
    data: Path | None,
    dtype: str | None,
    axis: int | None,
    claims: bool,
    output: Output,
) -> None:
    r"""Find the best fractional length for Gaussian data and for a ReLU's output, or for a file.

    Of a file: for signed codes, and for unsigned ones where no value is negative. Of a Gaussian:
    signed codes hold the Gaussian, unsigned ones its positive half. The rule of F8Net
    (Jin et al. 2022), found by sampling at 8 bits, stands beside the exact choice. All values of a
    file must be finite.

    \b
    qerror fixed-point --word-length 8 --std 0.3
    qerror fixed-point --data activations.npy
    qerror fixed-point --data weights.npy --axis 0
    qerror fixed-point --std 0.62 --claims
    """
    from qerror.studies.f8net import f8net_claims, with_claims

    if (std is None) == (data is None):
        raise click.UsageError("give one of --std and --data, for example --std 0.3")
    if data is not None:
        output.refuse_collisions({}, {"--data": data})
        of_data = _of_data if axis is None else partial(_of_channels, axis)
        document = of_data(word_length, Densities((), {}, data=data, dtype=dtype))
    elif dtype is not None or axis is not None:
        option, what = ("--dtype", "are") if dtype is not None else ("--axis", "have")
        raise click.UsageError(f"{option} says what --data {what}, which are not given")
    else:
        assert std is not None
        document = _of_gaussian(word_length, std)
    output.emit(with_claims(document, f8net_claims() if claims else ()))


def _of_gaussian(word_length: int, std: float) -> "Document":
    from qerror.optimize import fixed_point_choice
    from qerror.reporting import fixed_point_document

    choices = {
        signed: fixed_point_choice(word_length, std, signed) for signed in _signs(word_length)
    }
    return fixed_point_document(word_length, std, choices)


def _of_data(word_length: int, given: Densities) -> "Document":
    from qerror.densities import density_name
    from qerror.optimize import fixed_point_choice_of
    from qerror.reporting import fixed_point_document

    density = given.parse_one()
    signs = [each for each in _signs(word_length) if each or density.support[0] >= 0]
    _require_signs(signs)
    choices = {signed: fixed_point_choice_of(density, word_length, signed) for signed in signs}
    what = f"{given.data}: {density_name(density)}"
    return fixed_point_document(word_length, density.variance**0.5, choices, what)


def _of_channels(axis: int, word_length: int, given: Densities) -> "Document":
    from qerror.optimize import channels_of, fixed_point_choice_of
    from qerror.reporting import fixed_point_channels_document

    array = given.array()
    channels = channels_of(array.values(), axis)
    positive = all(channel.support[0] >= 0 for channel in channels)
    signs = [each for each in _signs(word_length) if each or positive]
    _require_signs(signs)
    choices = {
        signed: [
            fixed_point_choice_of(channel, word_length, signed)
            if channel.second_moment > 0
            else None
            for channel in channels
        ]
        for signed in signs
    }
    return fixed_point_channels_document(array, axis, word_length, channels, choices)


def _require_signs(signs: list[bool]) -> None:
    if not signs:
        raise click.UsageError("one bit cannot hold a sign, and there are negative values")


def _signs(word_length: int) -> tuple[bool, ...]:
    return (True, False) if word_length != 1 else (False,)  # one bit cannot hold a sign
