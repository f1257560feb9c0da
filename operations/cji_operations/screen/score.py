"""How much of an inquiry and of a record agree, field by field, and what that is worth in bits.

Every candidate gets a level of `rules.LEVELS` for each field, and the levels together are its pattern, one number. The
score is the sum of the weights of the levels: the same pattern always has the same score, and its words explain it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.operations.tables.screening import LEVELS, MISSING, Rules
from cji_operations.kernels import edits, jaro, nicknames
from cji_operations.screen.candidates import Candidates, Plan, digits_agree, leap_days_meet
from cji_operations.screen.descriptors import SOCIAL, Codes, Identifier, Names, People
from cji_operations.screen.index import Index
from cji_operations.screen.rules import Equivalence, Weights

CLOSE: Final = 0.92
"""Jaro-Winkler similarity from which on two names are close."""

Floats = npt.NDArray[np.float64]

_KNOWN: Final = (
    4  # digits of a Social Security number that are known on both sides: the last four are often all there is
)
_X: Final = np.uint8(ord("X"))
_RADIX: Final = np.array([len(levels) for levels in LEVELS.values()])
_UNITS: Final = np.cumprod(np.append(1, _RADIX[:-1]))
LEVEL: Final = {
    field: {name: np.uint8(number) for number, name in enumerate(levels)} for field, levels in LEVELS.items()
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Scores:
    """Of m candidates. pattern int64[m]; bits float64[m]."""

    pattern: Ints
    bits: Floats

    def level(self, field: str) -> Ints:
        """int64[m]: the level of one field."""
        at = list(LEVELS).index(field)
        level: Ints = self.pattern // _UNITS[at] % _RADIX[at]
        return level


def score(found: Candidates, planned: Plan, weights: Weights) -> Scores:
    """Compare every candidate."""
    inquiries, rules, row, position = planned.inquiries, planned.rules, found.row, found.position
    people = planned.index.people
    levels: dict[str, Bytes | np.uint8] = {
        "middle": _middle_names(inquiries.middle, people.middle, found),
        "suffix": _suffixes(inquiries.suffix[row], people.suffix[position]),
        "DOB": _dates(inquiries, people, found, rules),
        "SEX": _codes("SEX", planned.sex, inquiries.sex[row], people.sex[position]),
        "RAC": _codes("RAC", planned.race, inquiries.race[row], people.race[position]),
    }
    for name, ours in inquiries.identifiers.items():
        if not len(ours.words):  # no inquiry of the batch has one
            levels[name] = LEVEL[name][MISSING]
            continue
        theirs = people.identifiers[name]
        level = _identifiers(name, planned.values[name][row], theirs.code[position], none=ours.code[row] < 0)
        levels[name] = _socials(level, ours, theirs, found) if name == "SOC" else level

    def named(last: Names, first: Names, order: np.uint8) -> Scores:
        names = {"last": _surnames(last, planned.index, found), "first": _given_names(first, planned.index, found)}
        return _weighed({**levels, **names, "names": order}, len(row), weights)

    if not rules.names_exchanged:
        return named(inquiries.last, inquiries.first, LEVEL["names"][MISSING])
    as_written = named(inquiries.last, inquiries.first, LEVEL["names"]["as_written"])
    return _better(as_written, named(inquiries.first, inquiries.last, LEVEL["names"]["exchanged"]))


def words_of(pattern: int) -> str:
    """Agreements and differences for display: `last exact, first nickname, DOB equal, SEX same`."""
    levels = [(field, names[pattern // unit % len(names)]) for (field, names), unit in _units()]
    return ", ".join(f"{field} {level}" for field, level in levels if level != MISSING)


def _units() -> list[tuple[tuple[str, tuple[str, ...]], int]]:
    return list(zip(LEVELS.items(), _UNITS.tolist(), strict=True))


def _weighed(levels: Mapping[str, Bytes | np.uint8], m: int, weights: Weights) -> Scores:
    """`levels` by field: uint8[m], or one for all."""
    pattern, bits = np.zeros(m, np.int64), np.zeros(m)
    for (field, _), unit in _units():
        pattern += levels[field] * np.int64(unit)
        bits += weights[field][levels[field]]
    return Scores(pattern=pattern, bits=bits)


def _better(one: Scores, other: Scores) -> Scores:
    wins = other.bits > one.bits
    return Scores(pattern=np.where(wins, other.pattern, one.pattern), bits=np.where(wins, other.bits, one.bits))


def _surnames(ours: Names, index: Index, found: Candidates) -> Bytes:
    level, pairs = LEVEL["last"], _Pairs.of(ours, index.people.last, found)
    same_sound = ours.sound[pairs.a] == pairs.theirs.sound[pairs.b]
    cases = [*pairs.same(), (pairs.similarity >= CLOSE, "close"), (same_sound, "phonetic")]
    return pairs.placed(_first_of(cases, level), level[MISSING])


def _given_names(ours: Names, index: Index, found: Candidates) -> Bytes:
    theirs = index.people.first
    level, pairs = LEVEL["first"], _Pairs.of(ours, theirs, found)
    related = nicknames.related(ours.roots[pairs.a], index.roots[pairs.b])
    cases = [
        *pairs.same(),
        (related, "nickname"),
        (pairs.similarity >= CLOSE, "close"),
        (pairs.initials(), "initial"),
    ]
    return pairs.placed(_first_of(cases, level), level[MISSING])


def _middle_names(ours: Names, theirs: Names, found: Candidates) -> Bytes:
    level = LEVEL["middle"]
    if not len(ours.words) or not len(theirs.words):
        return np.full(len(found.row), level[MISSING])
    pairs = _Pairs.of(ours, theirs, found)
    cases = [*pairs.same(), (pairs.initials(), "initial")]
    return pairs.placed(_first_of(cases, level), level[MISSING])


def _suffixes(ours: Bytes, theirs: Bytes) -> Bytes:
    level = LEVEL["suffix"]
    return np.where((ours == 0) | (theirs == 0), level[MISSING], _first_of([(ours == theirs, "same")], level))


def _first_of(cases: list[tuple[Bools, str]], level: Mapping[str, np.uint8]) -> Bytes:
    """uint8[m]: the level of the first case that holds, "differs" where none does."""
    found = np.full(len(cases[0][0]), level["differs"])
    for case, name in reversed(cases):
        found[case] = level[name]
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Pairs:
    """The words of the m candidates `which` that have one on both sides: codes a, b int64[k], and their similarity."""

    ours: Names
    theirs: Names
    m: int
    which: Ints
    a: Ints
    b: Ints
    similarity: Floats

    @classmethod
    def of(cls, ours: Names, theirs: Names, found: Candidates) -> Self:
        a, b = ours.code[found.row].astype(np.int64), theirs.code[found.position].astype(np.int64)
        which = np.flatnonzero((a >= 0) & (b >= 0))
        a, b = a[which], b[which]
        similarity = jaro.pairs(ours.words, theirs.words, a, b)
        return cls(ours=ours, theirs=theirs, m=len(found.row), which=which, a=a, b=b, similarity=similarity)

    def same(self) -> list[tuple[Bools, str]]:
        """The cases of the two levels at which names are the same, with and without accents."""
        equal = self.similarity >= 1  # of other alphabets, also where some letters only have one byte in common
        return [
            (equal & (self.ours.folded[self.a] == self.theirs.folded[self.b]), "exact"),
            (equal & (self.ours.plain[self.a] == self.theirs.plain[self.b]), "unaccented"),
        ]

    def initials(self) -> Bools:
        """bool[k]: one of the two is a letter, with which the other begins."""
        ours, theirs = self.ours, self.theirs
        short = (ours.words.lengths[self.a] == 1) | (theirs.words.lengths[self.b] == 1)
        same: Bools = short & (ours.words.data[self.a, :1] == theirs.words.data[self.b, :1]).all(axis=1)
        return same

    def placed(self, levels: Bytes, missing: np.uint8) -> Bytes:
        """uint8[m]: the levels of these candidates, `missing` of the others."""
        every = np.full(self.m, missing)
        every[self.which] = levels
        return every


def _dates(inquiries: People, people: People, found: Candidates, rules: Rules) -> Bytes:
    level = LEVEL["DOB"]
    ours, theirs = inquiries.date[found.row], people.date[found.position]
    year_a, year_b = ours // 10_000, theirs // 10_000
    day_a, day_b = ours % 10_000, theirs % 10_000
    near = np.abs(year_a - year_b) <= rules.years
    same_day = (day_a == day_b) | leap_days_meet(day_a, year_a, day_b, year_b)
    cases = [
        (ours == theirs, "equal"),
        (near & same_day, "years"),
        (_exchanged(ours, theirs), "exchanged"),
    ]
    levels = _first_of(cases, level)
    partial = np.flatnonzero((ours == 0) | (theirs == 0))
    a, b = inquiries.digits[found.row[partial]], people.digits[found.position[partial]]
    none = (a == _X).all(axis=1) | (b == _X).all(axis=1)
    agree = digits_agree(a, b, rules.years)
    levels[partial] = np.where(none, level[MISSING], np.where(agree, level["partial"], level["differs"]))
    return levels


def _exchanged(ours: Ints, theirs: Ints) -> Bools:
    month, day = ours // 100 % 100, ours % 100
    same: Bools = theirs == ours // 10_000 * 10_000 + day * 100 + month
    return same


def _codes(field: str, table: Equivalence, ours: Bytes, theirs: Bytes) -> Bytes:
    level, a, b = LEVEL[field], table.number[ours], table.number[theirs]
    return np.where((a == table.unknown) | (b == table.unknown), level[MISSING], _first_of([(a == b, "same")], level))


def _identifiers(name: str, ours: Ints, theirs: Codes, *, none: Bools) -> Bytes:
    """`ours` int64[m]: which of the index's values the inquiry's is; `none`: it has no value at all."""
    level = LEVEL[name]
    return np.where(none | (theirs < 0), level[MISSING], _first_of([(ours == theirs, "same")], level))


def _socials(levels: Bytes, ours: Identifier, theirs: Identifier, found: Candidates) -> Bytes:
    """`levels`, but Social Security numbers also one digit or one transposition apart, or the same as far as known."""
    level = LEVEL["SOC"]
    some = np.flatnonzero(levels != level[MISSING])
    if not len(some):
        return levels
    a, b = ours.code[found.row[some]], theirs.code[found.position[some]]
    edit = edits.one_edit(ours.words.data[a, :SOCIAL], theirs.words.data[b, :SOCIAL])
    whole, same = edit.unknown == 0, edit.kind == edits.Edit.SAME
    cases = [
        (same & whole, "same"),
        (same & (edit.unknown <= SOCIAL - _KNOWN), "partial"),
        (same, MISSING),
        (whole & (edit.kind != edits.Edit.OTHER), "one_edit"),
    ]
    levels[some] = _first_of(cases, level)
    return levels
