"""Every code of every public format, against the libraries that define or implement it."""

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from gfloat import decode_float
from gfloat.formats import (
    format_info_ocp_e2m1,
    format_info_ocp_e2m3,
    format_info_ocp_e3m2,
    format_info_ocp_e4m3,
    format_info_ocp_e5m2,
    format_info_p3109,
)
from gfloat.types import Domain, FormatInfo, Signedness

from qerror.formats import FloatingPoint, as_scalar_format

ML_DTYPES: dict[str, type] = {
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e3m4": ml_dtypes.float8_e3m4,
    "float8_e4m3": ml_dtypes.float8_e4m3,
    "e3m2fn": ml_dtypes.float6_e3m2fn,
    "e2m3fn": ml_dtypes.float6_e2m3fn,
    "e2m1fn": ml_dtypes.float4_e2m1fn,
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
}


def finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the different finite values, ascending."""
    return np.unique(values[np.isfinite(values)])


def decoded(kind: type, bits: int) -> npt.NDArray[np.float64]:
    """Return the value of every code of a NumPy type."""
    codes = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaN
        return codes.view(kind).astype(np.float64)


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_of_ml_dtypes(name: str) -> None:
    member = as_scalar_format(name)
    levels = finite(decoded(ML_DTYPES[name], member.bits))
    assert member.grid().points.tolist() == levels.tolist()


@pytest.mark.parametrize("name", ML_DTYPES)
def test_limits_of_ml_dtypes(name: str) -> None:
    member, info = as_scalar_format(name), ml_dtypes.finfo(ML_DTYPES[name])  # type: ignore[no-untyped-call]
    assert isinstance(member, FloatingPoint)
    assert member.bits == info.bits
    assert member.max_value == info.max
    assert member.smallest_normal == info.smallest_normal
    assert member.smallest_subnormal == info.smallest_subnormal


@pytest.mark.parametrize("name", ["float8_" + n for n in ML_DTYPES if n.startswith(("e4", "e5"))])
def test_names_of_ml_dtypes(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    assert as_scalar_format(dtype.name).max_value == ml_dtypes.finfo(dtype).max  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("name", "kind"), [("fp32", np.float32), ("fp64", np.float64)])
def test_limits_of_numpy(name: str, kind: type[np.floating]) -> None:
    member, info = as_scalar_format(name), np.finfo(kind)
    assert isinstance(member, FloatingPoint)
    assert member.bits == info.bits
    assert member.max_value == float(info.max)
    assert member.smallest_normal == float(info.smallest_normal)
    assert member.smallest_subnormal == float(info.smallest_subnormal)
    assert member.grid().size == 2**info.bits - 2 ** (info.nmant + 1) - 1


def test_rounding_to_fp32_is_numpys() -> None:
    rng = np.random.default_rng(1)
    spread = rng.standard_normal(2000) * 2.0 ** rng.integers(-150, 128, 2000)
    # Halfway between neighbours of float32: rounding depends on the parity of codes alone.
    singles = spread.astype(np.float32).astype(np.float64)
    ties = (singles + np.nextafter(singles.astype(np.float32), np.float32(np.inf))) / 2
    x = np.concatenate([spread, ties])
    with np.errstate(over="ignore"):
        expected = x.astype(np.float32).astype(np.float64)
    assert as_scalar_format("fp32").grid().round_half_even(x).tolist() == expected.tolist()


def test_rounding_to_fp64_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    x = np.append(rng.standard_normal(500) * 2.0 ** rng.integers(-1070, 1020, 500), 5e-324)
    assert as_scalar_format("fp64").grid().round_half_even(x).tolist() == x.tolist()


OCP: dict[str, FormatInfo] = {
    "ocp_e2m1": format_info_ocp_e2m1,
    "ocp_e2m3": format_info_ocp_e2m3,
    "ocp_e3m2": format_info_ocp_e3m2,
    "ocp_e4m3": format_info_ocp_e4m3,
    "ocp_e5m2": format_info_ocp_e5m2,
}


def gfloat_levels(info: FormatInfo) -> list[float]:
    values = [float(decode_float(info, code).fval) for code in range(2**info.k)]
    return [float(value) for value in finite(np.array(values))]


@pytest.mark.parametrize("name", OCP)
def test_every_code_of_ocp(name: str) -> None:
    assert as_scalar_format(name).grid().points.tolist() == gfloat_levels(OCP[name])


P3109 = [
    f"p3109_k{width}p{precision}{sign}{domain}"
    for width in (3, 4, 6, 8)
    for sign in "su"
    for domain in "ef"
    for precision in range(1, width + (sign == "u"))
]


def p3109_info(name: str) -> FormatInfo:
    return format_info_p3109(
        int(name[7]),
        int(name[9]),
        Signedness.Signed if name[10] == "s" else Signedness.Unsigned,
        Domain.Extended if name[11] == "e" else Domain.Finite,
    )


@pytest.mark.parametrize("name", P3109)
def test_every_code_of_p3109(name: str) -> None:
    info, member = p3109_info(name), as_scalar_format(name)
    assert isinstance(member, FloatingPoint)
    assert info.name == name
    assert member.grid().points.tolist() == gfloat_levels(info)
    assert (member.bits, member.bias, member.name) == (info.k, info.bias, name.upper())


@pytest.mark.parametrize(
    ("paper", "other"), [("3M4E", "e4m3fnuz"), ("2M5E", "e5m2fnuz"), ("2M5E", "p3109_k8p3sf")]
)
def test_grids_that_the_paper_shares(paper: str, other: str) -> None:
    """Kuzmin et al. 2022: with bias 2^(E-1) and no special code, these are others' grids."""
    assert as_scalar_format(paper).grid() == as_scalar_format(other).grid()
    assert as_scalar_format(paper) != as_scalar_format(other)


# What the standards print: OCP OFP8 table 1 (E4M3, E5M2), OCP MX section 5.3, IEEE 754 table
# 3.5, Kuzmin et al. 2022 section 2 by c = (2 - 2^-m) 2^(2^e - b - 1).
PRINTED = {
    "e4m3": (448, 2.0**-6, 2.0**-9),
    "e5m2": (57344, 2.0**-14, 2.0**-16),
    "e3m2": (28, 0.25, 0.0625),
    "e2m3": (7.5, 1, 0.125),
    "e2m1": (6, 1, 0.5),
    "e4m3fnuz": (240, 2.0**-7, 2.0**-10),
    "float8_e4m3": (240, 2.0**-6, 2.0**-9),
    "5M2E": (63 / 16, 0.5, 2.0**-6),
    "4M3E": (15.5, 2.0**-3, 2.0**-7),
    "3M4E": (240, 2.0**-7, 2.0**-10),
    "2M5E": (57344, 2.0**-15, 2.0**-17),
    "fp16": (65504, 2.0**-14, 2.0**-24),
    "tf32": ((2 - 2.0**-10) * 2.0**127, 2.0**-126, 2.0**-136),
}


@pytest.mark.parametrize("name", PRINTED)
def test_limits_as_printed(name: str) -> None:
    member = as_scalar_format(name)
    assert isinstance(member, FloatingPoint)
    limits = (member.max_value, member.smallest_normal, member.smallest_subnormal)
    assert limits == PRINTED[name]
