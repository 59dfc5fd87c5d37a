"""Run all benchmarks and print one table: ``python -m benchmarks [--quick] [--peer PATH]``."""

import argparse
import importlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import rows as measured
from benchmarks.rows import FULL, QUICK, Effort, Row
from qerror.reporting import short
from qerror.storage import write_atomically

FOLDER = Path(__file__).parent
NOTES = (
    "Ratio: times faster where the bar is a least (>=), times slower where it is a most.",
    "closed form: the papers' erf and hyp2f1 in NumPy; closed 8bit: the same on 256 points,",
    "which cannot hold wide formats; quad: scipy, cell by cell; simulation: extrapolated from",
    "200,000 samples, by the exact variance, to a relative standard error of 1e-3; peak: of",
    "memory over the import. Times are processor time; the shell's is wall time.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    parser.add_argument(
        "--peer", type=Path, metavar="PATH", help="checkout of the FP8 paper's code"
    )
    parser.add_argument("--output", type=Path, default=FOLDER, metavar="FOLDER", help="for results")
    options = parser.parse_args(arguments)
    if not options.output.is_dir():
        parser.error(f"there is no folder {str(options.output)!r}; make it first")
    if options.peer is not None and not (options.peer / "quantization").is_dir():
        parser.error(f"{str(options.peer)!r} is no checkout of FP8-quantization")
    effort = QUICK if options.quick else FULL
    found: list[Row] = []
    print(_line("what", "ours", "other", "", "ratio", "bar", ""))
    for row in _rows(effort, options.peer):
        found.append(row)
        print(_shown(row), flush=True)
    print("\n".join(NOTES))
    if options.peer is None:
        print("The FP8 paper's code was not timed; name a checkout by --peer PATH.")
    else:
        print(f"FP8 paper: its range search on {effort.peer_samples:,} samples; it uses 5,000,000.")
    if options.quick:
        print("A smoke run: its figures mean nothing.")
    scaling = measured.scaling(effort)
    print("\nArrays, as multiples of np.copyto")
    arrays = _arrays(options.quick)
    _save(options.output, found, scaling, arrays)


def _rows(effort: Effort, peer: Path | None) -> Iterator[Row]:
    times = None if peer is None else measured.fp8_paper(peer.resolve(), effort)
    yield from measured.single_errors(effort)
    yield from measured.batches(effort)
    yield from measured.truncated(effort)
    yield from measured.optima(effort, times)
    yield from measured.whole_command(effort)
    yield from measured.memory(effort)


def _shown(row: Row) -> str:
    verdict = {True: "ok", False: "no", None: ""}[row.is_met]
    other = "" if row.other is None else _amount(row.other, row.unit)
    ratio = "" if row.other is None or row.ratio is None else short(row.ratio, 3)
    own = _amount(row.ours, row.unit)
    return _line(row.what, own, other, row.against, ratio, _bar(row), verdict)


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    value = f"{row.bar:g}" if row.other is not None else _amount(row.bar, row.unit)
    return f"{'>=' if row.at_least else '<='}{value}"


def _line(  # noqa: PLR0917 - the columns
    what: str, ours: str, other: str, against: str, ratio: str, bar: str, verdict: str
) -> str:
    cells = f"{what:30} {ours:>8} {other:>7} {against:11} {ratio:>6} {bar:>7} {verdict}"
    return cells.rstrip()


def _amount(value: float, unit: str) -> str:
    """Return a time in its unit, to two or three digits, or megabytes."""
    if unit != "s":
        return f"{value:.3g} {unit}"
    units = ((1, "s"), (1e3, "ms"), (1e6, "us"))
    factor, name = next((pair for pair in units if value * pair[0] >= 1), (1e9, "ns"))
    shown = value * factor
    return f"{shown:.0f} {name}" if shown >= 100 else f"{shown:.2g} {name}"


def _save(
    folder: Path,
    rows: Sequence[Row],
    scaling: Sequence[dict[str, object]],
    arrays: Sequence[dict[str, Any]],
) -> None:
    machine = {
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    table = [{**asdict(row), "is_met": row.is_met} for row in rows]
    document = {"machine": machine, "rows": table, "scaling": scaling, "arrays": arrays}
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(folder / "results.json", f"{text}\n".encode())
    print(f"wrote {folder / 'results.json'}")
    if find_spec("matplotlib") is None:
        print("note: no figure, for want of matplotlib: pip install matplotlib")
        return
    from benchmarks.figure import benchmark_figure
    from qerror.plotting import render

    path = folder / "results.svg"
    figure = benchmark_figure(rows, scaling)
    write_atomically(path, render(figure, path, "qerror against its peers"))
    print(f"wrote {path}")


def _arrays(quick: bool) -> list[dict[str, Any]]:
    """Time the array quantizers, where the libraries that they are compared with are at hand."""
    found: list[dict[str, Any]] = []
    for module in ("quantizers", "block_quantizers"):
        try:
            quantizers = importlib.import_module(f"benchmarks.{module}")
            rows: list[dict[str, Any]] = quantizers.run(*((10_000, 1) if quick else ()))
        except ImportError as error:
            print(f"not timed: {error}")
            continue
        found += rows
    return found


if __name__ == "__main__":
    main()
