"""`screen`, slow and obvious: one inquiry and one record at a time, by the text of the rules."""

import datetime
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import pyarrow as pa

from cji_core.format.records import tagged
from cji_core.operations.screen import Screen
from cji_core.operations.tables.screening import Rules
from cji_operations.screen import Index, build
from tests.support.contexts import TABLES

FILES = TABLES.dissemination.files
PRESETS, MODEL = TABLES.screening.presets, TABLES.screening.model
Row = Mapping[str, str | None]
KINDS = ("SOC", "FBI", "MNU", "SID", "OLN")
LINES = (files("cji_operations.kernels") / "data/nicknames.csv").read_text().splitlines()
WRITTEN = dict(
    line.split(",")
    for line in (files("cji_operations.kernels") / "data/letters.csv").read_text("utf-8").splitlines()[3:]
)
NICKNAMES = [set(line.replace(",", " ").split()) for line in LINES if not line.startswith("#")][1:]


def asked(rules: str | Rules, **options: Any) -> Screen:
    """The parameters of a search by a preset, or by rules of its own."""
    return Screen(rules=PRESETS[rules] if isinstance(rules, str) else rules, **options)


def batch(schema_id: str, rows: Sequence[Row], columns: Sequence[str]) -> pa.RecordBatch:
    schema = tagged(schema_id, [pa.field(name, pa.utf8()) for name in columns])
    return pa.RecordBatch.from_arrays(
        [pa.array([row.get(c) for row in rows], pa.utf8()) for c in columns], schema=schema
    )


def index(rows: Sequence[Row], columns: Sequence[str], *, cut: int = 1 << 20) -> Index:
    whole = batch("hotfile/1", rows, columns)
    return build([whole.slice(at, cut) for at in range(0, max(len(rows), 1), cut)], FILES, room=1 << 34)


@dataclass(frozen=True)
class Hit:
    row: int
    rows: int
    hit_class: str
    bits: float
    agreement: str


def letters(value: str | None) -> str:
    """Of any alphabet, as capitals."""
    text = unicodedata.normalize("NFKC", value or "").casefold().upper()
    return unicodedata.normalize("NFC", "".join(c for c in text if unicodedata.category(c)[0] in "LM"))


def plain(name: str) -> str:
    """Without accents, in the Latin alphabet where it is known how."""
    marked = (c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c)[0] != "M")
    return "".join(WRITTEN.get(c, c) for c in marked)


def suffix_of(word: str) -> str:
    """The suffix that a word is, II for 2ND."""
    word = word.removesuffix(".")
    known = {"2ND": "II", "3RD": "III", "4TH": "IV"} | {each: each for each in ("JR", "SR", "II", "III", "IV")}
    written = {case(word): suffix for word, suffix in known.items() for case in (str, str.lower, str.capitalize)}
    return written.get(word, "")


def surname_words(row: Row) -> tuple[list[str], str]:
    """The words of the surname, and a suffix at their end."""
    name = row.get("NAM") or ""
    whole = row.get("last") or (name.partition(",")[0] if "," in name else "")
    words = [word for word in whole.split(" ") if word]
    suffix = suffix_of(words[-1]) if 1 < len(words) <= 4 else ""
    return words[: -1 if suffix else None], suffix


def further(row: Row) -> list[str]:
    """The words behind the comma."""
    return [word for word in (row.get("NAM") or "").partition(",")[2].replace(",", " ").split(" ") if word]


def surname(row: Row) -> str:
    return letters("".join(surname_words(row)[0]))


def given(row: Row) -> str:
    return letters(row.get("first") or next(iter(further(row)), ""))


def middle(row: Row) -> str:
    own = [word for word in (row.get("middle") or "").split(" ") if word]
    words = further(row)[1:2]
    return letters(own[0] if own else words[0] if words and not suffix_of(words[0]) else "")


def suffix(row: Row) -> str:
    """The first there is: its own column, the end of `last`, the end of the surname in NAM, the words behind."""
    name = {**row, "last": None}
    words = [suffix_of(word) for word in further(row)[1:4]]
    own = surname_words({**row, "NAM": None})[1] if row.get("last") else ""
    return next(filter(None, (suffix_of(row.get("suffix") or ""), own, surname_words(name)[1], *words)), "")


def soundex(name: str) -> str:
    whole, name = plain(name), "".join(c for c in plain(name) if c.isascii())
    if not name:
        return whole
    code = {c: d for d, group in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1) for c in group}
    out, last = name[0], code.get(name[0])
    for c in name[1:]:
        if c in "HW":
            continue
        if code.get(c) and code.get(c) != last:
            out += str(code[c])
        last = code.get(c)
    return (out + "000")[:4]


def identifier(kind: str, row: Row) -> str:
    value = row.get(kind)
    if kind == "OLN" and value is not None:
        value = None if row.get("OLS") is None else f"{row['OLS']}{value}"
    text = "".join(c for c in (value or "").upper() if c.isascii() and c.isalnum())
    if len(value or "") >= 32:
        return ""
    if kind != "SOC":
        return text if re.search("[1-9]", text) else ""
    never = re.match(r"000|666|9", text) or text[3:5] == "00" or text[5:] == "0000"
    return text if re.fullmatch("[0-9X]{9}", text) and not never else ""


def date(row: Row) -> str:
    """Eight digits or X; all X for none."""
    text = (row.get("DOB") or "").replace("-", "")
    if re.fullmatch("[0-9]{8}", text):
        try:
            datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return "X" * 8
        return text
    return text if re.fullmatch("[0-9X]{8}", text) else "X" * 8


def is_common(year: int) -> bool:
    return year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)


def near(a: str, b: str, years: int) -> bool:
    """The same day of the year, at most so many years apart; whole dates or not."""
    if "X" in a + b:
        low_a, high_a, low_b, high_b = (int(d[:4].replace("X", r)) for d in (a, b) for r in "09")
        return alike(a[4:], b[4:]) and low_a - high_b <= years and low_b - high_a <= years
    if abs(int(a[:4]) - int(b[:4])) > years:
        return False
    leap = any(
        one[4:] == "0229" and other[4:] in ("0228", "0301") and is_common(int(other[:4]))
        for one, other in ((a, b), (b, a))
    )
    return a[4:] == b[4:] or leap


def alike(a: str, b: str) -> bool:
    return all("X" in (x, y) or x == y for x, y in zip(a, b, strict=True))


def exchanged(a: str, b: str) -> bool:
    return "X" not in a + b and b == a[:4] + a[6:] + a[4:6]


def dated(a: str) -> bool:
    return "X" not in a[:4] or "X" not in a[4:]


def listed(inquiry: Row, rules: Rules) -> list[str]:
    return [
        k for k in rules.identifiers if identifier(k, inquiry) and (k != "SOC" or "X" not in identifier(k, inquiry))
    ]


def code_of(table: Mapping[str, str], value: str | None) -> str:
    return value.upper() if value and value.upper() in table else "U"


def sounds(inquiry: Row, rules: Rules) -> set[str]:
    return {soundex(surname(inquiry)), *([soundex(given(inquiry))] if rules.names_exchanged else [])} - {""}


def searched(inquiry: Row, rules: Rules) -> bool:
    return bool(listed(inquiry, rules)) or (bool(sounds(inquiry, rules)) and dated(date(inquiry)))


def judge(inquiry: Row, record: Row, rules: Rules) -> tuple[str, float, str] | None:
    """(class, bits, agreement) of a hit."""
    kinds = listed(inquiry, rules)
    by_identifier = any(identifier(k, inquiry) == identifier(k, record) for k in kinds)
    if not by_identifier:
        if kinds and rules.identifiers_alone:
            return None
        a, b = date(inquiry), date(record)
        same_day = near(a, b, rules.years) or (rules.month_day_exchanged and exchanged(a, b))
        if not (dated(a) and dated(b) and same_day and soundex(surname(record)) in sounds(inquiry, rules)):
            return None
        if code_of(rules.sex, record.get("SEX")) not in rules.sex[code_of(rules.sex, inquiry.get("SEX"))]:
            return None
        if code_of(rules.race, record.get("RAC")) not in rules.race[code_of(rules.race, inquiry.get("RAC"))]:
            return None
    bits, words = max(
        (weigh(inquiry, record, rules, order) for order in (0, 1)[: 1 + rules.names_exchanged]), key=lambda w: w[0]
    )
    if by_identifier:
        return "identifier", bits, words
    if "DOB partial" in words:
        return "name_only", bits, words
    return ("strong" if "DOB equal" in words and bits >= MODEL.strong else "possible"), bits, words


def weigh(inquiry: Row, record: Row, rules: Rules, order: int) -> tuple[float, str]:
    names = (surname(inquiry), given(inquiry))[:: -1 if order else 1]
    levels = {
        "last": last_level(names[0], surname(record)),
        "first": first_level(names[1], given(record)),
        "middle": middle_level(middle(inquiry), middle(record)),
        "suffix": code_level(suffix(inquiry) or "U", suffix(record) or "U"),
        "names": ("as_written", "exchanged")[order] if rules.names_exchanged else "",
        "DOB": date_level(date(inquiry), date(record), rules.years),
        "SEX": code_level(code_of(rules.sex, inquiry.get("SEX")), code_of(rules.sex, record.get("SEX"))),
        "RAC": code_level(code_of(rules.race, inquiry.get("RAC")), code_of(rules.race, record.get("RAC"))),
        **{kind: identifier_level(kind, identifier(kind, inquiry), identifier(kind, record)) for kind in KINDS},
    }
    seen = {field: level for field, level in levels.items() if level}
    chances = [MODEL.levels[field][level] for field, level in seen.items()]
    return sum(math.log2(c.m / c.u) for c in chances), ", ".join(f"{field} {level}" for field, level in seen.items())


def last_level(a: str, b: str) -> str:
    if not a or not b:
        return ""
    if plain(a) == plain(b):
        return "exact" if a == b else "unaccented"
    close = winkler(plain(a), plain(b)) >= 0.92
    return "close" if close else "phonetic" if soundex(a) == soundex(b) else "differs"


def first_level(a: str, b: str) -> str:
    if not a or not b:
        return ""
    if plain(a) == plain(b):
        return "exact" if a == b else "unaccented"
    a, b = plain(a), plain(b)
    if any(a in group and b in group for group in NICKNAMES):
        return "nickname"
    if winkler(a, b) >= 0.92:
        return "close"
    return "initial" if 1 in (len(a), len(b)) and a[0] == b[0] else "differs"


def middle_level(a: str, b: str) -> str:
    if not a or not b:
        return ""
    if plain(a) == plain(b):
        return "exact" if a == b else "unaccented"
    a, b = plain(a), plain(b)
    return "initial" if 1 in (len(a), len(b)) and a[0] == b[0] else "differs"


def date_level(a: str, b: str, years: int) -> str:
    if "X" * 8 in (a, b):
        return ""
    if "X" in a + b:
        return "partial" if near(a, b, years) else "differs"
    if a == b:
        return "equal"
    return "years" if near(a, b, years) else "exchanged" if exchanged(a, b) else "differs"


def code_level(a: str, b: str) -> str:
    return "" if "U" in (a, b) else "same" if a == b else "differs"


def identifier_level(kind: str, a: str, b: str) -> str:
    if not a or not b:
        return ""
    if kind != "SOC":
        return "same" if a == b else "differs"
    known = [i for i in range(9) if "X" not in (a[i], b[i])]
    wrong = [i for i in known if a[i] != b[i]]
    if not wrong:
        return "same" if len(known) == 9 else "partial" if len(known) >= 4 else ""
    swapped = len(wrong) == 2 and wrong[1] == wrong[0] + 1 and a[wrong[0]] + a[wrong[1]] == b[wrong[1]] + b[wrong[0]]
    return "one_edit" if len(known) == 9 and (len(wrong) == 1 or swapped) else "differs"


def winkler(a: str, b: str) -> float:
    x, y = a.encode(), b.encode()
    window = max(max(len(x), len(y)) // 2 - 1, 0)
    free, ours = list(range(len(y))), []
    for i, c in enumerate(x):
        for j in free:
            if abs(i - j) <= window and y[j] == c:
                free.remove(j)
                ours.append(c)
                break
    if not ours:
        return 0.0
    theirs = [y[j] for j in range(len(y)) if j not in free]
    t = sum(p != q for p, q in zip(ours, theirs, strict=True)) // 2
    m = len(ours)
    jaro = (m / len(x) + m / len(y) + (m - t) / m) / 3
    prefix = 0
    for p, q in zip(x[:4], y[:4], strict=False):
        if p != q:
            break
        prefix += 1
    return jaro + prefix * 0.1 * (1 - jaro) if jaro > 0.7 else jaro


def screen(
    inquiry: Row, records: Sequence[Row], rules: Rules, *, include_restricted: bool, min_score: float | None
) -> list[Hit]:
    """All hits of one inquiry, the best first: one of each NIC, the best of its rows, and how many of them hit."""
    order = ["identifier", "strong", "possible", "name_only"]
    hits = list[Hit]()
    for row, record in enumerate(records):
        judged = judge(inquiry, record, rules)
        if judged is None or (record.get("file_code") not in FILES.unrestricted and not include_restricted):
            continue
        if min_score is not None and judged[0] != "identifier" and judged[1] < min_score:
            continue
        hits.append(Hit(row, 1, *judged))
    hits.sort(key=lambda hit: (order.index(hit.hit_class), -hit.bits, hit.row))
    of_record: dict[str | int, list[Hit]] = {}
    for hit in hits:
        of_record.setdefault(records[hit.row].get("NIC") or hit.row, []).append(hit)
    return [replace(each[0], rows=len(each)) for each in of_record.values()]
