"""What is handed out cannot be changed: every attribute and every array is tried."""

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

import qerror
from qerror import (
    BlockCodes,
    Codebook,
    FromScipy,
    Gaussian,
    LogUniform,
    QErrorException,
    StudentT,
    compare_ranges,
    cross_check,
    error_distribution,
    estimate_error,
    expected_bands,
    fit,
    format_switches,
    lloyd_max,
    optimal_format,
    optimal_scale,
    parse_format,
    quantization_error,
    rank_blocks,
    scalar_product_error,
    sweep,
)
from qerror.checkpoints import CheckpointReport, analyze_checkpoint
from qerror.codebooks import best_uniform
from qerror.densities import DENSITIES, Density
from qerror.densities.generalized_gaussian import StandardGeneralizedGaussian
from qerror.densities.quadrature import gauss_legendre, rule_for
from qerror.densities.smooth_law import SmoothLaw
from qerror.densities.student_t import StandardStudentT
from qerror.formats import FORMATS, ScalarFormat
from qerror.grids import Grid
from qerror.integer import Codes, IntegerLayer, IntegerNetwork
from qerror.optimize import fixed_point_choice, rank_by_channel, rank_measured_blocks
from qerror.products import Operand, scalar_products
from qerror.registry import Registry
from qerror.reporting import format_document, sweep_document
from qerror.storage import StoredArray

ATOMIC = (str, bytes, int, float, complex, bool, type(None), np.generic, Enum, type, ModuleType)


def walk(value: object, path: str, seen: dict[int, object]) -> Iterator[tuple[str, object]]:
    """Yield everything that is reached by public attributes, items and what is remembered."""
    if isinstance(value, ATOMIC) or callable(value) or id(value) in seen:
        return
    seen[id(value)] = value
    yield path, value
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from walk(item, f"{path}[{i}]", seen)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(item, f"{path}[{key!r}]", seen)
    elif type(value).__module__.partition(".")[0] == "qerror":
        for name in names(value):
            try:
                item = getattr(value, name)
            except (ValueError, NotImplementedError):  # a grid too large to be listed, say
                continue
            yield from walk(item, f"{path}.{name}", seen)


def names(value: object) -> list[str]:
    """Return the attributes of an object, those included that are remembered once asked for."""
    public = [name for name in dir(value) if not name.startswith("_")]
    kept = {name for name in getattr(value, "__dict__", {}) if name.startswith("_")}
    kinds = (vars(kind) for kind in type(value).__mro__)
    kept |= {
        name
        for kind in kinds
        for name, what in kind.items()
        if name.startswith("_") and isinstance(what, cached_property)
    }
    return public + sorted(kept)


def writable(value: object) -> str:
    """Try to write to an object in every way; returns what succeeded, or nothing."""
    if isinstance(value, np.ndarray):
        return "array" if value.flags.writeable else ""
    if isinstance(value, list | dict | set | bytearray):
        return type(value).__name__
    if type(value).__module__.partition(".")[0] != "qerror":
        return ""
    for name in (*names(value), "something_new"):
        try:
            setattr(value, name, getattr(value, name, None))
        except (AttributeError, TypeError):  # the latter from slots, for a new name
            continue
        return name
    return ""


def specimens() -> dict[str, object]:
    """Return one of everything that the library hands out."""
    found: dict[str, object] = {name: family.example for name, family in DENSITIES.items()}
    found |= {f"{name} moved": d.affine(-2.0, 0.5) for name, d in density_examples().items()}
    found |= {f"format {name}": form for name, form in FORMATS.items()}
    for name in ("INT4", "4M3E", "E4M3"):
        form = FORMATS[name]
        assert isinstance(form, ScalarFormat)
        found[f"grid {name}"] = form.grid(0.5)
    many = quantization_error("INT4", Gaussian(), [0.3, 0.4])
    table = np.random.default_rng(2).normal(size=(40, 40))
    return found | {
        "scipy": FromScipy(stats.skewnorm(4.0)),
        "grid": Grid.from_points([-1.0, 0.25, 3.0]),
        "report": quantization_error("INT4", Gaussian(), 0.3),
        "reports": quantization_error("INT4", StudentT(2.0), [0.3, 0.4]),
        "product": scalar_product_error(many, many),
        "optimal scale": optimal_scale("INT4", Gaussian()),
        "channel scales": optimal_scale("INT4", np.array([[0.1, -0.7], [2.0, 0.9]]), axis=0),
        "lloyd-max": lloyd_max(Gaussian(), 4),
        "best uniform": best_uniform(Gaussian(), 4),
        "sweep": sweep(["INT4", "E4M3"], [Gaussian()], ("max_value", (2.0, 3.0)), limits=True),
        "fit": fit(np.random.default_rng(1).normal(size=200), ["gaussian", "uniform"]),
        "cross-check": cross_check("INT4", StudentT(3.0), size=2000, rng=np.random.default_rng(1)),
        "products": scalar_products(Operand("INT4", "gaussian"), Operand("E2M1", "laplace"), 8),
        "ranges": compare_ranges("INT4", Gaussian(0.5)),
        "ranking": optimal_format(["INT4", "E2M1"], Gaussian()),
        "switches": format_switches(["INT4", "E2M1"], StudentT(3.0), "nu", 3.0, 30.0, points=4),
        "fixed point": fixed_point_choice(8, 1.0),
        "stored array": StoredArray(Path("x.npy"), "", (2,), np.dtype("f8"), False, no_items),
        "document": sweep_document(sweep(["INT4"], [Gaussian()])),
        "card": format_document(FORMATS["NVFP4"]),
        "rule": gauss_legendre(12),
        "moment rule": rule_for(0.1),
        "scale rules": (FORMATS["NVFP4"], parse_format("nvfp4:4over6"), parse_format("nf4")),
        "block report": quantization_error("mxfp4", Gaussian()),
        "block ranking": rank_blocks(Gaussian(), 4.5, ["mxfp4", "nvfp4"]),
        "error distribution": error_distribution("INT4", Gaussian(), 0.3),
        "estimate": estimate_error("INT4", StudentT(3.0), size=2000, rng=np.random.default_rng(1)),
        "block estimate": estimate_error(
            "mxfp4", Gaussian(), size=3200, rng=np.random.default_rng(1)
        ),
        "affine": parse_format("int4:g32:affine"),
        "tensor scale": parse_format("nvfp4:of=tensor"),
        "bands": expected_bands("INT4", Gaussian(), 0.3, size=1000),
        "codebook": Codebook([-1.0, 0.0, 2.0]),
        "channel ranking": rank_by_channel(["INT4", "E2M1"], table, 1),
        "measured blocks": rank_measured_blocks(table, 5.0, ["int4:g64"]),
        "channel sweep": sweep(["INT4"], [table], axis=1, max_value="absmax"),
        "checkpoint": checkpoint(),
        "integer network": integer_network(),
        "codes": Codes(4, 0, 255),
        "channels on grids": fit(np.round(table) * np.geomspace(0.1, 0.7, 40)[:, None]),
    }


def checkpoint() -> CheckpointReport:
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/w.npy", np.random.default_rng(1).normal(size=(8, 64)).astype(np.float16))
        return analyze_checkpoint(folder, ["int4", "mxfp4"])


def integer_network() -> tuple[object, ...]:
    weight = np.array([[1, -2, 3]])
    layer = IntegerLayer("y", "linear", ("",), Codes(3, 0, 255), weight, 4, np.array([7]))
    network = IntegerNetwork(Codes(5, 0, 255), (layer,), (3,))
    return (network, network.widths())


def no_items(_count: int) -> Iterator[np.ndarray]:
    yield from ()


def density_examples() -> dict[str, Density]:
    return {name: family.example for name, family in DENSITIES.items()}


def used(value: object) -> object:
    """Make a density and its laws remember what they can."""
    if isinstance(value, Density):
        value.cdf([0.1])
        quantization_error("E4M3", value, 0.01)
        quantization_error("INT16", value, 1e-3)
    return value


def faults(value: object, name: str) -> list[str]:
    """Return what could be written, and how."""
    found = {path: writable(part) for path, part in walk(value, name, {})}
    return [f"{path}: {what}" for path, what in found.items() if what]


SPECIMENS = specimens()
each = pytest.mark.parametrize("name", SPECIMENS)


@each
def test_nothing_can_be_written(name: str) -> None:
    value = used(SPECIMENS[name])
    assert faults(value, name) == []


@each
def test_copies_are_equal(name: str) -> None:
    value = SPECIMENS[name]
    twins = (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)))
    if isinstance(value, tuple):  # of arrays
        return
    for twin in twins:
        assert twin == value
        assert hash(twin) == hash(value)
        assert faults(used(twin), name) == []


def test_every_public_class_is_tried() -> None:
    """One of each kind that `qerror` names is among the specimens, or part of one.

    Codes are arrays of the caller's own, like what `quantize` returns.
    """
    public = [getattr(qerror, name) for name in qerror.__all__]
    kinds = {kind for kind in public if isinstance(kind, type)} - {QErrorException, BlockCodes}
    seen = {type(part) for name in SPECIMENS for _, part in walk(SPECIMENS[name], name, {})}
    missing = {kind.__name__ for kind in kinds if not any(issubclass(one, kind) for one in seen)}
    assert not missing


def modules() -> list[str]:
    return [name for _, name, _ in pkgutil.walk_packages(qerror.__path__, "qerror.")]


@pytest.mark.parametrize("name", [name for name in modules() if "__main__" not in name])
def test_no_module_shows_what_can_be_changed(name: str) -> None:
    """Tables of the library's facts are public members of modules: nobody can change them."""
    module = importlib.import_module(name)
    shown = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    own = {key: value for key, value in shown.items() if not isinstance(value, Registry | type)}
    assert [fault for key, value in own.items() for fault in faults(value, key)] == []


def test_reports_compare_and_hash() -> None:
    reports = [quantization_error("INT4", Gaussian(), scales) for scales in ([0.3], [0.3, 0.4])]
    again = quantization_error("INT4", Gaussian(), [0.3])
    assert reports[0] == again
    assert len({*reports, again}) == 2
    assert quantization_error("INT4", StudentT(1.0), 0.3) == quantization_error(
        "INT4", StudentT(1.0), 0.3
    )
    assert reports[0] != quantization_error("INT4", Gaussian(), 0.3)  # an array is no number
    assert reports[0] != 1.0


def test_a_law_cannot_be_turned() -> None:
    law: Any = StudentT(3).law
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.power = 1.0
    with pytest.raises(ValueError, match="read-only"):
        Grid.from_points([-1.0, 0.0, 1.0]).upper_cells.weight[:] = 0


def test_laws_are_forgotten() -> None:
    """Laws with a parameter are shared, but not without end."""
    first = StudentT(3.0).law
    assert StudentT(3.0, 1.0, 2.0).law is first
    for i in range(300):
        assert StudentT(5.0 + i).law == StandardStudentT(5.0 + i)
    assert StudentT(3.0).law == first


def fresh(kind: int, i: int) -> SmoothLaw:
    if kind % 2:
        return StandardStudentT(2.5 + 0.01 * i)
    return StandardGeneralizedGaussian(0.7 + 0.01 * i)


@pytest.mark.parametrize("kind", [0, 1])
def test_threads_share_a_law(kind: int) -> None:
    """Eight threads ask one fresh law for breaks and integrals at once."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for i in range(25):
                law, alone = fresh(kind, i), fresh(kind, i)
                stops = np.geomspace(1.0, 1e4, 24)[np.random.default_rng(i).permutation(24)]
                found = list(pool.map(lambda x, law=law: law.breaks(0.0, float(x)), stops))
                for stop, edges in zip(stops.tolist(), found, strict=True):
                    wanted = alone.breaks(0.0, stop)
                    size = min(edges.size, wanted.size)
                    assert edges[:size].tolist() == wanted[:size].tolist()
                    assert edges[-1] >= stop
                    assert (np.diff(edges) > 0).all()
                    assert not edges.flags.writeable
    finally:
        sys.setswitchinterval(before)


def test_mirrored_laws() -> None:
    """-X of a density that is not symmetric, and back."""
    density = LogUniform(0.5, 4.0)
    turned = density.affine(-2.0, 1.0)
    x = np.array([-6.5, -3.0, -0.25])
    assert turned.pdf(x) == pytest.approx(density.pdf((1 - x) / 2) / 2, rel=1e-14, abs=0)
    assert turned.affine(-0.5, 0.5) == density
