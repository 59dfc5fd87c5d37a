"""Files appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.reporting import KINDS, kind_of
from qerror.storage import check_writable, write_atomically


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")

    def interrupted(_: Path, target: Path) -> Path:
        raise KeyboardInterrupt(target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    usual, path, old = tmp_path / "usual", tmp_path / "new", tmp_path / "old"
    usual.touch()
    old.touch(mode=0o640)
    for target in (path, old):
        write_atomically(target, b"")
    assert path.stat().st_mode == usual.stat().st_mode
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_link_keeps_pointing_to_the_file(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_device_is_written_to_not_replaced() -> None:
    before = Path(os.devnull).stat()
    check_writable(Path(os.devnull))
    write_atomically(Path(os.devnull), b"gone")
    assert Path(os.devnull).stat().st_ino == before.st_ino


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was changed"))
        write_atomically(tmp_path / "x", b"")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_names_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    check_writable(path)
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(InvalidValue, match="name too long"):
        check_writable(tmp_path / ("a" * 256))


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InvalidValue, match=r"symbolic links|circle"):
        check_writable(tmp_path / "a")


def test_a_null_byte_and_a_descriptor_that_is_closed_are_refused() -> None:
    with pytest.raises(InvalidValue, match="null"):
        check_writable(Path("a\0b"))
    with pytest.raises(InvalidValue, match="descriptor"):
        check_writable(Path("/dev/fd/987"))


def test_check_writable_creates_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


def test_check_writable_refuses_folders_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(InvalidValue, match="there is no folder"):
        check_writable(tmp_path / "no" / "x.csv")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InvalidValue, match="there is no folder"):
        check_writable(file / "x.csv")


def test_check_writable_refuses_what_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(InvalidValue, match="no permission"):
        check_writable(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("name", "kind"), [(f"x{suffix}", kind) for kind, known in KINDS.items() for suffix in known]
)
def test_the_suffix_names_the_kind(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == kind
    assert kind_of(Path(name.upper())) == kind


def test_kind_and_suffix_must_agree() -> None:
    assert kind_of(Path("x"), "csv") == "csv"
    assert kind_of(Path("x.csv"), "csv") == "csv"
    with pytest.raises(InvalidValue, match="contradicts"):
        kind_of(Path("x.csv"), "json")
    with pytest.raises(InvalidValue, match="no suffix"):
        kind_of(Path("x"))
    with pytest.raises(InvalidValue, match=r"'\.gif'"):
        kind_of(Path("x.gif"))
    with pytest.raises(InvalidValue, match=r"'\.gif'"):
        kind_of(Path("x.gif"), "csv")


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingLibrary, match="pip install pyarrow"):
        kind_of(Path("x.parquet"))
