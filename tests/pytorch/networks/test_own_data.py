"""Data and networks that users have: read whole, or refused with a reason."""

import gzip
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.pytorch import ModelRecipe, quantize_model, quantized_layers
from qerror.pytorch.zoo import ImageFolder, fashion_mnist, hub_model
from qerror.pytorch.zoo.fashion import FASHION, VARIABLE, DebianPackage


def idx(values: np.ndarray[Any, Any]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("train", 12), ("t10k", 4)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return tmp_path


def test_fashion_mnist_from_a_folder(fashion: Path) -> None:
    data = fashion_mnist(fashion, train=10)
    assert data.train.inputs.shape == (10, 1, 28, 28)
    assert data.test.targets.dtype == torch.int64
    assert float(data.train.inputs.std()) == pytest.approx(1.0, rel=1e-5, abs=0)
    assert float(data.train.inputs.mean()) == pytest.approx(0.0, abs=1e-5)


def test_a_damaged_file_is_refused(fashion: Path) -> None:
    path = fashion / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for content in (whole[:-30], b"none", idx(np.zeros((2, 2), dtype=np.uint8))):
        path.write_bytes(content)
        with pytest.raises(InvalidValue, match="cannot read"):
            fashion_mnist(fashion)
    path.unlink()
    with pytest.raises(InvalidValue, match="there is no such file"):
        fashion_mnist(fashion)


def test_files_in_the_packages_place_must_be_the_verified_ones(
    fashion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("qerror.pytorch.zoo.fashion.FASHION", DebianPackage(fashion))
    with pytest.raises(InvalidValue, match=r"the sha256 of its content is .* expected"):
        fashion_mnist()
    monkeypatch.setattr("qerror.pytorch.zoo.fashion.FASHION", DebianPackage(fashion / "none"))
    with pytest.raises(MissingLibrary, match="apt install dataset-fashion-mnist"):
        fashion_mnist()
    monkeypatch.setenv(VARIABLE, str(fashion))
    with pytest.raises(InvalidValue, match=r"the sha256 of its content is .* expected"):
        fashion_mnist()
    monkeypatch.setenv(VARIABLE, str(fashion / "none"))
    with pytest.raises(MissingLibrary, match=f"none', which {VARIABLE} names"):
        fashion_mnist()


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.folder.is_dir(), reason="apt install dataset-fashion-mnist")
def test_fashion_mnist_is_whole() -> None:
    data = fashion_mnist()
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert torch.bincount(data.test.targets).tolist() == [1000] * 10


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for label, shade in (("black", 0), ("white", 255)):
        (tmp_path / label).mkdir()
        for number in range(3):
            image = Image.new("RGB", (40 + 8 * number, 32), (shade,) * 3)
            image.save(tmp_path / label / f"{number}.png")
    (tmp_path / "black" / "notes.txt").write_text("no image")
    return tmp_path


def test_a_folder_of_images(images: Path) -> None:
    data = ImageFolder(images, size=24, resize=28, batch_size=4, mean=(0, 0, 0), std=(1, 1, 1))
    assert (data.classes, len(data)) == (("black", "white"), 2)
    batches = list(data)
    assert [tuple(x.shape) for x, _ in batches] == [(4, 3, 24, 24), (2, 3, 24, 24)]
    x = torch.cat([x for x, _ in batches])
    assert torch.equal(x.amax((1, 2, 3)), data.targets.float())
    assert torch.equal(torch.cat([y for _, y in batches]), data.targets)
    assert ImageFolder(images, size=24, resize=28, most=2).targets.tolist() == [0, 1]
    standard = next(iter(ImageFolder(images, size=24, resize=28)))[0]
    assert float(standard[0, 0, 0, 0]) == pytest.approx(-0.485 / 0.229, rel=1e-6, abs=0)


def test_a_network_is_calibrated_on_a_folder(images: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 22 * 22, 2))
    data = ImageFolder(images, size=24, resize=28, batch_size=3)
    found = quantize_model(net, ModelRecipe.of("int8", calibration="minmax"), data)
    assert len(quantized_layers(found)) == 2


def test_a_folder_without_images_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(InvalidValue, match="there is no folder"):
        ImageFolder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidValue, match="no image"):
        ImageFolder(tmp_path / "empty")
    (images / "black" / "0.png").write_bytes(b"broken")
    with pytest.raises(InvalidValue, match=r"cannot read .*0\.png"):
        list(ImageFolder(images, size=24, resize=28))


class Tuple(nn.Module):
    """Returns what Hugging Face's networks return."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.layer(x), None


@pytest.mark.parametrize("name", ["torchvision:net", "timm:net", "hf:net"])
def test_networks_of_other_libraries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Auto:
        @staticmethod
        def from_pretrained(name: str) -> nn.Module:
            if name != "net":
                raise OSError(f"{name} is not a local folder")
            return Tuple()

    def get(name: str, **rest: Any) -> nn.Module:
        assert rest in ({"weights": "DEFAULT"}, {"pretrained": True})
        if name != "net":
            raise ValueError(f"Unknown model {name}")
        return nn.Sequential(nn.Linear(4, 2))

    stand_ins = {
        "torchvision": SimpleNamespace(models=SimpleNamespace(get_model=get)),
        "timm": SimpleNamespace(create_model=get),
        "transformers": SimpleNamespace(AutoModel=Auto),
    }
    for module, stand_in in stand_ins.items():
        monkeypatch.setitem(sys.modules, module, stand_in)
    model = hub_model(name)
    assert not model.training
    quantized = quantize_model(model, "int8", [torch.randn(3, 4)])
    assert quantized(torch.randn(2, 4)).shape == (2, 2)
    with pytest.raises(InvalidValue, match="cannot give 'other'"):
        hub_model(name.replace("net", "other") if "vision:" not in name else "torchvision:other")


def test_what_is_no_name_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("resnet18", "keras:net", "timm:"):
        with pytest.raises(InvalidValue, match="write torchvision:NAME, timm:NAME or hf:NAME"):
            hub_model(name)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingLibrary, match="pip install timm"):
        hub_model("timm:net")
