"""`clear`, slowly: one conviction and one condition after the other, with dates as dates and None for what is missing.

Sections are read by another expression than the kernels', and years are counted by trying birthdays.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cji_core.operations.clear import Rules, When

__all__ = ["Outcome", "cited", "determine", "is_among"]

Row = Mapping[str, Any]
Section = tuple[str, tuple[str, ...], str, bool]  # number, subdivisions, law, whether two sections are joined
LEVELS = {"F": "felony", "M": "misdemeanor", "I": "infraction"}


@dataclass(frozen=True)
class Outcome:
    """(relief, rule) of a decided conviction; (None, rule or None) with the cause of one that was not."""

    relief: str | None
    rule: str | None
    cause: str | None = None


@dataclass
class _Conviction:
    row: int
    subject: str | None
    section: Section | None
    second: str | None
    level: str | None
    day: date | None
    kinds: list[str | None]
    end: date | None
    county: str | None


def determine(rows: Sequence[Row], rules: Rules, as_of: date, county: str = "") -> dict[int, Outcome]:
    """The outcome of every conviction in scope, by its first row."""
    world = _World(rows, rules, as_of)
    found = {}
    for one in world.convictions:
        outcome = world.decide(one, county)
        if outcome is not None:
            found[one.row] = outcome
    return found


class _World:
    def __init__(self, rows: Sequence[Row], rules: Rules, as_of: date) -> None:
        self.rows, self.rules, self.as_of = rows, rules, as_of
        self.convictions = self._convictions()

    def _convictions(self) -> list[_Conviction]:
        parts: dict[Any, list[int]] = {}
        for i, row in enumerate(self.rows):
            if self._convicted(row):
                key = (row.get("subject"), row["count"]) if row.get("subject") and row.get("count") else i
                parts.setdefault(key, []).append(i)
        return [self._conviction(rows) for rows in parts.values()]

    def _conviction(self, parts: list[int]) -> _Conviction:
        first = self.rows[parts[0]]
        texts = [first.get("offense_code"), first.get("offense")]
        if _text(texts[1]).upper() in {"", "SEE COMMENT FOR CHARGE"}:
            texts.append(first.get("comment"))
        found = [cited(text or "", self.rules) for text in texts]
        section, second = next((each for each in found if each is not None), (None, None))
        day = self.day(first.get("date"))
        return _Conviction(
            row=parts[0],
            subject=first.get("subject") or None,
            section=section,
            second=second,
            level=_level(first.get("level")),
            day=day,
            kinds=[(self.rows[i].get("sentence") or "").upper() or None for i in parts],
            end=None if day is None else _end(day, [self.rows[i].get("sentence_length") for i in parts]),
            county=_text(first.get("county")).upper() or None,
        )

    def _convicted(self, row: Row) -> bool:
        return _text(row.get("disposition")).upper().startswith(tuple(word.upper() for word in self.rules.convicted))

    def day(self, text: str | None) -> date | None:
        match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)", text or "", re.ASCII)
        if match is None:
            return None
        year, month, day = (int(match[i] or match[i + 3]) for i in (1, 2, 3))
        try:
            found = date(year, month, day)
        except ValueError:
            return None
        return found if found <= self.as_of else None

    def decide(self, one: _Conviction, county: str) -> Outcome | None:
        truth, cause = self._all(one, self.rules.scope)
        if county:
            here = None if one.county is None else one.county == county.upper()
            if here is None and truth is not False:
                truth, cause = None, "COUNTY"
            elif here is False:
                truth = False
        if truth is False:
            return None
        if one.subject is None:
            return Outcome(None, None, "NO_SUBJECT")
        if truth is None:
            return Outcome(None, None, cause)
        for rule in self.rules.rules:
            truth, cause = self._all(one, rule.when)
            if truth is None:
                return Outcome(None, rule.id, cause)
            if truth:
                return Outcome(rule.relief, rule.id)
        return Outcome(None, None, "NO_RULE")

    def _all(self, one: _Conviction, when: When) -> tuple[bool | None, str | None]:
        results = [(TESTS[name][0], TESTS[name][1](self, one, value)) for name, value in when.conditions()]
        if any(result is False for _, result in results):
            return False, None
        unknown = [cause for cause, result in results if result is None]
        return (None, unknown[0]) if unknown else (True, None)

    # ---- what the tests below need

    def among(self, one: _Conviction, names: Sequence[str]) -> bool | None:
        sections = [each for name in names for each in self.rules.lists.get(name, (name,))]
        return is_among(one.section, one.second, sections, self.rules)

    def of(self, subject: str | None) -> list[_Conviction]:
        return [each for each in self.convictions if each.subject == subject]

    def events(self, subject: str | None) -> list[Row]:
        return [row for row in self.rows if (row.get("subject") or None) == subject]

    def born(self, one: _Conviction) -> date | None:
        days = {self.day(row.get("DOB")) for row in self.events(one.subject)} - {None}
        if len(days) != 1 or one.subject is None:
            return None
        (born,) = days
        return born if one.day is None or born is None or one.day >= born else None

    def counts(self, row: Row, kind: str) -> bool | None:
        if kind == "arrest":
            name = _text(row.get("event")).upper()
            return name.startswith("ARREST") if name else None
        if kind == "conviction" or not self._convicted(row):
            return self._convicted(row)
        level = _level(row.get("level"))
        return None if level is None else level == "felony"

    def free(self, one: _Conviction, value: tuple[int, Sequence[str]]) -> bool | None:
        years, kinds = value
        results = []
        for row in self.events(one.subject):
            day = self.day(row.get("date"))
            recent = None if day is None else years_between(day, self.as_of) < years
            results.append(_both(recent, _any([self.counts(row, kind) for kind in kinds])))
        return _not(_any(results))

    def dead(self, one: _Conviction) -> bool | None:
        rows = self.events(one.subject)
        said = [True if _text(row.get("event")).upper().startswith("DECEASED") else row.get("deceased") for row in rows]
        return _any(said)

    def without(self, one: _Conviction, words: Sequence[str]) -> bool | None:
        names = [_text(row.get("event")).upper() for row in self.events(one.subject)]
        beginnings = tuple(word.upper() for word in words)
        return _not(_any([name.startswith(beginnings) if name else None for name in names]))

    def ended(self, one: _Conviction, years: int) -> bool | None:
        if one.end is None:
            return None
        return one.end <= self.as_of and years_between(one.end, self.as_of) >= years

    def age(self, one: _Conviction, day: date | None) -> int | None:
        born = self.born(one)
        return None if born is None or day is None else years_between(born, day)


def _known(value: Any, holds: Callable[[Any], bool]) -> bool | None:
    return None if value is None else holds(value)


def _has(one: _Conviction, words: Sequence[str]) -> bool | None:
    return _any([None if kind is None else any(word.upper() in kind for word in words) for kind in one.kinds])


TESTS: Mapping[str, tuple[str, Callable[[_World, _Conviction, Any], bool | None]]] = {
    "level": ("LEVEL", lambda w, o, v: _known(o.level, lambda level: level in v)),
    "sections": ("SECTION", lambda w, o, v: w.among(o, v)),
    "not_sections": ("SECTION", lambda w, o, v: _not(w.among(o, v))),
    "convicted_from": ("CONVICTION_DATE", lambda w, o, v: _known(o.day, lambda day: day >= v)),
    "convicted_before": ("CONVICTION_DATE", lambda w, o, v: _known(o.day, lambda day: day < v)),
    "age_at_conviction_from": ("AGE_AT_CONVICTION", lambda w, o, v: _known(w.age(o, o.day), lambda age: age >= v)),
    "age_at_conviction_below": ("AGE_AT_CONVICTION", lambda w, o, v: _known(w.age(o, o.day), lambda age: age < v)),
    "age_from": ("BIRTH_DATE", lambda w, o, v: _known(w.age(o, w.as_of), lambda age: age >= v)),
    "age_below": ("BIRTH_DATE", lambda w, o, v: _known(w.age(o, w.as_of), lambda age: age < v)),
    "years_since_conviction": (
        "CONVICTION_DATE",
        lambda w, o, v: _known(o.day, lambda day: years_between(day, w.as_of) >= v),
    ),
    "sentence": ("SENTENCE", lambda w, o, v: _has(o, v)),
    "not_sentence": ("SENTENCE", lambda w, o, v: _not(_has(o, v))),
    "years_since_sentence": ("SENTENCE", lambda w, o, v: w.ended(o, v)),
    "all_sentences_ended": (
        "OTHER_SENTENCE",
        lambda w, o, v: _not(_any([_not(w.ended(each, 0)) for each in w.of(o.subject)])),
    ),
    "years_crime_free": ("OTHER_EVENT", lambda w, o, v: w.free(o, v)),
    "only_sections": (
        "OTHER_SECTION",
        lambda w, o, v: _not(_any([_not(w.among(each, v)) for each in w.of(o.subject)])),
    ),
    "ever_sections": ("OTHER_SECTION", lambda w, o, v: _any([w.among(each, v) for each in w.of(o.subject)])),
    "never_sections": ("OTHER_SECTION", lambda w, o, v: _not(_any([w.among(each, v) for each in w.of(o.subject)]))),
    "without_events": ("OTHER_EVENT", lambda w, o, v: w.without(o, v)),
    "deceased": ("DECEASED", lambda w, o, v: w.dead(o) if v else _not(w.dead(o))),
}


def cited(text: str, rules: Rules) -> tuple[Section, str | None] | None:
    """The section cited at the beginning of a text, and the number of one that is joined to it."""
    rest = text.upper().replace("&", "").lstrip(" \t\n\r\f")
    for opening in (r"COM:\s*", r"CNT\s*#?\d+\s+", r"CHRG\s*-\s*"):
        rest = re.sub(rf"\A(?:{opening})", "", rest, flags=re.ASCII)
    number, rest = _number(rest, rules)
    if not number:
        return None
    subdivisions, rest = _subdivisions(rest)
    joined = None
    joint = re.match(r"\s*[/]\s*" if rules.hyphenated_sections else r"\s*[/-]\s*", rest, re.ASCII)
    if joint and _number(rest[joint.end() :], rules)[0]:
        joined, rest = _number(rest[joint.end() :], rules)
        _, rest = _subdivisions(rest)
    if not rules.laws:
        return (number, tuple(subdivisions[:4]), "", joined is not None), joined
    rest = rest.lstrip(" \t\n\r\f")
    for law in rules.laws:
        if rest.startswith(law) and not re.match(r"\w", rest[len(law) : len(law) + 1], re.ASCII):
            return (number, tuple(subdivisions[:4]), law, joined is not None), joined
    return None


def _number(text: str, rules: Rules) -> tuple[str, str]:
    if rules.hyphenated_sections:
        match = re.match(r"\d+[A-Z]?(?:[-.:]\d+[A-Z]?)*", text, re.ASCII)
    else:
        match = re.match(r"\d+(?:\.\d+)?(?:[A-Z](?![0-9A-Z_]))?", text, re.ASCII)
    return (match[0], text[match.end() :]) if match else ("", text)


def _subdivisions(text: str) -> tuple[list[str], str]:
    found = []
    while match := re.match(r"\s*(\([0-9A-Z]{1,5}(?:\.[0-9]+)?\))", text, re.ASCII):
        found.append(match[1])
        text = text[match.end() :]
    return found, text


def is_among(section: Section | None, second: str | None, listed: Sequence[str], rules: Rules) -> bool | None:
    """Whether a citation is among the sections as a table lists them."""
    if section is None:
        return None
    number, below, law, joined = section
    patterns = [_pattern(each) for each in listed]
    if joined:
        return None if {number, second} & {pattern[0] for pattern in patterns} else False
    everywhere = [s for names in rules.lists.values() for s in names] + list(rules.every_section())
    alone = {(p[0], p[2]) for p in map(_pattern, (s for s in everywhere if s[0].isdigit())) if p[3]}
    shorter = False
    for want, subs, of, only in patterns:
        if (want, of) != (number, law):
            continue
        if only:
            if not below:
                return True
        elif below[: len(subs)] == subs:
            return True
        elif subs[: len(below)] == below and not (not below and (number, law) in alone):
            shorter = True
    return None if shorter else False


def _pattern(text: str) -> Section:
    match = re.fullmatch(r"\s*([0-9][^( ]*?)((?:\s*\([^)]*\))*)\s*([A-Za-z]*)\s*", text)
    assert match, text
    number, law = match[1].upper(), match[3].upper()
    return number, tuple(f"({s.upper()})" for s in re.findall(r"\(([^)]+)\)", match[2])), law, "()" in match[2]


def _end(day: date, lengths: Sequence[str | None]) -> date | None:
    months = days = 0
    for text in lengths:
        match = re.fullmatch(r"\s*(\d{1,4})\s*([DMY])\s*", (text or "").upper(), re.ASCII)
        if match is None:
            return None
        number = int(match[1])
        months += number * {"D": 0, "M": 1, "Y": 12}[match[2]]
        days += number if match[2] == "D" else 0
    month = day.year * 12 + day.month - 1 + months
    if month // 12 > 9990 or days > 200_000:
        return date.max
    for last in (day.day, 30, 29, 28):
        try:
            return date(month // 12, month % 12 + 1, min(last, day.day)) + timedelta(days=days)
        except ValueError:
            continue
    raise AssertionError


def years_between(start: date, end: date) -> int:
    """Whole years; 29 February becomes a year older on 1 March."""
    return end.year - start.year - ((end.month, end.day) < (start.month, start.day))


def _level(text: str | None) -> str | None:
    name = _text(text).upper()
    return LEVELS.get(name) or (name.lower() if name.lower() in LEVELS.values() else None)


def _text(text: str | None) -> str:
    return (text or "").strip(" \t\n\r\f\v")


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _any(values: Sequence[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def _both(left: bool | None, right: bool | None) -> bool | None:
    return False if False in (left, right) else None if None in (left, right) else True
