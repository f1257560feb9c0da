"""The Supplementary Homicide Report once more, victim by victim, in plain Python: written from the FBI's text of
conversion (version 3.0, pages 50 to 58). Tests hold the engine against it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.reference.return_a import incidents, month_of, years

Row = tuple[str | int | None, ...]
"""The columns of `shr/1`, in order."""

ORDER = "11 12 13 14 15 20 30 40 50 60 65 70 85 90 35 95 99"
BY_SEX = {
    "SE": "HUWI",
    "CS": "CHCW",
    "PA": "FAMO",
    "CH": "SODA",
    "SB": "BRSI",
    "SP": "SFSM",
    "SC": "SSSD",
    "BG": "BFGF",
    "XS": "XHXW",
}
SAME = {"GP": "OF", "GC": "OF", "SS": "OF", "HR": "HO", "CF": "OK", "VO": "OK", "BE": "OK", "RU": "UN"}
KEPT = ("IL", "OF", "NE", "AQ", "EE", "ER", "FR", "OK", "ST")
PLACES = (89, 93, 97, 101, 105, 109, 113, 117, 121, 125)


def age_of(text: str) -> str | None:
    if years(text):
        return f"{years(text):02d}"
    return {"NN  ": "NB", "NB  ": "NB", "BB  ": "BB", "00  ": "00"}.get(text)


def person_of(segment: str, at: int) -> list[str | None]:
    """Age, sex, race and ethnicity from position `at`, counted from 0."""
    sex, race, ethnicity = (segment[at + i] for i in (4, 5, 6))
    return [
        age_of(segment[at : at + 4]),
        sex if sex in "MFU" else None,
        race if race in "WBIAPU" else None,
        ethnicity if ethnicity in "HNU" else None,
    ]


def weapon_of(offenses: Sequence[str]) -> str | None:
    found = {s[at : at + 2] for s in offenses for at in (52, 55, 58)}
    first = next((weapon for weapon in ORDER.split() if weapon in found), None)
    return "90" if first in ("35", "95", "99") else first


def relation_of(victim: str, number: int) -> str | None:
    for at in PLACES:
        if victim[at : at + 2] == f"{number:02d}":
            kind = victim[at + 2 : at + 4]
            if kind in BY_SEX:
                return {"M": BY_SEX[kind][:2], "F": BY_SEX[kind][2:]}.get(victim[75])
            return SAME.get(kind, kind if kind in KEPT else None)
    return None


def circumstance_of(victim: str, offenses: Sequence[str]) -> str | None:
    codes = {s[37:40] for s in offenses}
    mine = [s for s in offenses if s[37:40] == "09A"]
    given = {victim[79:81], victim[81:83]}
    kinds = {victim[at + 2 : at + 4] for at in PLACES}
    for code, holds in (
        ("02", codes & {"11A", "11B", "11C"}),
        ("03", "120" in codes),
        ("05", "220" in codes),
        ("06", codes & {"23" + letter for letter in "ABCDEFGH"}),
        ("07", "240" in codes),
        ("09", "200" in codes),
        ("30", "64A" in codes),
        ("31", "64B" in codes),
        ("18", "35A" in codes or "03" in given),
        ("17", codes & {"11D", "36A", "36B"}),
        ("10", codes & {"40A", "40B", "40C"}),
        ("19", codes & {"39A", "39B", "39C", "39D"}),
        ("26", "08" in given),
        ("41", "09" in given and "BE" in kinds),
        ("45", given & {"01", "06"}),
        ("46", "04" in given),
        ("47", "05" in given),
        ("42", any("A" in s[41:44] for s in mine)),
        ("43", any("D" in s[41:44] for s in mine)),
        ("48", any(s[44:46] == "15" for s in mine)),
        ("60", given & {"02", "07", "09"}),
        ("99", "10" in given),
    ):
        if holds:
            return code
    return None


def justification_of(victim: str) -> str | None:
    given = {victim[79:81], victim[81:83]}
    if "20" in given and victim[83] in "CDEFG":
        return "80"
    return "81" if "21" in given and victim[83] in "ABCDEFG" else None


def listed(segments: Sequence[str]) -> Iterator[list[str | int | None]]:
    """The rows of one incident from the offense on."""
    offenses = [s for s in segments if s[4] == "2"]
    offenders = [s for s in segments if s[4] == "5" and s[37:39].isdecimal() and s[37:39] != "00"]
    for code in ("09A", "09C"):
        victims = [s for s in segments if s[4] == "4" and code in {s[at : at + 3] for at in range(40, 70, 3)}]
        row = "ABC" if len(victims) == 1 else "DFE"
        situation = row[0] if len(offenders) == 1 else row[2] if offenders else row[1]
        for victim in victims:
            number = int(victim[37:40]) or None if victim[37:40].isdecimal() else None
            reason = circumstance_of(victim, offenses) if code == "09A" else justification_of(victim)
            beside: list[str | None] = [*offenders] or [None]
            for one in beside:
                who = int(one[37:39]) if one else None
                yield [
                    *(code, situation, number, *person_of(victim, 71)),
                    *(who, *(person_of(one, 39) if one else [None] * 4)),
                    weapon_of([s for s in offenses if s[37:40] == code]),
                    relation_of(victim, who) if who else None,
                    reason,
                ]


def convert(lines: Sequence[str]) -> list[Row]:
    """The rows, those of an agency and month with their incidents numbered."""
    sheets: dict[tuple[str, str], list[list[list[str | int | None]]]] = defaultdict(list)
    for report in incidents([line.rstrip("\r\n") for line in lines]):
        segments = [s.ljust(307) for s in report]
        admin = next((s for s in segments if s[4] == "1"), " " * 307)
        if rows := list(listed(segments)):
            sheets[segments[0][16:25], month_of(admin[37:45]) or ""].append(rows)
    return [
        (ori or None, month or None, number, *row)
        for (ori, month), of_sheet in sheets.items()
        for number, rows in enumerate(of_sheet, 1)
        for row in rows
    ]
