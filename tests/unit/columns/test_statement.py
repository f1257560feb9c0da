"""The bytes of a statement: each rule broken once, and what is read is what was made."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from cji_core.errors import Reason
from cji_core.format.columns import (
    ColumnEncryption,
    ColumnFormat,
    ColumnRight,
    parse_column_keys,
    parse_statement,
)
from cji_core.format.job import LIMITS
from cji_core.format.records import DataClass
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2
from tests.support.column_keys import COLUMNS, CREATED, KEYS, column, sealed, statement
from tests.support.refusals import refused

GOOD = statement().data


def raw(**changes: Any) -> bytes:
    """Bytes that no check of ours has seen: the good message with some fields set otherwise."""
    message = worker_pb2.ColumnKeyStatement.FromString(GOOD)
    for name, value in changes.items():
        message.ClearField(name)
        if value is not None:
            message.MergeFrom(worker_pb2.ColumnKeyStatement(**{name: value}))
    return message.SerializeToString(deterministic=True)


def stated(**changes: Any) -> list[worker_pb2.StatedColumn]:
    """The columns, of which the first has other fields."""
    columns = list(worker_pb2.ColumnKeyStatement.FromString(GOOD).columns)
    for name, value in changes.items():
        columns[0].ClearField(name)
        if value is not None:
            columns[0].MergeFrom(worker_pb2.StatedColumn(**{name: value}))
    return columns


def broken_rule(data: bytes) -> str:
    with refused(Reason.MALFORMED_HEADER) as caught:
        parse_statement(data)
    return str(caught.value.__cause__)


def test_a_statement_keeps_its_bytes_and_values() -> None:
    made = parse_statement(GOOD)
    assert made.data == GOOD
    assert made.sha384 == hashlib.sha384(GOOD).digest()
    assert (made.format, made.table, made.suite) == (ColumnFormat.SQL_SERVER, "cjis.dbo.Persons", Suite.CLASSICAL_1)
    assert (made.keys, made.columns) == (KEYS, COLUMNS)
    assert (made.originating_ori, made.purpose_codes, made.submitters) == ("WI0130000", ("C",), (b"s" * 32,))
    assert (made.created, made.not_after) == (CREATED, CREATED + timedelta(days=30))
    found = made.column("DOB")
    assert found is not None
    assert (str(found.type), found.data_class, found.key) == ("date", DataClass.BIOGRAPHIC, 1)
    assert found.encryption is ColumnEncryption.RANDOMIZED
    assert made.column("first") is None
    assert repr(made) == f"ColumnKeyStatement({made.sha384.hex()})"


def test_the_order_of_what_is_stated_changes_nothing() -> None:
    again = statement(columns=reversed(COLUMNS), purpose_codes=["F", "C"], submitters=[b"t" * 32, b"s" * 32])
    assert again == statement(purpose_codes=["C", "F"], submitters=[b"s" * 32, b"t" * 32])


KEY: dict[str, Any] = {"key_path": "p", "cek_sha384": bytes(48)}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("version of a statement", {"version": 2}),
    ("format", {"format": None}),
    ("format", {"format": 3}),
    ("type of another format", {"format": worker_pb2.COSMOS_DB}),
    ("empty text", {"table": None}),
    ("text characters", {"table": "a\n"}),
    ("text length", {"table": "a" * 257}),
    ("number of column keys", {"keys": None}),
    ("number of column keys", {"keys": [worker_pb2.ColumnEncryptionKey(**KEY)] * 17}),
    ("cek_sha384", {"keys": [worker_pb2.ColumnEncryptionKey(key_path="p", cek_sha384=bytes(47))] * 2}),
    ("a column key twice", {"keys": [worker_pb2.ColumnEncryptionKey(**KEY)] * 2}),
    ("empty text", {"keys": [worker_pb2.ColumnEncryptionKey(cek_sha384=bytes([i]) * 48) for i in range(2)]}),
    (
        "keys of columns",
        {"keys": [worker_pb2.ColumnEncryptionKey(key_path="p", cek_sha384=bytes([i]) * 48) for i in range(3)]},
    ),
    ("keys of columns", {"keys": [worker_pb2.ColumnEncryptionKey(**KEY)]}),
    ("keys of columns", {"columns": None}),
    ("name of a column", {"columns": stated(column="D-B")}),
    ("name of a column", {"columns": stated(column=None)}),
    ("order of columns", {"columns": stated(column="zip")}),
    ("order of columns", {"columns": stated(column="SOC")}),
    ("number of columns", {"columns": [*stated(), *(worker_pb2.StatedColumn(column=f"x{i}") for i in range(62))]}),
    ("type of a column", {"columns": stated(type="datum")}),
    ("type of a column", {"columns": stated(type=None)}),
    ("type of another format", {"columns": stated(type="string")}),
    ("data class", {"columns": stated(data_class="secret")}),
    ("data class", {"columns": stated(data_class=None)}),
    ("encryption", {"columns": stated(encryption=None)}),
    ("encryption", {"columns": stated(encryption=3)}),
    ("rights", {"columns": stated(rights=None)}),
    ("rights", {"columns": stated(rights=[4])}),
    ("rights", {"columns": stated(rights=[0])}),
    ("order of rights", {"columns": stated(rights=[2, 1])}),
    ("order of rights", {"columns": stated(rights=[1, 1])}),
    ("originating_ori of a statement", {"originating_ori": "ZZ0130000"}),
    ("number of purposes", {"purpose_codes": None}),
    ("number of purposes", {"purpose_codes": [f"{i:03}" for i in range(33)]}),
    ("purpose code of a statement", {"purpose_codes": ["c"]}),
    ("order of purposes", {"purpose_codes": ["F", "C"]}),
    ("order of purposes", {"purpose_codes": ["C", "C"]}),
    ("number of submitters", {"submitters": None}),
    ("number of submitters", {"submitters": [bytes([i]) * 32 for i in range(33)]}),
    ("submitter of a statement", {"submitters": [bytes(31)]}),
    ("order of submitters", {"submitters": [b"b" * 32, b"a" * 32]}),
    ("signer", {"signer": None}),
    ("signer", {"signer": bytes(33)}),
    ("suite of a statement", {"suite": None}),
    ("suite of a statement", {"suite": 3}),
    ("kek_id", {"kek_id": "https://v.vault.azure.net/keys/cmk"}),
    ("times of a statement", {"created": None}),
    ("times of a statement", {"not_after": None}),
]


@pytest.mark.parametrize(("rule", "change"), BROKEN, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BROKEN)])
def test_a_broken_rule_is_malformed(rule: str, change: dict[str, Any]) -> None:
    assert broken_rule(raw(**change)) == rule


def test_times_are_whole_seconds_in_their_order() -> None:
    message = worker_pb2.ColumnKeyStatement.FromString(GOOD)
    message.created.nanos = 1
    assert broken_rule(message.SerializeToString()) == "whole seconds"
    message.created.nanos = 0
    message.not_after.seconds = message.created.seconds
    assert broken_rule(message.SerializeToString()) == "created before not_after"
    message.not_after.seconds = 1 << 62
    assert broken_rule(message.SerializeToString()) == "seconds"


def test_one_encoding_is_read() -> None:
    assert broken_rule(b"") == "message length"
    assert broken_rule(GOOD + bytes(LIMITS.header_bytes)) == "message length"
    assert broken_rule(GOOD + b"\xf8\x07\x01").startswith("not canonical")
    assert broken_rule(GOOD + GOOD).startswith("not canonical")
    assert broken_rule(b"\xff") == "not protobuf"


def test_values_that_make_no_statement_are_refused() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"table": ""},
        {"created": CREATED.replace(tzinfo=None)},
        {"table": "\ud800"},
        {"columns": [column("last", "string")]},
        {"columns": [column("last", "nvarchar(60)", rights=frozenset[ColumnRight]())]},
    )
    for change in changes:
        with refused(Reason.MALFORMED_HEADER):
            statement(**change)


def test_sealed_keys_have_the_lengths_of_the_statement() -> None:
    keys = sealed()
    good: dict[str, Any] = {
        "statement": keys.statement.data,
        "wrapped_key": keys.wrapped_key,
        "sealed_keys": keys.sealed_keys,
        "signature": keys.signature,
    }
    assert parse_column_keys(**good) == keys
    assert repr(keys) == f"ColumnKeys({keys.statement!r})"
    for name, value in (
        ("statement", keys.statement.data[:-1]),
        ("wrapped_key", bytes(255)),
        ("wrapped_key", bytes(1025)),
        ("wrapped_key", b""),
        ("sealed_keys", keys.sealed_keys + bytes(32)),
        ("sealed_keys", keys.sealed_keys[:-32]),
        ("signature", b""),
        ("signature", bytes(LIMITS.signature_bytes + 1)),
    ):
        with refused(Reason.MALFORMED_HEADER):
            parse_column_keys(**{**good, name: value})
