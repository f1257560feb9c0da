"""Pages in a real browser: nothing loaded but the file, no message, no scrolling sideways, no text over other text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.browser import Browser, browser
from tests.support.proof_pages import proof_pages
from tests.support.report_tools import PEOPLE, disclosures, jobs, linked, many_pairs, page_of, people
from tests.support.review_faults import review_page

PAGES = {name: page_of(job) for name, job in jobs().items()}
LINKS = {
    "link of no pair": page_of(linked(people([("A", "B", "1", "2")]))),
    "link of one pair": page_of(linked(people([PEOPLE[3]] * 2))),
    "link of 100 000 pairs": page_of(many_pairs(100_000, columns=14)),
    "link of many levels": page_of(many_pairs(1000, columns=14, levels=12)),
}
PAGES |= LINKS | {"disclosures": disclosures(), "review": review_page(), **proof_pages()}
NASTY = '</style><script>document.title="taken"</script><img src="https://example.org/x" onerror="document.title=1">'
LONG = "W" * 400

OVERLAPS = """
(() => {
  const boxes = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (!node.data.trim() || node.parentElement.closest('thead, title')) continue;
    if (!node.parentElement.checkVisibility()) continue;  // in an entry that is closed
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects()) boxes.push([r.left, r.top, r.right, r.bottom, node.data.slice(0, 30)]);
  }
  boxes.sort((a, b) => a[1] - b[1]);
  const found = [];
  for (let i = 0; i < boxes.length; i++) {
    const a = boxes[i];
    for (let j = i + 1; j < boxes.length && boxes[j][1] < a[3] - 3; j++) {
      const b = boxes[j];
      if (a[0] < b[2] - 1 && b[0] < a[2] - 1) found.push(a[4] + ' | ' + b[4]);
    }
  }
  return found;
})()
"""
OUTSIDE = """
[...document.querySelectorAll('main *, header *')].filter(e => {
  const r = e.getBoundingClientRect();
  return !e.closest('thead') && e.checkVisibility() && (r.right > innerWidth + 1 || r.left < -1);
}).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))
"""
CONTRAST = """
(() => {
  const light = c => c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...['body', 'dt', 'th', '.notice'].map(s => document.querySelector(s)).filter(e => e).map(e => {
    const ink = light(getComputedStyle(e).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  }));
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def written(folder: Path, page: str) -> Path:
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def is_quiet(chromium: Browser, path: Path) -> None:
    assert chromium.messages == []
    assert chromium.requests == [path.as_uri()]


def is_laid_out(chromium: Browser, width: int) -> None:
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate(OUTSIDE) == []
    assert chromium.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1100, 700, 360])
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_laid_out_on_every_screen(
    chromium: Browser, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    path = written(tmp_path, PAGES[name])
    chromium.open(path, width=width, dark=dark)
    is_quiet(chromium, path)
    is_laid_out(chromium, width)
    assert chromium.evaluate(CONTRAST) >= 4.5
    assert (chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") is not dark


@pytest.mark.parametrize("name", [*LINKS, "link", "link_to"])
def test_a_page_of_link_is_short_on_a_phone(chromium: Browser, tmp_path: Path, name: str) -> None:
    chromium.open(written(tmp_path, PAGES[name]), width=390)
    assert chromium.evaluate("document.documentElement.scrollHeight") <= 10_000
    is_laid_out(chromium, 390)


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("name", [*LINKS, "link", "link_to"])
def test_entries_of_an_index_are_laid_out_when_they_are_open(
    chromium: Browser, tmp_path: Path, name: str, width: int
) -> None:
    chromium.open(written(tmp_path, PAGES[name]), width=width)
    chromium.evaluate("document.querySelectorAll('details').forEach(entry => { entry.open = true; })")
    is_laid_out(chromium, width)


@pytest.mark.parametrize("name", PAGES)
def test_pages_print_dark_on_white(chromium: Browser, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, PAGES[name])
    chromium.open(path, width=700, dark=True, media="print")
    is_quiet(chromium, path)
    assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert chromium.evaluate(CONTRAST) >= 4.5
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 700
    hidden = "[...document.querySelectorAll('main td')].filter(cell => !cell.checkVisibility()).length"
    assert chromium.evaluate(hidden) == 0  # entries that are closed on a screen are printed
    chromium.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("width", [1100, 360])
def test_hostile_records_do_nothing_in_a_browser(chromium: Browser, tmp_path: Path, width: int) -> None:
    rows = [(last, first, NASTY, "1") for last, first, *_ in PEOPLE]
    words = [f"{i}{LONG}\u202e{NASTY}" for i in range(len(rows))]
    job = linked(people(rows, address_1=words, county=[NASTY] * len(rows)))
    path = written(tmp_path, page_of(replace(job, facts={NASTY: NASTY})))
    chromium.open(path, width=width)
    is_quiet(chromium, path)
    is_laid_out(chromium, width)
    assert chromium.evaluate("document.querySelectorAll('script, img, iframe, link, a, form, object').length") == 0
    assert chromium.evaluate("document.title") == "Report: link"


def test_the_policy_of_a_page_stops_what_an_error_let_in(chromium: Browser, tmp_path: Path) -> None:
    """The second line of defence: markup that got into a page neither runs nor loads."""
    let_in = NASTY.removeprefix("</style>") + '<p style="color: red" id="styled">x</p>'
    path = written(tmp_path, PAGES["aggregate"].replace("</main>", f"{let_in}</main>"))
    chromium.open(path)
    assert chromium.evaluate("document.title") == "Report: aggregate"
    assert chromium.requests == [path.as_uri()]
    assert chromium.evaluate("getComputedStyle(styled).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in message for message in chromium.messages)


@pytest.mark.parametrize(
    ("damage", "width"),
    [
        ("li { white-space: nowrap }", 360),
        ("table { width: 1500px }", 1100),
        ("td:nth-child(2) { position: relative; left: -250px }", 1100),
    ],
)
def test_the_checks_of_the_layout_find_damage(chromium: Browser, tmp_path: Path, damage: str, width: int) -> None:
    path = written(tmp_path, PAGES["link"])
    chromium.open(path, width=width)
    chromium.call("Page.setBypassCSP", enabled=True)
    chromium.open(path, width=width)
    chromium.evaluate(
        f"document.head.append(Object.assign(document.createElement('style'), {{textContent: '{damage}'}}))"
    )
    try:
        with pytest.raises(AssertionError):
            is_laid_out(chromium, width)
    finally:
        chromium.call("Page.setBypassCSP", enabled=False)
