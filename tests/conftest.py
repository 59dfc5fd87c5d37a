"""What holds for every test."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a machine that is shared: no test asserts on time.
# The same examples every time, so that a change alone decides; `make fuzz` draws new ones.
for name, same in (("same", True), ("new", False)):
    settings.register_profile(
        name, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=same
    )
settings.load_profile("same")

# These take half the time of all notebooks together.
SLOW_NOTEBOOKS = {"formats_in_real_networks.ipynb", "formats_of_a_checkpoint.ipynb"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow notebooks, and all but one case in `share` of a thinned test, as exhaustive.

    A share that divides none of a test's parameters walks through all of their values.
    """
    seen: Counter[str] = Counter()
    for item in items:
        if item.path.name in SLOW_NOTEBOOKS:
            item.add_marker(pytest.mark.exhaustive)
        thinned = item.get_closest_marker("thinned")
        if thinned is None:
            continue
        (share,) = thinned.args
        test = item.nodeid.partition("[")[0]
        if seen[test] % share:
            item.add_marker(pytest.mark.exhaustive)
        seen[test] += 1
