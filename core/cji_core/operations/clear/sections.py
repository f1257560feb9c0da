"""Sections of law, as tables list them.

A section is a number, up to four subdivisions and the abbreviation of a law: `11357(b)(2) HS`. One that a table lists
covers its subdivisions: `11357 HS` covers `11357(A) HS`. `11357() HS` covers the section alone, cited without a
subdivision. `257.*` covers every section whose number begins so. Case and blanks make no difference.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

MAX_DEPTH: Final = 4
NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?(?:[A-Z]\b)?"
HYPHENATED: Final = r"[0-9]+[A-Z]?(?:[-.:][0-9]+[A-Z]?)*"
TITLED: Final = rf"[0-9]{{1,2}}-{HYPHENATED}"
BEGINNING: Final = r"[0-9][0-9A-Z.:-]{0,31}"
SUBDIVISION: Final = r"\([0-9A-Z]{1,5}(?:\.[0-9]+)?\)"


class Pattern(NamedTuple):
    """A listed section: its number, its subdivisions, its law.

    `alone`: without those that it would cover. `begins`: every section whose number begins with `number`.
    """

    number: str
    subdivisions: tuple[str, ...]
    law: str
    alone: bool
    begins: bool = False

    def at(self, depth: int) -> str:
        """The section with its first `depth` subdivisions, as citations are written."""
        return f"{self.number}{''.join(self.subdivisions[:depth])}{' ' * bool(self.law)}{self.law}"


def read_pattern(text: str, *, hyphenated: bool = False) -> Pattern | None:
    """A section as a table lists it, or None."""
    number = HYPHENATED if hyphenated else NUMBER
    if beginning := re.fullmatch(rf"({BEGINNING})\*\s*([A-Z]{{0,8}})", text.strip().upper(), re.ASCII):
        return Pattern(number=beginning[1], subdivisions=(), law=beginning[2], alone=False, begins=True)
    below = rf"\(\)|(?:\s*{SUBDIVISION}){{0,{MAX_DEPTH}}}"
    found = re.fullmatch(rf"({number})\s*({below})\s*([A-Z]{{0,8}})", text.strip().upper(), re.ASCII)
    if found is None:
        return None
    alone = found[2] == "()"
    subdivisions = () if alone else tuple(re.findall(SUBDIVISION, found[2]))
    return Pattern(number=found[1], subdivisions=subdivisions, law=found[3], alone=alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Listed sections, as sets of citations.

    `covered` with all below them, `alone` without; `shorter` are forms with fewer subdivisions than one that is listed,
    `numbers` the numbers of all of them. `beginnings` are (beginning of numbers, law).
    """

    covered: frozenset[str]
    alone: frozenset[str]
    shorter: frozenset[str]
    numbers: frozenset[str]
    beginnings: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, sections: Iterable[str], *, hyphenated: bool) -> Self:
        """The patterns of readable sections; others are left out."""
        found = (read_pattern(each, hyphenated=hyphenated) for each in sections)
        read = [pattern for pattern in found if pattern is not None]
        patterns = [pattern for pattern in read if not pattern.begins]
        return cls(
            covered=frozenset(p.at(MAX_DEPTH) for p in patterns if not p.alone),
            alone=frozenset(p.at(0) for p in patterns if p.alone),
            shorter=frozenset(p.at(depth) for p in patterns for depth in range(len(p.subdivisions))),
            numbers=frozenset(p.number for p in patterns),
            beginnings=frozenset((p.number, p.law) for p in read if p.begins),
        )
