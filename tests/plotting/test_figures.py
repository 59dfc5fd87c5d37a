"""Figures: the same bytes for the same data, readable without colour."""

import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from qerror import Gaussian, Laplace, StudentT
from qerror.exceptions import InvalidValue
from qerror.plotting import check_figure, render, sweep_figure, sweep_files
from qerror.plotting._style import COLORS, line_style
from qerror.plotting._sweep import is_log_spaced
from qerror.sweep import SweepResult, sweep

FORMATS = ["int8", "4M3E", "5M2E"]
SUFFIXES = [".svg", ".png", ".pdf"]


@pytest.fixture(scope="module")
def curves() -> SweepResult:
    return sweep(FORMATS, [StudentT(3), Gaussian()], ("max_value", [1.0, 4.0, 16.0, 64.0]))


@pytest.fixture(scope="module")
def bars() -> SweepResult:
    return sweep(FORMATS, [StudentT(3), Gaussian(), Laplace(), Gaussian(0, 2)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_sweep_gives_the_same_bytes(curves: SweepResult, suffix: str) -> None:
    path = Path(f"x{suffix}")
    first = sweep_files(curves, path)
    assert first[path][:4] in {b"<?xm", b"\x89PNG", b"%PDF"}
    # Neither what was drawn before nor the user's settings leave a trace.
    with mpl.rc_context({"lines.linewidth": 9.0, "svg.hashsalt": None, "font.size": 20.0}):
        assert sweep_files(curves, path) == first


@pytest.mark.thinned(3)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_process_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qerror import Gaussian;"
        "from qerror.sweep import sweep; from qerror.plotting import sweep_files;"
        "path = Path(sys.argv[1]);"
        "path.write_bytes(sweep_files(sweep(['int8'], [Gaussian()]), path)[path])"
    )
    path = tmp_path / f"x{suffix}"
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)},
    )
    assert sweep_files(sweep(["int8"], [Gaussian()]), path)[path] == path.read_bytes()


def test_no_file_says_when_or_by_which_version_it_was_made(bars: SweepResult) -> None:
    svg = sweep_files(bars, Path("x.svg"))[Path("x.svg")].decode()
    assert "<title>SQNR of number formats on student-t(nu=3), gaussian" in svg
    assert "dc:date" not in svg
    for suffix in SUFFIXES:
        content = sweep_files(bars, Path(f"x{suffix}"))[Path(f"x{suffix}")]
        assert not re.search(rb"Matplotlib|CreationDate|ModDate|Software", content)


def test_the_data_stand_beside_the_figure(curves: SweepResult) -> None:
    files = sweep_files(curves, Path("folder/x.svg"))
    assert set(files) == {Path("folder/x.svg"), Path("folder/x.csv")}
    lines = files[Path("folder/x.csv")].decode().splitlines()
    assert lines[0] == "density,max_value,format,sqnr_db"
    assert len(lines) == 1 + len(curves.rows)


def test_curves_show_the_sqnr_of_every_format(curves: SweepResult) -> None:
    figure = sweep_figure(curves)
    assert [ax.get_title() for ax in figure.axes] == ["student-t(nu=3)", "gaussian"]
    ax = figure.axes[1]
    assert ax.get_xscale() == "log"
    assert [line.get_label() for line in ax.lines] == ["INT8", "4M3E", "5M2E"]
    expected = [row.report.sqnr_db for row in curves.rows if row.format.name == "4M3E"][4:]
    assert np.asarray(ax.lines[1].get_ydata()).tolist() == expected
    assert figure.legends[0].get_texts()[0].get_text() == "INT8"


def test_bars_show_the_sqnr_of_every_format(bars: SweepResult) -> None:
    figure = sweep_figure(bars)
    assert len(figure.axes) == 4
    first = figure.axes[0]
    widths = [patch.get_bbox().width for patch in first.patches if isinstance(patch, Rectangle)]
    assert widths == [row.report.sqnr_db for row in bars.rows[:3]]
    assert [text.get_text() for text in first.get_yticklabels()] == ["INT8", "4M3E", "5M2E"]


def test_an_undefined_ratio_is_said_not_drawn() -> None:
    heavy = sweep(FORMATS, [StudentT(2)])
    texts = [text.get_text() for text in sweep_figure(heavy).axes[0].texts]
    assert texts == ["undefined"] * 3
    swept = sweep(FORMATS, [StudentT(1)], ("nu", [1.0, 2.0]))
    assert "infinite" in sweep_figure(swept).axes[0].texts[0].get_text()
    render(sweep_figure(heavy), Path("x.png"), "title")
    render(sweep_figure(swept), Path("x.png"), "title")


def test_curves_differ_in_more_than_colour() -> None:
    styles = [line_style(index) for index in range(9)]
    for a, b in combinations(styles, 2):
        assert a["marker"] != b["marker"]
    for a, b in combinations(styles[: len(COLORS)], 2):
        assert a["color"] != b["color"]


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([1.0, 10.0, 100.0], True),
        ([0.1, 0.316227766017, 1.0], True),
        ([1.0, 2.0, 3.0], False),
        ([1.0, 2.0], False),
        ([0.0, 1.0, 2.0], False),
        ([-4.0, -2.0, -1.0], False),
    ],
)
def test_log_spacing_is_recognised(values: list[float], answer: bool) -> None:
    assert is_log_spaced(values) is answer


def test_unknown_suffixes_are_refused() -> None:
    assert check_figure(Path("x.SVG")) == ".svg"
    with pytest.raises(InvalidValue, match=r"\.svg \.png \.pdf"):
        check_figure(Path("x.gif"))
    with pytest.raises(InvalidValue, match="no suffix"):
        check_figure(Path("x"))
