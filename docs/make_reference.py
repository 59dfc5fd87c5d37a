"""Write the pages of the API reference, one a room, from what the rooms hand out."""

import importlib
import inspect
import math
from abc import ABC
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs.entries import fields_of
from qerror._arrays import ArrayValue, Immutable
from qerror.formats import FORMATS, FloatingPoint
from qerror.storage import write_atomically

COMMON = (object, ABC, ArrayValue, Immutable)
"""Bases that say nothing to who uses a class."""

_NOTICE = "% Written by docs/make_reference.py when the site is built.\n\n"


class Room(NamedTuple):
    """A package or module whose public names get a page."""

    module: str
    title: str
    about: str


ROOMS = (
    Room("qerror.formats", "Number formats", "Formats by class and by name, and their grids."),
    Room("qerror.grids", "Grids", "Levels as uniform segments."),
    Room("qerror.densities", "Densities", "What data may look like, each an exact law."),
    Room("qerror.fitting", "Fitting", "Densities fitted to data."),
    Room("qerror.analysis", "Exact errors", "Formats and densities joined."),
    Room("qerror.optimize", "Best ranges and formats", "What to choose."),
    Room("qerror.codebooks", "Codebooks and bounds", "What no quantizer passes."),
    Room("qerror.sweep", "Sweeps", "Many formats, densities and values of a parameter."),
    Room("qerror.products", "Scalar products", "Pairs of formats, each side on its density."),
    Room("qerror.accumulators", "Accumulators", "What sums in narrow registers add."),
    Room("qerror.simulation", "Simulation", "Quantizing arrays, and errors from samples."),
    Room("qerror.crosscheck", "Cross-checks", "Exact figures against samples."),
    Room("qerror.rigorous", "Certainty", "Enclosures, high precision, closed forms."),
    Room("qerror.checkpoints", "Checkpoints", "Files of tensors."),
    Room("qerror.integer", "Integer networks", "Inference by codes, shifts and clamps, in NumPy."),
    Room("qerror.reporting", "Results as files", "Documents, tables and their encodings."),
    Room("qerror.plotting", "Figures", "Results drawn."),
    Room("qerror.explorer", "The explorer page", "One HTML file with the analysis in it."),
    Room("qerror.storage", "Files", "Arrays in files, and files that appear whole or not at all."),
    Room("qerror.execution", "Execution", "Progress, and work spread over executors."),
    Room("qerror.exceptions", "Exceptions", "What is raised, all of it a QErrorException."),
    Room("qerror.pytorch", "PyTorch", "Quantizers that calibrate and learn."),
    Room("qerror.pytorch.functional", "PyTorch: functions", "One pure function a method."),
    Room("qerror.pytorch.calibration", "PyTorch: calibration", "Ranges from data."),
    Room("qerror.pytorch.backends", "PyTorch: backends", "What deployment asks for."),
    Room("qerror.pytorch.integer", "PyTorch: to integers", "From a network to one of codes."),
    Room("qerror.pytorch.folding", "PyTorch: folding", "Normalisations folded into weights."),
)
"""In the order of the site. A room that this installation lacks is left out."""


def names_of(module: str) -> list[str]:
    """Return the public names of a room that are classes, functions or constants of the project."""
    room = importlib.import_module(module)
    skipped = {"TYPE_CHECKING", "later", "annotations"}
    found: list[str] = []
    for name in dir(room):
        if name[0] == "_" or name in skipped:
            continue
        each = getattr(room, name)
        if inspect.ismodule(each):
            continue
        home = getattr(each, "__module__", None)
        if inspect.isclass(each) or inspect.isroutine(each):
            if isinstance(home, str) and home.startswith(module):
                found.append(name)
        elif name.isupper():
            found.append(name)
    return found


def rooms() -> Iterator[Room]:
    """Yield the rooms that are there."""
    for room in ROOMS:
        try:
            importlib.import_module(room.module)
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("qerror"):
                raise
        else:
            yield room


def _page(room: Room) -> str:
    module = importlib.import_module(room.module)
    parts = [f"# {room.title}\n\n{room.about} `{room.module}`.\n"]
    for name in names_of(room.module):
        each = getattr(module, name)
        if inspect.isclass(each):
            fields = [field.name for field in fields_of(each)]
            hidden = ", ".join([*fields, *(("count", "index") if issubclass(each, tuple) else ())])
            options = "   :members:\n"
            if any(base.__name__[0] != "_" and base not in COMMON for base in each.__bases__):
                options += "   :show-inheritance:\n"
            if hidden:
                options += f"   :exclude-members: {hidden}\n"
            directive = f".. autoclass:: {room.module}.{name}\n{options}"
        elif inspect.isroutine(each):
            directive = f".. autofunction:: {room.module}.{name}\n"
        else:
            directive = f".. autodata:: {room.module}.{name}\n   :no-value:\n"
        parts.append(f"```{{eval-rst}}\n{directive}```\n")
    return "\n".join(parts)


_NAMED = ("name", "bits", "bias", "largest", "smallest normal", "smallest", "codes", "from")


def _named() -> str:
    """Return the table of the floating-point formats that have names."""
    rows: list[tuple[str, ...]] = [_NAMED, ("---",) * len(_NAMED)]
    for name, form in FORMATS.items():
        if isinstance(form, FloatingPoint):
            card = form.conventions()
            smallest = (_power(card["smallest normal"]), _power(card["smallest subnormal"]))
            codes = form.specials if form.signed else f"{form.specials}, no sign"
            source = card.get("source", "").split(". Other tools")[0]
            largest = f"{float(card['max']):.7g}"
            rows.append(
                (f"`{name}`", card["bits"], f"{form.bias:g}", largest, *smallest, codes, source)
            )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _power(text: str) -> str:
    """Return a power of two as one."""
    mantissa, exponent = math.frexp(float(text))
    return f"2^{exponent - 1}" if mantissa == 0.5 else text


def write_reference(folder: Path) -> None:
    """Write the reference's pages and their index."""
    folder.mkdir(exist_ok=True)
    there = list(rooms())
    for room in there:
        text = _NOTICE + _page(room)
        write_atomically(folder / f"{room.module.replace('.', '-')}.md", text.encode())
    write_atomically(folder / "_named.md", (_NOTICE + _named()).encode())
    pages = [room.module.replace(".", "-") for room in there]
    index = (
        "# Library reference\n\n"
        "Every public name, with meaning, shapes, units and what it raises. The commonest stand in "
        "`qerror` itself: `from qerror import Gaussian, optimal_scale, quantization_error`.\n\n"
        + "\n\n".join(map(_contents, there))
        + "\n\n```{toctree}\n:hidden:\n\n"
        + "\n".join(pages)
        + "\n```\n"
    )
    write_atomically(folder / "index.md", (_NOTICE + index).encode())


def _contents(room: Room) -> str:
    """Return a heading with a link to the room's page, and links to its names."""
    page = f"{room.module.replace('.', '-')}.md"
    names = ", ".join(f"{{py:obj}}`{n} <{room.module}.{n}>`" for n in names_of(room.module))
    return f"**[{room.title}]({page})**, `{room.module}`. {room.about}\n\n{names}"
