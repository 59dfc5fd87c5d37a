"""The page in a real browser: headless Chromium, driven by Selenium."""

import contextlib
import io
import itertools
import json
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from qerror import Empirical, optimal_scale, quantization_error
from qerror_cli.main import main
from tests.explorer.states import BLOCK_STATES, disagreement, random_states

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
DRIVER = shutil.which("chromedriver")
INSTALL = "make browser (apt-get install -y chromium chromium-driver)"
selenium = pytest.importorskip("selenium", reason="needs Selenium: pip install selenium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER or not DRIVER, reason=f"needs Chromium: {INSTALL}"),
]
FLAGS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
    "window-size=1300,900",
)
PATIENCE = 90  # seconds, of a machine with other work


class Page:
    """The page in the browser, and what a person does with it."""

    def __init__(self, driver: Any, file: Path) -> None:
        self.driver = driver
        self.file = file

    def open(self, link: str = "") -> "Page":
        self.driver.get("about:blank")
        self.driver.get(f"{self.file.as_uri()}{link}")
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = self.run(f"return {script}")
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {script}")

    def settled(self) -> "Page":
        """Wait until everything is computed."""
        self.wait("document.documentElement.dataset.settled")
        return self

    def ready(self) -> "Page":
        """Wait until all but the slow figures stand."""
        self.wait("document.documentElement.dataset.ready")
        return self

    def element(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((x) => x.textContent)"
        return list(self.run(script, selector))

    def report(self, form: str) -> dict[str, Any]:
        script = f"""document.querySelector('tr[data-format="{form}"]')?.dataset.report"""
        found: dict[str, Any] = json.loads(self.wait(script))
        return found

    def write(self, selector: str, text: str) -> None:
        self.run("document.querySelector(arguments[0]).value = ''", selector)
        self.element(selector).send_keys(text + "\n")

    def message(self, name: str) -> str:
        return str(self.wait(f"document.getElementById('{name}').textContent"))

    def complaints(self) -> list[str]:
        """Return what the console says, and all requests but for the page itself."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                ours = message["params"]["documentURL"].startswith(self.file.as_uri())
                if ours and not url.startswith((self.file.as_uri(), "about:", "data:", "blob:")):
                    found.append(f"requested {url}")
        return found


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(page_file: Path, downloads: Path) -> Iterator[Page]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            where = {"behavior": "allow", "downloadPath": str(downloads)}
            driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
            yield Page(driver, page_file)
        finally:
            driver.quit()


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test: no error on the console, no request."""
    yield
    if "browser" in request.fixturenames:
        assert request.getfixturevalue("browser").complaints() == []


def test_the_first_view(browser: Page) -> None:
    browser.open().settled()
    best = optimal_scale("4M3E", "student-t(nu=5)")
    assert f"{best.report.sqnr_db:.2f} dB" in browser.text("#summary")
    assert browser.run("return document.querySelectorAll('#figures canvas').length") == 6
    captions = browser.texts("figcaption")
    assert all(captions)
    assert "Computing" not in " ".join(captions)
    for form in ("int8", "4M3E", "3M4E", "e5m2"):
        wanted = optimal_scale(form, "student-t(nu=5)").report
        assert browser.report(form)["mse"] == pytest.approx(wanted.mse, rel=1e-12, abs=0)


def test_values_are_the_librarys(browser: Page) -> None:
    browser.open()
    states = [*random_states(200, seed=29), *BLOCK_STATES[::5]]
    script = """return arguments[0].map(([format, density, top]) => {
      const found = window.qerrorReport(format, density, top);
      for (const key of Object.keys(found)) {
        if (typeof found[key] === "number" && !Number.isFinite(found[key])) {
          found[key] = String(found[key]).replace("Infinity", "inf");
        }
      }
      return found;
    });"""
    found = browser.run(script, [list(state) for state in states])
    wrong = [disagreement(state, each) for state, each in zip(states, found, strict=True)]
    assert [each for each in wrong if each] == []


@pytest.mark.exhaustive
def test_deep_links(browser: Page) -> None:
    link = "#f=int6&f=nf4%3Ag64&f=codebook%3A-1%2C0%2C2&a=0&m=3.5&d="
    density = "truncated(student-t(nu=2, scale=0.5), low=-4, high=6)"
    text = density.replace(" ", "%20").replace("=", "%3D").replace(",", "%2C")
    browser.open(link + text).settled()
    assert browser.element("#density-text").get_attribute("value") == density
    wanted = quantization_error("int6", density, max_value=3.5)
    assert browser.report("int6")["mse"] == pytest.approx(wanted.mse, rel=1e-9, abs=0)
    blocks = quantization_error("nf4:g64", density)
    assert browser.report("nf4:g64")["mse"] == pytest.approx(blocks.mse, rel=1e-9, abs=0)
    # The link of what is shown opens the same again.
    again = browser.run("return location.hash")
    before = browser.text("#table")
    browser.open(again).settled()
    assert browser.text("#table") == before
    assert not browser.element("#state-message").is_displayed()


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("#f=int8&f=INT8&d=gaussian", "INT8 is named twice"),
        ("#f=e9m99&d=gaussian", "unknown format"),
        ("#d=gauss(", "unknown density"),
        ("#d=student-t(nu%3D-1)", "nu must be positive"),
        ("#m=-3", "must be a positive number"),
        ("#m=1e-200", "leave float64"),
        ("#s=nothing", "no parameter that can change"),
        ("#f=%E0%A4%A", "damaged"),
        ("#nonsense", "means nothing"),
        ("#f=int8&f=int7&f=int6&f=int5&f=int4&f=int3&f=int2", "first six"),
    ],
)
def test_a_broken_link_is_said_and_the_page_is_there(browser: Page, link: str, words: str) -> None:
    browser.open(link)
    assert words in browser.message("state-message")
    browser.wait("document.querySelectorAll('tbody tr').length > 0")
    assert browser.wait("document.querySelector('#figure-levels canvas')")


@pytest.mark.exhaustive
def test_controls_by_keyboard(browser: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.open("#f=int8&f=4M3E&a=0&d=gaussian").ready()

    def press(*keys: str) -> None:
        ActionChains(browser.driver).send_keys(*keys).perform()

    def focused() -> str:
        script = "const a = document.activeElement; return a.id || a.ariaLabel || a.textContent"
        return str(browser.run(script))

    seen: list[str] = []
    for _ in range(20):
        press(Keys.TAB)
        seen.append(focused())
    wanted = ["copy-link", "theme", "Show INT8", "Remove INT8", "Show 4M3E", "format-name",
              "family", "shape", "parameter-0", "density-text", "numbers"]  # fmt: skip
    assert [name for name in wanted if name not in seen] == []
    # A chip by Enter, a slider by arrows, a format by its name.
    browser.run("document.querySelectorAll('.chips .name')[1].focus()")
    press(Keys.ENTER)
    browser.wait("document.getElementById('range-name').textContent === '4M3E'")
    browser.ready()
    browser.run("document.getElementById('range').focus()")
    best = optimal_scale("4M3E", "gaussian").max_value
    press(*[Keys.ARROW_RIGHT] * 40)
    browser.ready()
    top = float(browser.run("return location.hash").rpartition("m=")[2])
    assert top > 1.05 * best
    wanted_mse = quantization_error("4M3E", "gaussian", max_value=top).mse
    assert browser.report("4M3E")["mse"] == pytest.approx(wanted_mse, rel=1e-9, abs=0)
    assert browser.element("#best").get_attribute("aria-pressed") == "false"
    browser.run("document.getElementById('best').focus()")
    press(Keys.SPACE)
    browser.wait("document.getElementById('best').getAttribute('aria-pressed') === 'true'")
    browser.run("document.getElementById('parameter-1').focus()")
    press(*[Keys.ARROW_RIGHT] * 10)
    browser.ready()
    text = browser.element("#density-text").get_attribute("value")
    assert re.fullmatch(r"gaussian\(std=1\.\d+\)", text)
    browser.write("#format-name", "nf4")
    browser.wait("document.getElementById('range-name').textContent === 'NF4'")
    wanted_report = optimal_scale("nf4", text).report
    assert browser.report("nf4")["mse"] == pytest.approx(wanted_report.mse, rel=1e-12, abs=0)
    browser.run("document.querySelectorAll('.chips .remove')[0].focus()")
    press(Keys.ENTER)
    browser.wait("document.querySelectorAll('.chips li').length === 2")


def test_everything_has_a_name_for_screen_readers(browser: Page) -> None:
    browser.open("#f=int8&d=mixture(0.9*gaussian%2C0.1*laplace)").ready()
    nameless = browser.run("""
      return [...document.querySelectorAll("input, select, textarea, button")].filter((node) =>
        !(node.ariaLabel || node.labels?.length || node.textContent.trim()))
        .map((node) => node.outerHTML);
    """)
    assert nameless == []
    labels = browser.run("return [...document.querySelectorAll('.plot')].map((x) => x.ariaLabel)")
    assert len(labels) == 6
    assert all(len(label) > 30 for label in labels)
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


NUDGE = """
  document.querySelectorAll('#parameters input[type=range]').forEach((slider) => {
    slider.value = Number(slider.value) + 1;
    slider.dispatchEvent(new Event('input'));
  });
"""


@pytest.mark.exhaustive
def test_sliders_of_every_family_and_shape(browser: Page) -> None:
    browser.open("#f=int4&d=gaussian").ready()
    script = """
      const [id, value] = arguments;
      const select = document.getElementById(id);
      select.value = value;
      select.dispatchEvent(new Event("change"));
      return [document.getElementById("density-text").value,
        document.getElementById("density-message").textContent];
    """
    families = browser.texts("#family option")
    assert len(families) >= 11
    for shape in ("whole", "truncated", "clipped", "rectified", "mixture"):
        browser.run(script, "shape", shape)
        for family in families if shape == "whole" else ("student-t", "uniform"):
            text, message = browser.run(script, "family", family)
            assert message == "", (family, shape)
            wanted = optimal_scale("int4", text).report
            found = browser.run("return window.qerrorReport('int4', arguments[0])", text)
            assert found["mse"] <= wanted.mse * (1 + 2e-3) + 1e-30, (family, shape)
            browser.run(NUDGE)


def test_own_numbers(browser: Page) -> None:
    browser.open("#f=int8&f=int4&a=1").ready()
    values = [0.3, -1.2, 0.05, 2.0, 0.3, -0.7]
    browser.element("#numbers").send_keys("0.3, -1.2 0.05;2\n0.3 -0.7")
    browser.element("#use-numbers").click()
    browser.ready()
    best = optimal_scale("int4", Empirical(values))
    assert browser.report("int4")["mse"] <= best.report.mse * (1 + 1e-3)
    assert "6 values" in browser.text("#data-note")
    # A short list is in the link.
    browser.open(browser.run("return location.hash")).ready()
    assert "empirical(values=[0.3, -1.2" in browser.element("#density-text").get_attribute("value")


@pytest.mark.thinned(2)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8"])
def test_a_file_of_numpy(browser: Page, tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x = (20 * rng.standard_normal((40, 50))).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    browser.open("#f=int4&a=0&m=30").ready()
    browser.element("#file").send_keys(str(tmp_path / "x.npy"))
    browser.wait("document.getElementById('data-note').textContent.includes('2,000 values')")
    browser.ready()
    browser.write("#range-number", "30")
    browser.ready()
    wanted = quantization_error("int4", x.astype(np.float64), max_value=30.0)
    assert browser.report("int4")["mse"] == pytest.approx(wanted.mse, rel=1e-9, abs=0)
    assert "--data x.npy" in browser.text("#command")


def test_a_dropped_file(browser: Page) -> None:
    browser.open("#f=int4").ready()
    browser.run("""
      const given = new DataTransfer();
      given.items.add(new File(["height,weight\\n1.5,2\\n-3,0.25\\n"], "data.csv"));
      const event = new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true });
      document.getElementById("drop").dispatchEvent(event);
    """)
    browser.wait("document.getElementById('data-note').textContent.includes('4 values')")
    browser.ready()
    best = optimal_scale("int4", Empirical([1.5, 2.0, -3.0, 0.25]))
    assert browser.report("int4")["mse"] <= best.report.mse * (1 + 1e-3)
    assert "data.csv" in browser.text("#summary")


def printed(line: str) -> str:
    """Return what a command of the page prints."""
    program, *arguments = shlex.split(line)
    assert program == "qerror"
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def printed_by_python(text: str) -> float:
    """Run what a person would paste; return the last number that it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(text, {})
    return float(out.getvalue().split()[-1])


@pytest.mark.parametrize(
    "text",
    [
        "height; weight\n1.4;2.1\n-3.2;0.27\n0.5;0.5\n",
        "\ufeff 1 2.3e-1\n\n-.7,+4.1  \r\n 2\n",
    ],
)
def test_blocks_and_python_on_an_odd_file(
    browser: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text(text, encoding="utf-8", newline="")
    browser.open("#f=mxfp4%3Ag4&f=nf4%3Ag4").ready()
    browser.element("#file").send_keys(str(tmp_path / "odd.csv"))
    browser.wait("document.getElementById('data-note').textContent.includes('values')")
    browser.ready()
    values = [float(x) for x in re.findall(r"[-+.\de]*\d[-+.\de]*", text)]
    for form in ("mxfp4:g4", "nf4:g4"):
        wanted = quantization_error(form, Empirical(values))
        assert browser.report(form)["mse"] == pytest.approx(wanted.mse, rel=1e-9, abs=0)
    sqnr = quantization_error("mxfp4:g4", Empirical(values)).sqnr_db
    assert printed_by_python(browser.text("#python")) == pytest.approx(sqnr, abs=1e-9)
    np.save("data.npy", np.array(values))
    (row,) = json.loads(printed(browser.text("#command").splitlines()[1] + " --json"))["rows"]
    assert row["sqnr_db"] == pytest.approx(sqnr, abs=1e-6)


@pytest.mark.exhaustive
def test_any_parameter_of_the_density_is_swept(browser: Page) -> None:
    link = "#f=int4&f=2m1e&d=truncated(student-t(nu%3D3)%2Clow%3D-4%2Chigh%3D4)"
    browser.open(f"{link}&s=this%20density%3A%20nu%20of%20student-t").settled()
    assert not browser.element("#state-message").is_displayed()
    assert "Best: " in browser.text("#figure-sweep figcaption")
    assert browser.element("#sweep-choice").get_attribute("value").startswith("this density: nu")
    names = browser.texts("#sweep-choice option")
    assert {"this density: low", "this density: high", "student-t: nu"} <= set(names)
    # Where the parameter stands now, the curve goes through what the table shows.
    browser.run("""
      const choice = document.getElementById("sweep-choice");
      choice.value = "this density: high";
      choice.dispatchEvent(new Event("change"));
    """)
    browser.settled()
    assert "s=this%20density%3A%20high" in browser.run("return location.hash")
    browser.write("#density-text", "gaussian")
    browser.settled()
    assert browser.element("#sweep-choice").get_attribute("value") == "student-t: nu"


def test_bad_input_is_said_beside_the_control(browser: Page, tmp_path: Path) -> None:
    browser.open("#f=int8&d=gaussian").ready()
    formats = {"e4m9": "unknown format", "fp8": "may be any", "  ": "write the name"}
    for text, words in formats.items():
        browser.write("#format-name", text)
        assert words in browser.message("format-message")
        assert browser.element("#format-name").get_attribute("aria-invalid") == "true"
    densities = {
        "gauss(": "unknown density",
        "student-t(nu=nan)": "nu must be positive",
        "gaussian(std=1e400)": "std must be positive",
        "": "write a density",
    }
    for text, words in densities.items():
        browser.write("#density-text", text)
        assert words in browser.message("density-message")
    ranges = {"-3": "positive number", "nan": "positive number", "1e300": "float64"}
    for text, words in ranges.items():
        browser.write("#range-number", text)
        assert words in browser.message("range-message")
    browser.element("#use-numbers").click()
    assert "there are no numbers" in browser.message("data-message")
    browser.element("#numbers").send_keys("1 2 nan")
    browser.element("#use-numbers").click()
    browser.wait("document.getElementById('data-message').textContent.includes('nan')")
    huge, broken, words_in = (tmp_path / name for name in ("huge.npy", "broken.npy", "x.csv"))
    with huge.open("wb") as file:
        file.truncate(500_000_000)
    broken.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    words_in.write_text("a,b\n1,two\n")
    files = {huge: "500 MB", broken: "ends in the middle", words_in: "not a number"}
    for path, words in files.items():
        browser.element("#file").send_keys(str(path))
        browser.wait(f"document.getElementById('data-message').textContent.includes({words!r})")
    # Nothing of it has changed what is shown.
    browser.wait("document.querySelectorAll('tbody tr').length === 1")
    assert browser.report("int8")["mse"] == pytest.approx(
        optimal_scale("int8", "gaussian").report.mse, rel=1e-12, abs=0
    )


def test_infinite_power_is_said(browser: Page) -> None:
    browser.open("#f=int8&f=mxfp4&a=0&d=student-t(nu%3D1.5)").ready()
    assert "infinite" in browser.text("#summary")
    browser.open("#f=int8&f=mxfp4&a=1&d=student-t(nu%3D1.5)").ready()
    assert "leaves MXFP4 to the command" in browser.text("#summary")


def test_files_are_saved(browser: Page, downloads: Path) -> None:
    browser.open("#f=int4&f=nf4&a=1&d=laplace").settled()
    figures = ("range", "levels", "error", "parts", "bits", "sweep")
    for figure, kind in itertools.product(figures, ("svg", "csv")):
        browser.element(f"#figure-{figure} [data-save={kind}]").click()
        time.sleep(0.2)  # Chromium drops what a page saves beyond ten files a second
        end = time.monotonic() + PATIENCE
        while not (downloads / f"qerror-{figure}.{kind}").exists() and time.monotonic() < end:
            time.sleep(0.02)
    names = {f"qerror-{figure}.{kind}" for figure in figures for kind in ("svg", "csv")}
    assert {path.name for path in downloads.iterdir()} == names
    from xml.etree import ElementTree as ET

    for path in downloads.glob("*.svg"):
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg")
        assert "NaN" not in path.read_text(encoding="utf-8"), path.name
    rows = (downloads / "qerror-range.csv").read_text().splitlines()
    assert rows[0] == "series,largest value,SQNR in dB"
    name, top, value = rows[-1].split(",")
    wanted = quantization_error(name, "laplace", max_value=float(top)).sqnr_db
    assert float(value) == pytest.approx(wanted, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    "link",
    [
        "#f=4M3E&f=e5m2&d=mixture(0.9*gaussian%2C0.1*gaussian(std%3D4))&m=7.5",
        "#f=nf4%3Ag64&f=int4&d=laplace",
        pytest.param("#f=4M3E&f=int8&d=student-t(nu%3D5)", marks=pytest.mark.exhaustive),
        "#f=codebook%3A-1%2C0%2C1.5&d=empirical(%5B1%2C2%2C-3%5D)&m=2",
    ],
)
def test_the_texts_to_copy_give_the_same(
    browser: Page, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.open(link).ready()
    form = browser.run("return document.querySelector('tr.active').dataset.format")
    wanted = browser.report(form)["sqnr"]
    monkeypatch.chdir(tmp_path)

    rows = json.loads(printed(browser.text("#command") + " --json"))["rows"]
    assert any(float(row.get("sqnr_db", "nan")) == pytest.approx(wanted, abs=1e-6) for row in rows)
    assert printed_by_python(browser.text("#python")) == pytest.approx(wanted, abs=1e-6)
    for line in browser.text("#compare").splitlines():
        assert printed(line)


def test_dark_and_narrow(browser: Page) -> None:
    size: Callable[..., None] = browser.driver.execute_cdp_cmd
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    size("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open("#f=codebook%3A-1%2C-0.5%2C0%2C0.25%2C0.5%2C1&f=int8&d=gaussian").ready()
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= 360
        before = browser.run("return getComputedStyle(document.body).backgroundColor")
        browser.element("#theme").click()
        assert browser.run("return getComputedStyle(document.body).backgroundColor") != before
    finally:
        size("Emulation.clearDeviceMetricsOverride", {})
