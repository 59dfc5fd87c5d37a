"""Recipes of networks: as text and back, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.pytorch import CALIBRATIONS, ModelRecipe, TensorRecipe

formats = st.sampled_from(["int8", "4M3E", "5M2E", "best:8", "mxfp4", "int4:g32", "e4m3"])
tensors = st.builds(
    TensorRecipe,
    format=formats,
    calibration=st.sampled_from(list(CALIBRATIONS)),
    method=st.sampled_from(["straight-through", "lsq", "fp"]),
    asymmetric=st.booleans(),
    rule=st.sampled_from(["straight-through", "exact"]),
    learn=st.none() | st.lists(st.sampled_from(["s", "c", "m"])).map(tuple),
)
recipes = st.builds(
    ModelRecipe,
    weights=tensors,
    activations=st.none() | tensors,
    first=st.none() | st.sampled_from(["int8", "none"]),
    last=st.none() | formats.filter(lambda name: not name.startswith("best")),
    exclude=st.lists(st.text()).map(tuple),
    update_bn=st.booleans(),
)


@given(recipes)
def test_recipes_survive_json_and_toml(recipe: ModelRecipe) -> None:
    assert ModelRecipe.from_json(recipe.to_json()) == recipe
    assert ModelRecipe.from_toml(recipe.to_toml()) == recipe


def test_files_are_read_by_their_suffix(tmp_path: Path) -> None:
    recipe = ModelRecipe.of("4M3E", granularity="channel", first="int8", exclude=("head",))
    for suffix, text in ((".json", recipe.to_json()), (".toml", recipe.to_toml())):
        path = tmp_path / f"recipe{suffix}"
        path.write_text(text, encoding="utf-8")
        assert ModelRecipe.read(path) == recipe
    with pytest.raises(InvalidValue, match=r"must be a \.json or \.toml file"):
        ModelRecipe.read(tmp_path / "recipe.yaml")
    with pytest.raises(InvalidValue, match="there is no such file"):
        ModelRecipe.read(tmp_path / "other.toml")
    (tmp_path / "broken.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidValue, match="it is no text"):
        ModelRecipe.read(tmp_path / "broken.json")


def test_what_is_left_out_has_its_default() -> None:
    recipe = ModelRecipe.from_json('{"weights": {"format": "4M3E"}, "activations": "none"}')
    assert recipe == ModelRecipe(TensorRecipe("4M3E"), None)
    assert ModelRecipe.from_dict({"weights": "int4"}).weights == TensorRecipe("int4")


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"wieghts": "int8"}, "did you mean weights?"),
        ({"weights": {"calibartion": "mse"}}, "did you mean calibration"),
        ({"weights": {"format": "int88x"}}, "unknown format"),
        ({"weights": {"calibration": "msee"}}, "did you mean mse"),
        ({"weights": {"method": "lsqq"}}, "did you mean lsq"),
    ],
)
def test_unknown_names_bring_the_nearest(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownName, match=said.replace("?", r"\?")):
        ModelRecipe.from_dict(given_)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"weights": "none", "activations": "none"}, "quantizes nothing"),
        ({"weights": {"granularity": "row"}}, "tensor, channel or group:N"),
        ({"weights": {"granularity": "group:0"}}, "tensor, channel or group:N"),
        ({"weights": {"unsigned": True}}, "unsigned codes are for activations"),
        ({"weights": {"format": "best:99"}}, "3 to 12 bits"),
        ({"weights": {"rule": "guess"}}, "unknown rule"),
        ({"activations": {"granularity": "channel"}}, "one scale a tensor"),
    ],
)
def test_what_cannot_be_is_refused(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        ModelRecipe.from_dict(given_)


@pytest.mark.parametrize(
    "given_",
    [{"weights": 8}, {"exclude": "head"}, {"update_bn": "yes"}, {"weights": {"format": 8}}],
)
def test_wrong_types_are_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidType):
        ModelRecipe.from_dict(given_)


def test_broken_text_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no JSON"):
        ModelRecipe.from_json("{")
    with pytest.raises(InvalidValue, match="no TOML"):
        ModelRecipe.from_toml("= 3")
    with pytest.raises(InvalidType, match="a table of keys"):
        ModelRecipe.from_json(json.dumps(["int8"]))
