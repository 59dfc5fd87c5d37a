"""How fast an accelerator fake-quantizes tensors, as multiples of the first of each group.

``python -m benchmarks.accelerator [--device cuda] [--size N]``. Contenders run in turn, round
after round; the least time of each counts, the device waited for before and after. With
torchvision, a training step of a ResNet-50 of random weights is timed without quantizers and with
them. Compiling takes minutes before the first figure.
"""

import argparse
import copy
import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

SIZE = 1 << 26
ROUNDS = 20
BLOCKS = ("mxfp4", "mxfp8_e4m3", "nvfp4", "nvfp4:of=tensor", "nf4:g64", "int4:g32:affine")
FORMATS = ("int8", "5M2E", "4M3E")


@dataclass(frozen=True)
class Row:
    """One contender against the first of its group."""

    group: str
    what: str
    milliseconds: float
    ratio: float

    def __str__(self) -> str:
        return f"{self.group:22} {self.what:38} {self.milliseconds:9.3f} ms {self.ratio:7.2f} x"


def run(
    device: str = "cuda", size: int = SIZE, rounds: int = ROUNDS, compiled: bool = True
) -> list[Row]:
    """Time and print every contender."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else device
    print(f"{name}, torch {torch.__version__}, {size:,} values, float32 where nothing is said")
    generator = torch.Generator().manual_seed(0)
    x, upstream = (torch.randn(size, generator=generator).to(device) for _ in range(2))
    groups: list[tuple[str, Mapping[str, Callable[[], Any]]]] = [
        ("forward", _forward(x, compiled)),
        ("forward, bfloat16", _forward(x.to(torch.bfloat16), compiled)),
        ("forward and backward", _both(x, upstream, compiled)),
        ("blocks", _blocks(x, compiled)),
    ]
    if find_spec("torchvision") and device == "cuda":
        groups.append(("ResNet-50, step of 64", _network(device)))
    rows: list[Row] = []
    for group, tasks in groups:
        seconds = _times(tasks, device, rounds)
        first = next(iter(seconds.values()))
        for what, least in seconds.items():
            rows.append(Row(group, what, 1e3 * least, least / first))
            print(rows[-1], flush=True)
    return rows


def _forward(x: Any, compiled: bool) -> dict[str, Callable[[], Any]]:
    import torch

    from qerror.pytorch import FakeQuantize
    from qerror.pytorch import functional as F  # noqa: N812
    from qerror.pytorch.calibration import MinMax

    y = torch.empty_like(x)
    c = torch.tensor(4.0, device=x.device)

    def cast(x: Any) -> Any:
        return x.to(torch.float8_e4m3fn).to(x.dtype)

    def module(name: str) -> Callable[[Any], Any]:
        quantizer = FakeQuantize(name, calibration=MinMax()).to(x.device)
        quantizer.calibrate(x[:100_000].float())
        return quantizer.eval()

    methods: dict[str, Callable[[Any], Any]] = {
        "cast to float8 and back": cast,
        "fp, 4M3E": lambda x: F.fp(x, c, 4.0),
        **{f"FakeQuantize({name})": module(name) for name in FORMATS},
    }
    tasks: dict[str, Callable[[Any], Any]] = {"copy": y.copy_, **methods}
    if x.dtype == torch.float32:
        tasks["PyTorch's fake_quantize, INT8"] = lambda x: torch.fake_quantize_per_tensor_affine(
            x, 0.03, 0, -127, 127
        )
    return _without_gradients(x, tasks | _compiled(methods, compiled))


def _blocks(x: Any, compiled: bool) -> dict[str, Callable[[], Any]]:
    import torch

    from qerror.pytorch import BlockFakeQuantize

    rows, y = x.reshape(-1, 4096), torch.empty_like(x)
    methods = {name: BlockFakeQuantize(name).to(x.device) for name in BLOCKS}
    tasks: dict[str, Callable[[Any], Any]] = {"copy": lambda rows: y.copy_(rows.reshape(-1))}
    return _without_gradients(rows, tasks | methods | _compiled(methods, compiled))


def _both(x: Any, upstream: Any, compiled: bool) -> dict[str, Callable[[], Any]]:
    import torch

    from qerror.pytorch import functional as F  # noqa: N812

    c, s, m = (
        torch.tensor(value, device=x.device, requires_grad=True) for value in (4.0, 0.03, 4.0)
    )
    zero = torch.zeros(1, device=x.device)
    methods: dict[str, Callable[[Any], Any]] = {
        "fp, c learns": lambda x: F.fp(x, c, 4.0),
        "fp, c and m learn": lambda x: F.fp(x, c, m),
        "lsq": lambda x: F.lsq(x, s, low=-127, high=127),
    }
    name = "_fake_quantize_learnable_per_tensor_affine"  # the peer has no public name
    learnable: Any = getattr(torch, name)
    theirs: dict[str, Callable[[Any], Any]] = {
        "PyTorch's, fixed": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.03, 0, -127, 127),
        "PyTorch's, scale learns": lambda x: learnable(x, s.reshape(1), zero, -127, 127, 1.0),
    }

    def both(method: Callable[[Any], Any]) -> Callable[[], Any]:
        def work() -> Any:
            leaf = x.detach().requires_grad_()
            c.grad = s.grad = m.grad = None
            method(leaf).backward(upstream)
            return leaf.grad

        return work

    tasks = theirs | methods | _compiled(methods, compiled)
    return {name: both(method) for name, method in tasks.items()}


def _network(device: str) -> dict[str, Callable[[], Any]]:
    """Return training steps of a ResNet-50, its weights and inputs quantized or not."""
    import torch
    from torch.nn.functional import cross_entropy

    from qerror.pytorch import ModelRecipe, TensorRecipe, quantize_model

    resnet50: Any = importlib.import_module("torchvision.models").resnet50
    torch.manual_seed(0)
    images = torch.randn(64, 3, 224, 224, device=device)
    wanted = torch.randint(0, 1000, (64,), device=device)
    plain = resnet50(weights=None).to(device)
    models = {"without quantizers": plain}
    for name in FORMATS:
        tensors = TensorRecipe(name, "minmax", method="fp" if "E" in name else "lsq")
        recipe = ModelRecipe(tensors, tensors)
        models[f"weights and inputs in {name}"] = quantize_model(
            copy.deepcopy(plain), recipe, [images[:16]]
        )

    def step(model: Any) -> Callable[[], Any]:
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), 1e-4)

        def work() -> None:
            optimizer.zero_grad()
            loss: Any = cross_entropy(model(images), wanted)
            loss.backward()
            optimizer.step()

        return work

    return {name: step(model) for name, model in models.items()}


def _compiled(
    methods: Mapping[str, Callable[[Any], Any]], compiled: bool
) -> dict[str, Callable[[Any], Any]]:
    import torch

    if not compiled:
        return {}
    return {
        f"{name}, compiled": torch.compile(method, fullgraph=True)
        for name, method in methods.items()
    }


def _without_gradients(
    x: Any, tasks: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Callable[[], Any]]:
    import torch

    def bound(method: Callable[[Any], Any]) -> Callable[[], Any]:
        def work() -> Any:
            with torch.no_grad():
                return method(x)

        return work

    return {name: bound(method) for name, method in tasks.items()}


def _times(tasks: Mapping[str, Callable[[], Any]], device: str, rounds: int) -> dict[str, float]:
    """Return the least time of each, after two runs that compile and take memory."""
    import torch

    wait: Callable[[], Any] = torch.cuda.synchronize if device == "cuda" else bool
    best = dict.fromkeys(tasks, float("inf"))
    for turn in range(rounds + 2):
        for name, work in tasks.items():
            wait()
            start = time.perf_counter()
            work()
            wait()
            if turn > 1:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", type=int, default=SIZE, help="a multiple of 4096")
    options = parser.parse_args()
    run(options.device, options.size)


if __name__ == "__main__":
    main()
