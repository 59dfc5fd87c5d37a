"""What ``qerror fixed-point`` answers and refuses."""

import json
from pathlib import Path

import pytest

from qerror import fractional_length_constant
from qerror.optimize import fixed_point_choice
from qerror.studies.f8net import f8net_claims
from tests.cli.conftest import Run


def test_the_choice_in_80_columns(run: Run) -> None:
    result = run("fixed-point", "--word-length", "8", "--std", "0.3", "--claims")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("fixed point, 8 bits, std 0.3")
    best = next(line for line in lines if line.split()[:1] == ["7"])
    assert best.count("best F8Net") == 2
    assert any(line.startswith("signed    39.22400347        7") for line in lines)
    assert any(line.startswith("unsigned  72.11808933        7") for line in lines)
    assert result.stdout.count("refined") == result.stdout.count("refuted") == 2
    assert max(map(len, lines)) <= 80


def test_rows_are_what_the_library_returns(run: Run) -> None:
    document = json.loads(run("fixed-point", "--std", "0.62", "--json").stdout)
    assert document["schema"] == "qerror.fixed-point/1"
    params = document["params"]
    assert params["word_length"] == 8
    assert params["choices"]["signed"]["constant"] == fractional_length_constant(8)
    assert params["claims"] == []
    for signed in (True, False):
        choice = fixed_point_choice(8, 0.62, signed)
        rows = [row for row in document["rows"] if row["signed"] is signed]
        assert [row["relative_error"] for row in rows] == [
            entry.relative_error for entry in choice.nearby
        ]
        assert [row["format"] for row in rows if row["is_best"]] == [choice.best.format.name]
    # 40 / 0.62 = 64.5 but 39.22 / 0.62 = 63.3: the rule takes a bit too many.
    signs = params["choices"]["signed"]
    assert (signs["fractional_length"], signs["f8net_fractional_length"]) == (5, 6)
    assert signs["f8net_loss_db"] == pytest.approx(0.565, abs=0.001)


def test_other_word_lengths_have_no_rule(run: Run) -> None:
    result = run("fixed-point", "--word-length", "16", "--std", "100", "--json")
    document = json.loads(result.stdout)
    assert "f8net_fractional_length" not in document["params"]["choices"]["signed"]
    assert all(row["is_f8net"] is None for row in document["rows"])
    assert run("fixed-point", "--word-length", "16", "--std", "1e-9").exit_code == 0


def test_one_bit_has_no_sign(run: Run) -> None:
    document = json.loads(run("fixed-point", "--word-length", "1", "--std", "1", "--json").stdout)
    assert set(document["params"]["choices"]) == {"unsigned"}
    text = run("fixed-point", "--word-length", "1", "--std", "1").stdout
    assert "unsigned" in text


def test_claims_are_written_out(run: Run) -> None:
    document = json.loads(run("fixed-point", "--std", "1", "--claims", "--json").stdout)
    claims = document["params"]["claims"]
    assert [claim["exact"] for claim in claims] == [claim.exact for claim in f8net_claims()]
    verdicts = ["refined", "refuted", "refined", "refuted"]
    assert [claim["verdict"] for claim in claims] == verdicts


def test_csv(run: Run, tmp_path: Path) -> None:
    assert run("fixed-point", "--std", "1", "-o", "x.csv").exit_code == 0
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0].startswith("format,signed,fractional_length,max_value,mse,relative_error")


CASES: list[tuple[str, list[str]]] = [
    ("fixed-point", ["--std"]),
    ("fixed-point --std 0", ["std must be positive", "0"]),
    ("fixed-point --std nan", ["std must be finite", "nan"]),
    ("fixed-point --std x", ["x"]),
    ("fixed-point --std 1 --word-length 54", ["word_length must lie in 2..53", "54"]),
    ("fixed-point --std 1 --word-length 0", ["word_length must lie in"]),
    ("fixed-point --std 1 --word-length 8.5", ["8.5"]),
    ("fixed-point --std 1 -o x.gif", ["'.gif'"]),
]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line for line, _ in CASES])
def test_bad_input_ends_in_one_helpful_message(
    run: Run, tmp_path: Path, line: str, words: list[str]
) -> None:
    result = run(*line.split(" "))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("Error:") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []
