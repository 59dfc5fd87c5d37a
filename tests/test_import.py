"""Importing the library is cheap: NumPy and scipy.special, nothing slower."""

import subprocess
import sys

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


def test_public_names_exist() -> None:
    import qerror

    public = {name for name in vars(qerror) if not name.startswith("_")}
    modules = {name for name in public if f"qerror.{name}" in sys.modules}
    assert {"Gaussian", "StudentT", "quantization_error", "optimal_scale", "sweep"} <= public
    assert all(getattr(qerror, name).__module__.startswith("qerror.") for name in public - modules)
