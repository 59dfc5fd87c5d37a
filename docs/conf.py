"""Sphinx's settings: ``make docs`` builds the site into build/site."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.entries import completed, entry_of, fields_of
from docs.make_reference import COMMON, write_reference
from qerror import __version__
from qerror.explorer import explorer_page

ROOT = Path(__file__).parents[1]

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

autodoc_typehints = "none"  # docs/entries.py brings types where docstrings have none
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

smartquotes = False  # "--dist" is no dash

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "qerror"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # fetches pages, which browsers refuse from files
templates_path: list[str] = []
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_STAR = re.compile(r"(?<![*\\\w])\*(?![*\s])")  # of a pattern of names: no emphasis
_CODE = re.compile(r"(``.*?``)", re.DOTALL)


def _bars(  # noqa: PLR0917 - as Sphinx calls it
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Keep the bars of magnitudes, |x|, which reStructuredText takes for substitutions."""
    del app, what, name, thing, options
    _escape(lines)


def _commands(app: Any, context: Any, lines: list[str]) -> None:
    """Show the examples of a command's help, which sphinx-click makes line blocks, as code."""
    del app, context
    _escape(lines)
    lines[:] = [_STAR.sub(r"\*", line) for line in lines]
    shown: list[str] = []
    for line in lines:
        example = line.startswith("\\| ")
        if example and not (shown and shown[-1].startswith("   ")):
            shown += ["", ".. code-block:: console", ""]
        elif not example and shown and shown[-1].startswith("   "):
            shown.append("")
        shown.append(f"   $ {line[3:]}".replace("\\|", "|") if example else line)
    lines[:] = shown


def _complete(  # noqa: PLR0917 - as Sphinx calls it
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Add fields and parameters that a docstring leaves out, with their types."""
    del app, name, options
    if what in {"attribute", "property"} and lines:
        lines[:0] = ["..", ""]  # or Napoleon takes what stands before a colon for a type
    elif what == "class":
        lines[:] = completed(lines, "Attributes", fields_of(thing))
    elif what in {"function", "method"}:
        lines[:] = entry_of(thing, lines)


def _escape(lines: list[str]) -> None:
    parts = _CODE.split("\n".join(lines))
    kept = [part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(parts)]
    lines[:] = "".join(kept).split("\n")


def _bases(app: Any, name: str, thing: Any, options: Any, bases: list[Any]) -> None:
    """Leave out bases that say nothing to who uses a class."""
    del app, name, thing, options
    bases[:] = [base for base in bases if base not in COMMON]


def _dashes(app: Any, doctree: nodes.document, name: str) -> None:
    """Print the dash between a parameter and its meaning: two hyphens are left as they are."""
    del app, name
    for text in [each for each in doctree.findall(nodes.Text) if each == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


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
    app.connect("autodoc-process-bases", _bases)
    app.connect("doctree-resolved", _dashes)
    for part in ("description", "options", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _commands)
    app.connect("autodoc-process-docstring", _complete, priority=400)  # before Napoleon
    app.connect("autodoc-process-docstring", _bars)


write_reference(Path(__file__).with_name("reference"))
