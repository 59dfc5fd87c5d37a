"""Every command on terminals of three widths: no digit and no name is cut."""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qerror_cli.main import COMMANDS, main
from tests.cli.test_process import environment
from tests.storage.safetensors_files import saved

LINES = [
    "sweep --dist student-t --nu 3",
    "sweep --dist student-t --nu 3 --limits",
    "sweep --dist gaussian --dist laplace --over max-value=1:64:4log",
    "sweep --dist gaussian --over scale=0.5,1 --formats "
    + ",".join(f"4M3E:bias={bias}.25" for bias in range(1, 9)),
    "error 4M3E --dist gaussian --max-value 4",
    "error e4m3 --data w.npy --scale 0.01",
    "error nvfp4 --data x.npy",
    "error int8 --data x.npy --max-value best --axis 0",
    "error int8 --data q.npy --max-value absmax",
    "optimize int8 --data x.npy --axis 0",
    "fixed-point --data x.npy",
    "fixed-point --data x.npy --axis 0",
    "optimize int8 --data x.npy --exhaustive",
    "optimize --bits 8 --data x.npy --axis 0",
    "optimize --bits-per-value 4.5 --data x.npy --axis 1",
    "optimize --bits-per-value 4.5 --dist gaussian --formats nvfp4,nf4:g64",
    "sweep --data x.npy --axis 0",
    "sweep --data x.npy --max-value absmax",
    "error int8 --dist gaussian --max-value 4 --certify",
    "error int8 --dist gaussian --max-value 4 --distribution --atol 0.01",
    "sweep --dist student-t --by nu=3,5 --over max-value=4,16 --formats int8,4M3E",
    "dot --weight 4M3E --weight-data x.npy --axis 0 --activation int8 --activation-data w.npy",
    "error mxfp4 --dist gaussian",
    "sweep --dist gaussian --formats int8,mxfp4,nvfp4",
    "optimize 4M3E --dist gaussian",
    "optimize uint8 --dist rectified(gaussian(std=0.001))",
    "optimize --bits 8 --dist student-t --nu 3",
    "optimize --formats 5M2E,4M3E --dist student-t --over nu=3:20",
    "codebook --dist laplace --levels 4",
    "codebook --dist gaussian --block-size 64",
    "fixed-point --std 0.3 --claims",
    "quantize int8 w.npy --scale 0.01 -o out.npy --force",
    "verify --dist student-t --nu 3 --size 1e4",
    "verify --dist laplace --formats int8 --size 1e4",
    "dot --weight 4M3E --weight-dist gaussian --activation int8 --activation-dist laplace",
    "dot --weight int8,5M2E,4M3E --weight-dist gaussian --activation int8,5M2E,4M3E,3M4E,2M5E,e4m3,"
    "e5m2,int4 --activation-dist student-t(nu=3) --length 512",
    "figure --list",
    "formats",
    "show e4m3",
    "show mxfp4",
    "densities",
    "expect int8 --dist gaussian --size 1000 --max-value 4",
    "network list",
    "analyze m.safetensors",
    "analyze m.safetensors --formats int8,mxfp4 --details",
]
END = "=== end of a command ==="

PROGRAM = f"""
import sys
from qerror_cli.main import main
for line in sys.stdin.read().splitlines():
    main(line.split(), prog_name="qerror", standalone_mode=False)
    print({END!r}, flush=True)
"""


def on_a_terminal(width: int, folder: Path) -> list[str]:
    """Return what each command shows on a terminal of this width, without colours."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    plain = environment(TERM="xterm-256color")
    plain.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=plain,
    )
    os.close(writer)
    assert process.stdin is not None
    process.stdin.write("\n".join(LINES).encode())
    process.stdin.close()
    received = b""
    try:
        while chunk := os.read(reader, 65536):
            received += chunk
    except OSError:  # Linux reports the end of a terminal so
        pass
    os.close(reader)
    assert process.wait() == 0, received.decode()[-2000:]
    text = re.sub(r"\x1b\[[0-9;]*m", "", received.decode()).replace("\r\n", "\n")
    return text.split(f"{END}\n")[:-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an array of weights."""
    path = tmp_path_factory.mktemp("terminal")
    rng = np.random.default_rng(1)
    np.save(path / "w.npy", rng.normal(size=500))
    np.save(path / "x.npy", (rng.normal(size=(4, 64)) * [[0.01], [1], [2], [300]]).astype("f4"))
    weights = rng.normal(size=(8, 96)).astype("f4") * 0.02
    names = [f"model.layers.{i}.self_attn.q_proj.weight" for i in range(3)]
    saved(path / "m.safetensors", dict.fromkeys(names, weights) | {"bias": np.ones(5, "f2")})
    np.save(path / "q.npy", np.round(rng.normal(size=900), 1))
    return path


@pytest.fixture(scope="module")
def piped(folder: Path) -> list[str]:
    """Return what each command writes into a pipe, where the width is free."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return [CliRunner().invoke(main, line.split()).stdout for line in LINES]


def test_every_command_is_tried() -> None:
    # A formula is one line to copy, however long: a terminal breaks it, and nothing is lost.
    # The page of explore goes to a file, and the script of completion is for a shell.
    others = {"formula", "explore", "completion"}
    assert {shlex.split(line)[0] for line in LINES} == set(COMMANDS) - others


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut(width: int, folder: Path, piped: list[str]) -> None:
    shown = on_a_terminal(width, folder)
    assert len(shown) == len(LINES)
    for line, text, whole in zip(LINES, shown, piped, strict=True):
        assert text, line
        assert "…" not in text, line
        assert max(map(len, text.splitlines())) <= width, line
        table, _, left_out = text.partition("note: too narrow for ")
        words = set(table.split())
        known = set(whole.split())
        assert words <= known, (line, words - known)
        if not left_out:
            missing = {word for word in known - words if set(word) != {"-"}}
            assert not missing, (line, missing)
        elif width >= 80:
            pytest.fail(f"{line}: 80 columns are enough for every column")
