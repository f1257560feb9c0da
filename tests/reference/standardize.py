"""The slow twin of `standardize`: one value at a time, word by word."""

import calendar
import datetime
import re
from collections.abc import Callable
from pathlib import Path

import cji_operations.standardize
from cji_operations.kernels import letters

DATA = Path(cji_operations.standardize.__file__).parent / "data"
TITLES = ("MR", "MRS", "MS", "MISS", "DR", "REV", "OFC", "OFFICER", "SGT", "DET", "DEPUTY")
SUFFIXES = ("JR", "SR", "II", "III", "IV")
NUMBERED = {"2ND": "II", "3RD": "III", "4TH": "IV"}
SEVERAL = '0123456789();:/"'
MONTHS = [name.upper() for name in calendar.month_name[1:]]


def fold(value: str) -> str:
    import pyarrow as pa

    found = letters.folded(pa.array([value.encode()], pa.binary()))[0].as_py()
    assert isinstance(found, bytes)
    return found.decode()


def table(name: str) -> dict[str, dict[str, str]]:
    found, section = dict[str, dict[str, str]](), ""
    for line in (DATA / name).read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line == "#" or not line.startswith("#"):
            words = line.replace("_", "\0").split()
            found.setdefault(section, {}).update({word.replace("\0", " "): words[0] for word in words})
    return found


ADDRESSES, STATES = table("addresses.txt"), table("states.txt")[""]


def slow_name(value: str) -> dict[str, str] | None:
    """The whole name and its parts, those that it has: between commas, word by word."""
    text = fold(value).replace(".", " ")
    between = [
        [NUMBERED.get(each, each) for word in words.split() for each in _without_titles(word)]
        for words in text.split(",")
    ]
    if any(letter in SEVERAL for words in between for word in words for letter in word):
        return None
    first, *others = between
    ways = [(first[:-1], first[-1:], others)] if first[-1:] and first[-1] in SUFFIXES else []
    ways += [(first, others[0], others[1:])] if others and _is_suffix(others[0]) else []
    ways.append((first, [], others))
    for last, early, rest in ways:
        given = _given(rest) if last else None
        if given is not None:
            return _named(" ".join(last), "".join(early), *given)
    return None


def _is_suffix(words: list[str]) -> bool:
    return len(words) == 1 and words[0] in SUFFIXES


def _given(between: list[list[str]]) -> tuple[list[str], str] | None:
    """(given names, suffix) behind the comma of the surname."""
    if len(between) == 1:
        names = between[0]
        if len(names) > 1 and names[-1] in SUFFIXES:
            return names[:-1], names[-1]
        return (names, "") if names else None
    if len(between) == 2 and between[0] and _is_suffix(between[1]):
        return between[0], between[1][0]
    return None


def _named(last: str, early: str, given: list[str], late: str) -> dict[str, str] | None:
    if given[0] in SUFFIXES:
        return None
    middle = given[1:] + ([early] if early and late and early != late else [])
    suffix = late or early
    whole = f"{last}, {' '.join([given[0], *middle, *([suffix] if suffix else [])])}"
    parts = {"last": last, "first": given[0], "middle": " ".join(middle), "suffix": suffix}
    return {"whole": whole} | {name: part for name, part in parts.items() if part}


def _without_titles(word: str) -> list[str]:
    """The word without titles, which end at letters and digits of ASCII: DR-JONES has one."""
    pieces = re.split("([A-Z0-9_]+)", word)
    return "".join(" " if each in TITLES else each for each in pieces).split()


def slow_address(value: str) -> str | None:
    """An address of Publication 28."""
    words = re.sub(r"[.,;]", " ", fold(value)).replace("#", " # ").split()
    text = " ".join(words)
    box = re.fullmatch(r"(?:(?:P ?O ?|POST OFFICE )BOX ?|POB )#? ?([0-9A-Z-]+)", text)
    if box:
        text = f"PO BOX {box[1]}"
        words = text.split()
    unit = list[str]()
    tail = words[-1] if words else ""
    number = re.fullmatch(r"[0-9A-Z-]*[0-9][0-9A-Z-]*|[A-Z]", tail)
    if number and len(words) > 3 and words[-2] == "#" and words[-3] in ADDRESSES["unit"]:
        unit, words = [ADDRESSES["unit"][words[-3]], tail], words[:-3]
    elif number and len(words) > 2 and words[-2] in ADDRESSES["unit"]:
        unit, words = [ADDRESSES["unit"][words[-2]], tail], words[:-2]
    elif len(words) > 1 and (glued := _glued(tail)):
        unit, words = glued, words[:-1]
    post = list[str]()
    if len(words) > 2 and words[-1] in ADDRESSES["direction"] and re.fullmatch("[A-Z]+", words[-2]):
        post, words = [words[-1]], words[:-1]
    way = ADDRESSES["suffix"].get(words[-1]) if len(words) > 1 else None
    head = words[:-1]
    suffixed = way is not None and (len(head) > 1 or bool(re.search(r"[A-Z\x80-\U0010ffff]", " ".join(head))))
    start = head if suffixed else words
    if len(start) > 2 and re.fullmatch(r"[0-9][0-9A-Z/-]*", start[0]) and start[1] in ADDRESSES["direction"]:
        start = [start[0], ADDRESSES["direction"][start[1]], *start[2:]]
    ends = [ADDRESSES["direction"][each] for each in post]
    if not suffixed and not re.match(r"[0-9][0-9A-Z/-]* .*[A-Z]|PO BOX [0-9A-Z]|(?:RR|HC) [0-9]", text):
        return None
    return " ".join([*start, *([way] if suffixed and way else []), *ends, *unit])


def _glued(word: str) -> list[str]:
    """[unit, number] of a word such as APT12."""
    for name in sorted(ADDRESSES["unit"], key=len, reverse=True):
        number = word.removeprefix(name)
        if number != word and re.fullmatch(r"[0-9][0-9A-Z-]*", number):
            return [ADDRESSES["unit"][name], number]
    return []


def slow_state(value: str) -> str | None:
    words = re.sub(r"[.,]", " ", fold(value)).split()
    letters_ = len(words) == 2 and all(re.fullmatch("[A-Z]", word) for word in words)
    return STATES.get(("" if letters_ else " ").join(words))


def slow_zip(value: str) -> str | None:
    text = value.strip(" \t\n\r\v\f")
    digits = text[:5] + text[5:].removeprefix("-").removeprefix(" " if text[5:6] == " " else "")
    if len(digits) not in (5, 9) or not all(each in "0123456789" for each in digits):
        return None
    return None if text in (f"{digits}-", f"{digits} ") else "-".join(filter(None, (digits[:5], digits[5:])))


def slow_date(value: str) -> str | None:
    """YYYYMMDD with X for unknown digits."""
    text = fold(value)
    for separator in " T":
        day, found, time = text.rpartition(separator)
        if found and day and day[-1] in "0123456789X" and _is_midnight(time):
            text = day
            break
        day, found, time = text[:-3].rpartition(separator)
        if text.endswith(" AM") and found and day and day[-1] in "0123456789X" and time in ("12:00", "12:00:00"):
            text = day
            break
    words = _with_month(text) or re.split("[/-]", text)
    if len(words) == 1:
        made = text
    elif len(words) == 3 and len(words[0]) == 4:
        made = _joined(words[0], words[1], words[2])
    elif len(words) == 3:
        made = _joined(words[2], words[0], words[1])
    else:
        return None
    return made if made == "XX" or _is_date(made) else None


def _is_midnight(time: str) -> bool:
    parts = time.split(":")
    if len(parts) == 3:
        seconds, dot, fraction = parts[2].partition(".")
        if seconds != "00" or (dot and (not fraction or set(fraction) != {"0"} or len(fraction) > 9)):
            return False
    return len(parts) in (2, 3) and parts[0] in ("0", "00") and parts[1] == "00"


def _with_month(text: str) -> list[str] | None:
    """[month, day, year] of a date with the name of a month."""
    match = re.fullmatch(r"([A-Z]+)\.? (\d{1,2}),? (\d{4})", text, re.ASCII)
    name, day, year = match.groups() if match else ("", "", "")
    if match is None:
        other = re.fullmatch(r"(\d{1,2})[ -]?([A-Z]+)\.?,?[ -]?(\d{4})", text, re.ASCII)
        if other is None:
            return None
        day, name, year = other.groups()
    found = [i for i, month in enumerate(MONTHS, 1) if name in (month, month[:3]) or name == "SEPT" == month[:4]]
    return [str(found[0]), day, year] if found else None


def _joined(year: str, month: str, day: str) -> str:
    """Eight signs; one digit of a month or day is whole only where no digit of the year is unknown."""
    if len(year) != len("YYYY") or not {len(month), len(day)} <= {1, 2}:
        return ""
    if "X" in year and min(len(month), len(day)) == 1:
        return ""
    if "X" in (month + day) and any(part == "X" for part in (month, day)):
        return ""
    return year + month.zfill(2) + day.zfill(2)


def _is_date(text: str) -> bool:
    """One of the days that the digits leave is a day; XX alone is an unknown date."""
    if not re.fullmatch("[0-9X]{8}", text):
        return False
    pattern = text.replace("X", ".")
    years = [pattern[:4]] if "." not in pattern[:4] else ["2000"]
    for year in years:
        for month in range(1, 13):
            if not re.match(pattern[4:6], f"{month:02d}"):
                continue
            for day in range(1, 32):
                if re.match(pattern[6:], f"{day:02d}"):
                    try:
                        datetime.date(int(year), month, day)
                    except ValueError:
                        continue
                    return True
    return False


SLOW: dict[str, Callable[[str], str | None]] = {
    "address": slow_address,
    "state": slow_state,
    "zip": slow_zip,
    "date": slow_date,
}
