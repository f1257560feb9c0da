"""Slow twins of the transforms of `deidentify`: one value at a time, with the standard library."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import settings
from hypothesis import strategies as st

from cji_core.operations.deidentify.declaration import Code
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_operations.deidentify import masks
from cji_operations.deidentify.outcome import Outcome

Judged = tuple[bytes | None, RowCode | None]
KEY = bytes(range(32))
untimed = settings(deadline=None)


def slow_mask(value: bytes, first: int, last: int, fill: int) -> Judged:
    if len(value) <= first + last:
        return None, Code.TOO_SHORT_TO_MASK
    middle = len(value) - first - last
    head, tail = value[:first], value[first + middle :]
    if any(byte > 127 for byte in head + tail):
        return None, Code.KEPT_BYTES_NOT_ASCII
    return head + bytes([fill]) * middle + tail, None


def slow_zip(value: bytes, digits: int) -> Judged:
    if not re.fullmatch(rb"[0-9]{5}|[0-9]{9}|[0-9]{5}-[0-9]{4}", value):
        return None, Code.NOT_A_ZIP
    prefix = value[:digits]
    return (b"000" if prefix.decode() in masks.SPARSE_ZIP3 else prefix), None


def slow_parse(value: bytes) -> tuple[str, str, str, str] | None:
    """Year, month, day (with X) and the separator, or None for what is not a date."""
    if value.upper() == b"XX":
        return "XXXX", "XX", "XX", ""
    match = re.fullmatch(rb"([0-9X]{4})(-?)([0-9X]{2})\2([0-9X]{2})", value.upper())
    if not match:
        return None
    year, dash, month, day = (part.decode() for part in match.groups())

    def may_be(part: str, highest: int) -> bool:
        return any(re.fullmatch(part.replace("X", "."), f"{n:02d}") for n in range(1, highest + 1))

    if year == "0000" or not may_be(month, 12) or not may_be(day, 31):
        return None
    if "X" not in month + day:
        try:
            datetime.date(2000 if "X" in year else int(year), int(month), int(day))
        except ValueError:
            return None
    return year, month, day, dash


def slow_year(value: bytes) -> Judged:
    parsed = slow_parse(value)
    return (parsed[0].encode(), None) if parsed else (None, ValueCode.NOT_A_DATE)


def slow_month(value: bytes) -> Judged:
    parsed = slow_parse(value)
    return (f"{parsed[0]}{parsed[3]}{parsed[1]}".encode(), None) if parsed else (None, ValueCode.NOT_A_DATE)


def slow_band(value: bytes, width: int, top: int, as_of: datetime.date) -> Judged:
    parsed = slow_parse(value)
    if not parsed:
        return None, ValueCode.NOT_A_DATE
    year, month, day, _ = parsed
    if "X" in year:
        return None, Code.PARTIAL_DATE
    bands = set()
    for m in range(1, 13) if "X" in month else [int(month)]:
        for d in range(1, 32) if "X" in day else [int(day)]:
            try:
                born = datetime.date(int(year), m, d)
            except ValueError:
                if not (m == 2 and d == 29) and not ("X" in month or "X" in day):
                    raise
                continue
            if born <= as_of:
                age = as_of.year - born.year - ((as_of.month, as_of.day) < (born.month, born.day))
                low = age // width * width
                high = min(low + width, top) - 1
                bands.add(f"{top}+" if age >= top else str(low) if low == high else f"{low}-{high}")
    if not bands:
        return None, Code.BORN_AFTER_AS_OF
    return (bands.pop().encode(), None) if len(bands) == 1 else (None, Code.PARTIAL_DATE)


def slow_shift(value: bytes, days: int | None) -> Judged:
    parsed = slow_parse(value)
    if not parsed:
        return None, ValueCode.NOT_A_DATE
    year, month, day, dash = parsed
    if "X" in year + month + day:
        return None, Code.PARTIAL_DATE
    if days is None:
        return None, Code.NO_SUBJECT
    try:
        moved = datetime.date(int(year), int(month), int(day)) + datetime.timedelta(days=days)
    except OverflowError:
        return None, Code.DATE_OUT_OF_RANGE
    return moved.isoformat().replace("-", dash).encode(), None


def slow_token(value: bytes, project: str, domain: str, bits: int) -> bytes:
    key = hmac.digest(KEY, b"cji-token/1\0" + project.encode() + b"\0" + domain.encode(), "sha256")
    digest = hmac.new(key, value, hashlib.sha256).digest()[: bits // 8]
    return base64.b32hexencode(digest).rstrip(b"=").lower()


def slow_cmac_token(value: bytes, project: str, domain: str, bits: int) -> bytes:
    key = hmac.digest(KEY, b"cji-cmac/1\0" + project.encode() + b"\0" + domain.encode(), "sha256")
    return base64.b32hexencode(slow_mac(key, value)[: bits // 8]).rstrip(b"=").lower()


def slow_mac(key: bytes, value: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(value)
    return mac.finalize()


def slow_days(subject: bytes, project: str, max_days: int) -> int:
    digest = slow_mac(hmac.digest(KEY, b"cji-shift/1\0" + project.encode(), "sha256"), subject)
    choices: list[int] = [*range(-max_days, 0), *range(1, max_days + 1)]
    for i in range(0, 16, 8):
        word = int.from_bytes(digest[i : i + 8], "big")
        if word < 2**64 - 2**64 % len(choices):
            return choices[word % len(choices)]
    raise AssertionError


Values = tuple[str | None, ...]
"""What one value becomes at each step; the first is the value where nothing is generalised."""


def slow_losses(column: list[Values]) -> list[list[int]]:
    """For each row and step, the share of other values that it becomes one with, in 2^-20; all where it is gone."""
    distinct = list(dict.fromkeys(column))
    found = []
    for values in column:
        row = []
        for step, value in enumerate(values):
            others = sum(other[step] == value for other in distinct) - 1
            row.append(
                (1 << 20) if value is None and values[0] is not None else others * 2**20 // max(len(distinct) - 1, 1)
            )
        found.append(row)
    return found


Person = str | None
Classes = dict[int, Any]
"""The class of each row."""


def slow_alike(values: Classes, persons: Sequence[Person], *, linked: bool) -> Classes:
    """Rows are in one class if their values are equal; if linked, those of persons who have the same rows."""
    if not linked:
        return values
    of_person: dict[Person, Counter[object]] = {}
    for row, value in values.items():
        of_person.setdefault(persons[row], Counter())[value] += 1
    return {row: frozenset(of_person[persons[row]].items()) for row in values}


def slow_sizes(classes: Classes, persons: Sequence[Person]) -> dict[Any, int]:
    """The persons of each class; a row without one counts nobody."""
    return {
        one: len({persons[row] for row in classes if classes[row] == one and persons[row] is not None})
        for one in set(classes.values())
    }


def slow_suppressed(rows: Sequence[Any], persons: Sequence[Person], k: int, *, linked: bool) -> list[bool]:
    """Which of these generalised rows are of the one class whose quasi-identifiers are null."""
    classes = slow_alike(dict(enumerate(rows)), persons, linked=linked)
    sizes = slow_sizes(classes, persons)
    pooled = {one for one, size in sizes.items() if size < k}
    for row, values in enumerate(rows):
        if persons[row] is None or (not linked and not any(v is not None for v in values)):
            pooled.add(classes[row])
    inside = {persons[row] for row, one in classes.items() if one in pooled} - {None}
    others = [one for one in dict.fromkeys(classes.values()) if one not in pooled]
    if pooled and others and len(inside) < k:
        pooled.add(min(others, key=lambda one: sizes[one]))
    return [classes[row] in pooled for row in range(len(rows))]


def slow_unlinked(pooled: Sequence[bool], persons: Sequence[Person], k: int) -> list[bool]:
    """Which rows of that class must not show their person: few persons there have as many rows."""
    often = Counter(person for person, inside in zip(persons, pooled, strict=True) if inside)
    number = Counter(n for person, n in often.items() if person is not None)
    found = [
        inside and (person is None or number[often[person]] < k) for person, inside in zip(persons, pooled, strict=True)
    ]
    left = {person for person, inside in zip(persons, found, strict=True) if inside} - {None}
    return found if not any(found) or len(left) >= k else list(pooled)


def slow_search(
    columns: list[list[Values]], k: int, persons: Sequence[Person] | None = None, *, linked: bool = False
) -> list[tuple[int, ...] | None]:
    """For each row the steps that it takes, None where it loses all: every combination is tried in every round."""
    n = len(columns[0])
    who = [str(row) for row in range(n)] if persons is None else persons
    loss = [slow_losses(column) for column in columns]
    chosen: list[tuple[int, ...] | None] = [None] * n
    left = set(range(n))
    while left:
        tried = []
        for number, steps in enumerate(itertools.product(*(range(len(column[0])) for column in columns))):
            of_row = {r: tuple(column[r][s] for column, s in zip(columns, steps, strict=True)) for r in left}
            classes = slow_alike(of_row, who, linked=linked)
            sizes = slow_sizes(classes, who)
            lost = {r: sum(each[r][s] for each, s in zip(loss, steps, strict=True)) for r in left}
            good = {r for r in left if sizes[classes[r]] >= k and who[r] is not None}
            together = {r: (classes[r], of_row[r]) for r in left}
            total = sum(lost[r] if r in good else len(columns) << 20 for r in left)
            tried.append((total, sum(lost.values()), number, steps, good, together))
        total, _, _, steps, good, together = min(tried, key=lambda one: one[:3])
        if total >= len(left) * len(columns) << 20:
            break
        for r in good:
            chosen[r] = tuple(
                min(s for s in range(most + 1) if len({column[q][s] for q in good if together[q] == together[r]}) == 1)
                for column, most in zip(columns, steps, strict=True)
            )
        left -= good
    return chosen


def arrays_of(values: list[bytes | None]) -> list[pa.Array]:
    """The same values as arrays of different memory: plain, a slice with an odd offset, utf8 where they are text."""
    padded = pa.array([b"never", None, b"", *values, b"mind"], pa.binary())
    arrays = [pa.array(values, pa.binary()), padded.slice(3, len(values)), with_bytes_under_nulls(values)]
    with contextlib.suppress(UnicodeDecodeError):
        arrays.append(pa.array([None if v is None else v.decode() for v in values], pa.utf8()))
    return arrays


def with_bytes_under_nulls(values: list[bytes | None]) -> pa.Array:
    """Arrow allows a null to have bytes; no kernel may look at them."""
    full = pa.array([b"20200101" if v is None else v for v in values], pa.binary())
    valid = pa.array([v is not None for v in values], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(values), [valid, *full.buffers()[1:]])


def assert_equal(
    kernel: Callable[[pa.Array], Outcome], slow: Callable[[int, bytes], Judged], values: list[bytes | None]
) -> None:
    expected = [(None, None) if not v else slow(i, v) for i, v in enumerate(values)]
    for array in arrays_of(values):
        outcome = kernel(array)
        outcome.array.validate(full=True)
        assert outcome.array.type == array.type
        codes: dict[int, RowCode] = {}
        for code, rows in outcome.faults:
            for row in rows.tolist():
                assert row not in codes, "a value has one fault"
                codes[row] = code
        got = outcome.array.cast(pa.binary()).to_pylist()
        assert [(v, codes.get(i)) for i, v in enumerate(got)] == expected


text_values = st.lists(st.none() | st.binary(max_size=12) | st.text("abXé語 ", max_size=8).map(str.encode), max_size=30)
