"""docs/first-day.md: it has every statement that something was never run on Azure, and all parts of the file."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_worker.support.first_day import FirstDay
from tests.support.paths import ROOT
from tools.links import anchors

PAGE = ROOT / "docs" / "first-day.md"
NEVER = re.compile(
    r"(?:\b[Nn]o(?:t|thing|ne)?\b|\bnever\b|\bneither\b)[^.|]{0,90}\bon Azure\b|\bon Azure\b[^.|]{0,40}\bnot\b"
    r"|have not run these steps|\bnever deployed\b|\bnever to a tenant\b|that a vault accepts it was not seen"
)
"""As the documents say it. A new way to say it is one more alternative."""


def places() -> Iterator[tuple[Path, str]]:
    """Each page and heading with such a statement."""
    pages = [
        ROOT / "LIMITATIONS.md",
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
    for page in sorted(pages):
        heading = ""
        for part in re.split(r"\n(?=#|\n|\* )", page.read_text()):
            first = part.strip().partition("\n")[0]
            heading = first if re.match(r"#+ ", first) else heading
            if page != PAGE and NEVER.search(" ".join(part.split())):
                yield page, heading


@pytest.mark.parametrize(("page", "heading"), sorted(set(places())), ids=lambda each: str(each)[-40:])
def test_every_statement_is_on_the_page(page: Path, heading: str) -> None:
    (anchor,) = anchors(heading)
    relative = page.relative_to(ROOT / "docs") if page.is_relative_to(ROOT / "docs") else f"../{page.relative_to(ROOT)}"
    assert f"]({relative}#{anchor})" in PAGE.read_text()


def test_the_job_of_the_page_has_all_its_files() -> None:
    """Red before: job.toml was at no such path, and the example's named a project key that no step makes."""
    (words,) = re.findall(r"^\| `cji job run (\S+) --spec (\S+) ", PAGE.read_text(), re.MULTILINE)
    data, spec = (ROOT / word for word in words)
    assert data.is_file()
    assert not [value for value in re.findall(r'_key = "(.+)"', spec.read_text()) if not (spec.parent / value).exists()]


def test_only_what_verifies_is_said_to_replay() -> None:
    """`cji evidence show` prints claims of the file, and replays no event log."""
    rows = dict(re.findall(r"^\| `(cji evidence \w+)[^|]*` \| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    assert [command for command, expected in rows.items() if "event logs replay" in expected] == ["cji evidence verify"]


def test_the_page_has_every_part_of_the_file() -> None:
    rows = {
        name
        for row in re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE.read_text(), re.MULTILINE)
        for name in re.findall(r"[a-z_]+", row)
    }
    assert rows >= set(FirstDay.__struct_fields__) - {"version"}
