"""The registry: names are given once and looked up forgivingly."""

import pytest

from qerror.exceptions import InvalidValue, UnknownName
from qerror.registry import Registry, fold, nearest


def colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour", "paint colours")
    registry.register("Sea-Green", 1, "marine", "sg")
    registry.register("red", 2)
    return registry


def test_fold() -> None:
    assert fold("Float8_E4M3-FN ") == "float8e4m3fn"


@pytest.mark.parametrize(
    "name", ["Sea-Green", "sea_green", "SEAGREEN", "sea green", "Marine", "sg"]
)
def test_lookup(name: str) -> None:
    assert name in colours()
    assert colours()[name] == 1


def test_a_name_is_given_once() -> None:
    registry = colours()
    for taken in ("RED", "marine", "seagreen"):
        with pytest.raises(InvalidValue, match=f"the colour name '{taken}' is taken"):
            registry.register(taken, 3)
    with pytest.raises(InvalidValue, match="'red' is taken"):
        registry.register("blue", 3, "red")


def test_register_returns_the_member() -> None:
    assert colours().register("blue", 3) == 3


def test_listing() -> None:
    registry = colours()
    assert list(registry) == ["Sea-Green", "red"]
    assert len(registry) == 2
    assert registry.aliases("Sea-Green") == ["marine", "sg"]
    assert registry.aliases("red") == []
    assert registry.spellings["marine"] == "Sea-Green"
    assert "blue" not in registry


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownName) as raised:
        colours()["marin"]
    message = str(raised.value)
    assert message == "unknown colour 'marin'; did you mean Sea-Green? See: paint colours"


def test_unknown_names_without_a_neighbour_get_the_list() -> None:
    with pytest.raises(UnknownName, match=r"known: Sea-Green, red\. See: paint colours"):
        colours()["xyz"]


def test_nearest_names_each_member_once() -> None:
    assert nearest("grean", {"green": "Green", "greens": "Green"}) == ["Green"]
