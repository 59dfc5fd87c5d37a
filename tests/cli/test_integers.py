"""Networks of integers from the command line: exported, run, refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qerror.integer import Codes, IntegerLayer, IntegerNetwork, load_network, save_network
from qerror.pytorch.studies import integer as study
from qerror.pytorch.zoo import Classifier
from qerror.pytorch.zoo import networks as zoo_networks
from tests.cli.conftest import Run


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    weight = np.arange(12).reshape(3, 4) - 5
    layer = IntegerLayer("y", "linear", ("",), Codes(9, -(2**31), 2**31 - 1), weight, 4, raw=True)
    path = tmp_path / "net.npz"
    save_network(IntegerNetwork(Codes(5, 0, 255), (layer,), (4,)), path)
    return path


def test_run(run: Run, saved: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((30, 4))
    np.save(tmp_path / "x.npy", images)
    codes = np.rint(np.clip(images * 32, 0, 255)).astype(int)
    logits = codes @ (np.arange(12).reshape(3, 4) - 5).T
    out = tmp_path / "logits.npy"
    result = run(
        "network", "run", str(saved), str(tmp_path / "x.npy"), "--logits", str(out), "--json"
    )
    rows = json.loads(result.stdout)["rows"]
    assert [row["class"] for row in rows] == logits.argmax(1).tolist()
    assert [row["logit"] for row in rows] == logits.max(1).tolist()
    assert all(row["runner_up"] != row["class"] for row in rows)
    assert np.array_equal(np.load(out), logits)
    assert (
        "10 more are in the JSON output"
        in run("network", "run", str(saved), str(tmp_path / "x.npy")).stdout
    )
    narrow = run(
        "network", "run", str(saved), str(tmp_path / "x.npy"), "--accumulator", "6", "--json"
    )
    wrapped = (logits + 32) % 64 - 32
    assert [row["logit"] for row in json.loads(narrow.stdout)["rows"]] == wrapped.max(1).tolist()


def test_run_needs_no_torch(saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 4)))
    code = (
        "import sys; sys.modules['torch'] = None; from qerror_cli.main import main; "
        f"main(['network', 'run', {str(saved)!r}, {str(tmp_path / 'x.npy')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "runner-up" in done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_export(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    result = run("network", "export", "--model", "digits-resnet", "--integer", str(path), "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "qerror.network/1"
    assert len(document["rows"]) == 15
    assert document["params"]["accuracy"] > document["params"]["fp32_accuracy"] - 0.5
    for row in document["rows"]:
        if row["accumulator_bits"] is not None:
            assert row["measured_bits"] <= row["accumulator_bits"] <= 32
    assert path.stat().st_size > 10_000


def test_bad_input(run: Run, saved: Path, tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        result = run("network", *words)
        assert result.exit_code == 2, result.output
        return result.stderr

    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    np.savez(tmp_path / "two.npz", a=np.zeros((1, 4)), b=np.zeros((1, 4)))
    assert "shape (n, 4)" in refused("run", str(saved), str(tmp_path / "x.npy"))
    assert "one array" in refused("run", str(saved), str(tmp_path / "two.npz"))
    assert "no integer network" in refused(
        "run", str(tmp_path / "two.npz"), str(tmp_path / "x.npy")
    )
    assert "must end in .npz" in refused("export", "--model", "digits-resnet", "--integer", "a.bin")
    assert "digits-vit" in refused("export", "--model", "digits-vitt")
    assert not (tmp_path / "a.bin").exists()
    images, nowhere = str(tmp_path / "two-d.npy"), str(tmp_path / "none" / "l.npy")
    np.save(images, np.zeros((2, 4)))
    assert "no folder" in refused("run", str(saved), images, "--logits", nowhere)
    pool = IntegerLayer("y", "largest", ("",), Codes(5, 0, 255), window=(2, 2), stride=(2, 2))
    save_network(IntegerNetwork(Codes(5, 0, 255), (pool,)), tmp_path / "pool.npz")
    np.save(tmp_path / "images.npy", np.zeros((2, 1, 4, 4)))
    assert "ends in images, not logits" in refused(
        "run", str(tmp_path / "pool.npz"), str(tmp_path / "images.npy")
    )
    assert "cannot take what comes to it" in refused("run", str(tmp_path / "pool.npz"), images)


def test_export_refuses_before_it_trains(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*given: object) -> None:
        raise AssertionError(given)

    monkeypatch.setattr(Classifier, "model", trained)
    for message, *words in (
        ("no folder", "--integer", str(tmp_path / "none" / "net.npz")),
        ("unknown backend 'int9'", "--backend", "int9"),
        ("weight_bits must lie in 2..16", "--weight-bits", "1"),
        ("unknown calibration", "--backend", "int8", "--calibration", "minmix"),
        ("are those of a backend", "--rounding", "once"),
        ("cannot trace", "--model", "digits-vit"),
        ("give a backend", "--algorithm", "lsq"),
        ("no calibration", "--algorithm", "lsq", "--backend", "TVM", "--calibration", "mse"),
        ("with one width", "--algorithm", "lsq", "--backend", "TVM", "--weight-bits", "4"),
        ("does not fold", "--algorithm", "lsq", "--backend", "Academic"),
        ("unknown algorithm", "--algorithm", "lsqq", "--backend", "TVM"),
        ("offset of lsq+", "--algorithm", "lsq+", "--backend", "FBGEMM"),
        ("cannot compute apot", "--algorithm", "apot", "--backend", "FBGEMM"),
        ("comes trained", "--model", "crepe-tiny", "--algorithm", "lsq", "--backend", "TVM"),
        ("--epochs are those of --algorithm", "--epochs", "3"),
    ):
        given = words if "--model" in words else ["--model", "digits-resnet", *words]
        result = run("network", "export", *given)
        assert result.exit_code == 2, result.output
        assert message in result.stderr


def test_scales_that_a_training_learns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = zoo_networks.NETWORKS["digits-resnet"].quick()
    monkeypatch.setattr(zoo_networks, "NETWORKS", {"digits-resnet": quick})
    monkeypatch.setattr(study, "NETWORKS", {"digits-resnet": quick})
    result = run(
        *("network", "export", "--model", "digits-resnet", "--backend", "FBGEMM", "--json"),
        *("--algorithm", "lsq", "--epochs", "1", "--weight-bits", "4", "--activation-bits", "4"),
        *("--integer", str(tmp_path / "net.npz")),
    )
    assert result.exit_code == 0, result.output
    params = json.loads(result.stdout)["params"]
    assert params["accuracy"] == params["fp32_accuracy"] > 90
    assert params["agreement"] == 100
    network = load_network(tmp_path / "net.npz")
    weights = [each.weight for each in network.layers if each.weight is not None]
    assert all(0 <= each.min() <= each.max() <= 15 for each in weights)
