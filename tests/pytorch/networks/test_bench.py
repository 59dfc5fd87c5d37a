"""The study of backends: every case once, journaled, the same after any interruption."""

import json
import math
import random
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
import torch
from torch import nn

from qerror.exceptions import InvalidValue, UnknownName
from qerror.pytorch.backends import BACKENDS
from qerror.pytorch.examples import Dataset, Examples
from qerror.pytorch.folding import FoldedBatchNorm
from qerror.pytorch.graphs import ALGORITHMS, Algorithm, prepare
from qerror.pytorch.studies import Bench, BenchRow, bench_document, bench_study
from qerror.pytorch.studies.bench_case import BenchCase, bench_case
from qerror.pytorch.training import Plan
from qerror.pytorch.zoo import Classifier, digits
from qerror.pytorch.zoo import networks as zoo_networks


class Tiny(nn.Module):
    """A residual block on images of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.conv(x)))
        y = torch.relu(self.inner_norm(self.inner(y)) + y)
        found: torch.Tensor = self.head(y.mean((2, 3)))
        return found


def few_digits() -> Dataset:
    found = digits()
    first = Examples(found.train.inputs[:96], found.train.targets[:96])
    return Dataset("few", first, found.test.first(64))


def tiny(learning_rate: float = 0.01) -> Classifier:
    return Classifier("tiny", Tiny, few_digits, Plan(2, batch_size=32, learning_rate=learning_rate))


@pytest.fixture
def networks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QERROR_CACHE", str(tmp_path_factory.getbasetemp() / "tiny"))
    monkeypatch.setattr(zoo_networks, "NETWORKS", {"tiny": tiny()})


def study(**options: Any) -> Bench:
    given: dict[str, Any] = {"seeds": 1, "epochs": 1, "parts": ("backends",)}
    return bench_study(["tiny"], ["lsq", "pact", "apot"], ["Academic", "TVM"], **(given | options))


class Here(Executor):
    """Works at once: any executor will do."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.usefixtures("networks")
def test_interrupted_three_times_it_gives_the_same(tmp_path: Path) -> None:
    whole = study(executor=Here())
    assert len(whole.rows) == 5  # lsq and pact on both, apot on Academic
    assert whole.refused == (("TVM", "apot"),)
    journal = tmp_path / "run.jsonl"
    rng = random.Random(5)
    for number, stop in enumerate(sorted(rng.sample(range(1, 5), 3))):

        def interrupt(count: int, total: int, stop: int = stop) -> None:
            assert total == 5
            if count >= stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            study(journal=journal, progress=interrupt)
        content = journal.read_bytes()
        assert content.count(b"\n") == 1 + stop
        if number == 1:  # killed while it wrote
            journal.write_bytes(content[: -rng.randint(2, 200)])
    again = study(journal=journal)
    assert again == whole
    assert repr(bench_document(again).views) == repr(bench_document(whole).views)
    lines = journal.read_bytes().splitlines()
    assert len({json.loads(line)["key"] for line in lines[1:]}) == len(lines) - 1 == 5
    before = journal.read_bytes()
    fewer = bench_study(
        ["tiny"], ["pact"], ["TVM"], seeds=1, epochs=1, parts=("backends",), journal=journal
    )
    assert fewer.rows == tuple(r for r in whole.rows if (r.backend, r.algorithm) == ("TVM", "pact"))
    assert journal.read_bytes() == before
    with pytest.raises(InvalidValue, match="belongs to other work: epochs"):
        study(journal=journal, epochs=2)


@pytest.mark.usefixtures("networks")
def test_a_journal_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "run.jsonl"

    def one() -> Bench:
        return bench_study(
            ["tiny"], ["lsq"], ["TVM"], seeds=1, epochs=1, parts=("backends",), journal=journal
        )

    first, content = one(), journal.read_text()
    assert one() == first
    with monkeypatch.context() as patch:
        patch.setattr(zoo_networks, "NETWORKS", {"tiny": tiny(0.02)})
        with pytest.raises(InvalidValue, match=r"run 'tiny/TVM/.*' had another algorithm, network"):
            one()
    with monkeypatch.context() as patch:
        patch.setattr("qerror.pytorch.studies.bench.RECIPE", 3)
        with pytest.raises(InvalidValue, match="belongs to other work: recipe changed"):
            one()
    # What was written before there was a recipe: no number in its first line.
    journal.write_text(re.sub(r'"recipe": \d+, ', "", content))
    with pytest.raises(InvalidValue, match="belongs to other work: recipe changed"):
        one()
    journal.write_text(re.sub(r', "settings": "\w+"', "", content))
    with pytest.raises(InvalidValue, match=r"is damaged \(KeyError: 'settings'\)"):
        one()
    journal.write_text(content)
    assert one() == first


@pytest.mark.slow
@pytest.mark.exhaustive
def test_killed_three_times_it_gives_the_same(tmp_path: Path) -> None:
    """The process itself is killed, at random moments."""
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, sys, torch
        from dataclasses import asdict
        from tests.pytorch.networks.test_bench import study, tiny, zoo_networks
        torch.set_num_threads(1)
        zoo_networks.NETWORKS = {{"tiny": tiny()}}
        found = study(
            journal={str(tmp_path / "run.jsonl")!r} if len(sys.argv) > 1 else None,
            parts=("backends", "graphs"),
        )
        print(json.dumps([asdict(row) for row in found.rows]))
        """)
    )
    rng = random.Random(7)
    root = Path(__file__).parents[3]

    def start(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(script), *words], stdout=subprocess.PIPE, text=True, cwd=root
        )

    journal = tmp_path / "run.jsonl"
    for number in range(3):
        process = start("journal")
        wanted = 2 + 2 * number
        while process.poll() is None:
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
            if lines >= wanted:
                time.sleep(rng.random() / 4)
                break
            time.sleep(0.01)
        process.kill()
        process.communicate()
    assert 2 <= journal.read_bytes().count(b"\n") < 10
    resumed, _ = start("journal").communicate()
    whole, _ = start().communicate()
    assert json.loads(resumed) == json.loads(whole)
    assert len(json.loads(whole)) == 9


@pytest.mark.usefixtures("networks")
def test_foldings_and_graphs() -> None:
    found = study(parts=("foldings", "graphs"), compared=["lsq"])
    kinds = [(row.folding, row.graph) for row in found.rows]
    assert kinds == [(-1, 1), (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (-1, 2), (-1, 3)]
    assert {row.backend for row in found.rows} == {"Academic"}
    foldings, graphs, _ = bench_document(found).views
    assert [line[0][:2].strip(",") for line in foldings.body] == ["-1", "0", "1", "2", "3", "4"]
    assert [line[0] for line in graphs.body] == ["1", "2", "3"]
    assert foldings.body[0][1:] == graphs.body[0][1:]
    # Before training, with statistics that are the network's own, these are one network.
    before = {row.folding: row.ptq_accuracy for row in found.rows if row.graph == 1}
    assert before[1] == before[2] == before[3]


@pytest.mark.usefixtures("networks")
def test_a_training_that_diverges_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_networks, "NETWORKS", {"tiny": tiny(1e30)})
    monkeypatch.setattr(Classifier, "model", lambda self, seed: self.fresh(seed).eval())
    found = study(parts=("backends",))
    assert any(row.diverged for row in found.rows)
    text = str(bench_document(found).views[0].notes)
    assert "diverged" in text


def test_strategy_four_feeds_back_where_weights_lose_their_unit() -> None:
    """In [-1, 1] weights let the running deviation multiply itself, in their own unit not."""
    folded = replace(BACKENDS["Academic"], folds=True)
    x = few_digits().train.inputs
    growth: dict[str, tuple[float, float]] = {}
    plain = Algorithm("plain", "dorefa", "pact")
    for algorithm in (ALGORITHMS["lsq"], ALGORITHMS["pact"], plain):
        torch.manual_seed(0)
        model = Tiny().eval()
        quantized = prepare(model, [x], folded, algorithm, bits=4, folding=4).train()
        norm: Any = next(m for m in quantized.modules() if isinstance(m, FoldedBatchNorm)).norm
        values: list[float] = []
        with torch.no_grad():
            for _ in range(150):
                quantized(x)
                values.append(float(norm.running_var.mean()))
        growth[algorithm.name] = values[139] / values[129], values[149] / values[139]
    earlier, later = growth["plain"]
    assert later > 1.1  # in ten batches, and so on without an end
    assert later == pytest.approx(earlier, rel=0.05, abs=0)
    assert growth["lsq"][1] == pytest.approx(1, abs=0.02)
    assert growth["pact"][1] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("algorithm", ["pact", "dorefa"])
@pytest.mark.thinned(2)
def test_weights_through_a_tangent_train_with_folding(algorithm: str) -> None:
    """By strategy 4 on backends: without their unit they stay at one class, 9.9 %."""
    case = BenchCase("digits-resnet", BACKENDS["TensorRT"], algorithm, 4, 4, 0, 2, quick=True)
    found = bench_case(case)
    assert not found.diverged
    assert found.accuracy > found.fp32_accuracy - 5


def row(backend: str, algorithm: str, seed: int, accuracy: float) -> BenchRow:
    return BenchRow("net", backend, 1, -1, algorithm, 4, seed, 3, 99.0, 50.0, 60.0, accuracy, False)


def test_means_and_spreads() -> None:
    values = {
        ("Academic", "lsq"): (90.0, 92.0),
        ("Academic", "pact"): (80.0, 84.0),
        ("TVM", "lsq"): (70.0, 70.0),
    }
    rows = tuple(
        row(*case, seed, each)
        for case, accuracies in values.items()
        for seed, each in enumerate(accuracies)
    )
    first, before = bench_document(Bench(rows, ())).views
    cells = {line[0]: tuple(line[1:]) for line in first.body}
    half = 12.706204736174698 * math.sqrt(2) / math.sqrt(2)  # t(1) times std / sqrt(2)
    assert cells["lsq"] == (f"91.0 +- {half:.1f}", "70.0 +- 0.0", "80.5", f"{stdev([91, 70]):.1f}")
    assert cells["pact"][1:] == ("-", "82.0", "-")
    assert cells["mean"][:2] == ("86.5", "70.0")
    assert cells["spread"][:2] == (f"{stdev([91, 82]):.1f}", "-")
    assert "FP32 99.0" in first.title
    assert before.body[0] == ("Academic", "lsq", "50.0 +- 0.0", "60.0 +- 0.0", cells["lsq"][0])


@pytest.mark.usefixtures("networks")
def test_bad_input() -> None:
    with pytest.raises(InvalidValue, match="unknown part 'tables'"):
        study(parts=("tables",))
    with pytest.raises(InvalidValue, match="seeds"):
        study(seeds=0)
    with pytest.raises(UnknownName, match="algorithm"):
        bench_study(["tiny"], ["lsqq"])
    with pytest.raises(UnknownName, match="backend"):
        bench_study(["tiny"], ["lsq"], ["TVMM"])
    with pytest.raises(InvalidValue, match="no backend computes apot"):
        bench_study(["tiny"], ["apot"], ["TVM"], parts=("backends",))
    with pytest.raises(InvalidValue, match=r"no backend computes qil in 4 bits"):
        study(parts=("graphs",), compared=["qil"])
    with pytest.raises(UnknownName, match="algorithm"):
        study(compared=["nope"])
    twin = replace(BACKENDS["TVM"], power_of_two=False)
    with pytest.raises(InvalidValue, match="two backends are TVM of graph"):
        bench_study(["tiny"], ["lsq"], ["TVM", twin], parts=("backends",))


def test_keys_tell_records_of_one_name_apart() -> None:
    """Those of presets, with other graphs too, are what journals have had."""
    own = BACKENDS["TVM"]
    kinds = (own, replace(own, graph=2), replace(own, power_of_two=False), replace(own, source=""))
    keys = [BenchCase("net", each, "lsq", 4, 4, 0, 3).key for each in kinds]
    assert keys[0] == f"net/TVM/graph {own.graph}/folding 4/lsq/4 bits/seed 0"
    assert keys[1] == "net/TVM/graph 2/folding 4/lsq/4 bits/seed 0"
    assert len(set(keys)) == 4
