"""The forms: each takes distinct values as `binary` and gives their standard form, null where it cannot read one.

Values come folded where case does not matter: capitals, one form of Unicode, accents kept. RE2 patterns over the whole
column and tables do the rest, so no value becomes a Python object.
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow, dates
from cji_core.format.records.column import read
from cji_operations.kernels import letters

_EMPTY: Final = pa.scalar(b"", pa.binary())
_BLANK: Final = pa.scalar(b" ", pa.binary())


class Lookup:
    """Standard forms by value."""

    def __init__(self, pairs: Mapping[bytes, bytes]) -> None:
        self._keys = _texts(pairs)
        self._values = _texts(pairs.values())

    def of(self, values: pa.Array) -> pa.Array:
        """binary[n]: the standard form of each value, null where there is none."""
        return self._values.take(pc.index_in(values, value_set=self._keys))


def _texts(values: Iterable[bytes]) -> pa.Array:
    found = list(values)
    return arrow.from_bytes(np.frombuffer(b"".join(found), np.uint8), np.array(list(map(len, found))), pa.binary())


def _sections(name: str) -> dict[str, list[list[str]]]:
    """The lines of a data file by section, each as its words; `` before the first one."""
    found, section = dict[str, list[list[str]]](), ""
    for line in (files(__package__) / "data" / name).read_text("ascii").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.partition(" ")[0] != "#" or line == "#":
            found.setdefault(section, []).append(line.split())
    return found


def _lookup(rows: Iterable[list[str]]) -> Lookup:
    return Lookup({word.replace("_", " ").encode(): row[0].encode() for row in rows for word in row})


def _words(rows: Iterable[list[str]]) -> str:
    return "|".join(sorted((word for row in rows for word in row), key=len, reverse=True))


def _replaced(values: pa.Array, *pairs: tuple[str, str]) -> pa.Array:
    for pattern, instead in pairs:
        values = pc.replace_substring_regex(values, pattern, instead)
    return values


def _squeezed(values: pa.Array) -> pa.Array:
    return _replaced(values, (r"\s+", " "), (r"^ | $", ""))


def _joined(*parts: pa.Array) -> pa.Array:
    """The parts with a blank between them, without those that are null or empty; never null."""
    filled = [pc.fill_null(part, _EMPTY) for part in parts]
    return _squeezed(pc.binary_join_element_wise(*filled, _BLANK))


# ------------------------------------------------------------------ names

_TITLE: Final = r"\b(?:MR|MRS|MS|MISS|DR|REV|OFC|OFFICER|SGT|DET|DEPUTY)\b"
_SUFFIX: Final = r"(?:JR|SR|II|III|IV)"
_NUMBERED: Final = ((r"\b2ND\b", "II"), (r"\b3RD\b", "III"), (r"\b4TH\b", "IV"))
_SEVERAL: Final = r"[0-9();:/\"]"
"""Digits, and the signs of two names in a cell or an alias: no name has them."""
_NAME: Final = (
    rf"^(?P<last>[^ ,][^,]*?)(?:,? (?P<early>{_SUFFIX}))?, (?P<first>[^ ,]+)"
    rf"(?: (?P<middle>[^ ,][^,]*?))??(?:,? (?P<suffix>{_SUFFIX}))?$"
)


def name_parts(values: pa.Array) -> tuple[pa.Array, ...]:
    """(whole, last, first, middle, suffix), binary[k] each: of names that are LAST, FIRST MIDDLE SUFFIX, else null.

    Titles and periods are left out, a suffix may stand behind the surname, and 2ND, 3RD, 4TH are II, III, IV. A given
    name that is a suffix, and a value with digits or the signs of several names, are none.
    """
    words = _replaced(letters.folded(values), (r"\.", " "), (_TITLE, " "), *_NUMBERED, (",", ", "))
    found = pc.extract_regex(_replaced(_squeezed(words), (r" ?, ?", ", ")), _NAME)
    last, early, first, middle, late = (found.field(i) for i in range(5))
    has_late = pc.greater(pc.binary_length(late), 0)
    suffix = pc.if_else(has_late, late, early)
    # another suffix behind the surname belongs to the middle name: nothing of a name is lost
    other = pc.and_(pc.and_(has_late, pc.greater(pc.binary_length(early), 0)), pc.not_equal(early, late))
    middle = pc.if_else(other, _joined(middle, early), middle)
    comma = pc.binary_join_element_wise(last, pa.scalar(b"", pa.binary()), pa.scalar(b",", pa.binary()))
    whole = _joined(comma, first, middle, suffix)
    parts = (whole, last, first, middle, suffix)
    not_one = pc.or_(pc.match_substring_regex(words, _SEVERAL), pc.match_substring_regex(first, rf"^{_SUFFIX}$"))
    known = pc.and_not(found.is_valid(), not_one.fill_null(False))
    return tuple(pc.if_else(known, _filled(part), pa.scalar(None, pa.binary())) for part in parts)


def _filled(part: pa.Array) -> pa.Array:
    return pc.if_else(pc.greater(pc.binary_length(part), 0), part, pa.scalar(None, pa.binary()))


# ------------------------------------------------------------------ addresses

_ADDRESSES: Final = _sections("addresses.txt")
_SUFFIXES, _DIRECTIONS, _UNITS = (_lookup(_ADDRESSES[each]) for each in ("suffix", "direction", "unit"))
_ADDRESS: Final = (
    r"^(?P<head>.*?)"
    rf"(?: (?P<way>[A-Z]+)(?: (?P<post>{_words(_ADDRESSES['direction'])}))?)??"
    rf"(?: (?P<unit>{_words(_ADDRESSES['unit'])})(?: (?:# )?(?P<number>[0-9A-Z-]*[0-9][0-9A-Z-]*|[A-Z])"
    r"|(?P<joined>[0-9][0-9A-Z-]*)))?$"
)
_HEAD: Final = rf"^(?P<house>[0-9][0-9A-Z/-]*) (?P<pre>{_words(_ADDRESSES['direction'])}) (?P<street>.+)$"
_BOX: Final = r"^(?:(?:P ?O ?|POST OFFICE )BOX ?|POB )#? ?([0-9A-Z-]+)$"


def address(values: pa.Array) -> pa.Array:
    """binary[k]: addresses in the form of USPS Publication 28: 12 N MAIN ST APT 4, PO BOX 9.

    The last word before a direction and a unit becomes the standard suffix, if it is one and a name of a street is
    before it; so AVENUE B and 1 COURT stay. A direction is short before and behind the street's name.
    """
    value = _squeezed(_replaced(letters.folded(values), (r"[.,;]", " "), (r"#", " # ")))
    value = _replaced(value, (_BOX, r"PO BOX \1"))
    found = pc.extract_regex(value, _ADDRESS)
    head, way, post, unit, number, joined = (found.field(i) for i in range(6))
    named = pc.match_substring_regex(head, r"[A-Z\x80-\xff]| ")
    short = _SUFFIXES.of(way)
    suffixed = pc.and_(named, short.is_valid())
    way = pc.if_else(suffixed, short, way)
    parts = pc.extract_regex(pc.if_else(suffixed, head, _joined(head, way)), _HEAD)
    house, pre, street = (parts.field(i) for i in range(3))
    directed = _joined(house, _DIRECTIONS.of(pre), street)
    start = pc.if_else(parts.is_valid(), directed, pc.if_else(suffixed, head, _joined(head, way)))
    tail = pc.if_else(suffixed, way, _EMPTY)
    whole = _joined(start, tail, _DIRECTIONS.of(post), _UNITS.of(unit), number, joined)
    is_one = pc.or_(
        suffixed, pc.match_substring_regex(value, r"^[0-9][0-9A-Z/-]* .*[A-Z]|^PO BOX [0-9A-Z]|^(?:RR|HC) [0-9]")
    )
    return pc.if_else(is_one.fill_null(False), whole, pa.scalar(None, pa.binary()))


_STATES: Final = _lookup(_sections("states.txt")[""])


def state(values: pa.Array) -> pa.Array:
    """binary[k]: codes of states, of their codes and names."""
    words = _squeezed(_replaced(letters.folded(values), (r"[.,]", " ")))
    return _STATES.of(_replaced(words, (r"^([A-Z]) ([A-Z])$", r"\1\2")))


def zip_code(values: pa.Array) -> pa.Array:
    """binary[k]: 12345 or 12345-6789, of five or nine digits."""
    value = pc.ascii_trim_whitespace(values.view(pa.utf8())).view(pa.binary())
    value = _replaced(value, (r"^([0-9]{5})[- ]?([0-9]{4})$", r"\1-\2"))
    return pc.if_else(pc.match_substring_regex(value, r"^[0-9]{5}(?:-[0-9]{4})?$"), value, pa.scalar(None, pa.binary()))


# ------------------------------------------------------------------ dates

_MONTHS: Final = (
    "JAN(?:UARY)?", "FEB(?:RUARY)?", "MAR(?:CH)?", "APR(?:IL)?", "MAY", "JUNE?", "JULY?", "AUG(?:UST)?",
    "SEP(?:T|TEMBER)?", "OCT(?:OBER)?", "NOV(?:EMBER)?", "DEC(?:EMBER)?",
)  # fmt: skip
_MIDNIGHT: Final = (r"^(.*[0-9X])[ T](?:0?0:00(?::00(?:\.0{1,9})?)?|12:00(?::00)? AM)$", r"\1")
_DATE_FORMS: Final = (
    _MIDNIGHT,
    *((rf"^{month}\.? ([0-9]{{1,2}}),? ([0-9]{{4}})$", rf"{i}/\1/\2") for i, month in enumerate(_MONTHS, 1)),
    *((rf"^([0-9]{{1,2}})[ -]?{month}\.?,?[ -]?([0-9]{{4}})$", rf"{i}/\1/\2") for i, month in enumerate(_MONTHS, 1)),
    (r"^([0-9]{4})[/-]([0-9])[/-]([0-9X]{1,2})$", r"\1-0\2-\3"),
    (r"^([0-9]{4})[/-]([0-9X]{2})[/-]([0-9])$", r"\1-\2-0\3"),
    (r"^([0-9])[/-]([0-9X]{1,2}[/-][0-9]{4})$", r"0\1/\2"),
    (r"^([0-9X]{2})[/-]([0-9])[/-]([0-9]{4})$", r"\1/0\2/\3"),
    (r"^([0-9X]{2})[/-]([0-9X]{2})[/-]([0-9X]{4})$", r"\3\1\2"),
    (r"^([0-9X]{4})[/-]([0-9X]{2})[/-]([0-9X]{2})$", r"\1\2\3"),
)


def date(values: pa.Array) -> pa.Array:
    """binary[k]: YYYYMMDD, X for an unknown digit, of 1982-02-14, 02/14/1982 (month first) and 14 FEB 1982.

    A time of midnight behind it, as spreadsheets write it, says nothing; another time does.
    """
    value = _replaced(letters.folded(values), *_DATE_FORMS)
    return pc.if_else(arrow.from_numpy(dates.parse(read(value)).fits), value, pa.scalar(None, pa.binary()))


# ------------------------------------------------------------------ offenses


def _offenses() -> dict[bytes, bytes]:
    known = (files("cji_core.format.records.nibrs") / "data/codes.csv").read_text("utf-8").splitlines()
    codes = [line.split(",")[1].encode() for line in known if line.startswith("offense,")]
    table = tomllib.loads((files(__package__) / "data/offenses.toml").read_text("ascii"))["ncic_to_nibrs"]
    pairs = {ncic.encode(): nibrs.encode() for nibrs, each in table.items() for ncic in each.split()}
    return pairs | {code: code for code in codes}


_PACKAGED: Final = _offenses()


def offenses(own: Mapping[bytes, bytes]) -> Lookup:
    """Codes of offenses by their own and other codes: an agency's first, then NIBRS and those of NCIC.

    Raises: ValueError where the agency's table would change a code twice.
    """
    if any(own.get(standard, standard) != standard for standard in own.values()):
        raise ValueError("a standard code that has another standard")
    return Lookup(_PACKAGED | {standard: standard for standard in own.values()} | dict(own))
