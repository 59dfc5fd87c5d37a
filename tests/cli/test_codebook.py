"""What ``qerror codebook`` answers and refuses."""

import json

import pytest

from qerror import lloyd_max, quantization_error
from tests.cli.conftest import Run


def test_the_best_levels(run: Run) -> None:
    document = json.loads(run("codebook", "--dist", "laplace", "--levels", "8", "--json").stdout)
    best = lloyd_max("laplace", 8)
    assert document["schema"] == "qerror.codebook/1"
    assert [row["level"] for row in document["rows"]] == best.codebook.grid().points.tolist()
    assert document["params"]["mse"] == best.report.mse
    assert document["params"]["block_size"] is None


def test_the_best_levels_for_blocks(run: Run) -> None:
    arguments = ("codebook", "--dist", "gaussian", "--block-size", "64")
    params = json.loads(run(*arguments, "--json").stdout)["params"]
    again = json.loads(run("error", params["format"], "--dist", "gaussian", "--json").stdout)
    assert again["rows"][0]["mse"] == params["mse"]
    nf4 = quantization_error("nf4:g64", "gaussian")
    assert params["mse"] < 0.91 * nf4.mse
    assert params["bits_per_value"] == 4.25
    text = run(*arguments).stdout
    assert "15    0.953212334" in text
    assert max(map(len, text.splitlines())) <= 80


def test_few_values_are_their_own_levels(run: Run) -> None:
    text = run("codebook", "--dist", "discrete(values=[-1,0.5,2],probabilities=[0.2,0.3,0.5])")
    assert text.exit_code == 0
    assert "SQNR inf" in text.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dist", "gaussian", "--levels", "0"], "levels must lie in 1..65536, got 0"),
        (["--dist", "laplace", "--block-size", "1"], "block_size must lie in 2.."),
        (["--dist", "arcsine(-1,1)", "--block-size", "64"], "as an arcsine density at its ends"),
        (["--dist", "rectified(gaussian)", "--block-size", "64"], "without point masses"),
        (["--dist", "student-t(nu=2)", "--block-size", "64"], "finite second moment"),
        (["--dist", "student-t(nu=1.5)"], "finite"),
        ([], "--dist"),
    ],
)
def test_bad_input(run: Run, arguments: list[str], said: str) -> None:
    result = run("codebook", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not result.stdout
