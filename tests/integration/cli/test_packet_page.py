"""The packet's page in a real browser: laid out on every screen and on paper, and hostile texts do nothing."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cji_audit.packet.controls import controls
from cji_audit.packet.day import day
from cji_audit.packet.folder import PAGE, computed
from cji_audit.packet.html import html
from cji_audit.packet.rows import rows
from cji_audit.packet.trust import Pins, trust
from cji_core.trail import Attributed
from tests.support.browser import browser
from tests.support.packet_period import PERIOD, content, sound

NASTY = "</style><script>document.title='taken'</script>"
CONTRAST = """
(() => {
  const light = c => c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const shown = ['body', 'a', 'th', 'code', '.chip.good', '.chip.bad', '.chip.open'];
  return Math.min(...shown.map(s => light(getComputedStyle(document.querySelector(s)).color))
    .map(ink => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything: rows that are met, not met, gaps, and texts that would like to be markup."""
    folder = tmp_path_factory.mktemp("page")
    scene = sound()
    del scene.weeks[1]
    scene.tests["replay"] = "skipped"
    person = Attributed(operator_id=NASTY, requestor=NASTY, secondary_recipient="")
    scene.job(4).admitted = {"attribution": person}
    scene.machine = {"product": NASTY, "measurement": "f8" * 400}
    made = content(scene, folder)
    path = folder / "packet.html"
    path.write_bytes(computed(made.material, made.catalog)[PAGE])
    return path


@pytest.fixture(scope="module")
def day_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The auditor's page of the same period, without a pin: with every kind of row."""
    folder = tmp_path_factory.mktemp("day")
    scene = sound()
    scene.tests["replay"] = "skipped"
    scene.job(15).admitted = {"attribution": None}
    scene.machine = {"product": NASTY}
    made = content(scene, folder)
    found = rows(made.material, made.catalog, controls())
    standing = trust({}, made.material, made.attachments, [], Pins())
    name = shlex.quote(f"{NASTY}.zip")

    def command(*more: str) -> str:
        return " ".join(["cji audit packet verify", name, *more])

    document = day(made.material, found, standing, [], command=command, now=datetime(2026, 12, 1, tzinfo=UTC))
    path = folder / "day.html"
    path.write_text("".join(html(document)))
    return path


def test_the_day_s_page_is_laid_out_and_quiet(day_page: Path, tmp_path: Path) -> None:
    links = "[...document.querySelectorAll('a')].map(a => document.querySelector(a.getAttribute('href')) != null)"
    with browser(tmp_path / "profile") as chromium:
        for width, dark in ((1100, False), (1100, True), (360, True)):
            chromium.open(day_page, width=width, dark=dark)
            assert chromium.messages == []
            assert chromium.requests == [day_page.as_uri()]
            assert chromium.evaluate("document.title").startswith("Audit of 2026-10-05 to 2026-10-25")
            assert chromium.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            assert set(chromium.evaluate(links)) == {True}
            assert chromium.evaluate(CONTRAST.replace("'code', '.chip.good'", "'pre'")) >= 4.5
            assert chromium.evaluate("document.querySelector('.chip.bad').textContent") == "not trusted"
        assert chromium.evaluate("document.documentElement.lang") == "en"
        headings = chromium.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => e.tagName).join(' ')")
        assert headings.startswith("H1 H2")
        assert ("H2 H3" in headings, "H3 H2" in headings) == (True, False)  # names of commands, at the end


def test_the_page_is_laid_out_everywhere_and_quiet(page: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as chromium:
        for width, dark in ((1100, False), (1100, True), (700, False), (360, True)):
            chromium.open(page, width=width, dark=dark)
            assert chromium.messages == []
            assert chromium.requests == [page.as_uri()]
            assert chromium.evaluate("document.title").startswith("CJIS Security Policy")
            assert chromium.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            assert chromium.evaluate(CONTRAST) >= 4.5
        targets = (
            "[...document.querySelectorAll('nav a')].map(a => document.querySelector(a.getAttribute('href')) != null)"
        )
        assert set(chromium.evaluate(targets)) == {True}
        chromium.open(page, width=700, dark=True, media="print")
        assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert chromium.evaluate(CONTRAST) >= 4.5
        wide = "[...document.querySelectorAll('.family')].map(e => getComputedStyle(e.closest('section')).page)"
        assert chromium.evaluate(wide) == ["wide"] * 14
        broken = "[...document.querySelectorAll('.open .short')].map(e => e.getClientRects().length)"
        assert set(chromium.evaluate(broken)) == {1}
        chromium.pdf(tmp_path / "packet.pdf")
    assert (tmp_path / "packet.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_has_gaps_before_the_families(page: Path) -> None:
    text = page.read_text()
    places = [text.index(f'id="{name}"') for name in ("not-met", "ssp", "ac", "sr", "evidence", "verify")]
    assert places == sorted(places)
    assert json.dumps(PERIOD.weeks[1])[1:-1] in text[places[0] : places[1]]
