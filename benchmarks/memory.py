"""Peak memory of one task: ``python -m benchmarks.memory NAME`` prints two figures in MB.

The first is what Python and NumPy allocated at most over what the import holds; the second by
how much the process's peak resident size grew, small libraries and buffers included.
"""

import resource
import sys
import tracemalloc
from pathlib import Path

from benchmarks.rows import MEMORY_TASKS

_STATUS = Path("/proc/self/status")


def main(name: str) -> None:
    """Measure twice: without tracing, which itself takes memory, and with."""
    _, task = MEMORY_TASKS[name]
    before = peak_resident()
    task()
    grown = peak_resident() - before
    tracemalloc.start()
    task()
    _, peak = tracemalloc.get_traced_memory()
    print(peak / 2**20, grown)


def peak_resident() -> float:
    """Return the most memory that this process has had at a time, in MB."""
    if _STATUS.exists():
        # getrusage would count what the process was before it became this program.
        found = next(line for line in _STATUS.read_text().splitlines() if "VmHWM" in line)
        return float(found.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main(sys.argv[1])
