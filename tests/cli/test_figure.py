"""``qerror figure``: files that appear whole, the same every time, or a message."""

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_figure_and_its_data(run: Run, tmp_path: Path) -> None:
    result = run("figure", "int8-fig9")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    names = ["int8-fig9.csv", "int8-fig9.png", "int8-fig9.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert result.stderr.split() == [
        *("wrote", "int8-fig9.svg", "wrote", "int8-fig9.png", "wrote", "int8-fig9.csv")
    ]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    assert before["int8-fig9.svg"].startswith(b"<?xml")
    assert before["int8-fig9.png"].startswith(b"\x89PNG")
    assert b"<title>What INT8 represents" in before["int8-fig9.svg"]
    assert run("figure", "INT8_FIG9").exit_code == 0
    assert before == {name: (tmp_path / name).read_bytes() for name in names}


def test_another_folder_and_another_kind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    result = run("figure", "fp8-fig7", "-o", "sub", "--format", "pdf")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == [
        *("fp8-fig7.csv", "fp8-fig7.pdf")
    ]


def test_the_list_has_every_figure(run: Run) -> None:
    from qerror.studies import STUDIES

    result = run("figure", "--list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()[2:]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(STUDIES)
    assert max(map(len, lines)) <= 80
    assert "Kuzmin et al. 2022, figure 3" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("figure", ["no figure named", "qerror figure --list"]),
        ("figure fp8-fig33", ["'fp8-fig33'", "did you mean fp8-fig3", "qerror figure --list"]),
        ("figure int8-fig9 nothing", ["'nothing'", "qerror figure --list"]),
        ("figure int8-fig9 --output nowhere", ["no folder"]),
        ("figure int8-fig9 --format gif", ["gif", "svg"]),
        ("figure int8-fig9 --list", ["--list takes no figure"]),
        ("figure --list -o x", ["--list takes no --output"]),
    ],
)
def test_bad_input_exits_2_and_writes_nothing(
    run: Run, tmp_path: Path, line: str, words: list[str]
) -> None:
    result = run(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    result = run("figure", "int8-fig9", "-o", "locked")
    assert result.exit_code == 2
    assert "no permission" in result.stderr


def test_a_folder_that_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = run("figure", "int8-fig9")
    assert result.exit_code == 2
    assert "no permission to write" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_of_them(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.plotting import papers

    def drawn(name: str, kinds: object) -> dict[str, bytes]:
        del kinds
        return {f"{name}.csv": b"1\n"}

    monkeypatch.setattr(papers, "paper_files", drawn)
    result = run("figure", "all")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(papers.FIGURES)
    assert run("figure", "all", "-o", "missing").exit_code == 2
