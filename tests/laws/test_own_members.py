"""One file makes a new density or format: the laws and the command line then cover it.

Each is a file that nothing in the library knows, imported by name, from a folder of its own and
in a process of its own: a registry is written once, and the other tests shall not see them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = Path(__file__).parent / "own"
MEMBERS = ("champernowne", "half_octaves")
LAWS = ("tests/laws/test_errors.py", "tests/laws/test_frozen.py")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_own_members(tmp_path: Path) -> None:
    for name in MEMBERS:
        shutil.copy(OWN / f"{name}.py", tmp_path)
    plugins = [f"-p{name}" for name in MEMBERS]  # imported before anything is collected
    chosen = ("-m", "", "-k", "champernowne or halfoctaves or own")
    command = ["-m", "pytest", "-q", "-pno:cacheprovider", *plugins, *chosen, *LAWS]
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "cli")])
    done = subprocess.run(
        [sys.executable, *command, str(OWN / "checks.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    # A few laws for every pair of a density and a format: fewer would mean that none was met.
    assert passed is not None
    assert int(passed[1]) > 300, done.stdout[-400:]
