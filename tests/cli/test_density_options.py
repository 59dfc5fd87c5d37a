"""The options for the parameters of densities, listed apart from the registry."""

import pytest

from qerror import Gaussian
from qerror.densities import DENSITIES
from qerror.densities.density import Family
from qerror_cli.commands import dot, sweep
from qerror_cli.density_options import option_of, parameters_of_densities
from qerror_cli.make_density_parameters import as_registered
from tests.cli.conftest import Run


def test_the_list_is_the_registry() -> None:
    helped = parameters_of_densities()
    assert list(helped) == list(as_registered()), (
        "run: python -m qerror_cli.make_density_parameters"
    )
    for name, families in as_registered().items():
        assert helped[name].endswith(f"({', '.join(families)})"), name
    assert {"nu", "std", "low", "high", "beta"} <= set(helped)


def test_every_parameter_is_an_option() -> None:
    on_sweep = {name for option in sweep.command.params for name in option.opts}
    on_dot = {name for option in dot.command.params for name in option.opts}
    for name in as_registered():
        assert option_of(name) in on_sweep
        assert {option_of(name, "weight-"), option_of(name, "activation-")} <= on_dot


def test_a_density_registered_later_is_named_as_text(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = Family(Gaussian, Gaussian(std=2.0), "another name")
    monkeypatch.setattr(DENSITIES, "_members", {**DENSITIES._members, "wide": family})
    monkeypatch.setattr(DENSITIES, "_display", {**DENSITIES._display, "wide": "wide"})
    by_name = run("sweep", "--formats", "int8", "--dist", "gaussian", "--std", "2").stdout
    for asked in (["--dist", "wide(std=2)"], ["--dist", "wide", "--std", "2"]):
        shown = run("sweep", "--formats", "int8", *asked)
        assert shown.exit_code == 0, shown.stderr
        assert shown.stdout == by_name
