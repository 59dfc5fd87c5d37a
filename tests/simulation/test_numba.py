"""The compiled kernels return the bits of NumPy's."""

import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from qerror.exceptions import MissingLibrary
from qerror.simulation import quantize
from tests.simulation.inputs import around_ties, assert_same_bits, every_exponent

numba = pytest.importorskip("numba")
EVERY = every_exponent(256)
NAMES = ["e4m3", "5M2E", "4M3E:bias=3.9", "int8", "uint8:zp=3", "fixed8.4", "e2m1", "nf4", "bf16"]
OTHERS = ["e4m3fnuz", "p3109_k8p1se", "0m4e", "int32"]


@pytest.mark.parametrize("name", NAMES + OTHERS)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 0.125, 0.1])
@pytest.mark.thinned(5)
def test_same_bits(name: str, kind: Any, scale: float) -> None:
    from qerror.formats import as_scalar_format

    with np.errstate(all="ignore"):
        x = EVERY.astype(kind)
        if as_scalar_format(name).bits <= 8:
            x = np.concatenate([x, around_ties(as_scalar_format(name), kind, scale)])
    got = quantize(x, name, scale, engine="numba", threads=2)
    assert_same_bits(got, quantize(x, name, scale, engine="numpy"), x)


@pytest.mark.parametrize("name", ["e4m3", "int8", "nf4"])
def test_same_bits_with_scales_by_block_out_of_order(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(64, 6, 50)).astype(np.float32).transpose(2, 0, 1)
    scale = np.random.default_rng(2).uniform(0.01, 0.1, (50, 8, 1))
    got = quantize(x, name, scale, engine="numba")
    assert_same_bits(got, quantize(x, name, scale, engine="numpy"), x)


@pytest.mark.parametrize("rounding", ["RNA", "RTZ", "to-odd", "up"])
def test_other_modes_are_numpys(rounding: str) -> None:
    x = np.linspace(-9, 9, 1001)
    got = quantize(x, "e2m1", rounding=rounding, engine="numba", overflow="convention")
    assert_same_bits(got, quantize(x, "e2m1", rounding=rounding, engine="numpy"), x)


def uses_numba(monkeypatch: pytest.MonkeyPatch, size: int, rounding: str = "RNE") -> bool:
    module = import_module("qerror.simulation.quantize")
    seen: list[int] = []
    compile_it = module.compiled_if_possible

    def spy(plan: Any, dtype: Any) -> Any:
        seen.append(1)
        return compile_it(plan, dtype)

    with monkeypatch.context() as patch:
        patch.setattr(module, "compiled_if_possible", spy)
        x = np.random.default_rng(1).normal(size=size).astype(np.float32)
        got = quantize(x, "e4m3", 0.1, rounding=rounding)
    assert_same_bits(got, quantize(x, "e4m3", 0.1, rounding=rounding, engine="numpy"), x)
    return bool(seen)


def test_auto_compiles_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.simulation import _numba

    monkeypatch.setattr(_numba, "_USED", set())
    monkeypatch.setattr(_numba, "PAYS_UNLOADED", 400_000)
    monkeypatch.setattr(_numba, "PAYS_LOADED", 200_000)
    assert not uses_numba(monkeypatch, 199_999)
    assert not uses_numba(monkeypatch, 300_000, "RTZ")  # nothing is compiled for it
    assert uses_numba(monkeypatch, 200_000)
    assert uses_numba(monkeypatch, 1 << 16)  # now it is ready
    assert not uses_numba(monkeypatch, (1 << 16) - 1)


def test_auto_does_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.simulation import _numba

    monkeypatch.setattr(_numba, "_USED", set())
    monkeypatch.setattr(_numba, "PAYS_LOADED", 0)
    _numba.loops_for.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    assert uses_numba(monkeypatch, 100_000)  # tried, found broken, done by NumPy
    _numba.loops_for.cache_clear()


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.simulation import _numba

    _numba.loops_for.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingLibrary, match="pip install numba"):
        quantize(np.zeros(3), "int8", engine="numba")
    _numba.loops_for.cache_clear()
