"""The page of a checkpoint: whole, self-contained, and safe whatever tensors are called."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from qerror import CheckpointReport, analyze_checkpoint
from qerror.reporting import analysis_page
from qerror.reporting._svg import Chart, Series
from tests.storage.safetensors_files import saved

EVIL = "<script>alert(1)</script>\x1b[2J"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> CheckpointReport:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(32, 64)).astype(np.float16)
    out = x.copy()
    out[0, 0] = 100
    place = tmp_path_factory.mktemp("page") / "m.safetensors"
    return analyze_checkpoint(
        saved(place, {"a.weight": x, EVIL: out, "none": np.zeros(3, np.float16)}), "int8,mxfp4"
    )


def test_the_page_stands_by_itself(report: CheckpointReport) -> None:
    text = analysis_page(report).decode()
    assert text == analysis_page(report).decode()
    assert not re.search(r"(src|href)\s*=|@import|url\(", text)
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J" in text
    assert text.count("<script>") == 1
    opened: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            del attrs
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balanced().feed(text)
    assert not opened
    for each in report.tensors[0].formats:
        assert f"{each.best_sqnr_db:.2f}" in text
    assert text.count("<figure>") == 2 + 2  # and two tensors whose predictions fail
    for figure in re.findall(r"<svg.*?</svg>", text):
        ET.fromstring(figure)


def test_a_histogram_has_the_values(report: CheckpointReport) -> None:
    bins = report["a.weight"].histogram
    assert sum(each.share for each in bins) == pytest.approx(1, abs=1e-12)
    assert sum(each.fitted for each in bins) == pytest.approx(1, abs=1e-4)
    assert not report["none"].histogram


def test_points_stand_where_they_should() -> None:
    chart = Chart("t", "x", "y", [Series("s", [0, 1, float("nan")], [0.0, 2.0, 1.0])])
    marks = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart.svg())
    assert len(marks) == 2
    (x0, y0), (x1, y1) = ((float(x), float(y)) for x, y in marks)
    assert x0 < x1
    assert y0 > y1
    assert x1 - x0 == pytest.approx((640 - 58 - 14) / 1.08, abs=0.2)
    assert "no point" in Chart("t", "x", "y", [Series("s", [1], [float("inf")])]).svg()
