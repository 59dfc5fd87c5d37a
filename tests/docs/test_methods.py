"""The page of methods is what the registry and the library say."""

from docs import make_methods
from qerror.pytorch import METHODS


def test_the_page_is_up_to_date() -> None:
    assert make_methods.page() == make_methods.PAGE.read_text(encoding="utf-8")


def test_every_method_has_its_line() -> None:
    text = make_methods.PAGE.read_text(encoding="utf-8")
    for name, recipe in METHODS.items():
        assert f"| `{name}` | {recipe.forward} |" in text
    assert " rises " not in text.replace("never rises", "")
