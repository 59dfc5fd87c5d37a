"""What entries of the reference say beside their docstrings: types, and fields as a list."""

import ast
import inspect
import re
import textwrap
from typing import Any, NamedTuple

FIGURES = {
    "rounding": "E[e^2] where X lies inside the range of the levels, in squared units of the data.",
    "clipping_low": "E[e^2] where X lies below the lowest level, in squared units of the data.",
    "clipping_high": "E[e^2] where X lies above the highest level, in squared units of the data.",
    "clipping": "E[e^2] where X lies outside the range, in squared units of the data.",
    "mse": "E[e^2], the mean squared error, in squared units of the data.",
    "sqnr_db": "10 log10(E[X^2] / E[e^2]), in dB.",
    "mean_error": "E[e], in units of the data.",
    "cross_moment": "E[X e], in squared units of the data.",
    "signal_power": "E[X^2], in squared units of the data.",
    "signal_mean": "E[X], in units of the data.",
    "pair_error": "E[e_1 e_2] of two values of one block, in squared units of the data.",
    "pair_cross": "E[X_1 e_2] of two values of one block, in squared units of the data.",
    "clipped_blocks": "Share of blocks whose largest value is clipped.",
    "zero_blocks": "Share of blocks whose values all become 0.",
    "bits_per_value": "What a value costs, with its share of its block's scale, in bits.",
    "absmax_sqnr_db": "SQNR with the largest magnitude as the range, in dB.",
    "best_sqnr_db": "SQNR at the range with the least error on the values themselves, in dB.",
    "best_mse": "E[e^2] at that range, in squared units of the data.",
    "best_max_value": "The largest level at that range, in units of the data.",
    "measured_sqnr_db": "SQNR on the values themselves, in dB.",
    "below_best_db": "How far the SQNR lies below the best of the ranking, in dB.",
    "max_value": "The largest level, in units of the data.",
    "scale": "What multiplies every level of the format, in units of the data.",
}
"""Figures that mean the same in every result: e = Q(X) - X."""

_TYPES = {
    "Value": "float, or an array of one float a scale",
    "FloatArray": "array of float",
    "IntArray": "array of int",
    "BoolArray": "array of bool",
    "NDArray[Any]": "array",
    "npt.ArrayLike": "array_like",
    "ArrayLike": "array_like",
    "FormatLike": "Format or str",
    "DensityLike": "Density, str, array_like or distribution of scipy.stats",
    "Sequence": "sequence",
    "Mapping": "mapping",
}
"""Annotations by what they mean to a reader."""


class Field(NamedTuple):
    """What an entry says of one field."""

    name: str
    type: str
    """As annotated, in words."""
    text: str
    """Empty where neither the class nor the glossary says anything."""


def fields_of(kind: type) -> list[Field]:
    """Return the fields that a class is made of, in order; those of its bases too.

    A field without words of its own has those that figures of its name have everywhere.
    """
    found: dict[str, Field] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("qerror"):
            for name, annotation, text in _declared(each):
                found[name] = Field(name, _in_words(annotation), text or FIGURES.get(name, ""))
    taken = _constructor(kind)
    return [field for name, field in found.items() if name in taken]


def parameters_of(function: object) -> list[Field]:
    """Return the parameters of a function with their annotations, without words."""
    tree = _syntax(function)
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    given = tree.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [
        Field(each.arg, _in_words(ast.unparse(each.annotation)), "")
        for each in every
        if each.annotation is not None and each.arg not in {"self", "cls"}
    ]


def completed(lines: list[str], section: str, fields: list[Field]) -> list[str]:
    """Return a docstring with a section that has the fields which it does not have.

    Parameters
    ----------
    lines : list of str
        A docstring as numpydoc has it.
    section : str
        "Parameters" or "Attributes": begun before the first section if there is none.
    fields : list of Field
        Those that the docstring lists itself are left out.
    """
    listed = _listed(lines)
    added: list[str] = []
    for field in fields:
        if field.name not in listed:
            added += [f"{field.name} : {field.type}", *(f"    {x}" for x in field.text.split("\n"))]
    if not added:
        return lines
    heads = [n for n, line in enumerate(lines) if n and _RULE.match(line)]
    own = next((n for n in heads if lines[n - 1] == section), None)
    if own is None:
        place = heads[0] - 1 if heads else len(lines)
        return [*lines[:place], "", section, "-" * len(section), *added, "", *lines[place:]]
    end = next((n - 1 for n in heads if n > own), len(lines))
    kept = lines[:end]
    while not kept[-1].strip():
        kept.pop()
    return [*kept, *added, "", *lines[end:]]


def entry_of(function: object, lines: list[str]) -> list[str]:
    """Return the docstring of a function with all its parameters, and with what it returns."""
    tree = _syntax(function)
    lines = completed(lines, "Parameters", parameters_of(function))
    said = any(re.match(r"(Return|Yield)s?\b", line) for line in lines)
    if said or not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) or not tree.returns:
        return lines
    found = _in_words(ast.unparse(tree.returns))
    if found == "None":
        return lines
    heads = [n for n, line in enumerate(lines) if n and _RULE.match(line)]
    after = (n - 1 for n in heads if lines[n - 1] != "Parameters")
    place = next(after, len(lines))
    return [*lines[:place], "", "Returns", "-------", found, "", *lines[place:]]


_RULE = re.compile(r"-{3,}$")
_ENTRY = re.compile(r"\*{0,2}(\w+(?:, \*{0,2}\w+)*)(?: :.*)?$")


def _listed(lines: list[str]) -> set[str]:
    """Return the names that the sections of a docstring explain."""
    heads = [n for n, line in enumerate(lines) if n and _RULE.match(line)]
    found = [_ENTRY.match(line) for line in lines[heads[0] :]] if heads else []
    return {name.strip(" *") for each in found if each for name in each[1].split(",")}


def _constructor(kind: type) -> set[str]:
    try:
        return set(inspect.signature(kind).parameters)
    except (TypeError, ValueError):
        return set()


def _declared(kind: type) -> list[tuple[str, str, str]]:
    """Return name, annotation and the words below it of every field that a class declares."""
    tree = _syntax(kind)
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found: list[tuple[str, str, str]] = []
    for number, each in enumerate(body):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            after = body[number + 1] if number + 1 < len(body) else None
            found.append((each.target.id, ast.unparse(each.annotation), _words(after)))
    return found


def _syntax(thing: Any) -> ast.stmt | None:
    """Return the definition of a class or a function; None where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
        return ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError):
        return None


def _words(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return inspect.cleandoc(str(statement.value.value))
    return ""


def _in_words(annotation: str) -> str:
    for name, words in _TYPES.items():
        annotation = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", words, annotation)
    return annotation.replace(" | ", " or ").replace("'", "")
