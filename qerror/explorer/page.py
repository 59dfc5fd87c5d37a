"""The page as one text, put together from the scripts and the style beside this module."""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from qerror.explorer.registered import page_data

ENGINE = (
    "numbers.js",
    "laws.js",
    "densities.js",
    "formats.js",
    "analysis.js",
    "optimize.js",
    "codebooks.js",
    "blocks.js",
)
"""The scripts that compute, in the order in which they need each other."""

VIEW = (
    "files.js",
    "state.js",
    "figures.js",
    "export.js",
    "commands.js",
    "controls.js",
    "main.js",
)
"""The scripts that draw and listen."""

_REVIVER = (
    '(key, value) => (value === "Infinity" ? Infinity : value === "-Infinity" ? -Infinity : value)'
)


def engine_source() -> str:
    """Return the exact analysis as JavaScript, without a page: functions for any interpreter."""
    return "\n".join([_data_source(), *(_text("engine", name) for name in ENGINE)])


def explorer_page() -> str:
    """Return the page: one HTML document that loads nothing.

    Its scripts, its style, the names of all registered formats and densities, and the plotting
    library uPlot with its licence are within. It works from a file as from a server.

    Returns
    -------
    str
        To be written as UTF-8.
    """
    scripts = [_text("vendor", "uPlot.iife.min.js"), _wrapped_view()]
    page = _text("view", "page.html")
    for mark, content in (
        ("/* style */", _text("vendor", "uPlot.min.css") + _text("view", "style.css")),
        ("/* licence */", _text("vendor", "LICENSE")),
        ("/* scripts */", "\n".join(scripts)),
    ):
        if page.count(mark) != 1:
            raise AssertionError(f"{mark} must stand once in page.html")
        page = page.replace(mark, content)
    return page


def _wrapped_view() -> str:
    """Return all scripts of the page in a scope of their own."""
    view = "\n".join(_text("view", name) for name in VIEW)
    return f'(() => {{\n"use strict";\n{engine_source()}\n{view}\n}})();'


def _data_source() -> str:
    """Return the names of formats and densities as constants."""
    # "</" would end the script that holds it.
    given = {name: json.dumps(value) for name, value in page_data().items()}
    quoted = {name: json.dumps(text).replace("</", "<\\/") for name, text in given.items()}
    return "\n".join(
        f"const {name} = JSON.parse({text}, {_REVIVER});" for name, text in quoted.items()
    )


@cache
def _text(folder: str, name: str) -> str:
    path: Traversable = files("qerror.explorer") / folder / name
    return path.read_text(encoding="utf-8")
