"""Return A and its sisters once more, incident by incident, in plain Python: written from the FBI's text of conversion
(version 3.0) without a look at the engine. Tests hold the engine against it.

`convert` returns (form, ORI, month, line) -> [actual, cleared, cleared under 18], of lines that count something.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

Cells = dict[tuple[str, str, str, str], list[int]]

RANKS: tuple[tuple[str, ...], ...] = (
    ("09A",),
    ("09B",),
    ("11A", "11B", "11C"),
    ("120",),
    ("13A",),
    ("220",),
    tuple("23" + c for c in "ABCDEFGH"),
    ("240",),
    ("13B", "13C"),
)
FIREARM, KNIFE, OTHER, HANDS = "11 12 13 14 15", "20", "30 35 50 60 65 70 85 90 95", "40 99"
LEVELS = tuple("0123456")
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def month_of(text: str) -> str | None:
    """YYYYMM of a day that exists, from 1900 to 2099."""
    if len(text) != 8 or not all(c in "0123456789" for c in text):
        return None
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    if not 1900 <= year <= 2099 or not 1 <= month <= 12:
        return None
    leap = month == 2 and year % 4 == 0 and year != 1900
    return text[:6] if 1 <= day <= DAYS[month - 1] + leap else None


def years(age: str) -> int | None:
    """Of 01 to 99, or the average of a range; unknown, new-born and misspelt are None."""
    first, last = age[:2], age[2:]
    if len(age) != 4 or not all(c in "0123456789" for c in first):
        return None
    if last == "  ":
        return int(first) or None
    if all(c in "0123456789" for c in last) and 0 < int(first) < int(last):
        return (int(first) + int(last)) // 2
    return None


def only_under_18(ages: Sequence[str]) -> bool:
    known = [years(age) for age in ages]
    return any(age and age < 18 for age in known) and not any(age and age >= 18 for age in known)


def incidents(lines: Sequence[str]) -> list[list[str]]:
    """The incidents that stand at the end, each as its segments."""
    reports: list[list[str]] = []
    for line in lines:
        if not line.strip(" "):
            continue
        level, key = line[4:5], line[16:37].ljust(21)
        last = reports[-1] if reports else [""]
        of_incident = level not in ("0", "7") and bool(reports) and last[-1][4:5] not in ("0", "7")
        joins = of_incident and last[0][16:37].ljust(21) == key
        deletes = line[4:6] == "1D" or last[0][4:6] == "1D"
        if joins and not deletes and not (level == "1" and any(s[4:5] == "1" for s in last)):
            last.append(line)
        else:
            reports.append([line])
    standing: dict[str, list[str]] = {}
    for report in reports:
        key = report[0][16:37].ljust(21)
        if report[0][4:6] == "1D":
            standing.pop(key, None)
        elif any(s[4:5] in tuple("123456") for s in report) and any(s[5:6] == "I" for s in report if s[4:5] in LEVELS):
            standing.setdefault(key, report)
    return list(standing.values())


def weapons(offense: str) -> set[str]:
    return {offense[at : at + 2] for at in (52, 55, 58)}


def armed(offense: str, words: str) -> bool:
    return not weapons(offense).isdisjoint(words.split())


def person_line(code: str, offense: str, sex: str) -> str | None:
    """The line of one victim of one offense."""
    if code in ("09A", "09B"):
        return {"09A": "1a", "09B": "1b"}[code]
    if code in RANKS[2]:
        return {"C": "2a", "A": "2b"}.get(offense[40]) if sex in ("F", "M") else None
    if code == "13A":
        for line, words in (("4a", FIREARM), ("4b", KNIFE), ("4c", OTHER), ("4d", HANDS)):
            if armed(offense, words):
                return line
        return None
    return "4e" if code == "13C" or armed(offense, "40 90 95 99") else None


def property_line(code: str, offense: str) -> str | None:
    if code == "120":
        for line, words in (("3a", FIREARM), ("3b", KNIFE), ("3c", OTHER), ("3d", HANDS)):
            if armed(offense, words):
                return line
        return None
    if code == "220":
        return {"CF": "5a", "CN": "5b", "AF": "5c", "AN": "5c"}.get(offense[40] + offense[48])
    return "6"


def best(lines: Sequence[str | None]) -> str:
    """The first line in the order of the form."""
    return min((line for line in lines if line), default="unclassifiable")


def vehicles(segments: Sequence[str], attempted: bool, completed: bool) -> Iterator[tuple[str, int]]:
    if not completed:
        yield ("7a" if attempted else "unclassifiable"), 1
        return
    number, entries = 0, []
    for segment in segments:
        if segment[4] == "3" and segment[37:38] == "7":
            number += int(segment[228:230]) if segment[228:230].isdecimal() else 0
            entries += [segment[at : at + 2] for at in range(38, 228, 19)]
    autos, trucks, others = (sum(e in words for e in entries) for words in (("03",), ("05", "28", "37"), ("24",)))
    rest = max(number - autos - trucks - others, 0)
    if autos:
        autos += rest
    elif trucks:
        trucks += rest
    elif others:
        others += rest
    else:
        yield "unclassifiable", 1
    yield from ((line, n) for line, n in (("7a", autos), ("7b", trucks), ("7c", others)) if n)


def scores(segments: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """(form, line, count) of everything in one incident."""
    offenses = [s for s in segments if s[4] == "2"]
    first_of: dict[str, str] = {}
    for offense in offenses:
        first_of.setdefault(offense[37:40], offense)
    victims = [(s[75:76], {s[at : at + 3] for at in range(40, 70, 3)}) for s in segments if s[4] == "4"]
    here = {offense[37:40] for offense in offenses}
    chosen = next((codes for codes in RANKS if here & set(codes)), ())

    def per_victim(codes: Sequence[str], rule: object) -> Iterator[str]:
        for sex, connected in victims:
            if mine := [code for code in codes if code in connected]:
                yield best([rule(c, first_of[c], sex) if c in here else None for c in mine])  # type: ignore[operator]

    if chosen and chosen[0][:2] in ("09", "11", "13"):
        for line in per_victim(chosen, person_line):
            yield "return_a", line, 1
    elif chosen == ("240",):
        kinds = {s[40:41] for s in offenses if s[37:40] == "240"}
        for line, n in vehicles(segments, "A" in kinds, "C" in kinds):
            yield "return_a", line, n
    elif chosen:
        mine = [s for s in offenses if s[37:40] in chosen]
        count = 1
        for s in mine:
            if chosen == ("220",) and s[44:46] == "19" and s[46:48].isdecimal():
                count = max(count, int(s[46:48]))
        yield "return_a", best([property_line(s[37:40], s) for s in mine]), count
    if chosen == RANKS[2]:
        for line in per_victim(["11A"], lambda c, o, sex: person_line(c, o, sex) if sex == "F" else None):
            yield "rape_historical", line, 1
    if "200" in here:
        yield "arson", "arson", 1
    for code, line in (("64A", "A"), ("64B", "B")):
        for found in per_victim([code], lambda c, o, sex, line=line: line):
            yield "human_trafficking", found, 1


def convert(lines: Sequence[str]) -> Cells:
    cells: Cells = defaultdict(lambda: [0, 0, 0])
    for report in incidents([line.rstrip("\r\n") for line in lines]):
        segments = [s.ljust(307) for s in report]
        ori = segments[0][16:25].rstrip(" ")
        admin = next((s for s in segments if s[4] == "1"), " " * 307)
        month = month_of(admin[37:45]) or ""
        arrestees = [s for s in segments if s[4] == "6"]
        cleared, cleared_month, young = bool(arrestees), "", only_under_18([s[70:74] for s in arrestees])
        if admin[48] in ("A", "B", "C", "D", "E"):
            cleared, cleared_month = True, month_of(admin[49:57]) or ""
            young = only_under_18([s[39:43] for s in segments if s[4] == "5"])
        else:
            dated = sorted(s[51:59] for s in arrestees if month_of(s[51:59]))
            cleared_month = dated[0][:6] if dated else ""
        for form, line, count in scores(segments):
            cells[form, ori, month, line][0] += count
            if cleared and form != "rape_historical":
                cell = cells[form, ori, cleared_month, line]
                cell[1] += count
                cell[2] += count * young
    return cells
