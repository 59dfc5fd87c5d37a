"""Lists of formats as text: commas, codebooks, ranges."""

import pytest

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats import Codebook, FixedPoint, Format, Integer, as_formats, parse_formats

LISTS = {
    "int8": ["INT8"],
    "int8, 4M3E,,e4m3": ["INT8", "4M3E", "E4M3FN"],
    "int8,codebook:-1,0,0.5,1e3,4M3E": ["INT8", "codebook:-1,0,0.5,1000", "4M3E"],
    "4M3E:bias=3.9,fixed8.-4": ["4M3E:bias=3.9", "FIXED8.-4"],
    "int8,INT-8,int4": ["INT8", "INT4"],
    "int4..int7": ["INT4", "INT5", "INT6", "INT7"],
    "e4m3,uint2..uint4,int4": ["E4M3FN", "UINT2", "UINT3", "UINT4", "INT4"],
    "int4..int5,int5..int6": ["INT4", "INT5", "INT6"],
    "int3:full..int4:full": ["INT3:full", "INT4:full"],
    "fixed8.-1..fixed8.1": ["FIXED8.-1", "FIXED8.0", "FIXED8.1"],
    "fixed6.4..fixed8.4": ["FIXED6.4", "FIXED7.4", "FIXED8.4"],
    "9M5E..10M5E": ["9M5E", "10M5E"],
    "4M3E:bias=3..4M3E:bias=5": ["4M3E:bias=3", "4M3E", "4M3E:bias=5"],
}


@pytest.mark.parametrize("text", LISTS)
def test_lists(text: str) -> None:
    assert [form.name for form in parse_formats(text)] == LISTS[text]


REFUSED: list[tuple[str, type[Exception], str]] = [
    ("", InvalidValue, "no format given; write names such as int8,4M3E,e4m3"),
    (" , ,", InvalidValue, "no format given"),
    ("int8,e4m9", UnknownName, "unknown format 'e4m9'; did you mean E4M3FN"),
    ("int8,int99", InvalidValue, r"'int99': bits must lie in 2\.\.53, got 99"),
    ("int50..int54", InvalidValue, r"'int54': bits must lie in 2\.\.53"),
    ("int8..int4", InvalidValue, r"'int8\.\.int4' must increase"),
    ("int2..int9999", InvalidValue, "at most 1,024 formats"),
    ("5M2E..2M5E", InvalidValue, r"'5M2E\.\.2M5E' must differ in one number"),
    ("int4..uint8", InvalidValue, "must differ in one number"),
    ("int4..", InvalidValue, "must differ in one number"),
    ("..int4", InvalidValue, "must differ in one number"),
    ("e4m3..e4m3", InvalidValue, "must differ in one number"),
    (
        "U3M5E:bias=15,specials=fn",
        InvalidValue,
        "'specials=fn' is no format; options follow their format after a colon",
    ),
]


@pytest.mark.parametrize(("text", "kind", "phrase"), REFUSED)
def test_refusals(text: str, kind: type[Exception], phrase: str) -> None:
    with pytest.raises(InvalidValue, match=phrase) as raised:
        parse_formats(text)
    assert raised.type is kind


def test_formats_given_in_any_way() -> None:
    int8, book = Integer(8), Codebook([0, 1])
    assert as_formats(int8) == (int8,)
    assert as_formats("int8,codebook:0,1") == (int8, book)
    mixed: list[Format | str] = ["int8", FixedPoint(8, 4), int8]
    assert as_formats(mixed) == (int8, FixedPoint(8, 4))
    assert as_formats(iter(mixed)) == (int8, FixedPoint(8, 4))
    for wrong in (8, None, [8]):
        with pytest.raises(InvalidType, match=r"expected (a number format|formats)"):
            as_formats(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="must be a string, got None"):
        parse_formats(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="no format given"):
        as_formats([])
