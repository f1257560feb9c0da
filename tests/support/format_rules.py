"""docs/format.md cut into its rules: each is a paragraph, an item of a list, a row of a table, or formulas.

A generated table is one rule, by its name. Headings, and what stands before section 1 and behind section 14, are none.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.paths import ROOT

PAGE = ROOT / "docs/format.md"


class Rule(NamedTuple):
    """A rule by its section and the words that it begins with, which are its name, and its whole text."""

    section: int
    name: str
    text: str


def rules() -> list[Rule]:
    """In the order of the page."""
    found, section = [], 0
    for part in re.split(r"(?m)^(?=## )", PAGE.read_text()):
        if number := re.match(r"## (\d+)\. ", part):
            section = int(number[1])
            found += [Rule(section, _name(text), text) for text in _units(part.partition("\n")[2])]
    return found


def _units(part: str) -> Iterator[str]:
    plain = re.sub(r"(?s)<!-- table: (\S+) -->.*?<!-- /table -->", r"table \1", part)
    # formulas belong to the paragraph before them, if there is one
    for block in re.split(r"(?<!\|)\n\s*\n(?!    )|(?<=\|)\n\s*\n", plain):
        if block.startswith(("```", "#")) or not block.strip():
            continue
        if block.startswith("|"):
            yield from block.strip().splitlines()[2:]
        elif re.match(r"(\* |\d\. )", block):
            yield from re.split(r"(?m)^(?=\* |\d\. )", block.strip())[1:]
        else:
            yield block.strip("\n")


def _name(text: str) -> str:
    """The first words, enough of them that names are distinct."""
    return " ".join(re.sub(r"[*`|]|\[|\]\([^)]*\)", " ", text).split()[:7])
