"""Beside each kernel a slow, obvious twin that judges one value at a time; both must always agree."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compute.kernels import cmac
from worker.compute.kernels.column import read
from worker.compute.operations.deidentify import dates, masks, tokens
from worker.compute.operations.deidentify.codes import Code
from worker.compute.operations.deidentify.outcome import Outcome
from worker.compute.status_codes import RowCode, ValueCode

Judged = tuple[bytes | None, RowCode | None]
KEY = bytes(range(32))
untimed = settings(deadline=None)


# ---------------------------------------------------------------- twins


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


# ---------------------------------------------------------------- comparison


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


digit_or_x = st.sampled_from("0123456789Xx")
loose_date = st.builds(
    lambda digits, dash: f"{digits[:4]}{dash}{digits[4:6]}{dash}{digits[6:]}".encode(),
    st.text(digit_or_x, min_size=8, max_size=8),
    st.sampled_from(["", "-", "/"]),
)
year_part = st.integers(0, 9999).map("{:04d}".format) | st.sampled_from(["XXXX", "198X", "0000", "0001", "9999"])
month_part = st.integers(0, 13).map("{:02d}".format) | st.sampled_from(["XX", "1X", "X2", "0x", "2X"])
day_part = st.integers(0, 32).map("{:02d}".format) | st.sampled_from(["XX", "3X", "X9", "4X", "29", "30", "31"])
near_date = st.builds(
    lambda y, m, d, dash: f"{y}{dash}{m}{dash}{d}".encode(), year_part, month_part, day_part, st.sampled_from(["", "-"])
)
date_values = st.lists(
    st.none() | near_date | loose_date | st.binary(max_size=11) | st.sampled_from([b"XX", b"xX", b"19X", b"20000229"]),
    max_size=30,
)
text_values = st.lists(st.none() | st.binary(max_size=12) | st.text("abXé語 ", max_size=8).map(str.encode), max_size=30)


@untimed
@given(text_values, st.integers(0, 4), st.integers(0, 4))
def test_mask(values: list[bytes | None], first: int, last: int) -> None:
    assert_equal(
        lambda array: masks.mask(array, keep_first=first, keep_last=last, fill=ord("*")),
        lambda _, v: slow_mask(v, first, last, ord("*")),
        values,
    )


zips = st.from_regex(rb"[0-9]{4,5}(-?[0-9]{4})?", fullmatch=True) | st.sampled_from(
    [*[f"{z}01".encode() for z in masks.SPARSE_ZIP3], b"12345 6789", b"1234-56789"]
)


@untimed
@given(st.lists(st.none() | zips | st.binary(max_size=11), max_size=30), st.integers(1, 3))
def test_zip_prefix(values: list[bytes | None], digits: int) -> None:
    assert_equal(lambda array: masks.zip_prefix(array, digits=digits), lambda _, v: slow_zip(v, digits), values)


@untimed
@given(date_values)
def test_date_to(values: list[bytes | None]) -> None:
    assert_equal(dates.date_to_year, lambda _, v: slow_year(v), values)
    assert_equal(dates.date_to_month, lambda _, v: slow_month(v), values)


@untimed
@given(date_values, st.integers(1, 50), st.integers(0, 70), st.dates())
def test_age_band(values: list[bytes | None], width: int, more: int, as_of: datetime.date) -> None:
    top = width + more
    assert_equal(
        lambda array: dates.age_band(array, width=width, top=top, as_of=as_of),
        lambda _, v: slow_band(v, width, top, as_of),
        values,
    )


@pytest.mark.parametrize("width", [1, 5, 40])
def test_age_bands_of_partial_dates_around_the_day(width: int) -> None:
    as_of = datetime.date(2026, 6, 15)
    values: list[bytes | None] = [
        f"{year}-{month}-{day}".encode()
        for year in (1905, 1935, 1936, 1966, 1985, 1986, 1987, 2000, 2025, 2026, 2027)
        for month in ("XX", "02", "05", "06", "07")
        for day in ("XX", "14", "15", "16", "28")
    ]
    assert_equal(
        lambda array: dates.age_band(array, width=width, top=90, as_of=as_of),
        lambda _, v: slow_band(v, width, 90, as_of),
        values,
    )


@untimed
@given(date_values, st.data())
def test_shift(values: list[bytes | None], data: st.DataObject) -> None:
    n = len(values)
    days = data.draw(st.lists(st.none() | st.integers(-3650, 3650), min_size=n, max_size=n))
    known = np.array([d is not None for d in days], np.bool_)
    numbers = np.array([d or 0 for d in days], np.int64)
    assert_equal(
        lambda array: dates.shift(array, days=numbers, known=known), lambda i, v: slow_shift(v, days[i]), values
    )


def test_every_day_moves_as_in_the_standard_library() -> None:
    first, last = datetime.date.min.toordinal(), datetime.date.max.toordinal()
    ordinals = np.arange(first, last + 1, 53)  # 53 is prime: all days of the year and all leap rules are met
    values = [datetime.date.fromordinal(o).isoformat().replace("-", "" if o % 2 else "-") for o in ordinals.tolist()]
    days = np.where(ordinals % 3, 3650, -3650)
    outcome = dates.shift(pa.array(values), days=days, known=np.ones(len(values), np.bool_))
    expected = [slow_shift(v.encode(), d)[0] for v, d in zip(values, days.tolist(), strict=True)]
    assert outcome.array.cast(pa.binary()).to_pylist() == expected


def test_shifts_end_with_the_calendar() -> None:
    values: list[bytes | None] = [b"00010101", b"00010102", b"0001-01-01", b"99991231", b"99991230", b"9999-12-31"]
    for day in (-1, 1):
        days = np.full(len(values), day)
        known = np.ones(len(values), np.bool_)
        assert_equal(
            lambda array, d=days, k=known: dates.shift(array, days=d, known=k),  # type: ignore[misc]
            lambda _, v, d=day: slow_shift(v, d),  # type: ignore[misc]
            values,
        )


@untimed
@given(text_values, st.sampled_from(tokens.TOKEN_BITS))
def test_tokens(values: list[bytes | None], bits: int) -> None:
    key = tokens.token_key(KEY, project="p1", domain="SOC")
    assert_equal(
        lambda array: tokens.tokens(array, macs=tokens.Macs(key), bits=bits),
        lambda _, v: (slow_token(v, "p1", "SOC", bits), None),
        values,
    )


@untimed
@given(st.lists(st.none() | st.binary(max_size=70), max_size=20), st.binary(min_size=32, max_size=32))
def test_macs(values: list[bytes | None], key: bytes) -> None:
    expected = [slow_mac(key, value or b"") for value in values]
    for array in arrays_of(values):
        assert [row.tobytes() for row in cmac.macs(read(array), encrypt=tokens.ecb(key))] == expected


@untimed
@given(text_values, st.integers(1, 3650))
def test_shift_days(values: list[bytes | None], max_days: int) -> None:
    key = tokens.shift_key(KEY, project="p1")
    for array in arrays_of(values):
        days, known = tokens.shift_days(array, encrypt=tokens.ecb(key), max_days=max_days)
        assert known.tolist() == [bool(v) for v in values]
        for value, day in zip(values, days.tolist(), strict=True):
            assert not value or day == slow_days(value, "p1", max_days)


def test_shift_days_are_uniform_and_never_zero() -> None:
    subjects = pa.array([f"subject-{i}" for i in range(60_000)])
    days, _ = tokens.shift_days(subjects, encrypt=tokens.ecb(tokens.shift_key(KEY, project="p1")), max_days=3)
    values, counts = np.unique(days, return_counts=True)
    assert values.tolist() == [-3, -2, -1, 1, 2, 3]
    assert (abs(counts - 10_000) < 500).all()  # five standard deviations


def test_words_of_the_incomplete_last_cycle_are_passed_over() -> None:
    biased, good = 2**64 - 1, 7
    digest = b"".join(word.to_bytes(8, "big") for word in (biased, good))
    table = np.frombuffer(digest, np.uint8).reshape(1, 16)
    assert tokens._days(table, 5).tolist() == [3]  # choice 7 of -5..-1, 1..5; 2^64 - 1 would be choice 5
    assert tokens._days(table, 4).tolist() == [4]  # 8 divides 2^64: every word counts, this one is choice 7


@pytest.mark.parametrize("bits", tokens.TOKEN_BITS)
def test_tokens_differ_by_project_domain_and_key(bits: int) -> None:
    array = pa.array(["123456789"])
    names = [("p1", "SOC"), ("p2", "SOC"), ("p1", "OLN"), ("p1:SOC", "x"), ("p1", "SOC:x")]
    keys = [tokens.token_key(KEY, project=p, domain=d) for p, d in names]
    keys += [tokens.token_key(bytes(32), project="p1", domain="SOC"), tokens.shift_key(KEY, project="p1")]
    results = {tokens.tokens(array, macs=tokens.Macs(key), bits=bits).array[0].as_py() for key in keys}
    assert len(results) == len(keys)


def test_what_is_remembered_changes_no_token() -> None:
    """More values than are remembered, then all of them again in another order."""
    numbers = np.random.default_rng(5).permutation(20_000)
    first = pa.array([str(i) for i in numbers])
    macs = tokens.Macs(KEY)
    for array in (first, first.take(pa.array(numbers)), first.slice(19_000)):
        fresh = tokens.tokens(array, macs=tokens.Macs(KEY), bits=80).array
        assert tokens.tokens(array, macs=macs, bits=80).array.equals(fresh)
