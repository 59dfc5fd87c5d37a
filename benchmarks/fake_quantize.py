"""How fast tensors are fake-quantized, as ratios to PyTorch's own.

``python -m benchmarks.fake_quantize``. One thread, float32, a million values. Every contender
runs once a round, in turn, so that a busy machine is busy for all; the least processor time of
each counts. Compiling takes a minute or two before the first figure.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SIZE = 1_000_000
ROUNDS = 30

FORWARD_BAR = 0.75
"""Of PyTorch's cast to float8 and back, compiled."""
COMPILED_BAR = 0.5
EAGER_BAR = 3.0
"""Of `torch.fake_quantize_per_tensor_affine`, forward and backward, with a range that learns."""


@dataclass(frozen=True)
class Row:
    """One contender against its peer."""

    what: str
    milliseconds: float
    peer: str
    ratio: float
    bar: float | None
    """The most that the ratio may be."""

    @property
    def is_met(self) -> bool | None:
        """Whether it is; None without a bar."""
        return None if self.bar is None else self.ratio <= self.bar


def run(size: int = SIZE, rounds: int = ROUNDS, compiled: bool = True) -> list[Row]:
    """Time and print every contender."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, upstream = (torch.randn(size, generator=generator) for _ in range(2))
    rows = [*_forward(x, rounds, compiled), *_both(x, upstream, rounds, compiled)]
    for row in rows:
        verdict = {True: "ok", False: "no", None: ""}[row.is_met]
        bar = "" if row.bar is None else f"<= {row.bar:g}"
        line = f"{row.what:34} {row.milliseconds:7.2f} ms {row.ratio:6.2f} x {row.peer} {bar}"
        print(f"{line} {verdict}".rstrip(), flush=True)
    return rows


def _forward(x: Any, rounds: int, compiled: bool) -> list[Row]:
    """Compare the forward pass with the cast to float8 and back, without gradients."""
    import torch

    from qerror.pytorch import functional as F  # noqa: N812

    def cast(x: Any) -> Any:
        return x.to(torch.float8_e4m3fn).to(torch.float32)

    def own(x: Any) -> Any:
        return F.fp(x, c, 4.0)

    c = torch.tensor(4.0)
    kind = "compiled" if compiled else "eager"
    seconds = _times({"cast": _maybe(cast, compiled), "fp": _maybe(own, compiled)}, x, rounds)
    bar = FORWARD_BAR if compiled else None
    return [_row(f"forward, 4M3E, {kind}", "fp", "cast", seconds, bar)]


def _both(x: Any, upstream: Any, rounds: int, compiled: bool) -> list[Row]:
    """Compare forward and backward, the range learning, with PyTorch's fixed affine one."""
    import torch

    from qerror.pytorch import functional as F  # noqa: N812

    c, s, m = (torch.tensor(value, requires_grad=True) for value in (4.0, 0.03, 4.0))
    methods: dict[str, Callable[[Any], Any]] = {
        "torch": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.03, 0, -127, 127),
        "fp, c learns": lambda x: F.fp(x, c, 4.0),
        "fp, c and m learn": lambda x: F.fp(x, c, m),
        "lsq": lambda x: F.lsq(x, s, low=-127, high=127),
    }

    def both(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def work(x: Any) -> Any:
            leaf = x.detach().requires_grad_()
            c.grad = s.grad = m.grad = None
            method(leaf).backward(upstream)
            return leaf.grad

        return work

    tasks = {name: both(method) for name, method in methods.items()}
    if compiled:
        tasks |= {
            f"{name}, compiled": both(_maybe(method, True))
            for name, method in methods.items()
            if name != "torch"
        }
    seconds = _times(tasks, x, rounds)
    return [
        _row(
            f"both ways, {name}",
            name,
            "torch",
            seconds,
            _bar(name),
        )
        for name in tasks
        if name != "torch"
    ]


def _bar(name: str) -> float | None:
    """Return the bar of a range that learns."""
    return COMPILED_BAR if name.endswith("compiled") else EAGER_BAR


def _row(what: str, name: str, peer: str, seconds: dict[str, float], bar: float | None) -> Row:
    names = {"cast": "cast to float8 and back", "torch": "fake_quantize_per_tensor_affine"}
    return Row(what, 1e3 * seconds[name], names[peer], seconds[name] / seconds[peer], bar)


def _maybe(function: Callable[[Any], Any], compiled: bool) -> Callable[[Any], Any]:
    import torch

    if not compiled:
        return function
    found: Callable[[Any], Any] = torch.compile(function, fullgraph=True)
    return found


def _times(tasks: dict[str, Callable[[Any], Any]], x: Any, rounds: int) -> dict[str, float]:
    """Return the least processor time of each, after two runs that compile and touch memory."""
    best = dict.fromkeys(tasks, float("inf"))
    for turn in range(rounds + 2):
        for name, work in tasks.items():
            start = time.process_time()
            work(x)
            if turn > 1:
                best[name] = min(best[name], time.process_time() - start)
    return best


if __name__ == "__main__":
    run()
