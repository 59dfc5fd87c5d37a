"""Checkpoints: ``python -m benchmarks.checkpoints [--mebibytes 256] [--tensors 16]``.

Prints how fast codes are counted, what ten formats cost a tensor once they are, how block formats
compare with the quantizer alone, and time and peak memory for a generated BF16 checkpoint.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak_resident
from qerror import BlockFormat, analyze_checkpoint, parse_format, quantize
from qerror.simulation.block_sums import block_sums
from qerror.simulation.counting import count_units

TEN = ("int8", "int4", "int6", "e4m3", "e5m2", "4M3E", "3M4E", "e3m2", "e2m1", "nf4")
SEVEN = ("int8", "e4m3", "int4:g32", "mxfp4", "mxfp8_e4m3", "nf4:g64", "nvfp4:of=tensor")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=256, help="of the generated checkpoint")
    parser.add_argument("--tensors", type=int, default=16, help="in the generated checkpoint")
    parser.add_argument("--values", type=int, default=1 << 24, help="that are counted at once")
    options = parser.parse_args(arguments)
    engines = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
    for engine in engines:
        print(f"counting BF16, {engine}: {_counting(engine, options.values):.2f} GB/s")
    for name in ("mxfp4", "nvfp4", "int4:g32"):
        for engine in engines:
            ours, alone = _blocks(name, engine, options.values // 4)
            print(f"{name}, {engine}: {ours:.0f} M/s, {100 * ours / alone:.0f}% of quantize alone")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        generate(path, options.mebibytes << 20, options.tensors)
        for formats in (TEN[:1], TEN, SEVEN):
            start = time.process_time()
            report = analyze_checkpoint(path, formats)
            took = time.process_time() - start
            print(
                f"{options.mebibytes} MiB in {len(report)} tensors, {len(formats)} formats: "
                f"{took:.1f} s, {1e3 * took / len(report):.0f} ms a tensor, peak "
                f"{peak_resident():.0f} MB"
            )


def generate(path: Path, size: int, tensors: int, seed: int = 0) -> None:
    """Write a checkpoint of BF16 matrices of normal values, piece by piece."""
    rng = np.random.default_rng(seed)
    rows = max(size // tensors // 2 // 4096, 1)
    length = rows * 4096 * 2
    header = {
        f"layers.{i}.weight": {
            "dtype": "BF16",
            "shape": [rows, 4096],
            "data_offsets": [i * length, (i + 1) * length],
        }
        for i in range(tensors)
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(tensors):
            for start in range(0, rows, 256):
                x = rng.standard_normal((min(256, rows - start), 4096), np.float32) * 0.02
                file.write((x.view(np.uint32) >> 16).astype(np.uint16).tobytes())


def _best_of(action: Callable[[], object], times: int = 3) -> float:
    """Return the shortest processor time of a few, the first of which warms up."""
    action()
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def _counting(engine: Any, size: int) -> float:
    x = np.random.default_rng(1).standard_normal(size, np.float32)
    units = (x.view(np.uint32) >> 16).astype(np.uint16)
    counts = np.zeros(1 << 16, np.int64)
    return units.nbytes / _best_of(lambda: count_units(units, counts, engine)) / 1e9


def _blocks(name: str, engine: str, size: int) -> tuple[float, float]:
    """Return millions of values a second, with their sums and without."""
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    x = np.random.default_rng(2).standard_normal(size // 4096 * 4096, np.float32)
    out = np.empty_like(x)
    ours = _best_of(lambda: block_sums(x, form, engine))
    alone = _best_of(
        lambda: quantize(x.reshape(-1, 4096), form, out=out.reshape(-1, 4096), engine=engine)
    )
    return x.size / ours / 1e6, x.size / alone / 1e6


if __name__ == "__main__":
    main()
