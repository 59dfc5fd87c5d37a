"""Run what the site's pages show: ``python -m docs.pages``, and with ``--write`` renew it.

A page's Python examples and commands run in order, in one folder of their own: what one writes, the
next one reads. Fenced blocks of kind ``pycon`` are doctests, those of kind ``console`` commands
with the output that follows them.
"""

import doctest
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from difflib import unified_diff
from pathlib import Path
from typing import Any

from qerror.storage import write_atomically

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BLOCK = re.compile(r"^```(pycon|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages whose examples are run here; those of other folders have their own tests."""
    single = (DOCS / "conventions.md", DOCS / "quick-start.md")
    return sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("theory/*.md"), *single])


class _Recorder(doctest.DocTestRunner):
    """Keeps what every example printed."""

    def __init__(self) -> None:
        super().__init__(optionflags=doctest.REPORT_NDIFF)
        self.printed: list[str] = []

    def report_success(
        self, out: object, test: doctest.DocTest, example: doctest.Example, got: str
    ) -> None:
        """Keep it."""
        del out, test, example
        self.printed.append(got)

    def report_unexpected_exception(
        self, out: object, test: doctest.DocTest, example: doctest.Example, exc_info: Any
    ) -> None:
        """Raise it."""
        del out, test
        raise RuntimeError(f"{example.source.strip()}: {exc_info[1]!r}") from exc_info[1]

    def report_failure(
        self, out: object, test: doctest.DocTest, example: doctest.Example, got: str
    ) -> None:
        """Keep it too: the caller compares."""
        del out, test, example
        self.printed.append(got)


def executed(text: str, folder: Path) -> str:
    """Return a page with what its examples print now.

    Parameters
    ----------
    text : str
        Its Markdown.
    folder : Path
        An empty one, in which the examples run.

    Raises
    ------
    RuntimeError
        If an example raises, or a command fails.
    """
    names: dict[str, object] = {}
    with chdir(folder):
        return BLOCK.sub(
            lambda found: (
                f"```{found[1]}\n"
                + (_examples(found[2], names) if found[1] == "pycon" else _commands(found[2]))
                + "```"
            ),
            text,
        )


def _examples(block: str, names: dict[str, object]) -> str:
    test = doctest.DocTestParser().get_doctest(block, {}, "page", None, 0)
    test.globs = names
    recorder = _Recorder()
    recorder.run(test, clear_globs=False, out=lambda _: None)
    return "".join(
        "".join(
            f"{'>>>' if i == 0 else '...'} {line}\n"
            for i, line in enumerate(example.source.splitlines())
        )
        + printed
        for example, printed in zip(test.examples, recorder.printed, strict=True)
    )


def _commands(block: str) -> str:
    return "".join(f"$ {line}\n{_output(line)}" for line, _ in _COMMAND.findall(block))


def _output(line: str) -> str:
    path = Path.cwd() / "bin"
    path.mkdir(exist_ok=True)
    stub = path / "qerror"
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qerror_cli "$@"\n')
    stub.chmod(0o755)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
            "COLUMNS": "88",
        },
        check=False,
    )
    if done.returncode not in {0, 3}:  # 3: a check that is not met, which pages may show
        raise RuntimeError(f"{line}: {done.stderr}")
    return done.stdout


def stale(write: bool) -> Iterator[str]:
    """Yield what pages show and what is printed now, where that differs, and renew them."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            now = executed(text, Path(folder))
        if now != text:
            name, lines = str(page.relative_to(ROOT)), (text.splitlines(), now.splitlines())
            yield "\n".join(unified_diff(*lines, f"{name} shows", "now printed", lineterm=""))
            if write:
                write_atomically(page, now.encode())


if __name__ == "__main__":
    found = list(stale("--write" in sys.argv[1:]))
    if found and "--write" not in sys.argv[1:]:
        sys.exit("\n".join([*found, "pages show something else than is printed: run with --write"]))
