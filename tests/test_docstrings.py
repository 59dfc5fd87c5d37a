"""The examples in docstrings are run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

import qerror

MODULES = [
    module.name
    for module in pkgutil.walk_packages(qerror.__path__, "qerror.")
    if not module.name.startswith("qerror.pytorch")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
