"""The study of backends from the command line: refusals, and a study of one training."""

import csv
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_bad_input(run: Run, tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        result = run("network", "bench", *words)
        assert result.exit_code == 2, result.output
        return result.stderr

    assert "--seeds must be at least 1" in refused("--seeds", "0")
    assert "--epochs must be at least 1" in refused("--epochs", "0")
    assert "digits-resnet" in refused("--model", "digits-resnett")
    assert "comes trained" in refused("--model", "crepe-tiny")
    assert "unknown algorithm 'lsqq'" in refused("--algorithms", "lsqq")
    assert "unknown backend 'TVMM'" in refused("--backends", "TVMM")
    assert "leave out the other names" in refused("--backends", "all,TVM")
    assert "unknown algorithm 'nope'" in refused("--compared", "nope", "--parts", "backends")
    assert "bits must lie in 2..16" in refused("--bits", "99")
    assert "torch.fx cannot trace" in refused("--model", "digits-resnet,digits-vit")
    assert "unknown part 'tables'" in refused("--parts", "tables")
    assert "no backend computes apot" in refused(
        "--algorithms", "apot", "--backends", "TVM", "--parts", "backends"
    )
    assert "give one of them" in refused("--jobs", "2", "--executor", "dask:tcp://a:1")
    assert "named twice" in refused("--journal", "a.csv", "-o", "a.csv")
    assert "no folder" in refused("--journal", str(tmp_path / "none" / "a.jsonl"))
    (tmp_path / "other.jsonl").write_text("x\n")
    assert "is no journal" in refused("--quick", "--journal", str(tmp_path / "other.jsonl"))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_one_training(run: Run, tmp_path: Path) -> None:
    words = (
        *("network", "bench", "--quick", "--epochs", "1", "--seeds", "1"),
        *("--model", "digits-resnet", "--algorithms", "lsq", "--backends", "Academic,TVM"),
        *("--parts", "backends", "--journal", str(tmp_path / "run.jsonl")),
    )
    table = run(*words, "--plot", str(tmp_path / "bench.svg")).stdout
    assert "accuracy after training" in table
    assert (tmp_path / "bench.svg").stat().st_size > 1000
    again = run(*words, "-o", str(tmp_path / "bench.csv"))
    assert again.exit_code == 0
    with (tmp_path / "bench.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["backend"] for row in rows] == ["Academic", "TVM"]
    assert all(float(row["accuracy"]) > 80 for row in rows)
