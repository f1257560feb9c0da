"""The slow twin of `standardize`: one value at a time, word by word."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path

import cji_operations.standardize
from cji_operations.kernels import letters
from cji_operations.standardize.forms import NAME

DATA = Path(cji_operations.standardize.__file__).parent / "data"
TITLES = ("MR", "MRS", "MS", "MISS", "DR", "REV", "OFC", "OFFICER", "SGT", "DET", "DEPUTY")
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


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
    """The whole name and its parts, those that it has."""
    words = re.findall(r"[^ ,]+|,", fold(value).replace(".", " "))
    words = [each for word in words for each in _without_titles(word)]
    match = re.fullmatch(NAME, " ".join(words).replace(" ,", ","))
    if match is None:
        return None
    late, early = match["suffix"] or "", match["early"] or ""
    middle = [match["middle"]] if match["middle"] else []
    if late and early and late != early:
        middle.append(early)
    parts = {"last": match["last"], "first": match["first"], "middle": " ".join(middle), "suffix": late or early}
    whole = f"{parts['last']}, {' '.join(filter(None, [parts['first'], parts['middle'], parts['suffix']]))}"
    return {"whole": whole} | {name: part for name, part in parts.items() if part}


def _without_titles(word: str) -> list[str]:
    """The word without titles, which end at letters and digits of ASCII: DR-JONES has one."""
    pieces = re.split("([A-Z0-9_]+)", word)
    return "".join(" " if each in TITLES else each for each in pieces).split()


def slow_address(value: str) -> str | None:
    """An address of Publication 28."""
    words = re.sub(r"[.,;]", " ", fold(value)).replace("#", " # ").split()
    text = " ".join(words)
    box = re.fullmatch(r"(?:P ?O ?|POST OFFICE )BOX ?#? ?([0-9A-Z-]+)", text)
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


def slow_state(value: str) -> str | None:
    return STATES.get(" ".join(re.sub(r"[.,]", " ", fold(value)).split()))


def slow_zip(value: str) -> str | None:
    match = re.fullmatch(r"([0-9]{5})(?:[- ]?([0-9]{4}))?", value.strip(" \t\n\r\v\f"))
    return None if match is None else f"{match[1]}-{match[2]}" if match[2] else match[1]


def slow_date(value: str) -> str | None:
    """YYYYMMDD with X for unknown digits."""
    text = fold(value)
    for i, month in enumerate(MONTHS, 1):
        text = re.sub(rf"^{month}[A-Z]*\.? ([0-9]{{1,2}}),? ([0-9]{{4}})$", rf"{i}/\1/\2", text)
        text = re.sub(rf"^([0-9]{{1,2}})[ -]?{month}[A-Z]*\.?,?[ -]?([0-9]{{4}})$", rf"{i}/\1/\2", text)
    american = re.fullmatch(r"([0-9]|[0-9X]{2})[/-]([0-9]|[0-9X]{2})[/-]([0-9X]{4})", text)
    european = re.fullmatch(r"([0-9X]{4})[/-]([0-9X]{2})[/-]([0-9X]{2})", text)
    if american:
        if "X" in american[3] and min(len(american[1]), len(american[2])) == 1:
            return None
        text = american[3] + american[1].zfill(2) + american[2].zfill(2)
    elif european:
        text = "".join(european.groups())
    return text if text == "XX" or _is_date(text) else None


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
