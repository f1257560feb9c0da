"""Links of pages: what is found broken, and that no page of the repository has one."""

from pathlib import Path

import pytest

from tools.links import anchors, broken, links, main

PAGE = """\
# One & two
[a](other.md) and ![picture](no.svg), `[code](no.md)`, [`other`](other.md#a-heading-here)
[over two
lines](other.md#none) [elsewhere](https://example.org/no.md) [mail](mailto:a@example.org)
```md
[fenced](no.md)
```
[itself](#one--two) [nowhere](#one) [folder](sub) [out](../../outside.md)
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "other.md").write_text("# A\n\n## A *heading*, `here`\n")
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_links_outside_code_are_found_with_their_lines() -> None:
    assert [(link.line, link.target) for link in links(PAGE)] == [
        (2, "other.md"),
        (2, "no.svg"),
        (2, "other.md#a-heading-here"),
        (4, "other.md#none"),
        (8, "#one--two"),
        (8, "#one"),
        (8, "sub"),
        (8, "../../outside.md"),
    ]


def test_broken_links_are_named_with_a_reason(page: Path) -> None:
    assert [(each.line, each.target, each.reason) for each in broken(page, page.parent)] == [
        (2, "no.svg", "no such file"),
        (4, "other.md#none", "no such heading"),
        (8, "#one", "no such heading"),
        (8, "sub", "a folder: name a file in it"),
        (8, "../../outside.md", "outside the repository"),
    ]


def test_repeated_headings_are_numbered() -> None:
    assert anchors("# A\n## A\n### [A](b.md) c\n") == {"a", "a-1", "a-c"}


def test_no_page_has_a_broken_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().out
