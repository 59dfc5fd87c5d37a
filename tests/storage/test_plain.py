"""JSON in which every key stands once."""

import pytest

from qerror.exceptions import InvalidValue
from qerror.pytorch import ModelRecipe
from qerror.storage import read_json


def test_it_reads_what_json_reads() -> None:
    assert read_json('{"a": [1, {"b": null}], "c": {"b": 2.5}}') == {
        "a": [1, {"b": None}],
        "c": {"b": 2.5},
    }


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"x": {"a": 1, "b": 2, "a": 3}}]'])
def test_a_repeated_key_is_named(text: str) -> None:
    with pytest.raises(InvalidValue, match="'a' twice"):
        read_json(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="no JSON"):
        read_json(text)


def test_recipes_refuse_repeated_keys() -> None:
    text = ModelRecipe.of("int8").to_json()
    with pytest.raises(InvalidValue, match=r"recipe cannot be read.*'weights' twice"):
        ModelRecipe.from_json(text.replace("{", '{"weights": "none",', 1))
