"""Any bytes into the readers of column keys give a value or a refusal, and values come back as they were."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.columns import (
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnRight,
    SqlType,
    StatedColumn,
    TypeInvalid,
    parse_statement,
)
from cji_core.format.records import DataClass
from tests.support.column_keys import statement

TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]).filter(str.isprintable), min_size=1, max_size=40)
TYPES = st.sampled_from(
    ["int", "date", "nvarchar(60)", "char(9) cp1252", "varchar(max) utf-8", "decimal(38,0)", "time(7)", "binary(8000)"]
).map(SqlType.parse)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True)
SECONDS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))


@st.composite
def columns(draw: st.DrawFn, keys: int) -> list[StatedColumn]:
    names = draw(st.lists(NAMES, min_size=keys, max_size=12, unique=True))
    return [
        StatedColumn(
            column=name,
            type=draw(TYPES),
            data_class=draw(st.sampled_from(DataClass)),
            encryption=draw(st.sampled_from(ColumnEncryption)),
            rights=draw(st.frozensets(st.sampled_from(ColumnRight), min_size=1)),
            key=number if number < keys else draw(st.integers(0, keys - 1)),
        )
        for number, name in enumerate(names)
    ]


@given(data=st.data())
def test_what_is_stated_comes_back(data: st.DataObject) -> None:
    digests = data.draw(st.lists(st.binary(min_size=48, max_size=48), min_size=1, max_size=4, unique=True))
    keys = tuple(ColumnEncryptionKey(key_path=data.draw(TEXTS), cek_sha384=each) for each in digests)
    stated = data.draw(columns(len(keys)))
    created = data.draw(SECONDS)
    values: dict[str, Any] = {
        "table": data.draw(TEXTS),
        "keys": keys,
        "columns": stated,
        "submitters": data.draw(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True)),
        "created": created,
        "not_after": created + timedelta(seconds=data.draw(st.integers(1, 10**9))),
    }
    made = statement(**values)
    assert parse_statement(made.data) == made
    assert (made.keys, made.columns) == (keys, tuple(sorted(stated, key=lambda each: each.column)))
    assert (made.table, made.created, made.not_after) == (values["table"], created, values["not_after"])
    assert list(made.submitters) == sorted(values["submitters"])


@given(st.binary(max_size=600))
def test_any_bytes_are_no_statement_or_keep_themselves(data: bytes) -> None:
    try:
        found = parse_statement(data)
    except Refusal as refusal:
        if refusal.reason is not Reason.MALFORMED_HEADER:
            raise
    else:
        assert found.data == data


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_gives_another_statement_or_none(place: int, value: int) -> None:
    good = statement()
    data = bytearray(good.data)
    data[place % len(data)] = value
    try:
        found = parse_statement(bytes(data))
    except Refusal:
        return
    assert (found == good) == (bytes(data) == good.data)


@given(st.text(max_size=30) | st.from_regex(r"[a-z0-9]{1,16}(\([0-9a-z,]{0,8}\))?( [a-z0-9-]{0,8})?", fullmatch=True))
def test_any_text_is_no_type_or_its_own(text: str) -> None:
    with contextlib.suppress(TypeInvalid):
        assert str(SqlType.parse(text)) == text
