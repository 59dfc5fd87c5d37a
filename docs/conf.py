"""Sphinx's settings: ``make docs`` builds the site into build/site."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "cli")]

from docs.make_reference import write_reference  # noqa: E402
from qerror import __version__  # noqa: E402
from qerror.explorer import explorer_page  # noqa: E402

project = "qerror"
author = "The qerror developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
    "sphinx_click",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "networks/*", "reference/_named.md"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # words of types, such as shape, that are no names

autodoc_typehints = "none"  # numpydoc's sections say types and shapes
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "qerror"
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_CODE = re.compile(r"(``.*?``)", re.DOTALL)


def _bars(  # noqa: PLR0917 - as Sphinx calls it
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Keep the bars of magnitudes, |x|, which reStructuredText takes for substitutions."""
    del app, what, name, thing, options
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()  # a field that its class explains
    _escape(lines)


def _bars_of_commands(app: Any, context: Any, lines: list[str]) -> None:
    """Do the same for the help of commands."""
    del app, context
    _escape(lines)


def _escape(lines: list[str]) -> None:
    parts = _CODE.split("\n".join(lines))
    kept = [part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(parts)]
    lines[:] = "".join(kept).split("\n")


def _anchors(app: Any, name: str, source: list[str]) -> None:
    """Turn the anchors that GitHub reads into targets, so that links to them are checked."""
    del app, name
    text = re.sub(r'^(#+) <a id="(\w+)"></a>', r"(claim-\2)=\n\1 ", source[0], flags=re.MULTILINE)
    source[0] = re.sub(r"\]\(#(\d+)\)", r"](#claim-\1)", text)


def _explorer(app: Any, exception: Exception | None) -> None:
    """Put the explorer page itself into the site."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "explorer-page.html").write_text(explorer_page(), encoding="utf-8")


def setup(app: Any) -> None:
    """Register what Sphinx shall call."""
    app.connect("build-finished", _explorer)
    app.connect("source-read", _anchors)
    for part in ("description", "options", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _bars_of_commands)
    app.connect("autodoc-process-docstring", _bars)


write_reference(Path(__file__).with_name("reference"))
