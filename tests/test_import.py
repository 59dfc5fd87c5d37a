"""Importing the library is cheap: NumPy and scipy.special, nothing slower."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HEAVY = (
    "scipy.stats",
    "scipy.optimize",
    "scipy.integrate",
    "matplotlib",
    "click",
    "rich",
    "sympy",
    "mpmath",
    "flint",
    "torch",
    "numba",
    "pyarrow",
    "pandas",
)


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    # With the tests' path, so that an uninstalled checkout works too.
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return loaded_by("import qerror")


@pytest.mark.parametrize("name", HEAVY)
def test_import_leaves_out(name: str, loaded: set[str]) -> None:
    assert name not in loaded


def test_import_brings_the_library(loaded: set[str]) -> None:
    assert {"qerror", "numpy", "scipy.special", "qerror.analysis", "qerror.optimize"} <= loaded


def test_an_error_needs_nothing_more() -> None:
    call = "import qerror; qerror.optimal_scale('4M3E', 'student-t(nu=3)')"
    assert not loaded_by(call) & set(HEAVY)


def test_what_samples_and_fits_is_imported_when_it_is_asked_for(loaded: set[str]) -> None:
    later = {
        "qerror.codebooks",
        "qerror.crosscheck",
        "qerror.fitting",
        "qerror.simulation",
        "qerror.storage",
    }
    assert not later & loaded
    assert "qerror.simulation" in loaded_by("from qerror import quantize")
    assert later <= loaded_by("from qerror import *")
    assert "qerror.fitting" in loaded_by("import qerror; qerror.fitting.fit_parts")


def test_public_names_exist() -> None:
    import qerror

    public = set(qerror.__all__)
    assert public <= set(dir(qerror))
    assert {"Gaussian", "StudentT", "quantization_error", "optimal_scale", "sweep"} <= public
    assert {"CrossCheck", "fit", "quantize", "simulation"} <= public
    assert callable(qerror.sweep)
    found = [getattr(qerror, name) for name in public]
    assert all(
        item.__name__.startswith("qerror.")
        if isinstance(item, ModuleType)
        else item.__module__.startswith("qerror.")
        for item in found
    )
    with pytest.raises(AttributeError, match="'qerror' has no attribute 'quantise'"):
        _ = qerror.quantise


def test_what_is_imported_later_is_listed_for_type_checkers_too() -> None:
    import qerror

    tree = ast.parse(Path(qerror.__file__).read_text())
    checked = {
        (node.module, alias.asname)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    rooms = qerror._LATER.items()
    assert checked == {(f"qerror.{room}", name) for room, names in rooms for name in names}
