"""The NIBRS edits once more, line by line and rule by rule, in plain Python: slow, obvious, and written from the text
of the Technical Specification 3.1 without a look at the engine's data files. Tests hold the engine against it.

`judge` returns findings as tuples (row, of_report, rule, element, value, sequence, offense, loss).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

Found = tuple[int, bool, int, str, str, str, str, str]


def codes(text: str) -> frozenset[str]:
    """`01-05 A` is 01, 02, 03, 04, 05 and A."""
    found: list[str] = []
    for word in text.split():
        first, dash, last = word.partition("-")
        found += [f"{n:02d}" for n in range(int(first), int(last) + 1)] if dash else [first]
    return frozenset(found)


# Appendix A
PERSON = codes("09A 09B 09C 100 11A 11B 11C 11D 13A 13B 13C 36A 36B 64A 64B")
LARCENY = codes("23A 23B 23C 23D 23E 23F 23G 23H")
PROPERTY = LARCENY | codes("120 200 210 220 240 250 26A 26B 26C 26D 26E 26F 26G 270 280 290 510")
SOCIETY = codes("35A 35B 370 39A 39B 39C 39D 40A 40B 40C 520 720")
GROUP_A = PERSON | PROPERTY | SOCIETY
GROUP_B = codes("90A 90B 90C 90D 90E 90F 90G 90H 90J 90Z")
WITH_PROPERTY = PROPERTY | codes("100 35A 35B 39A 39B 39C 39D")
CARGO = codes("120 210 220 23D 23F 23H 240 26A 26B 26C 26E 270 510")
VEHICLES = codes("03 05 24 28 37")
STRUCTURES = codes("29-35")
OFFICER = codes("09A 13A 13B 13C")

LENGTHS = {
    "0": (43,),
    "1": (87, 88),
    "2": (63, 71),
    "3": (307,),
    "4": (129, 141),
    "5": (45, 46),
    "6": (110,),
    "7": (66,),
}
ACTIONS = {"0": "AD", "1": "IDWM", "2": "I", "3": "IWAM", "4": "I", "5": "I", "6": "IWAM", "7": "AD"}
WARNINGS = {342, 343, 449, 549, 640, 641, 740, 741}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"


def age_of(text: str) -> tuple[str, int | None, int, int]:
    """How an age is written, its years if known, and the ends of a range."""
    head, tail = text[:2], text[2:]
    if not text.strip(" "):
        return "blank", None, 0, 0
    if text[0] == " ":
        return "indented", None, 0, 0
    if tail != "  ":
        if not all(c in DIGITS for c in text):
            return "bad range", None, 0, 0
        low, high = int(head), int(tail)
        return "range", (low + high) // 2 if 0 < low < high else None, low, high
    if head in ("NN", "NB", "BB"):
        return "newborn", 0, 0, 0
    if not all(c in DIGITS for c in head):
        return "bad", None, 0, 0
    return ("unknown", None, 0, 0) if head == "00" else ("exact", int(head), 0, 0)


def day_of(text: str) -> int | None:
    """YYYYMMDD of 1900 to 2099 as a number."""
    if not all(c in DIGITS for c in text) or not 1900 <= int(text[:4]) <= 2099:
        return None
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return int(text)


def number_of(text: str, low: int = 0, high: int = 10**12) -> int | None:
    if not all(c in DIGITS for c in text):
        return None
    return int(text) if low <= int(text) <= high else None


def quantity_of(text: str) -> int | None:
    whole, parts = text[:9].strip(" "), text[9:].strip(" ")
    if (whole and not text[:9].isdecimal()) or (parts and not text[9:].isdecimal()) or not (whole or parts):
        return None
    return int(whole or 0) * 1000 + int(parts or 0)


class Line:
    """A segment; `line[a, b]` is what is in positions a to b."""

    def __init__(self, row: int, text: str, raw: bytes) -> None:
        self.row, self.text, self.raw = row, text.ljust(320), raw
        level = self[5, 5]
        self.level = level if level in "01234567" else "?"

    def __getitem__(self, place: tuple[int, int]) -> str:
        return self.text[place[0] - 1 : place[1]]

    def slots(self, first: int, step: int, count: int) -> list[str]:
        """The slots of a repeating group that are not blank."""
        found = [self.text[first - 1 + step * i : first - 1 + step * (i + 1)] for i in range(count)]
        return [slot for slot in found if slot.strip(" ")]

    @property
    def action(self) -> str:
        return self[6, 6]

    @property
    def key(self) -> str:
        return self[17, 37]

    @property
    def period(self) -> int | None:
        month, year = number_of(self[7, 8], 1, 12), number_of(self[9, 12], 1991, 2099)
        return None if month is None or year is None else year * 100 + month


@dataclass(frozen=True, kw_only=True)
class Agency:
    status: str = "A"
    start: int | None = None
    inactive: int | None = None
    covered: int | None = None
    federal: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What follows from findings. accepted: each report; rates: of each ORI reports, rejected ones and errors; status
    and sorted codes: each row; error_data_set: its records up to their messages."""

    accepted: list[bool]
    rates: dict[str, tuple[int, int, int]]
    status: list[int]
    codes: list[list[int]]
    error_data_set: list[str]


@dataclass(kw_only=True)
class Twin:
    """One submission under judgement. `agencies` by ORI, or None for no table; `filed`: (kind, key, sequence, day)."""

    rule_set: str
    today: int
    agencies: dict[str, Agency] | None = None
    filed: Sequence[tuple[str, str, str, int | None]] = ()
    found: list[Found] = field(default_factory=list)
    reports: list[list[Line]] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)

    @property
    def new(self) -> bool:
        """3.1 or later, else what was in force in 2016."""
        return self.rule_set != "nibrs/2016"

    @property
    def wholly(self) -> str:
        """Actions of whole incidents; R = Replace is in the IEPD of 2019."""
        return "IR" if self.rule_set == "nibrs/2019" else "I"

    def say(self, rule: int, line: Line, element: str = "", value: str = "", *, report: bool = False) -> None:
        number = line[38, 40] if line.level == "4" else line[38, 39]
        sequence = number.rjust(3, "0") if line.level in "456" and number.strip(" ") else ""
        of_segment = (
            sequence,
            line[38, 40] if line.level == "2" else "",
            line[38, 38] if line.level == "3" else "",
        )
        shown = (value[:12], *(("", "", "") if report else of_segment))
        # fixed-width strings lose what fills them up
        value, sequence, offense, loss = (text.rstrip("\0").rstrip(" ") for text in shown)
        self.found.append((line.row, report, rule, element, value, sequence, offense, loss))

    def agency(self, ori: str) -> Agency:
        return (self.agencies or {}).get(ori, Agency(status="A"))

    def listed(self, ori: str) -> bool:
        return self.agencies is None or ori in self.agencies

    # the whole

    def judge(self, lines: Iterable[bytes]) -> list[Found]:
        records = []
        for row, ended in enumerate(lines):
            raw = ended.removesuffix(b"\n").removesuffix(b"\r")
            if raw.strip(b" "):
                records.append(Line(row, raw.decode("latin-1"), raw))
            else:
                self.blank.append(row)
        reports = self.reports
        for line in records:
            last = reports[-1] if reports else None
            joins = (
                last is not None
                and line.level in "123456?"
                and last[-1].level in "123456?"
                and last[-1].key == line.key
                and not any(one.level == "1" and one.action == "D" for one in (line, last[-1]))
                and not (line.level == "1" and any(before.level == "1" for before in last))
            )
            if joins:
                reports[-1].append(line)
            else:
                reports.append([line])
        if self.new:
            self.lengths(records)
        fitting = [line for line in records if self.fits(line)]
        dated = [line for line in fitting if line[7, 8].strip(" ") and line[9, 12].strip(" ")]
        month = next((line[7, 12] for line in (*dated, *records)), "")
        state = next((line[17, 18] for line in (*(one for one in fitting if one[17, 18].strip(" ")), *records)), "")
        added: dict[str, list[str]] = {}
        arrests: dict[str, bool] = {}
        incidents = {
            report[0].key
            for report in reports
            if any(line.level in "123456" and not (line.level == "1" and line.action == "D") for line in report)
        }
        for report in reports:
            self.report(report, month, state, added, arrests, incidents)
        return sorted(self.found)

    def outcome(self) -> "Outcome":
        """What follows from the findings: see Outcome."""
        of_row = {line.row: n for n, report in enumerate(self.reports) for line in report}
        lines = {line.row: line for report in self.reports for line in report}
        number = {line.row: n for n, line in enumerate(lines.values(), 1)}
        ordered = sorted(self.found, key=lambda f: (of_row[f[0]], f[1], f[0], f[3], f[2], f[4], f[5]))
        errors = Counter(of_row[found[0]] for found in self.found if found[2] not in WARNINGS)
        codes_of: dict[int, list[int]] = {row: [] for row in lines} | {row: [21_001] for row in self.blank}
        status = dict.fromkeys(self.blank, 1)
        for found in ordered:
            codes_of[found[0]].append(20_000 + found[2])
        accepted: list[bool] = []
        rates: dict[str, tuple[int, int, int]] = {}
        for n, report in enumerate(self.reports):
            good = errors[n] == 0 and any(line.level != "?" for line in report)
            accepted.append(good)
            total, rejected, faults = rates.get(report[0][17, 25], (0, 0, 0))
            rates[report[0][17, 25]] = (total + 1, rejected + (not good), faults + errors[n])
            for line in report:
                own = any(code - 20_000 not in WARNINGS for code in codes_of[line.row])
                if not good and not own:
                    codes_of[line.row].append(21_000)
                status[line.row] = 3 if not good else 1 if codes_of[line.row] else 0
        rows = sorted(status)
        return Outcome(
            accepted=accepted,
            rates=rates,
            status=[status[row] for row in rows],
            codes=[sorted(codes_of[row]) for row in rows],
            error_data_set=[self.record(found, lines[found[0]], number[found[0]]) for found in ordered],
        )

    @staticmethod
    def record(found: Found, line: Line, number: int) -> str:
        """Table 5-1, up to position 61."""
        _, report, rule, element, value, sequence, offense, loss = found
        return (
            line[9, 12]
            + line[7, 8]
            + f"{0 if report else number:07d}"
            + line.action
            + line.key
            + (" " if report or line.level == "?" else line.level)
            + offense.ljust(3)
            + sequence.ljust(3)
            + loss.ljust(1)
            + element.ljust(3)
            + f"{rule:03d}"
            + value.ljust(12)
        )

    def lengths(self, records: list[Line]) -> None:
        """178, 284, 484, 584: one length for all segments of a level."""
        for level, rule in (("1", 178), ("2", 284), ("4", 484), ("5", 584)):
            fitting = [line for line in records if line.level == level and self.fits(line)]
            others = [line for line in fitting if line[1, 4] != fitting[0][1, 4]]
            for line in others[:1]:
                if level == "1" and line.action == "D":
                    continue
                self.say(rule, line, "", line[1, 4])

    def fits(self, line: Line) -> bool:
        stated = number_of(line[1, 4])
        return line.level != "?" and stated in LENGTHS[line.level] and stated == len(line.raw)

    def report(
        self,
        report: list[Line],
        month: str,
        state: str,
        added: dict[str, list[str]],
        arrests: dict[str, bool],
        incidents: set[str],
    ) -> None:
        level = 0
        for line in report:
            self.header(line, month, state, delete=line.level in "17" and line.action == "D")
            if line.level in "123456":
                if int(line.level) < level:
                    self.say(50, line, "", line.level)
                level = int(line.level)
        head = report[0]
        if head.level == "0":
            self.zero(head)
        elif head.level == "7":
            self.arrest_report(head, arrests, incidents)
        elif head.level == "1" and head.action == "D":
            stored = self.stored(head, added)
            added[head.key] = [day for day in stored if day not in (head[38, 45], "")]
            self.delete(head, "A", 3, head[38, 45], (197, 198, 199))
        elif level:
            incident = any(line.action in self.wholly for line in report if line.level in "123456")
            before = len(self.found)
            Incident(self, report, incident).judge()
            if incident and head.action != "I":
                added[head.key] = [head[38, 45]]
            elif incident:
                stored = self.stored(head, added)
                if stored and any(line.level == "1" for line in report):  # nothing else is said of the whole report
                    rows = {line.row for line in report}
                    self.found = [found for found in self.found[:before] if found[0] not in rows]
                    self.found.append((head.row, False, 56, "", "", "", "", ""))
                elif not stored:
                    stored.append(head[38, 45])
                added[head.key] = stored

    def stored(self, head: Line, added: dict[str, list[str]]) -> list[str]:
        """The dates of the incidents that are stored under a number."""
        filed = [
            f"{day:08d}" if day is not None else "" for k, key, _, day in self.filed if k == "A" and key == head.key
        ]
        return added.get(head.key, filed)

    # headers

    def header(self, line: Line, month: str, state: str, *, delete: bool) -> None:
        hundred = int(line.level) * 100 if line.level != "?" else -1
        if line.level == "?":
            self.say(51, line, "", line[5, 5])
            return
        number = "41" if line.level == "7" else "02"
        ori = line[17, 25]
        if not ori.strip(" "):
            self.say(hundred + 1, line, "01")
        if not line[26, 37].strip(" "):
            self.say(hundred + 1, line, number)
        if not line[7, 8].strip(" ") or not line[9, 12].strip(" "):
            self.say(hundred + 1, line)
        allowed = ACTIONS[line.level] + ("R" if self.rule_set == "nibrs/2019" and line.level in "123456" else "")
        if not delete and line.action not in allowed:
            self.say(hundred + 1, line, "", line.action)
        own = None if delete else {"1": 178, "2": 284, "4": 484, "5": 584}.get(line.level)
        if own is not None and not line[1, 4].strip(" "):
            self.say(hundred + 1, line)
        elif not self.fits(line):
            self.say(own if own is not None else hundred + 1, line, "", line[1, 4])
        city = line[13, 16]
        if line.level != "0" and city.strip(" ") and not all(c in LETTERS + DIGITS for c in city):
            self.say(hundred + 4, line, "", city)
        if line.level != "0" or not self.new:
            self.identifier(line, hundred, number, line[26, 37])
        if (
            not delete
            and any(not 0x20 <= byte <= 0x7E for byte in line.raw[: LENGTHS[line.level][-1]])
            and not self.unclean(line[26, 37])
        ):
            self.say(hundred + 17, line)
        self.oris(line)
        if line[7, 12] != month and line[7, 8].strip(" ") and line[9, 12].strip(" "):
            self.say(58, line, "", line[7, 8])
        if line[17, 18] != state and ori.strip(" ") and not self.agency(ori).federal:
            self.say(59, line, "01", ori)
        if line.level in "107" and line.period is not None and line.period > self.today // 100:
            self.say(60, line, "", line[7, 8])
        if line.level in "107" and line[7, 8].strip(" ") and line[9, 12].strip(" ") and line.period is None:
            if line.level == "1":
                self.say(175, line, "03", line[38, 45])
            else:
                self.say({"0": 1, "7": 704}[line.level], line, "", line[7, 8])

    @staticmethod
    def unclean(number: str) -> bool:
        return number.strip(" ") != "" and any(c not in LETTERS + DIGITS + "- " for c in number)

    def identifier(self, line: Line, hundred: int, element: str, number: str) -> None:
        """x15, x16, x17."""
        if not number.strip(" "):
            return
        if " " in number.strip(" "):
            self.say(hundred + 15, line, element, number)
        if number[0] == " ":
            self.say(hundred + 16, line, element, number)
        if self.unclean(number):
            self.say(hundred + 17, line, element, number)

    def oris(self, line: Line) -> None:
        ori, agency = line[17, 25], self.agency(line[17, 25])
        formed = all(c in LETTERS + DIGITS for c in ori)
        filled = ori.strip(" ") != ""
        if not self.new:
            if filled and (not formed or not self.listed(ori)):
                self.say(52, line, "01", ori)
            return
        if filled and not formed:
            self.say(952, line, "01", ori)
        if agency.status == "H":
            self.say(930, line, "01", ori)
        if agency.status == "D":
            self.say(932, line, "01", ori)
        if formed and not self.listed(ori):
            self.say(933, line, "01", ori)
        if agency.status == "X" or (agency.covered is not None and agency.covered <= self.today):
            self.say(934, line, "01", ori)

    # reports of one segment

    def base(self, line: Line) -> int | None:
        return None if line.period is None else (line.period // 100 - 1) * 10_000 + 101

    def on_file(self, kind: str, line: Line) -> list[int | None]:
        return [day for k, key, _, day in self.filed if k == kind and key == line.key]

    def delete(self, line: Line, kind: str, element: int, day: str, rules: tuple[int, int, int]) -> None:
        if not self.new:
            return
        if day.strip(" "):
            date, period = day_of(day), line.period if kind == "B" else None
            if date is None or date > self.today or (period is not None and date // 100 > period):
                self.say(105 if kind == "A" else 705, line, f"{element:02d}", day)
            return
        there = self.on_file(kind, line)
        year = number_of(line[9, 12], 1)
        # the year is read as it stands: a delete of an impossible month still has one
        outside = year is not None and any(d is not None and d < (year - 1) * 10_000 + 101 for d in there)
        rule = rules[2] if len(there) > 1 else rules[1] if outside else rules[0]
        self.say(rule, line, f"{element:02d}")

    def zero(self, line: Line) -> None:
        month, year, number = line[38, 39], line[40, 43], line[26, 37]
        agency = self.agency(line[17, 25])
        if not month.strip(" ") or not year.strip(" "):
            self.say(1, line)
        if month.strip(" ") and number_of(month, 1, 12) is None:
            self.say(90, line, "", month)
        if year.strip(" ") and number_of(year) is None:
            self.say(91, line, "", year)
        odd = " " in number.strip(" ") or number[0] == " " or self.unclean(number)
        if number.strip(" ") and number != "0" * 12 and (self.new or not odd):
            self.say(92, line, "02", number)
        m, y = number_of(month, 1, 12), number_of(year)
        if m is not None and y is not None:
            period, base, start = y * 100 + m, self.base(line), agency.start
            never = y < 1991
            if line.action == "A" and (
                never or (base is not None and period < base // 100) or (start is not None and period < start // 100)
            ):
                self.say(93, line, "", month)
            late = line.period is not None and period > line.period
            if y > 2099 or late:
                self.say(94, line, "", month)
            covered = agency.covered is not None and period >= agency.covered // 100
            if line.action == "A" and covered and 1991 <= y <= 2099:
                self.say(96, line, "", month)
        if self.new and line.action == "A" and number_of(month) is not None and number_of(year) is not None:
            for rule, kind in ((28, "A"), (29, "B")):
                if any(
                    k == kind and key[:9] == line[17, 25] and day is not None and day // 100 == int(year + month)
                    for k, key, _, day in self.filed
                ):
                    self.say(rule, line, "02", number)

    def arrest_report(self, line: Line, arrests: dict[str, bool], incidents: set[str]) -> None:
        key, sequence = line.key + line[38, 39], line[38, 39]
        if line.action == "D":
            arrests[key] = False
            if not sequence.strip(" "):  # all arrests of this number
                self.deleted.add(line.key)
                arrests.update({other: False for other in arrests if other.startswith(line.key)})
            elif self.new and number_of(sequence, 1, 99) is None:
                self.say(702, line, "40", sequence)
            self.delete(line, "B", 42, line[40, 47], (797, 798, 799))
            return
        if line.key in incidents:
            self.say(88, line, "41", line[26, 37], report=True)
        if arrests.get(key, False) and line.action == "A":
            self.say(751, line, "40", sequence)
        elif (
            line.action == "A"
            and key not in arrests
            and line.key not in self.deleted
            and any(k == "B" and filed == line.key and other == sequence for k, filed, other, _ in self.filed)
        ):
            self.say(759, line, "41", line[26, 37])
        arrests[key] = True
        self.arrestee(line, 700, line[38, 39], 40, 48, 49, 52, 58, None)
        agency, day, offense = self.agency(line[17, 25]), day_of(line[40, 47]), line[49, 51]
        base = self.base(line)
        if (
            line.action == "A"
            and day is not None
            and ((base is not None and day < base) or (agency.start is not None and day < agency.start))
        ):
            self.say(720, line, "42", line[40, 47])
        if offense in GROUP_A:
            self.say(760, line, "45", offense)
        years = age_of(line[58, 61])[1]
        if not self.new and offense == "90I" and not (years is not None and 0 < years < 18):
            self.say(761, line, "47", line[58, 61])

    def arrestee(
        self,
        line: Line,
        hundred: int,
        sequence: str,
        day_at: int,
        type_at: int,
        offense_at: int,
        armed_at: int,
        age_at: int,
        multiple_at: int | None,
    ) -> None:
        """What levels 6 and 7 have in common: 3.3.7."""

        def must(element: str, text: str) -> bool:
            if not text.strip(" "):
                self.say(hundred + 1, line, element)
            return text.strip(" ") != ""

        def coded(element: str, text: str, allowed: Iterable[str], rule: int = 4) -> None:
            if text.strip(" ") and text not in allowed:
                self.say(hundred + rule, line, element, text)

        day_text, offense = line[day_at, day_at + 7], line[offense_at, offense_at + 2]
        if must("40", sequence) and number_of(sequence, 1, 99) is None:
            self.say(hundred + 2, line, "40", sequence)
        if must("42", day_text):
            day = day_of(day_text)
            late = day is not None and (day > self.today or (line.period is not None and day // 100 > line.period))
            if day is None or late:
                self.say(hundred + 5, line, "42", day_text)
            inactive = self.agency(line[17, 25]).inactive
            if day is not None and inactive is not None and day >= inactive:
                self.say(hundred + 18, line, "42", day_text)
        must("43", line[type_at, type_at])
        coded("43", line[type_at, type_at], "OST")
        if multiple_at is not None:
            must("44", line[multiple_at, multiple_at])
            coded("44", line[multiple_at, multiple_at], "CMN")
        must("45", offense)
        coded("45", offense, GROUP_A | GROUP_B | (frozenset() if self.new else {"90I"}))
        armed = line.slots(armed_at, 3, 2)
        weapons = [slot[:2] for slot in armed]
        if not any(weapon.strip(" ") for weapon in weapons):
            self.say(hundred + 1, line, "46")
        for i, slot in enumerate(armed):
            weapon, automatic = slot[:2], slot[2]
            coded("46", weapon, codes("01 11-17"))
            if weapon in codes("01 11-17") and weapon in weapons[:i]:
                self.say(hundred + 6, line, "46", weapon)
            if weapon == "01" and any(other.strip(" ") and other != "01" for other in weapons):
                self.say(hundred + 7, line, "46", weapon)
            if automatic not in "A ":
                self.say(hundred + 54, line, "46", automatic)
            if automatic == "A" and weapon not in codes("11-15"):
                self.say(hundred + 55, line, "46", weapon)
        age_text = line[age_at, age_at + 3]
        form, years, low, high = age_of(age_text)
        if form == "blank":
            self.say(hundred + 1, line, "47")
        self.age(line, "47", hundred, age_text, newborn=hundred + (64 if hundred == 600 else 57))
        if form == "exact" and years == 99:
            self.say(hundred + 41, line, "47", age_text)
        sex, race, ethnicity, resident, disposition = (line[age_at + n, age_at + n] for n in range(4, 9))
        must("48", sex)
        coded("48", sex, "MF", 67 if hundred == 600 else 58)
        must("49", race)
        coded("49", race, "WBIAPU")
        coded("50", ethnicity, "HNU")
        coded("51", resident, "RNU")
        coded("52", disposition, "HR")
        straddles = form == "range" and high > 17
        if form == "range" and low > 0 and years is not None and years < 18 and high > 17 and disposition == " ":
            self.say(hundred + 40, line, "52")
        if years is not None and 0 < years < 18 and form != "newborn" and disposition == " " and not straddles:
            self.say(hundred + 52, line, "52")
        if years is not None and years >= 18 and disposition != " ":
            self.say(hundred + 53, line, "52", disposition)

    def age(self, line: Line, element: str, hundred: int, text: str, *, newborn: int | None) -> None:
        """x08, x09, x10, x22, and the rule for an exact age that is none."""
        form, _, low, high = age_of(text)
        if form == "indented":
            self.say(hundred + 8, line, element, text)
        if form == "bad range":
            self.say(hundred + 9, line, element, text)
        if form == "range" and low >= high:
            self.say(hundred + 10, line, element, text)
        if form == "range" and low == 0:
            self.say(hundred + 22, line, element, text)
        if newborn is not None and form in ("bad", "newborn"):
            self.say(newborn, line, element, text)


class Incident:
    """A Group A incident; without a segment of action I, an update to one."""

    def __init__(self, twin: Twin, lines: list[Line], whole: bool) -> None:
        self.twin, self.lines, self.whole = twin, lines, whole
        self.new = twin.new
        self.of = {level: [line for line in lines if line.level == level] for level in "123456"}
        self.admin = self.of["1"][0] if self.of["1"] else None
        self.codes = [line[38, 40] for line in self.of["2"]]
        self.known = [code for code in self.codes if code in GROUP_A | GROUP_B | ({"90I"} if not self.new else set())]
        self.doubtful = len(self.known) < len(self.codes)
        self.day = day_of(self.admin[38, 45]) if self.admin is not None else None
        self.cleared = self.admin is not None and self.admin[49, 49] in "ABCDE"
        self.stolen = [line for line in self.of["3"] if line[38, 38] == "7"]

    def say(self, rule: int, line: Line, element: str = "", value: str = "") -> None:
        self.twin.say(rule, line, element, value)

    def tell(self, rule: int, line: Line, element: str, value: str = "") -> None:
        """A finding about the report."""
        self.twin.say(rule, line, element, value, report=True)

    def judge(self) -> None:
        if self.whole:
            self.structure()
        for line in self.of["1"]:
            self.administrative(line)
        seen: list[str] = []
        for n, line in enumerate(self.of["2"]):
            self.offense(line, seen, n)
            seen.append(line[38, 40])
        losses: list[str] = []
        for line in self.of["3"]:
            self.property(line)
            if self.whole and line[38, 38] in "12345678" and line[38, 38] in losses:
                self.say(376, line, "14", line[38, 38])
            losses.append(line[38, 38])
        self.victims()
        self.offenders()
        self.arrestees()

    def has(self, code: str, completed: str = "AC?") -> bool:
        return any(line[38, 40] == code and (completed == "AC?" or line[41, 41] == completed) for line in self.of["2"])

    # 3.3.1, Table 3-2

    def structure(self) -> None:
        head = self.lines[0]
        offenses, properties, victims, offenders = (self.of[level] for level in "2345")
        if self.admin is None:
            self.tell(55, head, "L 1")
        for level, segments in (("2", offenses), ("4", victims), ("5", offenders)):
            if not segments:
                self.tell(75, head, f"L {level}")
        takes = any(code in WITH_PROPERTY for code in self.codes)
        if properties and offenses and not takes and not self.doubtful:
            self.tell(76, head, "L 3")
        if offenses and all(code in SOCIETY for code in self.codes):
            types = [victim[71, 71] for victim in victims]
            if len(victims) > 1 or any(kind in "BFGILORU" for kind in types):
                self.tell(80, head, "25")
        connected = {code for victim in victims for code in victim.slots(41, 3, 10)}
        for line in offenses:
            if line[38, 40] in GROUP_A and victims and line[38, 40] not in connected:
                self.tell(65, line, "L 2", line[38, 40])
            if line[38, 40] in WITH_PROPERTY and not properties:
                self.tell(74, line, "L 3", line[38, 40])
            if line[38, 40] in WITH_PROPERTY and properties:
                self.losses(line, properties)
        for line in properties:
            self.loss(line, takes)
        known = any(self.is_known(offender) for offender in offenders)
        if offenders and not known and self.admin is not None and any(a[49, 49] in "ABCDE" for a in self.of["1"]):
            self.tell(558, head, "L 5")
        if offenders and not known and "09C" in self.codes:
            self.tell(559, head, "L 5")

    @staticmethod
    def is_known(offender: Line) -> bool:
        return age_of(offender[40, 43])[1] is not None and offender[44, 44] in "FM" and offender[45, 45] in "WBIAP"

    @staticmethod
    def completed_losses(code: str) -> str:
        """081: which property losses a completed offense may have."""
        if code == "280":
            return "15"
        if code in ("100", "220", "510"):
            return "1578"
        if code in ("35A", "35B"):
            return "16"
        if code.startswith("39"):
            return "6"
        return {"200": "2", "250": "356", "290": "4"}.get(code, "57" if code in PROPERTY else "")

    def losses(self, line: Line, properties: list[Line]) -> None:
        found = [segment[38, 38] for segment in properties]
        odd = any(loss not in "12345678" for loss in found)
        if line[41, 41] == "A" and not odd and not any(loss in "18" for loss in found):
            self.tell(77, line, "14", line[38, 40])
        ten = found[:10]
        odd = any(loss not in "12345678" for loss in ten)
        if line[41, 41] == "C" and not odd and not any(loss in self.completed_losses(line[38, 40]) for loss in ten):
            self.tell(78, line, "14", line[38, 40])

    def loss(self, line: Line, takes: bool) -> None:
        loss = line[38, 38]
        if loss not in "12345678" or not takes:
            return
        for offense in self.of["2"][:10]:
            code, completed = offense[38, 40], offense[41, 41]
            if code not in self.known or completed not in "AC":
                return
            if completed == "C" and loss in self.completed_losses(code):
                return
            if completed == "A" and code in WITH_PROPERTY and loss in "18":
                return
        self.tell(81, line, "14", loss)

    # 3.3.2

    def administrative(self, line: Line) -> None:
        day_text, cleared, clear_text, hour = line[38, 45], line[49, 49], line[50, 57], line[47, 48]
        day, clear = day_of(day_text), day_of(clear_text)
        cargo = line[88, 88]
        agency = self.twin.agency(line[17, 25])
        if not day_text.strip(" "):
            self.say(101, line, "03")
        elif day is None or day > self.twin.today:
            self.say(105, line, "03", day_text)
        if cleared == " ":
            self.say(101, line, "04")
        elif cleared not in "ABCDEN":
            self.say(104, line, "04", cleared)
        if cargo not in "YN ":
            self.say(104, line, "02A", cargo)
        if clear_text.strip(" ") and (clear is None or clear > self.twin.today):
            self.say(105, line, "05", clear_text)
        if line[46, 46] not in "R ":
            self.say(151, line, "03", line[46, 46])
        if hour.strip(" ") and number_of(hour, 0, 23) is None:
            self.say(152, line, "03", hour)
        if cleared == "N" and clear_text.strip(" "):
            self.say(153, line, "04", cleared)
        if clear is not None and day is not None and clear < day:
            self.say(155, line, "05", clear_text)
        if cleared in "ABCDE" and not clear_text.strip(" "):
            self.say(156, line, "05")
        if day is not None and line.period is not None and day // 100 > line.period:
            self.say(170, line, "03", day_text)
        if day is not None and line.action in self.twin.wholly and day < 19910101:
            self.say(172, line, "03", day_text)
        older = day is not None and agency.start is not None and day < agency.start
        cleared_since = cleared in "ABCDE" and clear is not None and agency.start is not None and clear >= agency.start
        if older and line.action in self.twin.wholly and not cleared_since:
            self.say(173, line, "03", day_text)
        if clear is not None and agency.start is not None and clear < agency.start:
            self.say(173, line, "05", clear_text)
        if day is not None and agency.inactive is not None and day >= agency.inactive:
            self.say(118, line, "03", day_text)
        takes = any(code in CARGO for code in self.codes)
        none_takes = bool(self.codes) and not takes and not self.doubtful
        if cargo == " " and line[1, 4] == "0088" and takes:
            self.say(122 if self.new else 119, line, "02A")
        if self.new and cargo != " " and none_takes:
            self.say(119, line, "02A", cargo)
        if not self.new and cargo == "Y" and none_takes:
            self.say(122, line, "02A", cargo)
        if self.new and not hour.strip(" "):
            officers = [v for v in self.of["4"] if v[71, 71] == "L"]
            if any(code in OFFICER for victim in officers for code in victim.slots(41, 3, 10)):
                self.say(106, line, "03")

    # 3.3.3

    def several(
        self, line: Line, element: str, slots: list[str], allowed: frozenset[str], alone: frozenset[str]
    ) -> None:
        """204, 206 and 207 of an element with several values."""
        for i, code in enumerate(slots):
            if code not in allowed:
                if code.strip(" "):
                    self.say(204, line, element, code)
                continue
            if code in slots[:i]:
                self.say(206, line, element, code)
            elif code in alone and any(other.strip(" ") and other != code for other in slots):
                self.say(207, line, element, code)

    def offense(self, line: Line, seen: list[str], n: int) -> None:
        code, completed, location, premises, entry = (
            line[38, 40],
            line[41, 41],
            line[45, 46],
            line[47, 48],
            line[49, 49],
        )
        known = code in self.known
        locations = codes("01-25 37-42 44-58")
        for element, text in (("06", code), ("07", completed), ("09", location)):
            if not text.strip(" "):
                self.say(201, line, element)
        using, biases = line.slots(42, 1, 3), line.slots(62, 2, 5)
        activities, weapons = line.slots(50, 1, 3), line.slots(53, 3, 3)
        kinds = [weapon[:2] for weapon in weapons]
        if not using:
            self.say(201, line, "08")
        if not biases:
            self.say(201, line, "08A")
        if code.strip(" ") and not known:
            self.say(204, line, "06", code)
        if location.strip(" ") and location not in locations:
            self.say(204, line, "09", location)
        if entry not in "FN ":
            self.say(204, line, "11", entry)
        self.several(line, "08", using, frozenset("ACDN"), frozenset("N"))
        self.several(
            line, "08A", biases, codes("11-16 21-29 31-33 41-45 51-52 61-62 71-72 81-85 88 99"), codes("88 99")
        )
        self.several(line, "12", activities, frozenset("ABCDEFGIJNOPSTU"), frozenset("N"))
        self.several(line, "13", kinds, codes("11-15 20 30 35 40 50 60 65 70 85 90 95 99"), codes("99"))
        if completed not in "AC ":
            self.say(251, line, "07", completed)
        if premises.strip(" ") and number_of(premises, 1, 99) is None:
            self.say(202, line, "10", premises)
        cyber = codes("210 250 270 280 290 370 510 26A 26B 26C 26D 26E 26F 26G 39A 39B 39C 13C 35A 35B 520 64A 64B")
        if location == "58" and known and code not in cyber | codes("40A 40B 40C"):
            self.say(205, line, "09", location)
        lodging = location in ("14", "19")
        if premises.strip(" ") and known and location in locations and not (code == "220" and lodging):
            self.say(252, line, "10", premises)
        if code == "220" and lodging and not premises.strip(" "):
            self.say(257, line, "10")
        if code == "220" and entry == " ":
            self.say(253, line, "11")
        if known and code != "220" and entry != " ":
            self.say(254, line, "11", entry)
        if completed == "A" and code in codes("09A 09B 09C 13A 13B 13C"):
            self.say(256, line, "07", completed)
        self.activities(line, code, known, activities)
        armed = codes("09A 09B 09C 100 11A 11B 11C 11D 120 13A 13B 210 520 64A 64B")
        if code in armed and not any(kind.strip(" ") for kind in kinds):
            self.say(221, line, "13")
        for slot in weapons:
            weapon, automatic = slot[:2], slot[2]
            if known and code not in armed and weapon.strip(" "):
                self.say(222, line, "13", weapon)
            if automatic not in "A ":
                self.say(255, line, "13", automatic)
            if automatic == "A" and weapon not in codes("11-15"):
                self.say(258, line, "13", weapon)
            valid = weapon in codes("11-15 20 30 35 40 50 60 65 70 85 90 95 99")
            if code == "13B" and valid and weapon not in codes("40 90 95 99"):
                self.say(265, line, "13", weapon)
            if code == "13B" and weapon in codes("11-15"):
                self.say(269, line, "13", weapon)
            if code in codes("09A 09B 09C") and weapon == "99":
                self.say(267, line, "13", weapon)
        for bias in biases:
            valid = bias in codes("11-16 21-29 31-33 41-45 51-52 61-62 71-72 81-85 88 99")
            if code == "09C" and valid and bias != "88":
                self.say(270, line, "08A", bias)
        if self.whole and known and code in seen:
            self.say(262, line, "06", code)
        if self.whole and n == 10:
            self.say(263, line, "06", code)
        if code in GROUP_B or (code == "90I" and known):
            self.say(264, line, "06", code)
        if code == "09C" and any(other != "09C" for other in self.codes):
            self.say(266, line, "06", code)
        vehicles = any(item[:2] in VEHICLES for s in self.stolen for item in s.slots(39, 19, 10))
        others = any(c in PROPERTY - LARCENY for c in self.codes)
        if self.whole and code in LARCENY and vehicles and not others:
            self.say(268, line, "06", code)

    def activities(self, line: Line, code: str, known: bool, activities: list[str]) -> None:
        criminal = codes("250 280 35A 35B 39C 370 520")
        gang = codes("09A 09B 100 11A 11B 11C 11D 120 13A 13B 13C")
        for activity in activities:
            wrong = (
                (activity in "BCDEOPTU" and code not in criminal)
                or (activity in "JGN" and code not in gang)
                or (activity in "AFIS" and code != "720")
            )
            if known and wrong:
                self.say(219, line, "12", activity)
        if code in criminal | {"720"} and not activities:
            self.say(220, line, "12")

    # 3.3.4

    def property(self, line: Line) -> None:
        loss = line[38, 38]
        items, drugs = line.slots(39, 19, 10), line.slots(233, 15, 3)
        stolen, recovered = line[229, 230], line[231, 232]
        n_stolen, n_recovered = number_of(stolen), number_of(recovered)
        none_or_unknown = loss in "18"
        if loss == " ":
            self.say(301, line, "14")
        elif loss not in "12345678":
            self.say(304, line, "14", loss)
        for rule, element, text in ((302, "18", stolen), (302, "19", recovered)):
            if text.strip(" ") and number_of(text) is None:
                self.say(rule, line, element, text)
        if none_or_unknown:
            for element, text in (("18", stolen), ("19", recovered)):
                if text.strip(" "):
                    self.say(352, line, element, text)
        theft = self.has("240", "C")
        attempted = not any(offense[38, 40] == "240" and offense[41, 41] != "A" for offense in self.of["2"])
        if stolen.strip(" ") and (loss != "7" or attempted):
            self.say(357, line, "18", stolen)
        if not stolen.strip(" ") and loss == "7" and theft:
            self.say(358, line, "18")
        vehicles = sum(item[:2] in VEHICLES for item in items)
        counted = (n_stolen or 0) > 0 or (n_recovered or 0) > 0
        if counted and not vehicles and (self.has("240") or not self.new):
            self.say(359, line, "15")
        if recovered.strip(" ") and line.action in "IWM" and (loss != "5" or attempted):
            self.say(360, line, "19", recovered)
        if not recovered.strip(" ") and loss == "5" and vehicles and theft:
            self.say(361, line, "19")
        if loss == "7" and n_stolen and vehicles > 1 and n_stolen < vehicles:
            self.say(388, line, "18", stolen)
        if loss == "5" and n_recovered and vehicles > 1 and n_recovered < vehicles:
            self.say(389, line, "19", recovered)
        thefts = [number_of(s[229, 230]) for s in self.stolen[:1]]
        if (
            self.whole
            and loss == "5"
            and n_recovered is not None
            and thefts
            and thefts[0] is not None
            and n_recovered > thefts[0]
        ):
            self.tell(73, line, "19", recovered)
        nothing = not items and not drugs and not stolen.strip(" ") and not recovered.strip(" ")
        described = loss in "234567"
        if described and nothing:
            self.say(372, line, "14", loss)
        if described and not nothing and not any(item[:2].strip(" ") for item in items):
            self.say(375, line, "15")
        ten = any(item[:2] == "10" for item in items)
        typed = any(drug[0] != " " for drug in drugs)
        only_35a = bool(self.codes) and all(code == "35A" for code in self.codes)
        if self.new and loss == "6" and ten and self.has("35A") and not typed:
            self.say(301, line, "20")
        seized = any(s[38, 38] == "6" and any(i[:2] == "10" for i in s.slots(39, 19, 10)) for s in self.of["3"])
        if loss == "1" and not typed and only_35a and not seized:
            self.say(392, line, "20")
        if (
            self.whole
            and loss == "5"
            and vehicles
            and self.has("280")
            and self.has("240")
            and not any(item[:2] in VEHICLES for s in self.stolen for item in s.slots(39, 19, 10))
        ):
            self.say(343, line, "15")
        self.items(line, loss, items, only_35a)
        self.drugs(line, loss, drugs, ten)

    DESCRIPTIONS = codes("01-39 41-49 59 64-80 88")

    def items(self, line: Line, loss: str, items: list[str], only_35a: bool) -> None:
        zero_always, zero_maybe = codes("09 22 48 65 66"), codes("09 22 48 65 66 77")
        seen: list[str] = []
        stolen = [item for s in self.stolen for item in s.slots(39, 19, 10)]
        stolen_kinds = [item[:2] for item in stolen if item[:2] in self.DESCRIPTIONS]
        others = any(code in WITH_PROPERTY - {"35A"} for code in self.codes)
        illogical = False
        for item in items:
            kind, value_text, day_text = item[:2], item[2:11], item[11:19]
            value, day = number_of(value_text), day_of(day_text)
            valid = kind in self.DESCRIPTIONS
            if kind.strip(" ") and not valid:
                self.say(304, line, "15", kind)
            if valid and kind in seen:
                self.say(306, line, "15", kind)
            seen.append(kind)
            if value_text.strip(" ") and value is None:
                self.say(302, line, "16", value_text)
            if day_text.strip(" "):
                late = day is not None and line.period is not None and day // 100 > line.period
                early = day is not None and self.day is not None and day < self.day
                if day is None or late or early:
                    self.say(305, line, "17", day_text)
                if loss in "1234678":
                    self.say(355, line, "17", day_text)
                if not kind.strip(" ") or (not value_text.strip(" ") and kind not in zero_maybe):
                    self.say(356, line, "17", day_text)
            if loss in "18":
                for element, text in (("15", kind), ("16", value_text), ("17", day_text)):
                    if text.strip(" "):
                        self.say(352, line, element, text)
            if value is not None and value >= 1_000_000:
                self.say(342, line, "16", value_text)
            drug_case = kind == "10" and all(code == "35A" for code in self.codes)
            if value == 0 and valid and kind not in zero_maybe and not drug_case:
                self.say(351, line, "16", value_text)
            if kind == "88" and value != 1:
                self.say(353, line, "16", value_text)
            if value_text.strip(" ") and not kind.strip(" "):
                self.say(354, line, "15", value_text)
            if kind in zero_always and value is not None and value > 0:
                self.say(391, line, "16", value_text)
            blank_value = not value_text.strip(" ")
            if loss in "234567" and valid and blank_value and kind not in zero_maybe | {"10", "88"}:
                self.say(372, line, "16")
            if loss == "5" and kind.strip(" ") and not day_text.strip(" "):
                self.say(372, line, "17")
            if kind == "10" and blank_value and self.codes and "35A" not in self.codes:
                self.say(382, line, "15", kind)
            if self.new and kind == "10" and not blank_value and only_35a:
                self.say(383, line, "16", value_text)
            if not self.new and kind == "10" and value and self.has("35A") and not others:
                self.say(383, line, "16", value_text)
            if loss == "6" and kind == "11" and self.has("35A") and not others:
                self.say(387, line, "15", kind)
            if (
                loss == "6"
                and kind == "10"
                and self.has("35B")
                and not any(code in WITH_PROPERTY - {"35B"} for code in self.codes)
            ):
                self.say(387, line, "15", kind)
            if valid and not self.logical(loss, kind):
                illogical = True
            if self.whole and loss == "5" and valid:
                self.recovered(line, item, stolen, stolen_kinds)
        if loss in "57" and illogical and any(code in PROPERTY for code in self.codes):
            self.say(390, line, "15")

    def recovered(self, line: Line, item: str, stolen: list[str], stolen_kinds: list[str]) -> None:
        """072 and 084."""
        kind, value = item[:2], number_of(item[2:11])
        vehicles = [other for other in stolen if other[:2] in VEHICLES]
        if kind not in stolen_kinds:
            if not self.has("250") and not self.has("280") and not (kind == "38" and vehicles):
                self.tell(72, line, "15", kind)
            worth = sum(number_of(other[2:11]) or 0 for other in vehicles)
            if kind == "38" and vehicles and value is not None and value > worth:
                self.tell(84, line, "16", item[2:11])
            return
        before = number_of(next(other for other in stolen if other[:2] == kind)[2:11])
        if value is not None and before is not None and value > before:
            self.tell(84, line, "16", item[2:11])

    def logical(self, loss: str, kind: str) -> bool:
        """Table 3-27, for one offense at least that takes this property loss."""
        purse = VEHICLES | STRUCTURES | codes("01 04 12 15 18 39")
        excluded = {"220": STRUCTURES, "240": STRUCTURES, "23A": purse, "23B": purse, "23C": purse - {"04"}}
        excluded |= dict.fromkeys(("23D", "23E", "23F", "23G"), VEHICLES | STRUCTURES) | {"23H": VEHICLES}
        for code in self.codes[:10]:
            if code not in self.known:
                return True
            if loss in self.completed_losses(code) and kind not in excluded.get(code, frozenset()):
                return True
        return False

    def drugs(self, line: Line, loss: str, drugs: list[str], ten: bool) -> None:
        measures = {"GM": 1, "KG": 1, "LB": 1, "OZ": 1, "FO": 2, "GL": 2, "LT": 2, "ML": 2, "DU": 3, "NP": 3, "XX": 4}
        kinds = [drug[0] for drug in drugs]
        seen: list[tuple[str, int]] = []
        for i, slot in enumerate(drugs):
            drug, quantity_text, measure = slot[0], slot[1:13], slot[13:15]
            quantity = quantity_of(quantity_text)
            valid = drug in "ABCDEFGHIJKLMNOPUX"
            if drug != " " and not valid:
                self.say(304, line, "20", drug)
            if measure.strip(" ") and measure not in measures:
                self.say(304, line, "22", measure)
            if quantity_text.strip(" ") and quantity is None:
                self.say(302, line, "21", quantity_text)
            category = measures.get(measure, 0 if not measure.strip(" ") else -1)
            if valid and ((drug, category) in seen or (drug == "U" and "U" in kinds[:i])):
                self.say(306, line, "20", drug)
            seen.append((drug, category))
            if (loss == "8" or (loss == "1" and not self.has("35A"))) and drug != " ":
                self.say(352, line, "20", drug)
            if loss in "18":
                for element, text in (("21", quantity_text), ("22", measure)):
                    if text.strip(" "):
                        self.say(352, line, element, text)
            no_quantity, no_measure = not quantity_text.strip(" "), not measure.strip(" ")
            if drug == "X":
                if sum(kind != " " for kind in kinds) < 3:
                    self.say(362, line, "20", drug)
                if not no_quantity:
                    self.say(363, line, "21", quantity_text)
                if not no_measure:
                    self.say(363, line, "22", measure)
            else:
                if loss == "6" and ten and self.has("35A") and valid:
                    if no_quantity:
                        self.say(364, line, "21")
                    if no_measure:
                        self.say(364, line, "22")
                if not no_quantity and (drug == " " or no_measure):
                    self.say(366, line, "21", quantity_text)
                if not no_measure and (drug == " " or no_quantity):
                    self.say(368, line, "22", measure)
            if drug != " " and not (self.has("35A") and (loss == "1" or (loss == "6" and ten))):
                self.say(365, line, "20", drug)
            if measure == "NP" and valid and drug not in "EGK":
                self.say(367, line, "22", measure)
            if measure == "XX" and quantity is not None and quantity != 1000:
                self.say(384, line, "21", quantity_text)

    # 3.3.5

    RELATIONSHIPS = codes("SE CS PA SB CH GP GC IL SP SC SS OF VO AQ FR NE BE BG CF XS EE ER OK RU ST")
    CIRCUMSTANCES = codes("01-10 20-21 30-34")

    def victims(self) -> None:
        sequences: list[str] = []
        shared: dict[str, list[str]] = {"VO": [], "SE": []}
        for line in self.of["4"]:
            self.victim(line, shared)
            if self.whole and number_of(line[38, 40], 1) is not None and line[38, 40] in sequences:
                self.say(451, line, "23", line[38, 40])
            sequences.append(line[38, 40])

    def victim(self, line: Line, shared: dict[str, list[str]]) -> None:
        kind, age_text, sex, race = line[71, 71], line[72, 75], line[76, 76], line[77, 77]
        ethnicity, resident, justifiable, sequence = line[78, 78], line[79, 79], line[84, 84], line[38, 40]
        connected, injuries = line.slots(41, 3, 10), line.slots(85, 1, 5)
        circumstances, relations = line.slots(80, 2, 2), line.slots(90, 4, 10)
        person, officer, valid_kind = kind in "IL", kind == "L", kind in "BFGILORSU"
        known = [code for code in connected if code in GROUP_A | GROUP_B | ({"90I"} if not self.new else set())]
        doubtful = len(known) < len(connected)
        form, years, _, _ = age_of(age_text)
        if not sequence.strip(" "):
            self.say(401, line, "23")
        elif not sequence.isdecimal() or not sequence.isascii():
            self.say(402, line, "23", sequence)
        elif sequence == "000":
            self.say(404, line, "23", sequence)
        if not connected:
            self.say(401, line, "24")
        if kind == " ":
            self.say(401, line, "25")
        elif not valid_kind:
            self.say(404, line, "25", kind)
        if not circumstances and any(code in codes("09A 09B 09C 13A") for code in connected):
            self.say(401, line, "31")
        injury_codes = codes("100 11A 11B 11C 11D 120 13A 13B 210 64A 64B")
        needs = [code for code in connected if code in injury_codes and not (code in ("120", "210") and officer)]
        if person and needs and not injuries:
            self.say(401, line, "33")
        against = [code for code in connected if code in PERSON | {"120"}]
        if person and against and not any(slot[:2].strip(" ") for slot in relations):
            self.say(401, line, "34")
        if form == "bad":
            self.say(404, line, "26", age_text)
        self.twin.age(line, "26", 400, age_text, newborn=None)
        for element, text, allowed in (
            ("27", sex, "FMU"),
            ("28", race, "WBIAPU"),
            ("29", ethnicity, "HNU"),
            ("30", resident, "NRU"),
            ("32", justifiable, "ABCDEFG"),
            ("25A", line[130, 131], codes("01-11")),
            ("25B", line[132, 132], "FGHIJKL"),
        ):
            if text.strip(" ") and text not in allowed:
                self.say(404, line, element, text)
        self.officer(line, kind, valid_kind)
        for i, code in enumerate(connected):
            if code not in GROUP_A:
                self.say(404, line, "24", code)
            if code in known and code in connected[:i]:
                self.say(406, line, "24", code)
            if self.whole and code in GROUP_A and code not in self.codes:
                self.say(466, line, "24", code)
        if kind == "I" or officer:
            for element, text in (("26", age_text), ("27", sex), ("28", race)):
                if not text.strip(" "):
                    self.say(454 if officer else 453, line, element)
        if valid_kind and not person:
            for element, text in (("26", age_text), ("27", sex), ("28", race), ("29", ethnicity), ("30", resident)):
                if text.strip(" "):
                    self.say(458, line, element, text)
        if self.new and officer and years is not None and not 17 <= years <= 98:
            self.say(452, line, "26", age_text)
        if any(code in PERSON for code in connected) and valid_kind and not person:
            self.say(464, line, "25", kind)
        if any(code in SOCIETY for code in connected) and valid_kind and kind != "S":
            self.say(465, line, "25", kind)
        if any(code in PROPERTY for code in connected) and kind == "S":
            self.say(467, line, "25", kind)
        if not self.new and "220" in connected and kind == "S":
            self.say(461, line, "25", kind)
        if any(code in ("11A", "36B") for code in connected) and sex == "U":
            self.say(469, line, "27", sex)
        if "36B" in connected and years is not None and years >= 18:
            self.say(481, line, "26", age_text)
        if officer and connected and not doubtful and not any(code in OFFICER for code in connected):
            self.say(482, line, "25", kind)
        if (
            officer
            and self.admin is not None
            and any(code in OFFICER for code in connected)
            and not self.admin[47, 48].strip(" ")
        ):
            self.say(490, line, "25", kind)
        if self.exclusive(known):
            self.say(478, line, "24")
        self.circumstances(line, circumstances, connected, known, doubtful, justifiable)
        for i, injury in enumerate(injuries):
            if injury not in "NBILMOTU":
                self.say(404, line, "33", injury)
            elif injury in injuries[:i]:
                self.say(406, line, "33", injury)
            if injury == "N" and injury not in injuries[:i] and any(other != "N" for other in injuries):
                self.say(407, line, "33", injury)
            if connected and not doubtful and not any(code in injury_codes for code in connected):
                self.say(419, line, "33", injury)
            if valid_kind and not person:
                self.say(458, line, "33", injury)
            alone = not any(code in PERSON - {"13B"} for code in connected)
            if injury in "BILOTU" and "13B" in connected and (alone or not self.new):
                self.say(479, line, "33", injury)
        self.relations(line, relations, shared, connected, against, doubtful)

    def officer(self, line: Line, kind: str, valid_kind: bool) -> None:
        activity, assignment, ori = line[130, 131], line[132, 132], line[133, 141]
        if kind == "L":
            if not activity.strip(" "):
                self.say(454, line, "25A")
            if assignment == " ":
                self.say(454, line, "25B")
        elif valid_kind:
            for element, text in (("25A", activity), ("25B", assignment), ("25C", ori)):
                if text.strip(" "):
                    self.say(483, line, element, text)
        formed = all(c in LETTERS + DIGITS for c in ori)
        if ori.strip(" ") and (not formed or not self.twin.listed(ori)):
            self.say(952 if self.new else 52, line, "25C", ori)

    @staticmethod
    def exclusive(connected: list[str]) -> bool:
        """478, by the list under data element 24."""
        not_with = {
            "09A": codes("09B 13A 13B 13C"),
            "09B": codes("09A 13A 13B 13C"),
            "11A": codes("36A 36B 13A 13B 13C 11D"),
            "11B": codes("36A 36B 13A 13B 13C 11D"),
            "11C": codes("36A 36B 13A 13B 13C 11D"),
            "11D": codes("36A 36B 13B 13C"),
            "120": codes("13A 13B 13C 240") | LARCENY,
            "13A": codes("13B 13C"),
            "13B": codes("13C"),
            "36A": codes("11A 11B 11C 11D"),
            "36B": codes("11A 11B 11C 11D"),
        }
        together = set(connected)
        if "09C" in together and len(together) > 1:
            return True
        return any(together & not_with.get(code, frozenset()) for code in together)

    def circumstances(
        self,
        line: Line,
        circumstances: list[str],
        connected: list[str],
        known: list[str],
        doubtful: bool,
        justifiable: str,
    ) -> None:
        lawful = any(code in ("20", "21") for code in circumstances)
        valid = [code for code in circumstances if code in self.CIRCUMSTANCES]
        if lawful and justifiable == " ":
            self.say(455, line, "32")
        if not lawful and justifiable != " ":
            self.say(457, line, "32", justifiable)
        if len(set(circumstances)) > 1 and any(code in codes("10 20-21 30-34") for code in valid):
            self.say(456, line, "31")
        homicide = codes("09A 09B 09C 13A")
        allowed = {"09A": codes("01-10"), "09B": codes("30-34"), "09C": codes("20-21"), "13A": codes("01-06 08-10")}
        for i, code in enumerate(circumstances):
            if code in valid and code in circumstances[:i]:
                self.say(406, line, "31", code)
            if number_of(code) is None:
                self.say(402, line, "31", code)
            elif code not in valid:
                self.say(404, line, "31", code)
            if connected and not doubtful and not any(c in homicide for c in connected):
                self.say(419, line, "31", code)
            if code not in valid:
                continue
            if "13A" in connected and code not in allowed["13A"]:
                self.say(462, line, "31", code)
            if "09C" in connected and code not in allowed["09C"]:
                self.say(463, line, "31", code)
            killed = "09A" in connected or "09B" in connected
            fits = any(code in allowed.get(c, frozenset()) for c in connected)
            if killed and not fits and "09C" not in connected and "13A" not in connected:
                self.say(477, line, "31", code)
            if self.whole and code == "08" and len(self.of["2"]) == 1 and len(self.of["4"]) == 1:
                self.say(480, line, "31", code)

    def relations(
        self,
        line: Line,
        relations: list[str],
        shared: dict[str, list[str]],
        connected: list[str],
        against: list[str],
        doubtful: bool,
    ) -> None:
        kind, age_text, sex = line[71, 71], line[72, 75], line[76, 76]
        years = age_of(age_text)[1]
        offenders = self.of["5"]
        numbers = [offender[38, 39] for offender in offenders if number_of(offender[38, 39]) is not None]
        seen: list[str] = []
        for slot in relations:
            number, relation = slot[:2], slot[2:]
            n = number_of(number)
            if number.strip(" ") and n is None:
                self.say(402, line, "34", number)
            if n is not None and number in seen:
                self.say(406, line, "34", number)
            seen.append(number)
            valid = relation in self.RELATIONSHIPS or relation == ("XR" if self.twin.rule_set == "nibrs/2019" else "HR")
            if relation.strip(" ") and not valid:
                self.say(404, line, "35", relation)
            if number.strip(" "):
                if kind in "BFGORSU":
                    self.say(458, line, "34", number)
                allowing = (
                    [code for code in connected if code in PROPERTY] if self.twin.rule_set == "nibrs/2019" else []
                )
                if connected and not doubtful and not against and not allowing:
                    self.say(459, line, "34", number)
            if n and not relation.strip(" "):
                self.say(460, line, "35")
            if n == 0 and relation.strip(" "):
                self.say(468, line, "35", relation)
            if self.whole and n is not None and offenders and number not in numbers:
                self.tell(70, line, "34", number)
            if self.whole and relation == "VO" and (len(self.of["4"]) < 2 or len(offenders) < 2):
                self.tell(470, line, "34", relation)
            for rule, word in ((474, "VO"), (476, "SE")):
                if self.whole and relation == word and n is not None:
                    if number in shared[word]:
                        self.say(rule, line, "35", relation)
                    shared[word].append(number)
            self.pair(line, number, n, relation, valid, years, sex)
        kinds = Counter(slot[2:] for slot in relations)
        if kinds["VO"] > 1:
            self.say(471, line, "34")
        if kinds["SE"] > 1:
            self.say(475, line, "34")
        if kinds["SE"]:
            if years is not None and 10 <= years < 18:
                self.say(449, line, "26", age_text)
            if years is not None and years < (13 if self.new else 10):
                self.say(450, line, "26", age_text)
        enough = 2 if not self.new else 3
        if (
            self.whole
            and against
            and sum(slot[:2].strip(" ") != "" for slot in relations) == 1
            and len(offenders) >= enough
            and (not self.new or kind in "IL")
        ):
            self.tell(85, line, "34")
        self.rape(line, relations, connected, sex)

    def rape(self, line: Line, relations: list[str], connected: list[str], sex: str) -> None:
        if not self.whole or "11A" not in connected or sex not in "FM":
            return
        if not self.new:
            if self.of["5"] and all(offender[44, 44] == sex for offender in self.of["5"]):
                self.tell(560, line, "38", sex)
            return
        related = [slot[:2] for slot in relations if (number_of(slot[:2]) or 0) > 0]
        if not related:
            return
        for number in related:
            offender = self.offender(number)
            if offender is None or offender[44, 44] != sex:
                return
        self.tell(560, line, "38", sex)

    def offender(self, number: str) -> Line | None:
        return next((offender for offender in self.of["5"] if offender[38, 39] == number), None)

    def pair(
        self, line: Line, number: str, n: int | None, relation: str, valid: bool, years: int | None, sex: str
    ) -> None:
        """Rules about a victim and one offender."""
        if n is None:
            return
        unknown = [
            offender
            for offender in self.of["5"]
            if offender[38, 39] == number
            and age_of(offender[40, 43])[0] == "unknown"
            and offender[44, 45] == "UU"
            and n > 0
        ]
        if unknown and valid and relation != "RU":
            self.say(472, line, "35", relation)
        offender = self.offender(number)
        if offender is None:
            return
        theirs, their_sex = age_of(offender[40, 43])[1], offender[44, 44]
        if relation == "SE" and theirs is not None:
            if 10 <= theirs < 18:
                self.say(549, offender, "37", offender[40, 43])
            if theirs < (13 if self.new else 10):
                self.say(550, offender, "37", offender[40, 43])
        if (
            years is not None
            and theirs is not None
            and ((relation in ("CH", "GC") and years >= theirs) or (relation in ("PA", "GP") and years <= theirs))
        ):
            self.say(554, offender, "37", offender[40, 43])
        if not self.new and sex in "FM":
            same = their_sex == sex
            if relation in ("BG", "XS", "SE", "CS") and same:
                self.say(553, offender, "38", their_sex)
            if relation == "HR" and their_sex in "FM" and not same:
                self.say(553, offender, "38", their_sex)

    # 3.3.6

    def offenders(self) -> None:
        seen: list[str] = []
        for line in self.of["5"]:
            sequence, age_text, sex, race, ethnicity = (
                line[38, 39],
                line[40, 43],
                line[44, 44],
                line[45, 45],
                line[46, 46],
            )
            n = number_of(sequence)
            if not sequence.strip(" "):
                self.say(501, line, "36")
            elif n is None:
                self.say(502, line, "36", sequence)
            values = (("37", age_text), ("38", sex), ("39", race))
            for element, text in values:
                if n is not None and n > 0 and not text.strip(" "):
                    self.say(501, line, element)
            for element, text in (*values, ("39A", ethnicity)):
                if n == 0 and text.strip(" "):
                    self.say(552, line, element, text)
            for element, text, allowed in (("38", sex, "FMU"), ("39", race, "WBIAPU"), ("39A", ethnicity, "HNU")):
                if text != " " and text not in allowed:
                    self.say(504, line, element, text)
            self.twin.age(line, "37", 500, age_text, newborn=556)
            if self.whole and n is not None and sequence in seen:
                self.say(551, line, "36", sequence)
            seen.append(sequence)
            if self.whole and n == 0 and len(self.of["5"]) > 1:
                self.say(555, line, "36", sequence)
            if n == 0 and self.cleared:
                self.say(557, line, "36", sequence)

    # 3.3.7

    def arrestees(self) -> None:
        seen: list[str] = []
        offenders = self.of["5"]
        counted = sum(number_of(offender[38, 39]) != 0 for offender in offenders)
        if self.admin is not None and self.cleared:
            cleared = day_of(self.admin[50, 57]) or 0
            days = [day_of(line[52, 59]) for line in self.of["6"] if line.action in self.twin.wholly]
            if any(day is not None and day <= cleared for day in days):
                self.tell(71, self.admin, "04", self.admin[49, 49])
        for i, line in enumerate(self.of["6"], 1):
            sequence, day = line[38, 39], day_of(line[52, 59])
            if not line[40, 51].strip(" "):
                self.say(601, line, "41")
            self.twin.identifier(line, 600, "41", line[40, 51])
            self.twin.arrestee(line, 600, sequence, 52, 60, 62, 65, 71, 61)
            if not self.new:
                self.clearance(line)
            if line[62, 64] == "09C":
                self.say(670, line, "45", "09C")
            if self.whole and number_of(sequence, 1) is not None and sequence in seen:
                self.say(661, line, "40", sequence)
            seen.append(sequence)
            if line.action not in self.twin.wholly:
                continue
            if day is not None and self.day is not None and day < self.day:
                self.say(665, line, "42", line[52, 59])
            if offenders and i > counted:
                self.tell(656, line, "L 6")
            if "09C" in self.codes:
                self.tell(669, line, "L 6")

    def clearance(self, line: Line) -> None:
        """604 and 623 of the time windows."""
        cleared = line.slots(81, 3, 10)
        if line[80, 80] not in "YN ":
            self.say(604, line, "", line[80, 80])
        for code in cleared:
            if code not in GROUP_A | GROUP_B | {"90I"}:
                self.say(604, line, "", code)
        if line.action in self.twin.wholly and (line[80, 80] != " " or cleared):
            self.say(623, line, "", line[80, 80])


def judge(lines: Iterable[bytes], *, rule_set: str, today: int, **sides: Any) -> list[Found]:
    """The findings of a submission, sorted. `sides`: see Twin."""
    return Twin(rule_set=rule_set, today=today, **sides).judge(lines)


def whole(lines: Iterable[bytes], *, rule_set: str, today: int, **sides: Any) -> tuple[list[Found], Outcome]:
    """The findings, and what follows from them."""
    twin = Twin(rule_set=rule_set, today=today, **sides)
    return twin.judge(lines), twin.outcome()
