"""A module is read at one sitting: 350 lines, and what is longer says why."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 350
MOST_LONGER = 2
LONGER = [
    path.relative_to(ROOT).as_posix()
    for folder in ("qerror", "cli")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST
]


def test_few_modules_are_long() -> None:
    assert len(LONGER) <= MOST_LONGER, LONGER


@pytest.mark.parametrize("module", LONGER or [None])
def test_a_long_module_gives_its_reason(module: str | None) -> None:
    if module is not None:
        text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        assert f"`{module}`" in text, "a module over 350 lines is named there, with its reason"
