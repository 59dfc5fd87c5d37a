"""The examples in the docstrings of the PyTorch room are run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

import qerror.pytorch

MODULES = [each.name for each in pkgutil.walk_packages(qerror.pytorch.__path__, "qerror.pytorch.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_some_examples_exist() -> None:
    assert len(MODULES) > 20
