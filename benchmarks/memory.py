"""Peak memory of one task: ``python -m benchmarks.memory NAME`` prints two figures in MB.

The first is what Python and NumPy allocated at most over what the import holds; the second by
how much the process's peak resident size grew, small libraries and buffers included.
"""

import resource
import sys
import tracemalloc

from benchmarks.rows import MEMORY_TASKS


def main(name: str) -> None:
    """Measure twice: without tracing, which itself takes memory, and with."""
    _, task = MEMORY_TASKS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    task()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    tracemalloc.start()
    task()
    _, peak = tracemalloc.get_traced_memory()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    print(peak / 2**20, grown / unit)


if __name__ == "__main__":
    main(sys.argv[1])
