"""The command line as a process of its own."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qerror_cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
T3 = ["sweep", "--dist", "student-t", "--nu", "3"]


def environment(**more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    return {**plain, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}", **more}


def heeding() -> None:
    """Heed signals that whoever runs the tests may ignore: nohup, or a shell's background."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


def python(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment(**more),
        preexec_fn=heeding,
        check=False,
    )


def qerror(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "qerror_cli", *arguments)


def on_a_terminal(*arguments: str, **more: str) -> str:
    """Return what a terminal of 80 columns would receive."""
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "qerror_cli", *arguments],
        stdout=writer,
        stderr=writer,
        stdin=subprocess.DEVNULL,
        env=environment(COLUMNS="80", TERM="xterm-256color", **more),
    )
    os.close(writer)
    received = b""
    try:
        while chunk := os.read(reader, 4096):
            received += chunk
    except OSError:  # Linux reports the end of a terminal so
        pass
    os.close(reader)
    assert process.wait() == 0
    return received.decode().replace("\r\n", "\n")


def test_help_imports_click_alone() -> None:
    lines = [["--help"], *([name, "--help"] for name in COMMANDS)]
    code = (
        f"import sys; from qerror_cli.main import main\nfor line in {lines}:\n"
        "    main(line, standalone_mode=False)\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = python("-c", code)
    assert done.stdout.count("Usage: ") == len(lines)
    loaded = set(done.stderr.split())
    assert {"click", "qerror_cli"} <= loaded
    heavy = {"numpy", "scipy", "rich", "matplotlib", "sympy", "mpmath", "pyarrow", "torch"}
    assert not loaded & {*heavy, "qerror"}


def test_a_sweep_imports_no_slow_library() -> None:
    code = (
        "import sys; from qerror_cli.main import main;"
        "main(['sweep', '--dist', 'gaussian'], standalone_mode=False);"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = set(python("-c", code).stderr.split())
    slow = {"scipy.stats", "scipy.optimize", "scipy.integrate", "sympy", "mpmath"}
    assert not loaded & {*slow, "matplotlib", "pyarrow", "torch", "rich"}
    assert not loaded & {"qerror.crosscheck", "qerror.fitting", "qerror.products", "qerror.storage"}
    assert "qerror.simulation" not in loaded


def test_no_arguments_show_the_help_on_stderr() -> None:
    result = qerror()
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Usage: qerror" in result.stderr


def test_version() -> None:
    from qerror import __version__

    result = qerror("--version")
    assert (result.returncode, result.stdout) == (0, f"qerror {__version__}\n")


def test_exit_codes() -> None:
    assert qerror(*T3).returncode == 0
    wrong = qerror("sweep", "--dist", "gausian")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Traceback" not in wrong.stderr


def test_a_signal_ends_with_130() -> None:
    code = (
        "import os, signal, sys, qerror.sweep; from qerror_cli.main import main;"
        "module = sys.modules['qerror.sweep'];"
        "module.sweep = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT);"
        f"main({T3!r})"
    )
    result = python("-c", code)
    assert result.returncode == 130
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_the_library_runs_its_command_line() -> None:
    result = python("-m", "qerror", "--version")
    assert (result.returncode, result.stdout) == (0, qerror("--version").stdout)


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in which `qerror` stands for the command."""
    command = f"qerror() {{ '{sys.executable}' -m qerror_cli \"$@\"; }}; {line}"
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=folder,
        check=False,
    )


@pytest.mark.parametrize("to", [">&-", ">/dev/full"])
@pytest.mark.parametrize("what", ["--version", "--help", "show e2m1"])
def test_output_that_cannot_be_written_is_no_success(tmp_path: Path, what: str, to: str) -> None:
    result = shell(f"qerror {what} {to}", tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: cannot write the output: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("to", ["2>&-", "2>/dev/full"])
def test_messages_never_move_to_standard_output(tmp_path: Path, to: str) -> None:
    result = shell(f"qerror show e4m9 {to}", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "")
    written = shell(f"qerror show e2m1 -o x.csv {to}", tmp_path)
    assert written.stdout == ""
    assert (tmp_path / "x.csv").read_text().startswith("format,")


def test_open_descriptors_and_pipes_are_written_to(tmp_path: Path) -> None:
    text = shell("qerror show e2m1", tmp_path).stdout
    for line in (
        "qerror show e2m1 -o /dev/stdout",
        "qerror show e2m1 -o /dev/stdout | cat",
        "qerror show e2m1 -o /dev/fd/3 3>&1",
        "mkfifo pipe; cat pipe & qerror show e2m1 -o pipe; wait",
    ):
        assert shell(line, tmp_path).stdout == text, line
    shell("(echo first; qerror show e2m1 -o /dev/stdout; echo last) > x", tmp_path)
    assert (tmp_path / "x").read_text() == f"first\n{text}last\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_temporary_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.json").write_text("precious")
    code = (
        "import os, signal, sys, pathlib; from qerror_cli import process;"
        f"pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.{name});"
        "sys.argv = ['qerror', 'show', 'e2m1', '-o', sys.argv[1]]; process.run()"
    )
    result = python("-c", code, str(tmp_path / "x.json"))
    assert result.returncode == 128 + getattr(signal, name)
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_text() == "precious"


def test_names_that_are_no_utf_8_or_would_be_obeyed(tmp_path: Path) -> None:
    result = shell(r"qerror show e2m1 -o $'x\xff.csv'", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "wrote x\\udcff.csv" in result.stderr
    result = shell(r"qerror show e2m1 -o $'\e[31m.csv'", tmp_path)
    assert result.stderr == "wrote \\x1b[31m.csv\n"


def test_a_pipe_gets_plain_text_in_80_columns() -> None:
    text = qerror(*T3).stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_reader_may_stop_early() -> None:
    line = f"{sys.executable} -m qerror_cli densities | head -n 1"
    result = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=environment(), check=True
    )
    assert result.stdout == "Families and their parameters\n"
    assert "Traceback" not in result.stderr


def test_a_terminal_gets_styled_tables_in_80_columns() -> None:
    text = on_a_terminal(*T3)
    assert "\x1b[1m" in text
    assert "\x1b[1;32m" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= 80
    best = next(line for line in lines if line.startswith("3M4E"))
    assert best.rstrip().endswith("0.00")


def test_no_color_is_honoured_on_a_terminal() -> None:
    text = on_a_terminal(*T3, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", text)
