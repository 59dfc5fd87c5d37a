"""``qerror fixed-point``: the best fractional length."""

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, output_options


@click.command("fixed-point", cls=Command)
@click.option(
    "--word-length",
    type=int,
    default=8,
    show_default=True,
    help="Bits of a code, the sign included.",
)
@click.option(
    "--std", type=float, required=True, help="Standard deviation of the Gaussian, before a ReLU."
)
@click.option("--claims", is_flag=True, help="Also check what the F8Net paper states on 8 bits.")
@output_options
def command(word_length: int, std: float, claims: bool, output: Output) -> None:
    r"""Find the best fractional length for Gaussian data and for a ReLU's output.

    Signed codes hold the Gaussian, unsigned ones its positive half. The rule of F8Net
    (Jin et al. 2022), found by sampling at 8 bits, stands beside the exact choice.

    \b
    qerror fixed-point --word-length 8 --std 0.3
    qerror fixed-point --std 0.62 --claims
    """
    from qerror.optimize import fixed_point_choice
    from qerror.reporting import fixed_point_document
    from qerror.studies.f8net import f8net_claims, with_claims

    signs = (True, False) if word_length != 1 else (False,)  # one bit cannot hold a sign
    choices = {signed: fixed_point_choice(word_length, std, signed) for signed in signs}
    document = fixed_point_document(word_length, std, choices)
    output.emit(with_claims(document, f8net_claims() if claims else ()))
