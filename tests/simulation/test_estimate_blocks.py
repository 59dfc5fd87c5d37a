"""Sampled errors of blocks: plain means over whole blocks and tensors, the doors, the notes."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import Discrete, Gaussian, Laplace, StudentT
from qerror.exceptions import InvalidValue
from qerror.formats import parse_format
from qerror.simulation import BlockEstimate, encode, estimate_error, quantize


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def blocks_of(name: str, size: int, density: str = "gaussian", seed: int = 1) -> BlockEstimate:
    found = estimate_error(name, density, size=size, rng=generator(seed))
    assert isinstance(found, BlockEstimate)
    return found


def test_figures_are_means_over_blocks() -> None:
    """Against the quantizer of arrays, block by block, with the spread of the blocks' means."""
    found = blocks_of("mxfp4", 32 * 500, "laplace")
    x = Laplace().sample(32 * 500, generator()).reshape(500, 32)
    e = quantize(x, "mxfp4") - x
    codes = encode(x, "mxfp4")
    exponent = np.asarray(codes.scales).reshape(500, 1).astype(float) - 127
    beyond = np.abs(x) > 6 * 2.0**exponent
    pairs = [(e[:, i] * e[:, j], x[:, i] * e[:, j]) for i in range(32) for j in range(32) if i != j]
    wanted = {
        "mse": (e * e).mean(axis=1),
        "clipping": np.where(beyond, e * e, 0).mean(axis=1),
        "clipping_low": np.where(beyond & (x < 0), e * e, 0).mean(axis=1),
        "cross_moment": (x * e).mean(axis=1),
        "signal_power": (x * x).mean(axis=1),
        "pair_error": np.mean([a for a, _ in pairs], axis=0),
        "pair_cross": np.mean([b for _, b in pairs], axis=0),
        "clipped_blocks": beyond.any(axis=1).astype(float),
    }
    for name, means in wanted.items():
        assert getattr(found, name) == pytest.approx(means.mean(), rel=1e-11, abs=1e-15), name
        error = means.std(ddof=1) / math.sqrt(500)
        assert getattr(found.standard_error, name) == pytest.approx(error, rel=1e-9, abs=0), name
    assert (found.size, found.samples, found.blocks) == (16_000, 500, 500)
    assert sum(found.clipped) == beyond.sum()
    keys, counts = np.unique(exponent, return_counts=True)
    assert dict(found.scales) == pytest.approx(
        dict(zip(keys, counts / 500, strict=True)), rel=1e-12, abs=0
    )


def test_tensors_are_the_samples_where_they_set_a_scale() -> None:
    found = blocks_of("nvfp4:of=64", 64 * 300)
    x = Gaussian().sample(64 * 300, generator()).reshape(300, 64)
    e = quantize(x, "nvfp4:of=64") - x
    means = (e * e).mean(axis=1)
    assert (found.samples, found.blocks) == (300, 1200)
    assert found.mse == pytest.approx(means.mean(), rel=1e-12, abs=0)
    assert found.standard_error.mse == pytest.approx(
        means.std(ddof=1) / math.sqrt(300), rel=1e-9, abs=0
    )
    assert sum(found.scales.values()) == pytest.approx(1, rel=1e-12, abs=0)
    # The block of the largest value has the top scale, 448; others may have it too.
    assert found.scales[448.0] >= 0.25
    assert found.scales.covariance.sum() == pytest.approx(0, abs=1e-15)


def test_dependence_within_blocks_counts() -> None:
    """Standard errors from single values would be too small by half; those of blocks cover."""
    exact = quantization_error(parse_format("mxfp4"), Gaussian())
    found = [blocks_of("mxfp4", 32 * 400, seed=seed) for seed in range(200)]
    z = [(each.mse - exact.mse) / each.standard_error.mse for each in found]
    assert np.std(z) == pytest.approx(1, abs=0.2)
    assert abs(np.mean(z)) < 5 / math.sqrt(200)


def test_one_tensor_of_all_values() -> None:
    found = blocks_of("nvfp4:of=tensor", 1000)
    assert (found.size, found.samples, found.blocks) == (1008, 1, 63)
    x = Gaussian().sample(1008, generator())
    e = quantize(x, "nvfp4:of=tensor") - x
    assert found.mse == pytest.approx((e * e).mean(), rel=1e-12, abs=0)
    assert all(math.isnan(error) for error in found.standard_error.to_dict().values())
    assert not any(found.settled.values())


def test_the_last_block_is_drawn_whole() -> None:
    assert blocks_of("nvfp4", 33).size == 48


def test_affine_blocks() -> None:
    found = blocks_of("int4:g32:affine", 32 * 100)
    x = Gaussian().sample(3200, generator())
    e = quantize(x, "int4:g32:affine") - x
    assert found.mse == pytest.approx((e * e).mean(), rel=1e-12, abs=0)
    assert found.clipping == 0
    assert math.isnan(found.clipped_blocks)
    assert len(found.scales) == 0


def test_blocks_of_zeros_and_dead_scales() -> None:
    """What a scale of 0 takes to 0 is rounded, not clipped, as in the analysis."""
    density = Discrete([0.0, 1e-4], [0.9, 0.1])
    found = estimate_error("nvfp4", density, size=160_000, rng=generator())
    assert isinstance(found, BlockEstimate)
    assert found.zero_blocks == pytest.approx(0.9**16, rel=0.05, abs=0)
    assert found.clipping == 0
    assert found.rounding == pytest.approx(1e-9, rel=0.05, abs=0)
    assert dict(found.scales) == {0.0: 1.0}


def test_heavy_tails_are_sampled_again_within_a_cut() -> None:
    found = blocks_of("mxfp4", 64_000, "student-t(nu=3)")
    assert math.isinf(found.standard_error.rounding)
    assert math.isinf(found.standard_error.pair_error)
    assert math.isfinite(found.standard_error.mean_error)
    assert math.isfinite(found.standard_error.clipped_blocks)
    assert found.truncated is not None
    inner = found.truncated.estimate
    assert inner.size == found.size
    assert math.isfinite(inner.standard_error.mse)
    low, high = found.truncated.cut
    assert low == pytest.approx(StudentT(3).ppf(300 / 64_000), rel=1e-9, abs=0)
    assert high == pytest.approx(-low, rel=1e-12, abs=0)


def test_progress_counts_all_that_is_drawn() -> None:
    seen: list[tuple[int, int]] = []
    estimate_error(
        "mxfp4",
        "student-t(nu=3)",
        size=6400,
        rng=generator(),
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(6400, 12_800), (12_800, 12_800)]


def test_to_dict_names_every_figure() -> None:
    found = blocks_of("mxfp4", 640)
    assert list(found.to_dict()) == list(found.standard_error.to_dict())
    assert {"pair_error", "zero_blocks", "mse"} <= set(found.to_dict())


def test_bad_input() -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("mxfp4", {"scale": 2.0, "size": 640}, "takes its scales from the values"),
        ("mxfp4", {"size": 32}, "at least two samples of 32 values"),
        ("int8:channel=4096", {"size": 4097 // 2}, "at least two samples of 4,096 values"),
        ("nf4:g200000000", {"size": 10**9}, "200,000,000 values share a scale"),
    )
    for name, options, words in cases:
        with pytest.raises(InvalidValue, match=words):
            estimate_error(name, "gaussian", rng=generator(), **options)


def test_thousands_of_scales_take_little_memory() -> None:
    tracemalloc.start()
    found = blocks_of("int4:scale=fp16:n=1", 20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.scales) > 4000
    assert found.scales.covariance.size == 0
    assert sum(found.scales.values()) == pytest.approx(1, rel=1e-12, abs=0)
    assert peak < 2**26
