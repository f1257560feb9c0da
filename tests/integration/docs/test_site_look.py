"""The checks of the site's looks find what is planted, and nothing on a page without a fault."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, browser
from tests.support.paths import ROOT
from tests.support.site_look import faults, served

PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>
body { color: #222; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #000 } }
</style><article>"""
TABLE = "<div style='overflow-x: auto'><table><td style='min-width: 2000px'>wide</table></div>"
DRAWINGS = ("docs/way-of-a-job.svg", "docs/explanation/attestation.svg", "docs/explanation/key-life.svg")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def found(chromium: Browser, folder: Path, text: str, name: str = "page.html") -> list[str]:
    (folder / name).write_text(text, encoding="utf-8")
    with served(folder) as base:
        return faults(chromium, base, name)


@pytest.mark.parametrize(
    ("body", "fault", "layouts"),
    [
        (f"<p>text</p>{TABLE}", "", 0),
        ("<p style='width: 700px'>wide", "at 390 px, (dark|light): is 7", 2),
        ("<div style='overflow-x: hidden'><p style='width: 700px'>wide</p></div>", "is cut at the edge", 2),
        ("<p style='color: #777'>grey", "light: has contrast 4.48", 2),
        ("<p style='color: #777'><b style='font-size: 19px'>large and grey</b>", "", 0),
        ("<p style='color: #222'>dark on black", "dark: has contrast 1.3", 2),
        ("text <img src='none.png'>", "lacks the picture none.png", 4),
        ("text <img src='wide.svg' style='max-width: 100%'>", "at 390 px, (dark|light): shrinks wide.svg", 2),
        ("text <script>console.error('no')</script>", "prints", 1),
        ("text <script>throw Error('no')</script>", "prints", 1),
        ("text <link rel='prefetch' href='https://example.org/x'>", "requests https://example.org/x", 1),
        ("", "shows no text", 4),
    ],
)
def test_what_is_planted_in_a_page_is_found(
    chromium: Browser, tmp_path: Path, body: str, fault: str, layouts: int
) -> None:
    (tmp_path / "wide.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='900' height='9'/>")
    shown = found(chromium, tmp_path, PAGE + body)
    assert len([each for each in shown if re.search(fault, each)]) == layouts, shown
    assert bool(shown) is (layouts > 0)


@pytest.mark.parametrize(("name", "layouts"), [("docs/operations/link.html", 4), ("docs/fleet.html", 0)])
def test_a_page_of_the_operations_is_not_long(chromium: Browser, tmp_path: Path, name: str, layouts: int) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    shown = found(chromium, tmp_path, f"{PAGE}<p style='height: 8001px'>long", name)
    assert [each for each in shown if not re.search(r"is 8\d\d\d px high, of at most 8000", each)] == []
    assert len(shown) == layouts


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('x="75" y="172"', 'x="130" y="172"', '"Agency" is on the edge of a box'),
        ('x="75" y="172"', 'x="-20" y="172"', '"Agency" is outside'),
        ('y="214">sealed job', 'y="226">sealed job', '"sealed job" is on a line'),
        ('y="303">then opens', 'y="290">then opens', '"then opens" is on another text'),
        ("--soft: #475569", "--soft: #94a3b8", "light: .* has contrast 2"),
    ],
)
def test_what_is_planted_in_a_drawing_is_found(
    chromium: Browser, tmp_path: Path, old: str, new: str, fault: str
) -> None:
    drawing = (ROOT / DRAWINGS[0]).read_text()
    assert old in drawing
    shown = found(chromium, tmp_path, drawing.replace(old, new), "drawing.svg")
    assert any(re.search(fault, each) for each in shown), shown


def test_a_plot_without_texts_is_only_opened(chromium: Browser) -> None:
    """Its letters are thousands of paths, which would take minutes to follow."""
    with served(ROOT / "docs/benchmarks") as base:
        assert faults(chromium, base, "seen.svg") == []


def test_drawings_have_one_style() -> None:
    """A drawing is one file and cannot share a stylesheet: its copies are the same."""
    styles = {(ROOT / name).read_text().partition("<style>")[2].partition("</style>")[0] for name in DRAWINGS}
    assert len(styles) == 1
