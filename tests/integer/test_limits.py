"""Networks of integers at the ends of what they take: sums that int64 would wrap, odd parts."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer import (
    Codes,
    IntegerLayer,
    IntegerNetwork,
    ScaledCodes,
    ScaledLayer,
    load_network,
    requantize,
    save_network,
)

_ALL = ScaledCodes(1.0, 0, -(2**31), 2**31 - 1)


def layer(**parts: Any) -> IntegerLayer:
    given: dict[str, Any] = {
        "name": "y",
        "kind": "linear",
        "inputs": ("",),
        "output": Codes(0, -127, 127),
        "weight": np.ones((2, 3), np.int64),
    }
    return IntegerLayer(**(given | parts))


def scaled(**parts: Any) -> ScaledLayer:
    given: dict[str, Any] = {
        "name": "y",
        "kind": "linear",
        "inputs": ("",),
        "output": _ALL,
        "multiplier": np.array([1 << 30]),
        "shift": np.array([30]),
        "weight": np.ones((2, 3), np.int64),
    }
    return ScaledLayer(**(given | parts))


NETWORK = IntegerNetwork(Codes(0, -127, 127), (layer(),), (3,))


@pytest.mark.parametrize(
    ("high", "weight"), [(2**33, 2**31 - 1), (2**40, 2**24), (2**62, 4), (2**31, 1)]
)
def test_sums_that_wrap_to_nothing_in_int64_are_refused(high: int, weight: int) -> None:
    # 2^64 and its multiples are 0 in int64.
    for sign in (1, -1):
        with pytest.raises(InvalidValue, match="beyond int32"):
            IntegerNetwork(Codes(0, 0, high), (layer(weight=np.full((1, 8), sign * weight)),))
    with pytest.raises(InvalidValue, match="beyond int32"):
        IntegerNetwork(
            ScaledCodes(1.0, 0, -1, 1), (scaled(weight=np.full((1, 1), 2**30), left=30),)
        )


@pytest.mark.parametrize(
    ("part", "value"), [("weight", 2**31), ("bias", -(2**63)), ("bias", 2**40)]
)
def test_numbers_beyond_int32_are_refused(part: str, value: int) -> None:
    given = (
        {"weight": np.full((2, 3), value)} if part == "weight" else {"bias": np.array([0, value])}
    )
    for make in (layer, scaled):
        with pytest.raises(InvalidValue, match=f"{part} of layer 'y' leaves int32"):
            make(**given)
    with pytest.raises(InvalidValue, match="weight of layer 'y' leaves int32"):
        layer(weight=np.full((2, 3), 2**64 - 1, np.uint64))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.ones((2, 3)), "float64"),
        (np.ones((2, 3), bool), "bool"),
        ([["a"]], "<U1"),
        ([[1], []], ""),
    ],
)
def test_numbers_that_are_no_integers_are_refused(values: Any, dtype: str) -> None:
    with pytest.raises(InvalidType, match=f"weight of layer 'y' must be integers, got {dtype}"):
        layer(weight=values)


@pytest.mark.parametrize("shift", [-29, -61, -62, -63, -64, -70, -1000])
def test_long_shifts_to_the_left_saturate(shift: int) -> None:
    values = np.array([0, 1, -1, 5, -5, 2**31 - 1, -(2**31)])
    for low, high in ((-127, 127), (0, 2**62), (-(2**62), 2**62), (-(2**31), 2**31 - 1)):
        exact = [min(max(int(a) << -shift, low), high) for a in values]
        assert requantize(values, shift, low, high).tolist() == exact


def test_no_images_measure_nothing() -> None:
    nothing = np.zeros((0, 3), np.int64)
    assert NETWORK.run(nothing).shape == (0, 2)
    assert NETWORK.widths(nothing) == NETWORK.widths()


def test_padding_counts_where_no_code_is_zero() -> None:
    codes = ScaledCodes(1.0, -10, 0, 20)  # factors 10 to 30, and the padding's 0
    weight = np.array([[[[1, 1]]], [[[-1, 1]]]])
    wide = scaled(kind="convolution", weight=weight, padding=(0, 1))
    found = IntegerNetwork(codes, (wide,)).widths(np.array([[[[0, 20]]]]))[0]
    assert found.worst == (-30, 60)
    assert found.measured == (-30, 40)
    narrow = scaled(kind="convolution", weight=weight)
    assert IntegerNetwork(codes, (narrow,)).widths()[0].worst == (-20, 60)


def test_the_largest_of_a_window_is_no_sum() -> None:
    wide = Codes(0, -(2**30), 2**30)
    pool = IntegerLayer("y", "largest", ("",), wide, window=(8, 8))
    found = IntegerNetwork(wide, (pool,)).run(np.full((1, 1, 8, 8), -(2**30)))
    assert found.tolist() == [[[[-(2**30)]]]]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.full((1, 3), 128), r"codes in -127..127, got 128..128"),
        (np.full((1, 3), 2**63, np.uint64), "codes in -127..127"),
        (np.zeros((1, 4), np.int64), r"shape \(n, 3\), got \(1, 4\)"),
        (np.zeros(3, np.int64), r"shape \(n, 3\), got \(3,\)"),
        (np.int64(3), r"shape \(n, 3\), got \(\)"),
    ],
)
def test_codes_that_encode_does_not_make(codes: Any, message: str) -> None:
    for call in (NETWORK.run, NETWORK.trace, NETWORK.widths):
        with pytest.raises(InvalidValue, match=message):
            call(codes)


def test_images_that_are_none() -> None:
    ragged: Any = [[1, 2], [3]]
    with pytest.raises(InvalidType, match="an array of real numbers"):
        NETWORK.encode(ragged)
    fine = IntegerNetwork(Codes(40, -127, 127), (layer(),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fine.encode(np.full((1, 3), 1e308)).tolist() == [[127] * 3]
        small = IntegerNetwork(ScaledCodes(1e-300, 0, -9, 9), (scaled(),))
        assert small.encode(np.full((1, 3), -1e308)).tolist() == [[-9] * 3]


def test_rows_alone_go_through_a_linear_layer() -> None:
    square = layer(weight=np.ones((3, 3), np.int64), bias=np.array([1, 2, 3]))
    free = IntegerNetwork(Codes(0, -127, 127), (square,))
    with pytest.raises(InvalidValue, match=r"layer 'y' .*rows \(n, features\), got \(2, 3, 3\)"):
        free.run(np.ones((2, 3, 3), np.int64))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"name": 3}, "names are text"),
        ({"inputs": (None,)}, "names are text"),
        ({"raw": "no"}, "true or false"),
        ({"groups": 2}, "convolutions alone have groups"),
        (
            {"kind": "largest", "weight": None, "window": (2, 2), "padding": (1, 2)},
            "wider than half",
        ),
    ],
)
def test_parts_that_cannot_be(parts: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidType, InvalidValue), match=message):
        layer(**parts)


def test_networks_that_cannot_be() -> None:
    make: Any = IntegerNetwork
    codes = Codes(0, -127, 127)
    with pytest.raises(InvalidType, match="Codes or ScaledCodes, got NoneType"):
        make(None, (layer(),))
    with pytest.raises(InvalidType, match="a tuple, got list"):
        make(codes, [layer()])
    with pytest.raises(InvalidType, match="size must be an integer"):
        make(codes, (layer(),), ("a",))
    with pytest.raises(InvalidValue, match="size must lie in"):
        make(codes, (layer(),), (-1,))
    with pytest.raises(InvalidValue, match="one, or one for every output"):
        scaled(weight_zero=np.zeros(5, np.int64))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_files_are_refused_in_words(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    rng = np.random.default_rng(0)
    save_network(
        IntegerNetwork(Codes(0, -9, 9), (layer(weight=rng.integers(-9, 9, (4, 60))),)), path
    )
    content = path.read_bytes()
    refused = 0
    for seed in range(150):
        damaged = bytearray(content)
        for _ in range(1 + seed % 4):
            damaged[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(damaged[: len(content) - seed % 3])
        try:
            load_network(path)
        except InvalidValue as error:
            refused += 1
            assert repr(str(path)) in str(error)  # noqa: PT017 - what some of the damages raise
    assert refused > 50


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="no folder"):
        save_network(NETWORK, tmp_path / "none" / "net.npz")
    with pytest.raises(InvalidValue, match="cannot write"):
        save_network(NETWORK, f"{tmp_path}/{'y' * 300}.npz")
