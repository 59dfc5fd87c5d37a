"""Without PyTorch the library imports, and this room says what to install."""

import subprocess
import sys

CODE = """
import sys
sys.modules["torch"] = None  # as if it were not there
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
import qerror
from qerror.exceptions import MissingLibrary
try:
    import qerror.pytorch
except MissingLibrary as missing:
    print(missing)
"""


def test_the_message_holds_the_command() -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{CODE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'qerror[torch]'" in done.stdout
