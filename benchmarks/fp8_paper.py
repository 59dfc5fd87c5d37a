"""Times the public code of the FP8 paper, from a checkout: a process of its own.

``python -m benchmarks.fp8_paper PATH SAMPLES`` prints a JSON object of seconds. The code
(github.com/Qualcomm-AI-research/FP8-quantization) is run as it is; it was written for
Python 3.8, so two things stand in its way and are put aside: it derives classes from
`enum.Flag` whose members are no integers, which Python 3.11 refuses, and its package imports
timm for networks that are not needed here.
"""

import enum
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

ROUNDS = 5


def main(path: Path, samples: int) -> None:
    """Time one error and one range search for every density and format."""
    _make_importable(path)
    distributions: Any = importlib.import_module("utils.distributions")
    densities = {
        "gaussian": distributions.ClippedGaussDistr(
            params_dict={"mu": 0.0, "sigma": 1.0}, range_min=-10.0, range_max=10.0
        ),
        "t(8)": distributions.ClippedStudentTDistr(
            params_dict={"nu": 8.0}, range_min=-100.0, range_max=100.0
        ),
    }
    found = {name: _times(density, samples) for name, density in densities.items()}
    print(json.dumps(found))


def _times(density: Any, samples: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)  # its tensors are small: threads only add processor time
    estimator: Any = importlib.import_module("quantization.quant_error_estimator")
    formats: Any = importlib.import_module("quantization.quantizers.fp8_quantizer")
    ranges: Any = importlib.import_module("quantization.range_estimators")
    quantizer = formats.FPQuantizer(n_bits=8, mantissa_bits=4, set_maxval=True)
    limit = 4.0

    def error() -> object:
        grid = formats.generate_all_float_values_scaled(
            quantizer.n_bits, quantizer.ebits, quantizer.default_bias, limit
        )
        return estimator.estimate_rounding_error_analyt(density, grid)

    quantizer.set_quant_range(-limit, limit)
    error_s = _median(error, ROUNDS)
    drawn = torch.tensor(density.sample((samples,)))
    search_s = _median(lambda: ranges.estimate_range_line_search(drawn, quantizer), 1)
    return {"error_s": error_s, "search_s": search_s}


def _median(task: Callable[[], object], rounds: int) -> float:
    times: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return median(times)


def _make_importable(path: Path) -> None:
    # These must see the real enum, so they come first.
    for name in ("click", "torch", "scipy.stats", "scipy.integrate", "scipy.optimize"):
        importlib.import_module(name)
    older = ModuleType("enum")
    older.__dict__.update(vars(enum), Flag=enum.Enum)
    sys.modules["enum"] = older
    package = ModuleType("quantization")
    package.__path__ = [str(path / "quantization")]
    sys.modules["quantization"] = package
    sys.path.insert(0, str(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
