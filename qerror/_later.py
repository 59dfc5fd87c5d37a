"""Names of a package that are imported when they are first asked for."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def later(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : str
        Its name.
    names : mapping of str to sequence of str
        By submodule, the names that the package hands on from there. A submodule named so comes
        with the first of them, or by its own name, which none of the names may be.
    """
    module_of = {name: inner for inner, each in names.items() for name in (inner, *each)}
    if any(name in names for each in names.values() for name in each):
        raise ValueError(f"a name that {package} hands on is also that of a submodule")

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        inner = importlib.import_module(f"{package}.{module_of[name]}")
        found: object = inner if name in names else getattr(inner, name)
        setattr(sys.modules[package], name, found)
        return found

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, listed
