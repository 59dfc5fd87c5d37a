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

import pytest

from qerror import CheckpointReport, analyze_checkpoint
from qerror.exceptions import InvalidValue
from qerror.execution import executor_for
from tests.checkpoints.test_analyze import model

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


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    path = model(tmp_path / "m.safetensors")
    place = tmp_path / "scheduler.json"
    head = "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(place)
    worker = "dask_worker", "--scheduler-file", str(place), "--nthreads", "1", "--no-dashboard"
    with started(*head), started(*worker), started(*worker) as second:
        deadline = time.monotonic() + 60
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = json.loads(place.read_text())["address"]
        killed: list[int] = []

        def kill(done: int, total: int) -> None:
            if done > total / 4 and not killed:
                os.killpg(second.pid, signal.SIGKILL)
                killed.append(done)

        with executor_for(f"dask:{address}") as pool:
            found = analyze_checkpoint(path, "int8,mxfp4", executor=pool, progress=kill)
    assert killed
    assert rows(found) == rows(analyze_checkpoint(path, "int8,mxfp4"))


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
