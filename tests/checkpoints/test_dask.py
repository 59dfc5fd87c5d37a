"""A real scheduler and two workers: the same table, also where one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from qerror import CheckpointReport, analyze_checkpoint
from qerror.checkpoints import job
from qerror.exceptions import InvalidValue
from qerror.execution import executor_for
from tests.checkpoints.test_analyze import model
from tests.storage.safetensors_files import saved

ROOT = Path(__file__).parents[2]


def rows(report: CheckpointReport) -> str:
    return json.dumps([each.to_dict() for each in report])


@contextmanager
def started(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # A worker and the nurse that would start it anew are one group.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Killer:
    """Kills a worker, once, when some of the work is done."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.at = -1

    def __call__(self, done: int, total: int) -> None:
        if done > total / 4 and self.at < 0:
            os.killpg(self._process.pid, signal.SIGKILL)
            self.at = done


@contextmanager
def cluster(folder: Path) -> Generator[tuple[str, Killer]]:
    """Start a scheduler and two workers, of which one can be killed."""
    place = folder / "scheduler.json"
    head = "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(place)
    worker = "dask_worker", "--scheduler-file", str(place), "--nthreads", "1", "--no-dashboard"
    with started(*head), started(*worker), started(*worker) as second:
        deadline = time.monotonic() + 60
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(place.read_text())["address"], Killer(second)


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    path = model(tmp_path / "m.safetensors")
    with cluster(tmp_path) as (address, kill), executor_for(f"dask:{address}") as pool:
        found = analyze_checkpoint(path, "int8,mxfp4", executor=pool, progress=kill)
    assert kill.at > 0
    assert rows(found) == rows(analyze_checkpoint(path, "int8,mxfp4"))


@pytest.mark.exhaustive
def test_a_worker_that_dies_inside_a_tensor_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "PART", 20_000)
    monkeypatch.setattr("qerror.checkpoints.analyze.LARGE", 60_000)
    x = np.random.default_rng(15).normal(size=(4800, 128)).astype(np.float16)
    path = saved(tmp_path / "x.safetensors", {"x": x})
    formats = "int8,mxfp4,nvfp4:of=tensor"
    with cluster(tmp_path) as (address, kill), executor_for(f"dask:{address}") as pool:
        found = analyze_checkpoint(path, formats, executor=pool, progress=kill)
    assert 0 < kill.at < x.nbytes
    assert rows(found) == rows(analyze_checkpoint(path, formats))


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qerror.execution._PATIENCE", 0.5)
    with (
        pytest.raises(InvalidValue, match=r"no dask scheduler answers at 'tcp://127\.0\.0\.1:9'"),
        executor_for("dask:tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("address", ["slurm:x", "dask", "dask:", ""])
def test_an_address_of_another_kind(address: str) -> None:
    with pytest.raises(InvalidValue, match="unknown executor"), executor_for(address):
        pass
