"""`python -m tools.links`: every link in a Markdown file leads to a file of the repository, its anchor to a heading.

Addresses of other hosts are left alone. Each broken link is printed as `path:line: target: reason`; the exit status is
1 if there is one.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Broken", "Link", "anchors", "broken", "links", "main", "pages"]

ROOT: Final = Path(__file__).resolve().parent.parent
_LINK: Final = re.compile(r"!?\[(?:[^\[\]]|!?\[[^\[\]]*\](?:\([^()]*\))?)*\]\(<?([^()\s>]+)>?\)")
_HEADING: Final = re.compile(r"#{1,6} +(.+?) *#*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE: Final = re.compile(r"(`+).*?\1")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:")


class Link(NamedTuple):
    """A link in a page: the line and the target, as written."""

    line: int
    target: str


class Broken(NamedTuple):
    """A link that leads nowhere."""

    page: Path
    line: int
    target: str
    reason: str


def pages(root: Path = ROOT) -> list[Path]:
    """All Markdown files that git knows or would add, in order."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return sorted({root / name for name in names if (root / name).is_file()})


def broken(page: Path, root: Path = ROOT) -> Iterator[Broken]:
    """The links of a page that lead to no file below `root`, or to a heading that does not exist."""
    for line, target in links(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.is_relative_to(root):
            yield Broken(page, line, target, "outside the repository")
        elif not found.is_file():
            yield Broken(page, line, target, "a folder: name a file in it" if found.is_dir() else "no such file")
        elif anchor and found.suffix == ".md" and anchor not in _anchors_of(found):
            yield Broken(page, line, target, "no such heading")


def links(text: str) -> Iterator[Link]:
    """The links to files of this repository, outside code. A link's text may go on in the next line."""
    prose = dict(_prose(text))
    lines = [_CODE.sub("code", prose.get(number, "")) for number in range(1, max(prose, default=0) + 1)]
    whole = "\n".join(lines)
    for match in _LINK.finditer(whole):
        if not _ELSEWHERE.match(match[1]):
            yield Link(whole.count("\n", 0, match.start(1)) + 1, match[1])


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them; a repeated one has a number."""
    found: dict[str, int] = {}
    made = set()
    for _, line in _prose(text):
        if heading := _HEADING.fullmatch(line):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            count = found.get(slug, 0)
            found[slug] = count + 1
            made.add(f"{slug}-{count}" if count else slug)
    return made


@cache
def _anchors_of(page: Path) -> set[str]:
    return anchors(page.read_text(encoding="utf-8"))


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside fenced blocks."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        else:
            yield number, line


def main() -> int:
    """Print all broken links."""
    found = [one for page in pages() for one in broken(page)]
    for one in found:
        print(f"{one.page.relative_to(ROOT)}:{one.line}: {one.target}: {one.reason}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
