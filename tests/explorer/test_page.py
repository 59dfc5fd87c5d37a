"""The page as a text, and the command that writes it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from qerror.explorer import explorer_page, page_data
from qerror_cli.main import main
from tests.explorer.states import densities_of_qerror, spellings_of_qerror

ROOT = Path(__file__).parents[2]
PAGE = explorer_page()


class Reader(HTMLParser):
    """Collects what a page loads and what its labels are for."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag in {"link", "iframe", "img", "object", "embed"} or "src" in given:
            self.loads.append(f"{tag} {given}")
        if "id" in given:
            self.ids.append(given["id"])
        self.targets += [given[key] for key in ("for", "list", "aria-labelledby") if key in given]
        self.targets += given.get("aria-describedby", "").split()
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


@pytest.fixture(scope="module")
def reader() -> Reader:
    found = Reader()
    found.feed(PAGE)
    return found


def test_it_is_small_and_loads_nothing(reader: Reader) -> None:
    assert len(PAGE.encode()) < 1_500_000
    assert reader.loads == []
    assert "default-src 'none'" in reader.policy
    assert "connect-src" not in reader.policy
    own = re.sub(r"http://www\.w3\.org/2000/svg", "", PAGE)
    assert re.findall(r"https?://(?!github\.com/leeoniya/uPlot)\S+", own) == []


def test_it_ends_where_it_should() -> None:
    assert PAGE.count("<script>") == PAGE.count("</script>") == 1
    assert PAGE.rstrip().endswith("</html>")


def test_labels_belong_to_something(reader: Reader) -> None:
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.targets) <= set(reader.ids)


def test_the_licence_of_the_plotting_library_is_kept() -> None:
    licence = (ROOT / "qerror" / "explorer" / "vendor" / "LICENSE").read_text()
    assert "MIT" in licence
    assert licence in PAGE


def test_it_knows_every_registered_member() -> None:
    data = page_data()
    formats, families = data["FORMATS"], data["FAMILIES"]
    assert isinstance(formats, dict)
    assert isinstance(families, dict)
    assert set(formats) >= set(spellings_of_qerror())
    assert set(families) >= set(densities_of_qerror())


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["explore", "-o", "page.html"])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == PAGE
    assert CliRunner().invoke(main, ["explore"]).exit_code == 0
    assert (tmp_path / "explorer.html").exists()


@pytest.mark.parametrize(
    ("path", "words"), [("page.pdf", "name it .html"), ("no/page.html", "there is no folder")]
)
def test_a_bad_path_is_refused(
    path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["explore", "-o", path])
    assert done.exit_code == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_documentation_names_what_there_is() -> None:
    text = (ROOT / "docs" / "explorer.md").read_text()
    commands = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    assert commands == ["qerror explore -o explorer.html"]
    size = int(re.findall(r"It is (\d+) KB", text)[0])
    assert abs(len(PAGE.encode()) / 1000 - size) < 25
