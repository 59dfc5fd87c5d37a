"""Files that other packages carry: found without importing them, and checked."""

import hashlib
import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qerror.exceptions import InvalidValue, MissingLibrary

_BLOCK = 1 << 20


@dataclass(frozen=True)
class PackagedFile:
    """A file in an installed package.

    Parameters
    ----------
    module : str
        The package as it is imported; it is not imported here, as its own needs may be absent.
    path : str
        Where the file is in it.
    sha256 : str
        Of its content.
    install : str
        The command that installs the package.
    """

    module: str
    path: str
    sha256: str
    install: str

    def find(self) -> Path:
        """Return where the file is.

        Raises
        ------
        MissingLibrary
            If the package is not installed; the message says how to do so.
        InvalidValue
            If the package lacks the file, or its content is another.
        """
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingLibrary(
                f"{Path(self.path).name} comes with the package {self.module}, which is not "
                f"installed: {self.install}"
            )
        found = Path(next(iter(spec.submodule_search_locations))) / self.path
        if not found.is_file():
            raise InvalidValue(f"{str(found)!r} is missing; install {self.module} anew")
        check_sha256(found, self.sha256)
        return found


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file with another content than expected.

    Raises
    ------
    InvalidValue
        With both checksums.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise InvalidValue(
            f"{str(path)!r} is not the file that was verified: its sha256 is "
            f"{digest.hexdigest()}, expected {expected}; install its package anew"
        )


def imported(name: str) -> Any:
    """Import an optional library, untyped: the checks run without it.

    Raises
    ------
    MissingLibrary
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingLibrary(
            f"this network needs {package}, which is not installed: pip install {package}"
        ) from error
