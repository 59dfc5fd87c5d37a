"""``qerror formula``: closed forms of a density, derived when asked for."""

import click

from qerror_cli.command import Command


@click.command("formula", cls=Command)
@click.argument("name", metavar="DENSITY")
@click.option("--latex", is_flag=True, help="As LaTeX.")
@click.option("--python", is_flag=True, help="As Python functions, which need mpmath alone.")
def command(name: str, latex: bool, python: bool) -> None:
    r"""Print the error of a cell on DENSITY as formulas, derived by sympy.

    In a cell [a, b] everything goes to one level q. I is the integral of (q - w)^2 p(w), J that of
    w (q - w) p(w): the sums over cells are the mean squared error and the cross moment. DENSITY is
    gaussian, uniform, student-t or laplace.

    \b
    qerror formula gaussian
    qerror formula student-t --latex
    qerror formula gaussian --python > gaussian.py
    """
    from qerror.rigorous.symbolic import closed_form

    if latex and python:
        raise click.UsageError("--latex and --python are two forms; give one of them")
    found = closed_form(name)
    if latex:
        click.echo(found.latex())
    elif python:
        click.echo(found.python())
    else:
        click.echo(f"p(w) = {found.density}\n")
        click.echo(f"I(a, b, q) = {found.square}\n")
        click.echo(f"J(a, b, q) = {found.cross}")
