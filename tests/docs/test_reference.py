"""What the reference says of every public name: its fields, parameters, returns and errors."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from docs.entries import FIGURES, completed, entry_of, fields_of, parameters_of
from docs.make_reference import names_of, rooms
from qerror.exceptions import QErrorException

PLAIN = {"float", "int", "str", "bool", "Path"}


def names() -> Iterator[tuple[str, object]]:
    """Yield every public class and function of the reference once."""
    seen: set[int] = set()
    for room in rooms():
        for name in names_of(room.module):
            each = getattr(importlib.import_module(room.module), name)
            if id(each) not in seen and (inspect.isclass(each) or inspect.isroutine(each)):
                seen.add(id(each))
                yield f"{room.module}.{name}", each


NAMES = dict(names())
CLASSES = {
    name: each
    for name, each in NAMES.items()
    if inspect.isclass(each) and not issubclass(each, Exception)
}
FUNCTIONS = {name: each for name, each in NAMES.items() if inspect.isroutine(each)}


def test_there_are_many() -> None:
    assert len(CLASSES) > 100
    assert len(FUNCTIONS) > 100


def test_every_name_has_words() -> None:
    assert [name for name, each in NAMES.items() if not inspect.getdoc(each)] == []


def test_fields_have_types_and_words() -> None:
    found: list[str] = []
    for name, each in CLASSES.items():
        words = inspect.getdoc(each) or ""
        for field in fields_of(each):
            assert field.type, (name, field)
            said = field.text or re.search(rf"\b{field.name}\b", words)
            if not said and field.type.split(" or ")[0] in PLAIN:
                found.append(f"{name}.{field.name}: {field.type}")
    assert found == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_and_results_are_listed(name: str) -> None:
    each = FUNCTIONS[name]
    shown = "\n".join(entry_of(each, (inspect.getdoc(each) or "").splitlines()))
    for parameter in parameters_of(each):
        assert re.search(rf"^(.*, )?\*{{0,2}}{parameter.name}\b", shown, re.MULTILINE), parameter
    if inspect.signature(each).return_annotation not in {None, "None"}:
        assert re.search(r"^(Return|Yield)s?\b", shown, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_raised_is_said(name: str) -> None:
    each = NAMES[name]
    if not inspect.isclass(each):
        assert _unsaid(each, inspect.getdoc(each) or "") == set()
    elif not issubclass(each, Exception):
        for key, value in vars(each).items():
            if inspect.isfunction(value) and (key[0] != "_" or key == "__post_init__"):
                words = inspect.getdoc(getattr(each, key)) or ""
                if key == "__post_init__":
                    words += inspect.getdoc(each) or ""
                if value.__doc__ or key == "__post_init__":  # else its base says what it refuses
                    assert _unsaid(value, words) == set(), key


def _unsaid(function: Any, words: str) -> set[str]:
    """Return the exceptions of the project that a function's body raises and no word says."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set()
    raised = {
        ast.unparse(node.exc.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }
    ours = {each.__name__ for each in QErrorException.__subclasses__()} | {"UnknownName"}
    return {each for each in raised & ours if each not in words}


def test_a_section_is_completed_where_it_stands() -> None:
    def example(known: int, later: str = "") -> None:
        """Do it.

        Parameters
        ----------
        known : int
            Said here.

        Raises
        ------
        ValueError
            Never.
        """

    lines = (inspect.getdoc(example) or "").splitlines()
    found = completed(lines, "Parameters", parameters_of(example))
    text = "\n".join(found)
    assert text.index("Said here") < text.index("later : str") < text.index("Raises")
    assert text.count("known : int") == 1
    bare = completed(["Do it."], "Parameters", parameters_of(example))
    assert bare[2:4] == ["Parameters", "----------"]
    assert entry_of(_unsaid, ["Do it."])[-3:] == ["-------", "set[str]", ""]


def test_figures_have_their_units() -> None:
    units = ("data", "dB", "bits", "Share")
    assert [name for name, text in FIGURES.items() if not any(x in text for x in units)] == []
