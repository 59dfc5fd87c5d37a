"""What the commands on networks share: the group, and options."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import was_given
from qerror_cli.output import Output, plotted_files, save
from qerror_cli.parameters import FormatList

if TYPE_CHECKING:
    from qerror.pytorch import ModelRecipe
    from qerror.reporting import Document

_EIGHT_BITS = "int8,5M2E,4M3E,3M4E,2M5E"


class Names(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """Names separated by commas."""

    name = "name,name,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Split them; one that is repeated counts once."""
        if isinstance(value, list):
            return value  # pyright: ignore[reportUnknownVariableType] - a default
        names = [part.strip() for part in value.split(",") if part.strip()]
        if not names:
            self.fail(f"{value!r} names nothing", param, ctx)
        return list(dict.fromkeys(names))


@click.group("network", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    r"""Real networks: what formats cost them, predicted and measured.

    Needs PyTorch: pip install 'qerror[torch]'. Three networks are trained on scikit-learn's
    digits, in seconds, and kept in the cache; others come with packages: qerror network list.

    \b
    qerror network ptq --model digits-resnet --formats int8,5M2E --seeds 3
    qerror network predict --model digits-resnet --formats int8,4M3E
    qerror network recipe 4M3E --granularity channel --last int8 > recipe.toml
    qerror network ptq --model digits-vit --recipe recipe.toml
    """


command.help = (command.help or "").replace("\\b\n", "\b\n")


def models_option(help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002
    """Return --model, which takes several networks."""
    return click.option("--model", "models", type=Names(), required=True, help=help)


one_model = click.option(
    "--model", required=True, metavar="NAME", help="A network: see qerror network list."
)
formats_option = click.option(
    "--formats",
    type=FormatList(),
    default=_EIGHT_BITS,
    show_default=True,
    help="For weights and layer inputs.",
)
qat_formats = click.option(
    "--formats", type=FormatList(), help="For weights and layer inputs: integers, or xMyE."
)
quick = click.option("--quick", is_flag=True, help="Train and judge on less: under a minute.")


def check_integer_file(path: Path | None) -> None:
    """Refuse a file that cannot hold a network of integers, before any work."""
    if path is None:
        return
    from qerror.exceptions import InvalidValue
    from qerror.integer.file import checked_suffix
    from qerror.storage import check_writable

    try:
        checked_suffix(path)
        check_writable(path)
    except InvalidValue as error:
        raise click.BadParameter(str(error), param_hint="--integer") from error


def recipe_option(*others: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return --recipe, which goes without the options that say what it says."""

    def read(
        ctx: click.Context, param: click.Parameter, value: Path | None
    ) -> "ModelRecipe | None":
        if value is None or ctx.resilient_parsing:
            return None
        from qerror.exceptions import QErrorException
        from qerror.pytorch import ModelRecipe

        try:
            return ModelRecipe.read(value)
        except QErrorException as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return click.option(
        "--recipe",
        type=click.Path(path_type=Path),
        callback=read,
        metavar="FILE",
        help="What is quantized how, from FILE (.toml or .json: docs/networks.md), in place of "
        f"{', '.join(others)}.",
    )


def plot_option(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return --plot."""
    return click.option(
        "--plot",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Draw {what} into FILE (.svg, .png or .pdf); its data go beside it.",
    )


def check_plot(output: Output, plot: Path | None) -> None:
    """Refuse a figure that another output would overwrite."""
    output.refuse_collisions(plotted_files(plot))


def emit_plotted(output: Output, document: "Document", plot: Path | None) -> None:
    """Write the figure of a study, if it is wanted, and its result."""
    if plot is not None:
        from qerror.plotting import network_files

        for path, content in network_files(document, plot).items():
            save(path, content)
    output.emit(document)


def refuse_beside_recipe(recipe: "ModelRecipe | None", *names: str) -> None:
    """Refuse options that a recipe says."""
    given = was_given(click.get_current_context(), *names) if recipe is not None else []
    if given:
        raise click.UsageError(f"a recipe says it all: leave out {', '.join(given)}, or --recipe")
