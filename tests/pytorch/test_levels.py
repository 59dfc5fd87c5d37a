"""The levels on tensors are those of the array quantizer, bit by bit."""

import numpy as np
import pytest
import torch

from qerror import quantize as on_arrays
from qerror.formats import FORMATS, ScalarFormat, parse_format
from qerror.formats.names import as_scalar_format
from qerror.pytorch.levels import quantize

SCALES = (1.0, 0.25, 0.1, 0.7317, 3.0, 2.0**-9, 1e-6)
MORE = (
    "int2", "int3", "int16", "int24", "int32", "int53", "int8:full", "uint8:zp=137", "int8:zp=-3",
    "int4:zp=3", "uint1", "fixed16.9", "fixed8.-2", "ufixed8.0", "6M1E", "5M2E", "4M3E", "3M4E",
    "2M5E", "1M6E", "0M7E", "4M3E:bias=3.9", "2M5E:bias=15.31", "u4m3e", "bf16", "fp16", "tf32",
    "fp32", "fp64", "22M5E", "23M5E", "51M8E", "52M3E", "nf4", "codebook:-1,0.1,0.5,0.7",
    "p3109_k8p4se", "p3109_k8p3uf",
)  # fmt: skip

NAMES = dict.fromkeys(
    form.name
    for form in (*FORMATS.values(), *map(parse_format, MORE))
    if isinstance(form, ScalarFormat)
)


def inputs(
    form: ScalarFormat, scale: float, dtype: str
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return values of every kind: random ones, levels, ties, their neighbours, ends, specials."""
    rng = np.random.default_rng(1)
    top = min(form.max_value, 1e30) * scale
    parts = [
        rng.standard_normal(500) * top / 3,
        rng.standard_normal(300) * scale,
        np.exp2(rng.uniform(-20, 3, 300)) * top * rng.choice([-1, 1], 300),
        np.array([0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, np.nan, top, -top, 1.5 * top]),
    ]
    if form.grid().size <= 4096:
        grid = form.grid(scale)
        parts += [grid.points, grid.thresholds]
    with np.errstate(over="ignore"):
        x = np.concatenate(parts).astype(dtype)
        return np.concatenate(
            [x, np.nextafter(x, x.dtype.type(9e9)), np.nextafter(x, x.dtype.type(-9e9))]
        )


def same(a: torch.Tensor, b: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
    kind = {2: np.uint16, 4: np.uint32, 8: np.uint64}[b.dtype.itemsize]
    ours, nan = a.numpy(), np.isnan(b)
    assert ours.dtype == b.dtype
    np.testing.assert_array_equal(np.isnan(ours), nan)
    np.testing.assert_array_equal(ours.view(kind)[~nan], b.view(kind)[~nan])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # infinities are wanted
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.thinned(5)
def test_every_format_to_the_bit(name: str, dtype: str) -> None:
    form = as_scalar_format(name)
    for scale in SCALES:
        x = inputs(form, scale, dtype)
        # Half precision is quantized in float32 and cast once.
        wide = x.astype(np.float32) if dtype == "float16" else x
        same(quantize(torch.from_numpy(x), form, scale), on_arrays(wide, form, scale).astype(dtype))
