"""Multipliers, shifts and zero points against fractions, and networks of them in files."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qerror.exceptions import InvalidValue
from qerror.integer import (
    Codes,
    IntegerLayer,
    IntegerNetwork,
    ScaledCodes,
    ScaledLayer,
    load_network,
    multiplied,
    multiplier_of,
    save_network,
)

WIDE = ScaledCodes(1.0, 0, -(2**31), 2**31 - 1)
SAME = np.array([1 << 30]), np.array([30])


@pytest.mark.parametrize(
    "factor", [1.0, 0.5, 1 - 2**-40, 1 / 3, 0.7, math.pi * 1e-3, 2.0**-32, 1e-9, 1234.5, 2.0**13]
)
def test_a_multiplier_is_the_nearest(factor: float) -> None:
    multiplier, shift = multiplier_of(factor)
    assert 2**30 <= multiplier < 2**31
    off = abs(Fraction(multiplier) / Fraction(2) ** shift - Fraction(factor))
    assert off <= Fraction(1, 2) / Fraction(2) ** shift


def test_factors_out_of_reach() -> None:
    assert multiplier_of(2.0**-33)[0] == 0
    multiplier, shift = (np.array(each) for each in multiplier_of(2.0**-33))
    assert multiplied(np.array([2**31 - 1]), multiplier, shift) == 0
    with pytest.raises(InvalidValue, match="2\\^14 or more"):
        multiplier_of(2.0**14)
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InvalidValue, match="a factor of codes"):
            multiplier_of(bad)


def once(a: int, multiplier: int, shift: int) -> int:
    return math.floor(Fraction(a * multiplier, 2**shift) + Fraction(1, 2))


def twice(a: int, multiplier: int, shift: int) -> int:
    """Return what gemmlowp's two functions do, in their own words: nudge, truncate, threshold."""
    a = min(max(a << max(31 - shift, 0), -(2**31)), 2**31 - 1)
    product = a * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    right = max(shift - 31, 0)
    exact = Fraction(high, 2**right)
    return int(math.copysign(math.floor(abs(exact) + Fraction(1, 2)), exact)) if exact else 0


def even(a: int, multiplier: int, shift: int) -> int:
    return round(Fraction(a * multiplier, 2**shift))


def hard_sums(multiplier: int, shift: int) -> Any:
    """Return sums next to ties, at both ends of int32, and some at random."""
    rng = np.random.default_rng(shift)
    factor = Fraction(multiplier, 2**shift)
    near = [round((k + Fraction(1, 2)) / factor) + d for k in range(-6, 6) for d in (-1, 0, 1)]
    ends = [-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 2, 0]
    values = np.array([*near, *ends, *rng.integers(-(2**31), 2**31, 200)])
    return values[(values >= -(2**31)) & (values < 2**31)]


FACTORS = [(2**30, n) for n in (17, 29, 30, 31, 32, 40, 62)] + [
    (2**31 - 1, 31),
    (2**31 - 1, 61),
    (1_518_500_249, 38),
    (1_073_741_825, 45),
    (1_610_612_736, 33),
    (1_900_000_001, 50),
    (1_900_000_001, 28),
]


@pytest.mark.parametrize(("multiplier", "shift"), FACTORS)
def test_rounding(multiplier: int, shift: int) -> None:
    sums = hard_sums(multiplier, shift)
    given = sums, np.array([multiplier]), np.array([shift])
    assert multiplied(*given).tolist() == [once(a, multiplier, shift) for a in sums.tolist()]
    found = multiplied(*given, "twice").tolist()
    assert found == [twice(a, multiplier, shift) for a in sums.tolist()]
    found = multiplied(*given, "even").tolist()
    assert found == [even(a, multiplier, shift) for a in sums.tolist()]


def nearest(x: Fraction, low: int, high: int, zero: int = 0) -> int:
    return min(max(math.floor(x + Fraction(1, 2)) + zero, low), high)


def test_a_layer_with_zero_points() -> None:
    rng = np.random.default_rng(0)
    weight, zeros = rng.integers(0, 256, (6, 9)), rng.integers(90, 160, 6)
    bias = rng.integers(-4000, 4000, 6)
    pairs = np.array([multiplier_of(f) for f in rng.uniform(1e-4, 4e-3, 6)])
    out = ScaledCodes(0.1, 30, 30, 255)  # a ReLU: nothing below the zero point
    layer = ScaledLayer("y", "linear", ("",), out, pairs[:, 0], pairs[:, 1], weight, zeros, bias)
    network = IntegerNetwork(ScaledCodes(0.02, 117, 0, 255), (layer,))
    x = np.vstack([rng.integers(0, 256, (50, 9)), np.full(9, 0), np.full(9, 255), np.full(9, 117)])
    found = network.run(x)
    for row, codes in zip(x.tolist(), found.tolist(), strict=True):
        for o in range(6):
            total = int(bias[o]) + sum(
                (a - 117) * (int(w) - int(zeros[o])) for a, w in zip(row, weight[o], strict=True)
            )
            exact = Fraction(total * int(pairs[o, 0])) / 2 ** int(pairs[o, 1])
            assert codes[o] == nearest(exact, 30, 255, 30)
    assert {30, 255} <= set(found.reshape(-1).tolist())  # both ends were met
    # The worst case is met by the input that is made for it, and int32 holds it.
    (width,) = network.widths(x)
    factors = weight - zeros[:, None]
    worst = np.where(factors > 0, 255 - 117, -117)
    sums = (factors * worst).sum(1) + bias
    assert width.worst[1] == sums.max()
    assert network.run(x, accumulator=width.bits).tolist() == found.tolist()
    assert network.run(x, accumulator=12).tolist() != found.tolist()


def test_padding_is_zero_and_channels_have_factors() -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-127, 128, (4, 1, 3, 3))
    pairs = np.array([multiplier_of(f) for f in (0.01, 0.002, 0.03, 0.004)])
    layer = ScaledLayer(
        "y",
        "convolution",
        ("",),
        ScaledCodes(1.0, -3, -128, 127),
        pairs[:, 0],
        pairs[:, 1],
        weight,
        padding=(1, 1),
        stride=(2, 1),
        groups=4,
    )
    x = rng.integers(0, 256, (2, 4, 5, 4))
    found = IntegerNetwork(ScaledCodes(0.1, 100, 0, 255), (layer,)).run(x)
    padded = np.pad(x - 100, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for o in range(4):
        for i in range(3):
            for j in range(4):
                window = padded[:, o, 2 * i : 2 * i + 3, j : j + 3]
                for n, total in enumerate((window * weight[o, 0]).sum((1, 2)).tolist()):
                    exact = Fraction(total * int(pairs[o, 0])) / 2 ** int(pairs[o, 1])
                    assert found[n, o, i, j] == nearest(exact, -128, 127, -3)


@pytest.mark.parametrize("rounding", ["once", "twice", "even"])
def test_additions_and_pools(rounding: Any) -> None:
    layer: Any = partial(ScaledLayer, rounding=rounding)
    step = {"once": once, "twice": twice, "even": even}[rounding]
    a, b, c = (
        multiplier_of(0.5 * 0.02 / 0.05),
        multiplier_of(0.5),
        multiplier_of(0.1 / 0.03 / 2**20),
    )
    pool = multiplier_of(1.7 / 6)
    layers = (
        layer(
            "a", "clip", ("",), ScaledCodes(0.05, 9, 9, 90), *np.array(b)[:, None],
        ),
        layer(
            "b", "add", ("", "a"), ScaledCodes(0.03, 50, 0, 255), *np.array(c)[:, None],
            operands=(a, b), left=20,
        ),
        layer(
            "c", "average", ("b",), ScaledCodes(0.02, 40, 0, 255), *np.array(pool)[:, None],
            window=(2, 3),
        ),
        layer(
            "d", "largest", ("b",), ScaledCodes(0.03, 50, 0, 255), np.array([]), np.array([]),
            window=(2, 2), stride=(2, 2),
        ),
        layer(
            "e", "flatten", ("d",), ScaledCodes(0.03, 50, 0, 255), np.array([]), np.array([])
        ),
    )  # fmt: skip
    network = IntegerNetwork(ScaledCodes(0.02, 128, 0, 255), layers)
    x = np.random.default_rng(2).integers(0, 256, (3, 1, 2, 4))
    steps = network.trace(x)
    clipped = [min(max(step(v - 128, *b) + 9, 9), 90) for v in x.reshape(-1).tolist()]
    assert steps["a"].reshape(-1).tolist() == clipped
    added = [
        step(step((v - 128) << 20, *a) + step((w - 9) << 20, *b), *c) + 50
        for v, w in zip(x.reshape(-1).tolist(), clipped, strict=True)
    ]
    assert steps["b"].reshape(-1).tolist() == [min(max(v, 0), 255) for v in added]
    sums = (steps["b"] - 50)[:, 0, :, :3].sum((1, 2)).tolist()
    assert steps["c"][:, 0, 0, 0].tolist() == [min(max(step(v, *pool) + 40, 0), 255) for v in sums]
    assert np.array_equal(steps["d"][:, 0, 0, 0], steps["b"][:, 0, :, :2].max((1, 2)))
    assert steps["e"].shape == (3, 2)
    for width in network.widths(x):
        assert width.measured is not None
        assert width.worst[0] <= width.measured[0] <= width.measured[1] <= width.worst[1]


def test_codes_of_images() -> None:
    codes = ScaledCodes(0.5, 3, 0, 15)
    network = IntegerNetwork(codes, (ScaledLayer("y", "clip", ("",), WIDE, *SAME),))
    # Ties go to the even code, the zero point included.
    x = np.array([[-9.0, -1.75, -0.25, 0.0, 0.25, 0.75, 1.0, 99.0]])
    assert network.encode(x).tolist() == [[0, 0, 2, 3, 4, 4, 5, 15]]


def tiny() -> IntegerNetwork:
    layer = ScaledLayer(
        "y", "linear", ("",), WIDE, *SAME, np.array([[1, -2], [3, 300]]), bias=np.array([7, 70000])
    )
    return IntegerNetwork(ScaledCodes(1 / 32, 9, 0, 255), (layer,), (2,))


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("kind", ["fixed", "scaled"])
def test_files(suffix: str, kind: str, tmp_path: Path) -> None:
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    network = tiny()
    if kind == "fixed":
        layer = IntegerLayer(
            "y", "linear", ("",), Codes(3, 0, 255), np.array([[1, -2]]), 4, np.array([7])
        )
        network = IntegerNetwork(Codes(5, 0, 255), (layer,), (2,))
    path = tmp_path / f"net.{suffix}"
    save_network(network, path)
    again = load_network(path)
    assert again.input == network.input
    assert again.layers[0].described() == network.layers[0].described()
    images = [[3.0, 0.25], [-1.0, 2.0]]
    code = (
        "import sys; from qerror.integer import load_network; "
        f"n = load_network({str(path)!r}); print(n.run(n.encode({images})).tolist()); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == network.run(network.encode(images)).tolist()
    data = path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / f"cut.{suffix}").write_bytes(data[:size])
        with pytest.raises(InvalidValue, match=rf"cut\.{suffix}"):
            load_network(tmp_path / f"cut.{suffix}")
    with pytest.raises(InvalidValue, match="cannot read"):
        load_network(tmp_path / f"none.{suffix}")


def test_other_safetensors(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "weights.safetensors"
    numpy.save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(InvalidValue, match="no integer network"):
        load_network(path)
    with pytest.raises(InvalidValue, match=r"\.npz or \.safetensors"):
        save_network(tiny(), tmp_path / "net.bin")
    assert not (tmp_path / "net.bin").exists()


def test_bad_input() -> None:
    network = tiny()
    layer: Any = network.layers[0]
    for changes, message in (
        ({"kind": "pool"}, "unknown kind"),
        ({"weight": None}, "have weights"),
        ({"rounding": "thrice"}, "once or twice or even"),
        ({"operands": ((1 << 30, 30),)}, "two operands"),
        ({"multiplier": np.array([5])}, "31 bits"),
        ({"shift": np.array([63])}, r"17\.\.62"),
        ({"multiplier": np.array([1 << 30] * 3), "shift": np.array([30] * 3)}, "every output"),
    ):
        with pytest.raises(InvalidValue, match=message):
            replace(layer, **changes)
    with pytest.raises(InvalidValue, match="beyond int32"):
        IntegerNetwork(network.input, (replace(layer, weight=np.full((2, 2), 2**23)),))
    with pytest.raises(InvalidValue, match="is no IntegerLayer"):
        IntegerNetwork(Codes(5, 0, 255), (layer,))
    with pytest.raises(InvalidValue, match="low must not be above high"):
        ScaledCodes(1.0, 3, 6, 5)
    with pytest.raises(InvalidValue, match="scale of codes"):
        ScaledCodes(0.0, 3, 0, 255)


def test_shifts_to_the_left_that_cannot_be() -> None:
    codes, one = ScaledCodes(1.0, 0, -128, 127), multiplier_of(0.5)
    layer = ScaledLayer("y", "add", ("", ""), codes, *SAME, operands=(one, one), left=20)
    IntegerNetwork(codes, (layer,))
    for left in (-1, 62):
        with pytest.raises(InvalidValue, match=f"left of layer 'y' must lie in 0..30, got {left}"):
            replace(layer, left=left)
    with pytest.raises(InvalidValue, match="shifted to the left by 30 leaves int32"):
        IntegerNetwork(codes, (replace(layer, left=30),))
    with pytest.raises(InvalidValue, match="add takes 2, got 1 inputs"):
        replace(layer, inputs=("",))
    with pytest.raises(InvalidValue, match="stride of layer 'y'"):
        replace(layer, stride=(0, 1))
