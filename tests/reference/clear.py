"""`clear`, slowly: one charge and one condition after the other, with dates as dates and None for what is missing.

Sections are read by another expression than the kernels', and years are counted by trying birthdays.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cji_core.operations.clear import Count, Punishable, Rules, Waited, When, Which

__all__ = ["Outcome", "cited", "determine", "is_among"]

Row = Mapping[str, Any]
Section = tuple[str, tuple[str, ...], str, bool]  # number, subdivisions, law, whether two sections are joined
Kind = str | None  # None: of a disposition that may be anything
LIFE = 10**9


@dataclass(frozen=True)
class Outcome:
    """(relief, rule) of a decided conviction; (None, rule or None) with the cause of one that was not."""

    relief: str | None
    rule: str | None
    cause: str | None = None


@dataclass
class _Charge:
    row: int
    rows: list[int]
    subject: str | None
    kind: Kind
    section: Section | None
    second: str | None
    levels: set[str]
    penalty: int | None
    day: date | None
    kinds: list[str | None]
    end: date | None
    released: date | None
    county: str | None
    case: str | None
    transaction: str | None
    offense: date | None
    marks: list[str] | None

    def key(self, name: str) -> Any:
        return {"case": self.case, "section": self.section and (self.section[:3], self.second)}[name]


def determine(rows: Sequence[Row], rules: Rules, as_of: date, county: str = "") -> dict[int, Outcome]:
    """The outcome of every charge in scope, by its first row."""
    world = _World(rows, rules, as_of)
    found = {}
    for one in world.charges:
        outcome = world.decide(one, county)
        if outcome is not None:
            found[one.row] = outcome
    return found if rules.whole_case is None else world.of_whole_cases(found)


class _World:
    def __init__(self, rows: Sequence[Row], rules: Rules, as_of: date) -> None:
        self.rows, self.rules, self.as_of = rows, rules, as_of
        self.wanted = self._wanted()
        self.kinds = [self._kind(row) for row in rows]
        self.charges = self._charges()
        self.convictions = [each for each in self.charges if each.kind in ("conviction", None)]

    def _wanted(self) -> set[str]:
        wanted = {"conviction", *self.rules.decides}
        for when in (self.rules.scope, *(rule.when for rule in self.rules.rules), *self.rules.transaction_unless):
            counts = [] if not isinstance(when, When) else [*_several(when.at_most), *_several(when.more_than)]
            again = when.waited.restarted_by if isinstance(when, When) and when.waited else None
            for which in (when, again, *counts):
                wanted |= set((which and which.disposition) or ())
        return wanted

    def _charges(self) -> list[_Charge]:
        parts: dict[Any, list[int]] = {}
        for i, row in enumerate(self.rows):
            if self.kinds[i] is None or self.kinds[i] in self.wanted:
                whole = row.get("subject") and row.get("count")
                parts.setdefault((row.get("subject"), row["count"], self.kinds[i]) if whole else i, []).append(i)
        return [self._charge(rows) for rows in parts.values()]

    def _kind(self, row: Row) -> Kind:
        text = _text(row.get("disposition")).upper()
        found = [
            (len(w), kind) for kind, ws in self.rules.dispositions.items() for w in ws if text.startswith(w.upper())
        ]
        if text:
            return max(found)[1] if found else "" if self.rules.unlisted == "no_conviction" else None
        if "arrest" not in self.wanted or not _text(row.get("event")).upper().startswith("ARREST"):
            return ""
        if not row.get("cycle"):
            return None
        answers = [r for r in self.events(row.get("subject") or None) if r.get("cycle") == row["cycle"]]
        return "" if any(_text(r.get("disposition")) for r in answers) else "arrest"

    def _charge(self, parts: list[int]) -> _Charge:
        first = self.rows[parts[0]]
        texts = [first.get("offense_code"), first.get("offense")]
        if _text(texts[1]).upper() in {"", "SEE COMMENT FOR CHARGE"}:
            texts.append(first.get("comment"))
        found = [cited(text or "", self.rules) for text in texts]
        section, second = next((each for each in found if each is not None), (None, None))
        day = self.day(first.get("date"))
        kinds = [(self.rows[i].get("sentence") or "").upper() or None for i in parts]
        ended = None if day is None else _end(day, [self.rows[i].get("sentence_length") for i in parts])
        end = self._stated("discharged", parts, ended)
        jailed = _any([None if kind is None else any(w in kind for w in self.rules.imprisonment) for kind in kinds])
        release = {True: end, False: day, None: None}[jailed]
        marks = _text(first.get("marks")).upper()
        return _Charge(
            row=parts[0],
            rows=parts,
            subject=first.get("subject") or None,
            kind=self.kinds[parts[0]],
            section=section,
            second=second,
            levels=self.levels(first),
            penalty=self.penalty(first),
            day=day,
            kinds=kinds,
            end=end,
            released=self._stated("released", parts, release),
            county=_text(first.get("county")).upper() or None,
            case=first.get("case") or None,
            transaction=first.get("transaction") or None,
            offense=self.day(first.get("offense_date")),
            marks=re.split(r"[;,\s]+", marks) if marks else None,
        )

    def _stated(self, name: str, parts: list[int], otherwise: date | None) -> date | None:
        texts = [self.rows[i][name] for i in parts if self.rows[i].get(name)]
        days = [self.day(text) for text in texts]
        if not texts:
            return otherwise
        return None if None in days else max(day for day in days if day)

    def penalty(self, row: Row) -> int | None:
        found = _penalty(row.get("max_penalty"))
        name = _text(row.get("level")).upper()
        of_level = [level.penalty for level in self.rules.levels if name in {w.upper() for w in level.words}]
        return _days(of_level[0]) if found is None and of_level and of_level[0] else found

    def levels(self, row: Row) -> set[str]:
        """All levels that the offense may have; every one where its level is missing."""
        name = _text(row.get("level")).upper()
        said = {level.name for level in self.rules.levels if name and name in {w.upper() for w in level.words}}
        penalty = self.penalty(row)
        for level in self.rules.levels:
            if level.punishable is not None:
                inside = _within(penalty, level.punishable)
                if inside:
                    return {level.name}
                if inside is None:
                    return (said | {level.name}) if said else {"?", level.name}
        return said or {"?"}

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

    def decide(self, one: _Charge, county: str) -> Outcome | None:
        truth, cause = self._all(one, self.rules.scope)
        if truth is not False and one.kind not in self.rules.decides:
            truth, cause = (False, None) if one.kind is not None else (None, "DISPOSITION")
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

    def of_whole_cases(self, found: dict[int, Outcome]) -> dict[int, Outcome]:
        assert self.rules.whole_case is not None
        changed = dict(found)
        for one in self.charges:
            outcome = found.get(one.row)
            if outcome is None or outcome.relief in (None, "none"):
                continue
            if one.case is None:
                changed[one.row] = Outcome(None, outcome.rule, "CASE")
                continue
            others = [
                c for c in self.of_all(one.subject) if c.case == one.case and c.kind in (None, *self.rules.decides)
            ]
            of_others = [found.get(each.row, Outcome("none", None)) for each in others]
            if any(each.relief == "none" for each in of_others):
                changed[one.row] = Outcome("none", self.rules.whole_case.id)
            elif any(each.relief is None for each in of_others):
                changed[one.row] = Outcome(None, outcome.rule, "OTHER_CHARGE")
        return changed

    def _all(self, one: _Charge, when: When) -> tuple[bool | None, str | None]:
        results = [(TESTS[name][0], TESTS[name][1](self, one, value)) for name, value in when.conditions()]
        if any(result is False for _, result in results):
            return False, None
        unknown = [cause for cause, result in results if result is None]
        return (None, unknown[0]) if unknown else (True, None)

    # ---- what the tests below need

    def among(self, one: _Charge, names: Sequence[str]) -> bool | None:
        sections = [each for name in names for each in self.rules.lists.get(name, (name,))]
        return is_among(one.section, one.second, sections, self.rules)

    def of(self, subject: str | None) -> list[_Charge]:
        """The convictions of a subject, and what may be one."""
        return [each for each in self.convictions if each.subject == subject]

    def of_all(self, subject: str | None) -> list[_Charge]:
        return [each for each in self.charges if each.subject == subject]

    def certain(self, one: _Charge, value: bool | None) -> bool | None:
        """A truth about a conviction, where it is one."""
        return _both(value, True if one.kind == "conviction" else None)

    def events(self, subject: str | None) -> list[Row]:
        return [row for row in self.rows if (row.get("subject") or None) == subject]

    def born(self, one: _Charge) -> date | None:
        days = {self.day(row.get("DOB")) for row in self.events(one.subject)} - {None}
        if len(days) != 1 or one.subject is None:
            return None
        (born,) = days
        return born if one.day is None or born is None or one.day >= born else None

    def counts(self, row: Row, kind: str) -> bool | None:
        if kind == "arrest":
            name = _text(row.get("event")).upper()
            return name.startswith("ARREST") if name else None
        of_row = self._kind(row)
        convicted = None if of_row is None else of_row == "conviction"
        if kind == "conviction" or convicted is False:
            return convicted
        felonies = [level.name == "felony" or level.family == "felony" for level in self.rules.levels]
        names = {level.name for level, felony in zip(self.rules.levels, felonies, strict=True) if felony}
        return _both(convicted, _within_names(self.levels(row), names))

    def free(self, one: _Charge, value: tuple[int, Sequence[str]]) -> bool | None:
        years, kinds = value
        results = []
        for row in self.events(one.subject):
            day = self.day(row.get("date"))
            recent = None if day is None else years_between(day, self.as_of) < years
            results.append(_both(recent, _any([self.counts(row, kind) for kind in kinds])))
        return _not(_any(results))

    def dead(self, one: _Charge) -> bool | None:
        rows = self.events(one.subject)
        said = [True if _text(row.get("event")).upper().startswith("DECEASED") else row.get("deceased") for row in rows]
        return _any(said)

    def without(self, one: _Charge, words: Sequence[str]) -> bool | None:
        names = [_text(row.get("event")).upper() for row in self.events(one.subject)]
        beginnings = tuple(word.upper() for word in words)
        return _not(_any([name.startswith(beginnings) if name else None for name in names]))

    def ended(self, one: _Charge, years: int) -> bool | None:
        if one.end is None:
            return None
        return one.end <= self.as_of and years_between(one.end, self.as_of) >= years

    def age(self, one: _Charge, day: date | None) -> int | None:
        born = self.born(one)
        return None if born is None or day is None else years_between(born, day)

    def pending(self, one: _Charge) -> bool | None:
        rows = self.events(one.subject)
        said = [row.get("pending") for row in rows]
        if True in said or any(self._kind(row) == "pending" for row in rows):
            return True
        return False if False in said else None

    def paid(self, one: _Charge, owed: Sequence[str]) -> bool | None:
        found: bool | None = True
        for name in owed:
            said = [self.rows[i].get(f"{name}_paid") for i in one.rows]
            found = _both(found, False if False in said else True if True in said else None)
        return found

    def rank(self, one: _Charge, name: str, *, least: bool) -> bool | None:
        order = [level.name for level in self.rules.levels]
        results: set[bool | None] = set()
        for each in one.levels:
            if each == "?" or not self.rules.levels[order.index(each)].ranked:
                results.add(None)
            else:
                place, limit = order.index(each), order.index(name)
                results.add(place <= limit if least else place >= limit)
        return results.pop() if len(results) == 1 else None

    def called(self, one: _Charge, names: Sequence[str]) -> bool | None:
        wanted = {level.name for level in self.rules.levels if {level.name, level.family} & set(names)}
        return _within_names(one.levels, wanted)

    def marked(self, one: _Charge, words: Sequence[str]) -> bool | None:
        return None if one.marks is None else any(word.upper() in one.marks for word in words)

    def chosen(self, one: _Charge, which: Which) -> bool | None:
        found: bool | None = None if one.kind is None else one.kind in (which.disposition or ("conviction",))
        for name in ("level", "level_at_least", "level_at_most", "punishable", "sections", "not_sections"):
            if (value := getattr(which, name)) is not None:
                found = _both(found, TESTS[name][1](self, one, value))
        for name in ("marks", "not_marks"):
            if (value := getattr(which, name)) is not None:
                found = _both(found, TESTS[name][1](self, one, value))
        return found

    # ---- counts

    def range_of(self, one: _Charge, count: Count) -> tuple[int, int]:
        """The least and the largest number of charges that may count."""
        all_of = self.of_all(one.subject)
        truths = {id(each): self.chosen(each, count) for each in all_of}
        for each in all_of:
            recent: bool | None = True
            if count.since is not None:
                recent = None if each.day is None else each.day >= count.since
            if count.within is not None:
                recent = _both(recent, None if each.day is None else not passed(each.day, self.as_of, count.within))
            truths[id(each)] = _both(truths[id(each)], recent)
        yes = [each for each in all_of if truths[id(each)] is True]
        may = [each for each in all_of if truths[id(each)] is not False]
        if count.same != "subject":
            own = one.key(count.same)
            if own is None:
                return int(one in yes), len(may)
            least = [each for each in yes if each.key(count.same) == own]
            return len(least), len([each for each in may if each.key(count.same) in (own, None)])
        if count.by == "charge":
            return len(yes), len(may)
        return self.groups(yes, may, all_of, count.by)

    def groups(self, yes: list[_Charge], may: list[_Charge], all_of: list[_Charge], by: str) -> tuple[int, int]:
        apart: dict[int, bool | None] = {}
        for each in all_of:
            name = getattr(each, by)
            of_group = [each] if name is None else [other for other in all_of if getattr(other, by) == name]
            unless = self.rules.transaction_unless if by == "transaction" else ()
            apart[id(each)] = _any([self.chosen(other, one) for other in of_group for one in unless])
        alone = [each for each in yes if apart[id(each)] is True]
        merged = [each for each in yes if apart[id(each)] is not True]
        named = {getattr(each, by) for each in merged} - {None}
        loose = [each for each in merged if getattr(each, by) is None]
        days = sorted(each.offense for each in loose if each.offense is not None) if by == "transaction" else []
        needed, last = 0, None
        for day in days:  # each group covers the earliest day that is left, and the next one
            if last is None or (day - last).days > 1:
                needed, last = needed + 1, day
        least = len(alone) + max(len(named), needed, min(1, len(loose)))
        sure = {getattr(each, by) for each in may if getattr(each, by) is not None and apart[id(each)] is False}
        rest = [each for each in may if getattr(each, by) is None or apart[id(each)] is not False]
        return least, len(sure) + len(rest)

    def most(self, one: _Charge, counts: Sequence[Count]) -> bool | None:
        found: bool | None = True
        for count in counts:
            least, most = self.range_of(one, count)
            found = _both(found, False if least > count.number else None if most > count.number else True)
        return found

    def above(self, one: _Charge, counts: Sequence[Count]) -> bool | None:
        found: bool | None = True
        for count in counts:
            least, most = self.range_of(one, count)
            found = _both(found, True if least > count.number else None if most > count.number else False)
        return found

    def waited(self, one: _Charge, value: Waited) -> bool | None:
        days = [{"conviction": one.day, "sentence_end": one.end, "release": one.released}[name] for name in value.since]
        over = [None if day is None else passed(day, self.as_of, value.time) for day in days]
        found = _not(_any([_not(each) for each in over]))
        if value.restarted_by is not None:
            for each in self.of_all(one.subject):
                again = self.chosen(each, value.restarted_by)
                early = None if each.day is None else not passed(each.day, self.as_of, value.time)
                found = _both(found, _not(_both(again, early)))
        return found


def _several(counts: Count | tuple[Count, ...] | None) -> tuple[Count, ...]:
    return () if counts is None else (counts,) if isinstance(counts, Count) else counts


def _within_names(possible: set[str], wanted: set[str]) -> bool | None:
    results = {None if each == "?" else each in wanted for each in possible}
    return results.pop() if len(results) == 1 else None


def _penalty(text: str | None) -> int | None:
    name = _text(text).upper()
    if name == "LIFE":
        return LIFE
    match = re.fullmatch(r"(\d{1,4})\s*([DMY])", name, re.ASCII)
    return None if match is None else _days(match[1] + match[2])


def _days(length: str) -> int:
    if length == "LIFE":
        return LIFE
    number = int(length[:-1])
    return {"D": number, "M": number // 12 * 365 + number % 12 * 30, "Y": number * 365}[length[-1]]


def _within(days: int | None, value: Punishable) -> bool | None:
    if days is None:
        return None
    return all(
        {"from": days >= _days(at), "above": days > _days(at), "below": days < _days(at), "to": days <= _days(at)}[word]
        for word, at in value.bounds()
    )


def passed(start: date, end: date, time: str) -> bool:
    """At least this time lies between two days."""
    number, unit = int(time[:-1]), time[-1]
    if unit == "D":
        return (end - start).days >= number
    if unit == "Y":
        return years_between(start, end) >= number
    months = (end.year - start.year) * 12 + end.month - start.month
    return months - (end.day < start.day) >= number


def _known(value: Any, holds: Callable[[Any], bool]) -> bool | None:
    return None if value is None else holds(value)


def _has(one: _Charge, words: Sequence[str]) -> bool | None:
    return _any([None if kind is None else any(word.upper() in kind for word in words) for kind in one.kinds])


TESTS: Mapping[str, tuple[str, Callable[[_World, _Charge, Any], bool | None]]] = {
    "disposition": ("DISPOSITION", lambda w, o, v: None if o.kind is None else o.kind in v),
    "level": ("LEVEL", lambda w, o, v: w.called(o, v)),
    "level_at_least": ("LEVEL", lambda w, o, v: w.rank(o, v, least=True)),
    "level_at_most": ("LEVEL", lambda w, o, v: w.rank(o, v, least=False)),
    "punishable": ("PENALTY", lambda w, o, v: _within(o.penalty, v)),
    "marks": ("MARKS", lambda w, o, v: w.marked(o, v)),
    "not_marks": ("MARKS", lambda w, o, v: _not(w.marked(o, v))),
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
        lambda w, o, v: _not(_any([w.certain(each, _not(w.ended(each, 0))) for each in w.of(o.subject)])),
    ),
    "years_crime_free": ("OTHER_EVENT", lambda w, o, v: w.free(o, v)),
    "only_sections": (
        "OTHER_SECTION",
        lambda w, o, v: _not(_any([w.certain(each, _not(w.among(each, v))) for each in w.of(o.subject)])),
    ),
    "ever_sections": (
        "OTHER_SECTION",
        lambda w, o, v: _any([w.certain(each, w.among(each, v)) for each in w.of(o.subject)]),
    ),
    "never_sections": (
        "OTHER_SECTION",
        lambda w, o, v: _not(_any([w.certain(each, w.among(each, v)) for each in w.of(o.subject)])),
    ),
    "at_most": ("HISTORY", lambda w, o, v: w.most(o, v)),
    "more_than": ("HISTORY", lambda w, o, v: w.above(o, v)),
    "waited": ("WAITING", lambda w, o, v: w.waited(o, v)),
    "no_pending": ("PENDING", lambda w, o, v: _not(w.pending(o))),
    "paid": ("PAID", lambda w, o, v: w.paid(o, v)),
    "without_events": ("OTHER_EVENT", lambda w, o, v: w.without(o, v)),
    "deceased": ("DECEASED", lambda w, o, v: w.dead(o) if v else _not(w.dead(o))),
}


def cited(text: str, rules: Rules) -> tuple[Section, str | None] | None:
    """The section cited at the beginning of a text, and the number of one that is joined to it."""
    if rules.titled_sections:
        return _titled(text)
    rest = text.upper().replace("&", "").lstrip(" \t\n\r\f")
    if rules.dotted_sections and not _one_dotted(rest):
        return None
    for opening in (r"COM:\s*", r"CNT\s*#?\d+\s+", r"CHRG\s*-\s*"):
        rest = re.sub(rf"\A(?:{opening})", "", rest, flags=re.ASCII)
    number, rest = _number(rest, rules)
    if not number:
        return None
    subdivisions, rest = _subdivisions(rest)
    joined = None
    joint = re.match(r"\s*[/]\s*" if rules.hyphens else r"\s*[/-]\s*", rest, re.ASCII)
    if joint and _number(rest[joint.end() :], rules)[0]:
        joined, rest = _number(rest[joint.end() :], rules)
        _, rest = _subdivisions(rest)
    if not rules.laws:
        if not re.match(r"[^0-9A-Z.(:/\s-]|\s*[-.:/]\s*(?:[^0-9\s]|$)|\s+(?:[^(\s/.:-]|$)|$", rest, re.ASCII):
            return None
        return (number, tuple(subdivisions[:4]), "", joined is not None), joined
    rest = rest.lstrip(" \t\n\r\f")
    for law in rules.laws:
        if rest.startswith(law) and not re.match(r"\w", rest[len(law) : len(law) + 1], re.ASCII):
            return (number, tuple(subdivisions[:4]), law, joined is not None), joined
    return None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _letters(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _one_dotted(text: str) -> bool:
    """`750.81(2) ASSAULT`, letter by letter: chapter, dot, number, perhaps a letter and subdivisions; then words."""
    chapter, _, after = text.partition(".")
    if not (_digits(chapter) and len(chapter) <= len("750") and _digits(after[:1])):
        return False
    after = after.lstrip("0123456789")
    if _letters(after[:1]) and not re.match(r"\w", after[1:2], re.ASCII):
        after = after[1:]
    while after.lstrip().startswith("(") and ")" in after:
        after = after.lstrip()
        inside, _, rest = after[1:].partition(")")
        if not all(_digits(each) or _letters(each) or each == "." for each in inside):
            break
        after = rest
    words = after.lstrip(" \t\n\r\f.,;:*-")
    if words and (words[0] in "(/" or _digits(words[0]) or (_letters(words[0]) and not _letters(words[1:2]))):
        return False
    found = sum(bool(re.match(r"\d{1,3}\.\d", word, re.ASCII)) for word in re.split(r"[^0-9$.,]+", text))
    return found == 1


def _titled(text: str) -> tuple[Section, str | None] | None:
    """`18 Pa.C.S. § 3903(a)(1)`, `18 § 3903 §§ A1` and `18-3903(a)(1)`, word by word."""
    words = re.findall(r"\d+(?:[.-]\d+)*[A-Z]?|[A-Z.]+|\(\w+(?:\.\d+)?\)|§+|\S", text.upper())
    while len(words) > 1 and re.fullmatch(r"PA\.?|[CPS.]+A?\.?|PA\.[CS.]+A?\.?|§", words[1]):
        del words[1]
    match words:
        case [title, number, *rest] if re.fullmatch(r"\d{1,2}", title) and number[0].isdigit():
            number = f"{title}-{number}"
        case [number, *rest] if re.fullmatch(r"\d{1,2}-[\d.-]+", number):
            pass
        case _:
            return None
    if rest[:1] == ["§§"]:
        docket = re.fullmatch(r"([A-Z])(\d*).*", "".join(rest[1:]))
        rest = [f"({each})" for each in docket.groups() if each] if docket else []
    below = []
    for word in rest:
        if not word.startswith("("):
            break
        below.append(word)
    return (number, tuple(below[:4]), "", False), None


def _number(text: str, rules: Rules) -> tuple[str, str]:
    if rules.hyphens:
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
    patterns = [_pattern(each, bare=not rules.laws) for each in listed if "*" not in each]
    stars = [each.upper().split("*") for each in listed if "*" in each]
    beginnings = [(begin.strip(), of.strip()) for begin, of in stars]
    if any(law == of and number.startswith(begin) for begin, of in beginnings):
        return None if joined else True
    if joined and any(text.startswith(begin) for begin, _ in beginnings for text in (number, second or "")):
        return None
    if joined:
        return None if {number, second} & {pattern[0] for pattern in patterns} else False
    everywhere = [s for names in rules.lists.values() for s in names] + list(rules.every_section())
    plain = [_pattern(s, bare=not rules.laws) for s in everywhere if s[0].isdigit() and "*" not in s]
    alone = {(p[0], p[2]) for p in plain if p[3]}
    shorter = rules.dotted_sections and any(
        number.startswith(each[0]) and number[len(each[0]) :][:1].isdigit() for each in patterns
    )
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


def _pattern(text: str, *, bare: bool) -> Section:
    if bare:
        found = re.fullmatch(r"\s*([0-9][^( ]*?)((?:\s*\([^)]*\))*)\s*", text.upper())
        assert found, text
        return found[1], tuple(f"({s})" for s in re.findall(r"\(([^)]+)\)", found[2])), "", "()" in found[2]
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


def _text(text: str | None) -> str:
    return (text or "").strip(" \t\n\r\f\v")


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _any(values: Sequence[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def _both(left: bool | None, right: bool | None) -> bool | None:
    return False if False in (left, right) else None if None in (left, right) else True
