"""Every format has a name that reads back; every name in the documentation is read."""

from dataclasses import dataclass

import pytest

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats import (
    FORMATS,
    Codebook,
    ExponentOnly,
    FixedPoint,
    FloatingPoint,
    Format,
    Integer,
    ScalarFormat,
    as_format,
    as_grid,
    as_scalar_format,
    parse_format,
    scalar_formats,
)
from qerror.formats.names import examples, spelling

E4M3 = FloatingPoint(3, 4, specials="fn")
NAMED: dict[str, Format] = {
    "int8": Integer(8),
    "INT-8": Integer(8),
    "int8:full": Integer(8, symmetric=False),
    "int8:FULL:zp=-128": Integer(8, symmetric=False, zero_point=-128),
    "int8 : zp = 3": Integer(8, zero_point=3),
    "int3": Integer(3),
    "uint8": Integer(8, signed=False),
    "uint8:zp=128": Integer(8, signed=False, zero_point=128),
    "uint1": Integer(1, signed=False),
    "5M2E": FloatingPoint(5, 2),
    "4m3e": FloatingPoint(4, 3),
    "3M4E": FloatingPoint(3, 4),
    "2M5E": FloatingPoint(2, 5),
    "4M3E:bias=3.9": FloatingPoint(4, 3, 3.9),
    "4M3E:bias=-3": FloatingPoint(4, 3, -3),
    "4M3E:bias=1e-05": FloatingPoint(4, 3, 1e-5),
    "U4M4E": FloatingPoint(4, 4, signed=False),
    "3M4E:specials=fn": E4M3,
    "3M4E:bias=6:specials=ieee": FloatingPoint(3, 4, 6, specials="ieee"),
    "u3m4e:specials=fn": FloatingPoint(3, 4, signed=False, specials="fn"),
    "e4m3": E4M3,
    "e4m3fn": E4M3,
    "fp8_e4m3": E4M3,
    "FP8-E4M3": E4M3,
    "fp8e4m3": E4M3,
    "float8_e4m3fn": E4M3,
    "e4m3:bias=9": FloatingPoint(3, 4, 9, specials="fn"),
    "float8_e4m3": FloatingPoint(3, 4, specials="ieee"),
    "e4m3fnuz": FloatingPoint(3, 4, specials="fnuz"),
    "float8_e4m3fnuz": FloatingPoint(3, 4, specials="fnuz"),
    "e4m3b11fnuz": FloatingPoint(3, 4, 11, specials="fnuz"),
    "e5m2": FloatingPoint(2, 5, specials="ieee"),
    "fp8_e5m2": FloatingPoint(2, 5, specials="ieee"),
    "e5m2fnuz": FloatingPoint(2, 5, specials="fnuz"),
    "e3m4": FloatingPoint(4, 3, specials="ieee"),
    "e3m2": FloatingPoint(2, 3, 3),
    "e3m2fn": FloatingPoint(2, 3, 3),
    "e2m3": FloatingPoint(3, 2, 1),
    "e2m1": FloatingPoint(1, 2, 1),
    "fp4": FloatingPoint(1, 2, 1),
    "float4_e2m1fn": FloatingPoint(1, 2, 1),
    "p3109_k8p4se": FloatingPoint(3, 4, specials="p3109", infinities=True),
    "P3109K8P4SF": FloatingPoint(3, 4, specials="p3109"),
    "binary8p4ue": FloatingPoint(3, 5, signed=False, specials="p3109", infinities=True),
    "p3109_k15p10sf": FloatingPoint(9, 5, specials="p3109"),
    "fp16": FloatingPoint(10, 5, specials="ieee"),
    "float16": FloatingPoint(10, 5, specials="ieee"),
    "bf16": FloatingPoint(7, 8, specials="ieee"),
    "bfloat16": FloatingPoint(7, 8, specials="ieee"),
    "tf32": FloatingPoint(10, 8, specials="ieee"),
    "fp32": FloatingPoint(23, 8, specials="ieee"),
    "fp64": FloatingPoint(52, 11, specials="ieee"),
    "fixed8.4": FixedPoint(8, 4),
    "Fixed-8.4": FixedPoint(8, 4),
    "fixed8.-2": FixedPoint(8, -2),
    "fixed8.-4": FixedPoint(8, -4),
    "ufixed8.4": FixedPoint(8, 4, signed=False),
    "fixed8.4:full": FixedPoint(8, 4, symmetric=False),
    "q:ti3.4": FixedPoint(8, 4),
    "q:arm4.4:full": FixedPoint(8, 4, symmetric=False),
    "Q:ARM4.4": FixedPoint(8, 4),
    "q:ti-2.10": FixedPoint(9, 10),
    "q:arm10.-2": FixedPoint(8, -2),
    "codebook:-1,0,0.5,1": Codebook([-1, 0, 0.5, 1]),
    "Codebook: 1e-3, -2": Codebook([-2, 1e-3]),
    "nf4": FORMATS["NF4"],
    "F8_E4M3": E4M3,
    "F8_E5M2": FloatingPoint(2, 5, specials="ieee"),
    "torch.float8_e4m3fn": E4M3,
    "torch.float8_e5m2": FloatingPoint(2, 5, specials="ieee"),
    "torch.float8_e4m3fnuz": FloatingPoint(3, 4, specials="fnuz"),
    "torch.float8_e5m2fnuz": FloatingPoint(2, 5, specials="fnuz"),
    "torch.float8_e8m0fnu": ExponentOnly(8),
    "torch.float4_e2m1fn_x2": FloatingPoint(1, 2, 1),
    "torch.bfloat16": FloatingPoint(7, 8, specials="ieee"),
    "torch.int8": Integer(8, symmetric=False),
    "torch.uint8": Integer(8, signed=False),
    "F16": FloatingPoint(10, 5, specials="ieee"),
    "BF16": FloatingPoint(7, 8, specials="ieee"),
    "fp8e4nv": E4M3,
    "ue8m0": ExponentOnly(8),
    "E8M0": ExponentOnly(8),
    "e8m0fnu": ExponentOnly(8),
    "float8_e8m0fnu": ExponentOnly(8),
    "F8_E8M0": ExponentOnly(8),
    "ue5m0": ExponentOnly(5),
    "e8m0:bias=100": ExponentOnly(8, 100),
    "ue5m3": FloatingPoint(3, 5, 15, signed=False, specials="fn"),
    "ue4m3": FloatingPoint(3, 4, 7, signed=False, specials="fn"),
}


@pytest.mark.parametrize("text", NAMED)
def test_names_parse(text: str) -> None:
    assert parse_format(text) == NAMED[text]


SHOWN = {
    "int8": "INT8",
    "int8:full": "INT8:full",
    "int8:zp=3": "INT8:zp=3",
    "int8:zp=3:full": "INT8:full:zp=3",
    "uint8": "UINT8",
    "4m3e": "4M3E",
    "4m3e:bias=4": "4M3E",
    "4m3e:bias=3.9": "4M3E:bias=3.9",
    "u4m4e": "U4M4E",
    "e4m3": "E4M3FN",
    "e4m3:bias=5.5": "E4M3FN:bias=5.5",
    "3m4e:specials=fn": "E4M3FN",
    "e5m2": "E5M2",
    "e4m3fnuz": "E4M3FNUZ",
    "e4m3fnuz:bias=11": "E4M3B11FNUZ",
    "e2m1fn": "E2M1",
    "1m2e": "1M2E",
    "1m2e:bias=1": "E2M1",
    "5m3e:specials=ieee": "5M3E:specials=ieee",
    "bfloat16": "BF16",
    "half": "FP16",
    "p3109k8p4se": "P3109_K8P4SE",
    "p3109k8p4uf:bias=3": "P3109_K8P4UF:bias=3",
    "q:arm4.4": "FIXED8.4",
    "ufixed8.-4": "UFIXED8.-4",
    "fixed8.-4:FULL": "FIXED8.-4:full",
    "codebook:1,-1": "codebook:-1,1",
    "nf4": "NF4",
    "ue8m0": "E8M0",
    "ue6m0": "E6M0",
    "ue8m0:bias=120": "E8M0:bias=120",
    "ue5m3": "UE5M3",
    "U3M5E:specials=fn": "UE5M3",
}


@pytest.mark.parametrize("text", SHOWN)
def test_names_are_what_a_person_reads(text: str) -> None:
    member = parse_format(text)
    assert member.name == str(member) == SHOWN[text]


def test_registered_names_are_the_formats_own() -> None:
    assert len(FORMATS) >= 30
    for name, member in FORMATS.items():
        assert member.name == name
        assert parse_format(name) == member
        for alias in FORMATS.aliases(name):
            assert parse_format(alias) == member


def test_examples_parse() -> None:
    assert examples()
    for example in examples():
        parse_format(example)


REFUSED: list[tuple[str, type[Exception], str]] = [
    (
        "e4m9",
        UnknownName,
        r"unknown format 'e4m9'; did you mean E4M3FN or UE4M3\? See: qerror formats",
    ),
    ("bfloat-61", UnknownName, "'bfloat-61'; did you mean .*BF16.*See: qerror formats"),
    ("flaot16", UnknownName, "did you mean .*FP16"),
    ("fixed8", UnknownName, "did you mean fixed8.4"),
    ("e8m1fnu", UnknownName, "unknown format 'e8m1fnu'"),
    ("ue1m0", InvalidValue, r"exponent_bits must lie in 2\.\.11, got 1"),
    ("ue8m0:bias=1.5", InvalidValue, "bias must be an integer, got '1.5'"),
    ("torch.float8", UnknownName, "unknown format 'torch.float8'; did you mean"),
    (
        "U3M5E:bias=15,specials=fn",
        InvalidValue,
        "parted by colons, not commas; write U3M5E:bias=15:specials=fn",
    ),
    ("", UnknownName, "names look like 4M3E, .*See: qerror formats"),
    ("?", UnknownName, "names look like"),
    ("int", UnknownName, "did you mean int8"),
    ("int8x", UnknownName, "did you mean int8"),
    ("4M3E2", UnknownName, "did you mean 4M3E"),
    ("q:foo3.4", UnknownName, "q:ti3.4"),
    ("4M3E:foo=2", InvalidValue, r"4M3E has no option 'foo'; it takes bias=<real>, specials="),
    ("4M3E:", InvalidValue, "4M3E has no option ''"),
    ("4M3E:bias=nan", InvalidValue, "bias must be finite, got nan"),
    ("4M3E:bias=-inf", InvalidValue, "bias must be finite, got -inf"),
    ("4M3E:bias=two", InvalidValue, "bias must be a real number, got 'two'"),
    ("4M3E:bias", InvalidValue, "bias must be a real number, got ''"),
    ("4M3E:bias=1:bias=2", InvalidValue, "gives the option 'bias' twice"),
    ("4M3E:bias=9999", InvalidValue, r"bias must lie in -1016\.\.1077.*4M3E, got 9999"),
    ("4M3E:specials=all", InvalidValue, "one of none, ieee, fn, fnuz, p3109, got 'all'"),
    ("60M3E", InvalidValue, r"mantissa_bits must lie in 0\.\.52, got 60"),
    ("3M12E", InvalidValue, r"exponent_bits must lie in 1\.\.11, got 12"),
    ("4M0E", InvalidValue, r"exponent_bits must lie in 1\.\.11, got 0"),
    ("int8:bias=3", InvalidValue, "INT8 has no option 'bias'; it takes full, zp=<integer>"),
    ("int8:full=yes", InvalidValue, "full takes no value, got 'yes'"),
    ("uint8:full", InvalidValue, "full is for signed codes; UINT8"),
    ("int8:zp=x", InvalidValue, "zp must be an integer, got 'x'"),
    ("int8:zp=1.5", InvalidValue, "zp must be an integer, got '1.5'"),
    ("int8:zp=-128", InvalidValue, r"zero_point must lie in -127\.\.127, got -128"),
    ("int0", InvalidValue, r"bits must lie in 2\.\.53, got 0"),
    ("int99", InvalidValue, r"bits must lie in 2\.\.53, got 99"),
    ("fixed99.4", InvalidValue, r"word_length must lie in 2\.\.53, got 99"),
    ("fixed8.4:zp=1", InvalidValue, "FIXED8.4 has no option 'zp'; it takes full"),
    ("fixed8.4:full=1", InvalidValue, "full takes no value, got '1'"),
    ("ufixed8.4:full", InvalidValue, "full is for signed codes; UFIXED8.4 has all its codes"),
    ("q:ti0.0", InvalidValue, r"word_length must lie in 2\.\.53, got 1"),
    ("p3109_k8p8se", InvalidValue, r"P must lie in 1\.\.7 for K = 8, got 8"),
    ("p3109_k8p0ue", InvalidValue, r"P must lie in 1\.\.8 for K = 8, got 0"),
    ("codebook:", InvalidValue, "needs at least one level"),
    ("codebook:1,,2", InvalidValue, "a level of a codebook must be a real number, got ''"),
    ("codebook:1,inf", InvalidValue, "a level of a codebook must be finite, got inf"),
    ("codebook:1,1.0", InvalidValue, "must differ, got 1 twice"),
]


@pytest.mark.parametrize(("text", "kind", "phrase"), REFUSED)
def test_refusals(text: str, kind: type[Exception], phrase: str) -> None:
    with pytest.raises(InvalidValue, match=phrase) as raised:
        parse_format(text)
    assert raised.type is kind


def test_only_text_is_parsed() -> None:
    with pytest.raises(InvalidType, match="must be a string, got 8"):
        parse_format(8)  # type: ignore[arg-type]


def test_a_pattern_is_given_once_and_matches_its_example() -> None:
    with pytest.raises(InvalidValue, match="'taken' does not match"):
        spelling(r"quire[0-9]+", "taken")
    with pytest.raises(InvalidValue, match="is taken already"):
        spelling(r"(?P<unsigned>u?)int(?P<bits>[0-9]{1,4})", "int8")


@dataclass(frozen=True, slots=True)
class Shared(Format):
    """A format without a grid of its own, as block formats are."""

    @property
    def name(self) -> str:
        return "shared"

    @property
    def bits_per_value(self) -> float:
        return 4.25

    def _facts(self) -> dict[str, str]:
        return {"bits per value": "4.25"}


def test_a_grid_is_asked_of_scalar_formats_alone() -> None:
    assert as_format(Shared()) == Shared()
    assert as_scalar_format("int8") == as_scalar_format(Integer(8)) == Integer(8)
    for needs_a_grid in (as_scalar_format, as_grid):
        with pytest.raises(InvalidType, match="shared shares scales between values"):
            needs_a_grid(Shared())
    with pytest.raises(InvalidType, match="expected a number format or its name, got 8"):
        as_scalar_format(8)  # type: ignore[arg-type]
    assert Shared().conventions() == {"name": "shared", "bits per value": "4.25"}
    assert str(Shared()) == "shared"


def test_scalar_formats_are_those_with_a_grid() -> None:
    assert set(scalar_formats()) <= set(FORMATS)
    assert all(isinstance(form, ScalarFormat) for form in scalar_formats().values())
    assert scalar_formats()["INT8"] == Integer(8)


def test_bare_names_of_a_width_list_the_candidates() -> None:
    for name in ("fp8", "FP-8", "float8", "f8"):
        with pytest.raises(UnknownName) as raised:
            parse_format(name)
        message = str(raised.value)
        assert message.startswith(f"{name!r} may be any of 5M2E (max 3.9375), ")
        for candidate in ("E4M3FN (max 448)", "E5M2 (max 57344)", "FLOAT8_E4M3 (max 240)"):
            assert candidate in message
        assert "UE5M3" not in message
        assert message.endswith("; name one. See: qerror formats")
    with pytest.raises(UnknownName, match=r"E3M2 \(max 28\), E2M3 \(max 7.5\); name one"):
        parse_format("fp6")
