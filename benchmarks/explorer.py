"""How fast the explorer page answers: opening, one change, and frames while a slider is dragged.

A redraw ends when all four figures of the chosen format are drawn. Frames are the times between
them as the browser shows them; on a busy machine the processor time says more.

``python -m benchmarks.explorer`` drives headless Chromium; install it with ``make browser``.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from qerror.explorer import explorer_page

STATES = {
    "one 8-bit format": "#f=int8&d=gaussian",
    "six 8-bit formats": "#f=int8&f=5M2E&f=4M3E&f=3M4E&f=e4m3&f=e5m2&a=2&d=student-t(nu%3D5)",
}
DRAG = """
const [id, steps, done] = arguments;
const slider = document.getElementById(id);
window.qerrorTimes = [];
const stamps = [];
let step = 0;
const frame = (now) => {
  stamps.push(now);
  if (step >= steps) {
    done({ frames: stamps.slice(1).map((t, i) => t - stamps[i]), redraws: window.qerrorTimes });
    return;
  }
  step += 1;
  slider.value = String(400 + Math.round(200 * Math.sin(step / 10)));
  slider.dispatchEvent(new Event("input"));
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


class Row(NamedTuple):
    """One measurement: the median, and what nine in ten stay below, in milliseconds."""

    what: str
    median: float
    ninth: float


def driver(profile: str) -> Any:
    """Start the browser."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary, control = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not control:
        sys.exit("needs Chromium: make browser (apt-get install -y chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    return webdriver.Chrome(options=options, service=Service(control))


def busy(browser: Any) -> float:
    """Return the main thread's processor time so far, in seconds."""
    given = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(each["value"] for each in given if each["name"] == "ThreadTime"))


def measure(steps: int) -> list[Row]:
    """Drag the range and the density's first parameter, in every state."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "explorer.html"
        file.write_text(explorer_page(), encoding="utf-8")
        browser = driver(str(Path(folder) / "profile"))
        browser.set_script_timeout(300)
        browser.execute_cdp_cmd("Performance.enable", {})
        try:
            for name, link in STATES.items():
                browser.get("about:blank")
                browser.get(file.as_uri() + link)
                first = "return performance.getEntriesByType('navigation')[0].domComplete"
                opened = float(browser.execute_script(first))
                rows.append(Row(f"open, {name}", opened, opened))
                while not browser.execute_script("return document.documentElement.dataset.settled"):
                    time.sleep(0.1)
                for label, control in (("range", "range"), ("density", "parameter-0")):
                    browser.execute_async_script(DRAG, control, steps // 4)  # warms up
                    before = busy(browser)
                    found = browser.execute_async_script(DRAG, control, steps)
                    used = 1000 * (busy(browser) - before) / steps
                    what = f"processor time a frame, {label}, {name}"
                    rows.append(Row(what, used, used))
                    for kind in ("redraws", "frames"):
                        times = sorted(float(t) for t in found[kind])
                        ninth = times[int(0.9 * (len(times) - 1))]
                        rows.append(
                            Row(f"{kind}, {label}, {name}", statistics.median(times), ninth)
                        )
        finally:
            browser.quit()
    return rows


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="frames of each drag")
    steps = parser.parse_args().steps
    print(f"{'what':58} {'median ms':>10} {'9 of 10':>10}")
    for row in measure(steps):
        print(f"{row.what:58} {row.median:10.1f} {row.ninth:10.1f}")


if __name__ == "__main__":
    main()
