"""NumPy's .npz: a ZIP archive of .npy files, and of whatever else was put into it."""

import contextlib
import warnings
import zipfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from qerror.storage.npy import Header, read_header, stored
from qerror.storage.source import PIECE_BYTES, AnyArray, StoredArray, readable

Writer: TypeAlias = Callable[[StoredArray, IO[bytes]], None]


def open_npz(path: Path, narrow: str | None) -> list[StoredArray]:
    """Return the arrays of a .npz file.

    Of several members with one name the last counts, as for NumPy. A member whose name does not
    end in .npy is no array.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        return [_array(path, archive, info, narrow) for info in _arrays(archive)]


def other_members(path: Path) -> list[str]:
    """Return the names of the members of a .npz file that are no arrays, or hidden by a later one.

    They are copied whole when the file is quantized.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        counted = {info.header_offset for info in _arrays(archive)}
        return [info.filename for info in archive.infolist() if info.header_offset not in counted]


def rewrite_npz(file: IO[bytes], source: Path, arrays: list[StoredArray], write: Writer) -> None:
    """Write a .npz file like `source`, its members in their order and compressed as they were.

    Parameters
    ----------
    file : file
        The target.
    source : Path
        The archive that is read.
    arrays : list of StoredArray
        Those to be written anew; every other member is copied whole.
    write : callable
        Writes a .npy file for an array.
    """
    anew = {each.name: each for each in arrays}
    with readable(source):
        given = zipfile.ZipFile(source)
    with given, zipfile.ZipFile(file, "w") as out:
        out.comment = given.comment
        counted = {info.header_offset for info in _arrays(given)}
        for info in given.infolist():
            is_array = info.header_offset in counted
            array = anew.get(_name(info)) if is_array else None
            with _member(out, info) as target:
                if array is not None:
                    write(array, target)
                    continue
                for piece in _content(given, info, source):
                    target.write(piece)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Iterator[bytes]:
    with readable(path), archive.open(info) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextlib.contextmanager
def _member(out: zipfile.ZipFile, info: zipfile.ZipInfo) -> Generator[IO[bytes]]:
    like = zipfile.ZipInfo(info.filename, info.date_time)
    like.compress_type, like.comment = info.compress_type, info.comment
    like.external_attr, like.create_system = info.external_attr, info.create_system
    with warnings.catch_warnings():
        # Two members of one name stay two.
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)
        with out.open(like, "w", force_zip64=True) as target:
            yield target


def _arrays(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    last = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
    return list(last.values())


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of an array; a member called just ".npy" keeps that name."""
    return info.filename.removesuffix(".npy") or info.filename


def _array(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, narrow: str | None
) -> StoredArray:
    with archive.open(info) as file:
        header = read_header(file)
    if info.file_size != header.total:
        raise ValueError(
            f"member {info.filename!r} has {info.file_size:,} bytes, but its header says "
            f"{header.total:,}"
        )

    def read(count: int) -> Iterator[AnyArray]:
        with zipfile.ZipFile(path) as again, again.open(info) as file:
            yield from _pieces(file, header, count)

    return stored(path, _name(info), header, read, narrow)


def _pieces(file: IO[bytes], header: Header, count: int) -> Iterator[AnyArray]:
    file.read(header.length)
    for start in range(0, header.size, count):
        wanted = min(count, header.size - start) * header.dtype.itemsize
        content = file.read(wanted)
        if len(content) < wanted:
            raise ValueError("an array ends too early")
        yield np.frombuffer(content, header.dtype)
    file.read(1)  # the end, where the archive's checksum is compared
