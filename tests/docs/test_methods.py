"""The page of methods is what the registry and the library say."""

import pytest

from docs import make_methods
from qerror.pytorch import METHODS


@pytest.mark.exhaustive
def test_the_page_is_up_to_date() -> None:
    assert make_methods.page() == make_methods.PAGE.read_text(encoding="utf-8")


def test_every_method_has_its_line() -> None:
    text = make_methods.PAGE.read_text(encoding="utf-8")
    for name, recipe in METHODS.items():
        assert f"| `{name}` | {recipe.forward} |" in text
    assert " rises " not in text.replace("never rises", "")


def test_the_figure_shows_both_rules() -> None:
    folder = make_methods.PAGE.parent
    lines = (folder / f"{make_methods.FIGURE}.csv").read_text().splitlines()
    assert {line.split(",")[1] for line in lines[1:]} == {"straight-through", "exact"}
    assert "<text" in (folder / f"{make_methods.FIGURE}.svg").read_text()
