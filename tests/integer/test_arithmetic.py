"""Integer inference against fractions: rounding, clamps, sums of narrow accumulators, files."""

import itertools
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer import (
    Codes,
    IntegerLayer,
    IntegerNetwork,
    load_network,
    requantize,
    save_network,
)
from qerror.integer.arithmetic import wrapped


def nearest_even(x: Fraction) -> int:
    return round(x)  # Python's own rounding of fractions goes to the even


@pytest.mark.parametrize("shift", [-9, -1, 0, 1, 2, 7, 15, 31, 32, 40])
def test_requantization_rounds_to_the_nearest_even(shift: int) -> None:
    rng = np.random.default_rng(shift + 50)
    half = 1 << max(shift - 1, 0)
    near = [k * half + d for k in range(-9, 10) for d in (-1, 0, 1)]
    ends = [-(2**31) + 1, 2**31 - 1, 2**30, -(2**30)]
    values = np.array([*near, *ends, *rng.integers(-(2**31) + 1, 2**31, 200)])
    values = values[np.abs(values) < 2**31]
    for low, high in ((-127, 127), (0, 255), (0, 96), (-32767, 32767)):
        found = requantize(values, shift, low, high)
        exact = [
            min(max(nearest_even(Fraction(int(a)) / Fraction(2) ** shift), low), high)
            for a in values
        ]
        assert found.tolist() == exact


def test_worked_example() -> None:
    # 200, 3 and 17 at length 5 times -45, 127 and 90 at length 6; bias 0.30 is the code 614.
    layer = IntegerLayer(
        "y", "linear", ("",), Codes(4, -127, 127), np.array([[-45, 127, 90]]), 6, np.array([614])
    )
    network = IntegerNetwork(Codes(5, 0, 255), (layer,))
    codes = network.encode(np.array([[200, 3, 17]]) / 32)
    assert codes.tolist() == [[200, 3, 17]]
    assert network.run(codes).tolist() == [[-51]]
    unsigned = IntegerNetwork(Codes(5, 0, 255), (replace(layer, output=Codes(4, 0, 255)),))
    assert unsigned.run(codes).tolist() == [[0]]
    # 520 products of 255 * 127, and 255 * 10 + 3: one more than a tie at a shift of 17.
    weight = np.array([[127] * 520 + [10, 1]])
    large = IntegerLayer("y", "linear", ("",), Codes(-6, 0, 255), weight, 6)
    given = np.array([[255] * 521 + [3]])
    assert IntegerNetwork(Codes(5, 0, 255), (large,)).run(given).tolist() == [[129]]


def direct(x: Any, layer: IntegerLayer) -> Any:
    """Return a convolution's sums by their definition."""
    assert layer.weight is not None
    outputs, inputs, kh, kw = layer.weight.shape
    n, _, height, width = x.shape
    share = outputs // layer.groups
    rows = (height + 2 * layer.padding[0] - layer.dilation[0] * (kh - 1) - 1) // layer.stride[0] + 1
    columns = (width + 2 * layer.padding[1] - layer.dilation[1] * (kw - 1) - 1) // layer.stride[
        1
    ] + 1
    found = np.zeros((n, outputs, rows, columns), np.int64)
    for o, i, j in itertools.product(range(outputs), range(rows), range(columns)):
        for c, a, b in itertools.product(range(inputs), range(kh), range(kw)):
            y = i * layer.stride[0] + a * layer.dilation[0] - layer.padding[0]
            z = j * layer.stride[1] + b * layer.dilation[1] - layer.padding[1]
            if 0 <= y < height and 0 <= z < width:
                channel = o // share * inputs + c
                found[:, o, i, j] += x[:, channel, y, z] * layer.weight[o, c, a, b]
    return found if layer.bias is None else found + layer.bias[:, None, None]


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"),
    [(1, (1, 1), (1, 1), (1, 1)), (2, (2, 1), (0, 1), (1, 2)), (4, (1, 2), (2, 0), (2, 1))],
)
def test_convolutions(groups: int, stride: Any, padding: Any, dilation: Any) -> None:
    rng = np.random.default_rng(0)
    layer = IntegerLayer(
        "y",
        "convolution",
        ("",),
        Codes(0, -(2**31), 2**31 - 1),
        rng.integers(-127, 128, (8, 4 // groups, 3, 2)),
        0,
        rng.integers(-1000, 1000, 8),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        raw=True,
    )
    x = rng.integers(0, 256, (2, 4, 7, 8))
    assert np.array_equal(IntegerNetwork(Codes(0, 0, 255), (layer,)).run(x), direct(x, layer))


def test_additions_align_and_pools_sum() -> None:
    network = IntegerNetwork(
        Codes(3, 0, 255),
        (
            IntegerLayer("a", "clip", ("",), Codes(1, 0, 20)),
            IntegerLayer("b", "add", ("", "a"), Codes(2, 0, 255)),
            IntegerLayer("c", "average", ("b",), Codes(4, 0, 255), window=(2, 2), shift=2),
            IntegerLayer("d", "largest", ("c",), Codes(4, 0, 255), window=(1, 2), stride=(1, 2)),
            IntegerLayer("e", "flatten", ("d",), Codes(4, 0, 255)),
        ),
    )
    x = np.arange(8).reshape(1, 1, 2, 4) * 31
    steps = network.trace(x)
    a = [min(20, nearest_even(Fraction(v, 4))) for v in x.reshape(-1).tolist()]
    assert steps["a"].reshape(-1).tolist() == a
    b = [
        nearest_even(Fraction(v + 4 * w, 2)) for v, w in zip(x.reshape(-1).tolist(), a, strict=True)
    ]
    assert steps["b"].reshape(-1).tolist() == b
    # Lengths 2 + 2 = 4: the sum itself.
    c = [min(255, b[i] + b[i + 1] + b[i + 4] + b[i + 5]) for i in (0, 1, 2)]
    assert steps["c"].reshape(-1)[[0]].tolist() == c[:1]
    assert steps["e"].shape == (1, steps["d"].size)


def test_accumulators() -> None:
    rng = np.random.default_rng(1)
    layer = IntegerLayer(
        "y",
        "linear",
        ("",),
        Codes(0, -(2**31), 2**31 - 1),
        rng.integers(-127, 128, (5, 40)),
        0,
        rng.integers(-99, 99, 5),
        raw=True,
    )
    network = IntegerNetwork(Codes(0, 0, 255), (layer,))
    x = rng.integers(0, 256, (300, 40))
    (width,) = network.widths(x)
    assert layer.weight is not None
    assert layer.bias is not None
    worst = np.where(layer.weight > 0, 255, 0), np.where(layer.weight < 0, 255, 0)
    assert width.worst[1] == max(
        int(w @ a + b) for w, a, b in zip(layer.weight, worst[0], layer.bias, strict=True)
    )
    assert width.worst[0] == min(
        int(w @ a + b) for w, a, b in zip(layer.weight, worst[1], layer.bias, strict=True)
    )
    exact = x @ layer.weight.T + layer.bias
    assert width.measured == (exact.min(), exact.max())
    # With the bits of the worst case nothing changes; with fewer than measured something does.
    enough, few = width.bits, (width.measured_bits or 0) - 1
    for overflow in ("wrap", "saturate"):
        same = network.run(x, accumulator=enough, overflow=overflow)
        assert np.array_equal(same, exact) or overflow == "saturate"
    assert np.array_equal(network.run(x, accumulator=few), wrapped(exact, few))
    assert not np.array_equal(network.run(x, accumulator=few), exact)
    high = 2 ** (few - 1) - 1
    for row, found in zip(
        x[:20], network.run(x[:20], accumulator=few, overflow="saturate"), strict=True
    ):
        for o in range(5):
            total = 0
            for a, w in zip(row.tolist(), layer.weight[o].tolist(), strict=True):
                total = min(max(total + a * w, -high - 1), high)
            total = min(max(total + int(layer.bias[o]), -high - 1), high)
            assert found[o] == total


def tiny() -> IntegerNetwork:
    layer = IntegerLayer(
        "y", "linear", ("",), Codes(3, 0, 255), np.array([[1, -2]]), 4, np.array([7])
    )
    return IntegerNetwork(Codes(5, 0, 255), (layer,), (2,))


def test_files_and_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save_network(tiny(), path)
    code = (
        "import sys, numpy as np; from qerror.integer import load_network; "
        f"n = load_network({str(path)!r}); print(n.run(n.encode([[3.0, 0.25]])).tolist()); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tiny().run(tiny().encode([[3.0, 0.25]])).tolist())
    data = path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.npz").write_bytes(data[:size])
        with pytest.raises(InvalidValue, match=r"cut\.npz"):
            load_network(tmp_path / "cut.npz")
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    with pytest.raises(InvalidValue, match="no integer network"):
        load_network(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(InvalidValue, match=r"no \.npz file"):
        load_network(tmp_path / "array.npy")
    with pytest.raises(InvalidValue, match="cannot read"):
        load_network(tmp_path / "none.npz")


def test_bad_input() -> None:
    network = tiny()
    with pytest.raises(InvalidValue, match=r"shape \(n, 2\)"):
        network.encode(np.zeros((1, 3)))
    with pytest.raises(InvalidValue, match="no images"):
        network.encode(np.zeros((0, 2)))
    with pytest.raises(InvalidValue, match="not finite"):
        network.encode([[np.nan, 0.0]])
    with pytest.raises(InvalidType, match="real numbers"):
        network.encode([["a", "b"]])
    with pytest.raises(InvalidType, match="takes codes"):
        network.run(np.zeros((1, 2)))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="wrap or saturate"):
        network.run(np.zeros((1, 2), np.int64), overflow="drop")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    layer = network.layers[0]
    with pytest.raises(InvalidValue, match="beyond int32"):
        IntegerNetwork(Codes(5, 0, 255), (replace(layer, weight=np.full((1, 2), 2**23)),))
    with pytest.raises(InvalidValue, match="not there"):
        IntegerNetwork(Codes(5, 0, 255), (replace(layer, inputs=("x",)),))
    with pytest.raises(InvalidValue, match="two layers"):
        IntegerNetwork(Codes(5, 0, 255), (layer, layer))
    with pytest.raises(InvalidValue, match="no layers"):
        IntegerNetwork(Codes(5, 0, 255), ())
    with pytest.raises(InvalidValue, match="fractional length"):
        Codes(60, 0, 255)
    with pytest.raises(InvalidValue, match="reach from"):
        Codes(6, 1, 255)
    with pytest.raises(InvalidValue, match="unknown kind"):
        replace(layer, kind="pool")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="have weights"):
        replace(layer, weight=None)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"groups": 0}, "groups of layer 'y' must lie in 1"),
        ({"groups": "1"}, "groups of layer 'y' must be an integer"),
        ({"groups": 2}, "2 groups do not divide its 3 outputs"),
        ({"stride": (0, 1)}, "stride of layer 'y' must lie in 1"),
        ({"padding": (1, -1)}, "padding of layer 'y' must lie in 0"),
        ({"dilation": (0, 1)}, "dilation of layer 'y' must lie in 1"),
        ({"window": (1,)}, "window is a pair"),
        ({"weight": np.ones((3, 2), int)}, r"its weight has 4 axes, got \(3, 2\)"),
        ({"weight": np.ones((0, 1, 3, 3), int)}, "its weight has 4 axes"),
        ({"bias": np.ones(2, int)}, r"one number an output, got \(2,\)"),
        ({"inputs": ("", "")}, "convolution takes 1, got 2 inputs"),
        ({"kind": "add", "weight": None}, "add takes 2, got 1 inputs"),
        ({"weight_length": 1.5}, "weight_length of layer 'y' must be an integer"),
        ({"shift": -1}, "shift of layer 'y'"),
    ],
)
def test_parts_that_cannot_be(part: dict[str, Any], message: str) -> None:
    layer = IntegerLayer(
        "y", "convolution", ("",), Codes(3, 0, 255), np.ones((3, 1, 3, 3), np.int64)
    )
    with pytest.raises((InvalidValue, InvalidType), match=message):
        replace(layer, **part)
    with pytest.raises(InvalidType, match="length must be an integer"):
        Codes(1.5, 0, 255)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 2, 5), "window of 3 x 3 is wider than the padded image of 2 x 5"),
        ((1, 2, 5, 5), "weight takes 1 channels, got 2"),
        ((1, 9), "windows are those of images"),
    ],
)
def test_images_that_a_layer_cannot_take(shape: tuple[int, ...], message: str) -> None:
    layer = IntegerLayer(
        "y", "convolution", ("",), Codes(3, 0, 255), np.ones((3, 1, 3, 3), np.int64)
    )
    network = IntegerNetwork(Codes(3, 0, 255), (layer,))
    with pytest.raises(InvalidValue, match=f"layer 'y' cannot take what comes to it: .*{message}"):
        network.run(np.ones(shape, np.int64))
