"""`deidentify` on a public linkage corpus (FEBRL 4a, 5 000 persons), beside what plain code says."""

import base64
import csv
import datetime
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from cji_core.format.records import END_OF_STREAM, StreamReader, StreamWriter, check_schema, tagged, window_bytes
from cji_core.wire.v1 import worker_pb2 as wire
from tests.support.contexts import context, prepare_batch
from tests.support.corpora import FEBRL

pytestmark = pytest.mark.vectors

COLUMNS = {"rec_id": "record_id", **FEBRL}
KEY = bytes(range(32))


def token(domain: str, bits: int = 128) -> dict[str, Any]:
    return {"hmac_token": wire.HmacToken(domain=domain, bits=bits)}


RULES: dict[str, dict[str, Any]] = {
    "record_id": token("record"),
    "first": token("name", 80),
    "last": token("name", 80),
    "street_number": {"null": wire.Null()},
    "address_1": {"drop": wire.Drop()},
    "address_2": {"mask": {"with": "*"}},
    "suburb": {"keep": wire.Keep()},
    "postcode": {"mask": {"keep_first": 2, "with": "0"}},
    "state": {"keep": wire.Keep()},
    "DOB": {"date_shift": wire.DateShift(subject_column="record_id", max_days=365)},
    "SOC": token("soc", 160),
}


@pytest.fixture(scope="module")
def persons(vectors: Path) -> pa.RecordBatch:
    with (vectors / "cji/linkage/febrl_dataset4a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    assert len(rows) == 5000
    arrays = [pa.array([row[name] or None for row in rows], pa.utf8()) for name in COLUMNS]
    return pa.RecordBatch.from_arrays(
        arrays, schema=tagged("person/1", [pa.field(name, pa.utf8()) for name in COLUMNS.values()])
    )


def operation(rules: dict[str, dict[str, Any]], project: str = "p") -> wire.Operation:
    columns = [wire.ColumnRule(column=name, **rule) for name, rule in rules.items()]
    return wire.Operation(deidentify=wire.Deidentify(project=project, wrapped_project_key=b"sealed", columns=columns))


def mac(label: bytes, *parts: str) -> bytes:
    return hmac.digest(KEY, label + b"\0" + b"\0".join(part.encode() for part in parts), "sha256")


def slow_token(value: str | None, domain: str, bits: int) -> str | None:
    if value is None:
        return None
    digest = hmac.new(mac(b"cji-token/1", "p", domain), value.encode(), hashlib.sha256).digest()
    return base64.b32hexencode(digest[: bits // 8]).decode().rstrip("=").lower()


def slow_shift(value: str | None, subject: str) -> str | None:
    try:
        day = datetime.datetime.strptime(value or "", "%Y%m%d").date()
    except ValueError:
        return None
    subject_mac = CMAC(algorithms.AES(mac(b"cji-shift/1", "p")))
    subject_mac.update(subject.encode())
    word = int.from_bytes(subject_mac.finalize()[:8], "big")
    choice = word % 730
    return (day + datetime.timedelta(days=choice - 365 if choice < 365 else choice - 364)).strftime("%Y%m%d")


def test_every_row_as_plain_code_says(persons: pa.RecordBatch) -> None:
    check_schema("person/1", persons.schema)
    applied = prepare_batch(operation(RULES), "person/1", persons.schema, context(KEY)).apply(persons)
    out, status = applied.batch, applied.status
    out.validate(full=True)
    source, got = persons.to_pydict(), out.to_pydict()
    assert "address_1" not in got
    for column, domain, bits in (
        ("record_id", "record", 128),
        ("first", "name", 80),
        ("last", "name", 80),
        ("SOC", "soc", 160),
    ):
        assert got[column] == [slow_token(v, domain, bits) for v in source[column]]
    assert got["suburb"] == source["suburb"]
    assert got["postcode"] == [v and v[:2] + "0" * (len(v) - 2) for v in source["postcode"]]
    assert got["DOB"] == [slow_shift(v, s) for v, s in zip(source["DOB"], source["record_id"], strict=True)]
    lost = sum(v is not None and w is None for v, w in zip(source["DOB"], got["DOB"], strict=True))
    assert status.counts() == (5000 - lost, 0, lost, 0)


def found(values: set[bytes], data: bytes) -> list[bytes]:
    """The values, of seven bytes or more, that occur anywhere in `data`."""
    sevens = {data[i : i + 7] for i in range(len(data) - 6)}
    return [value for value in values if value[:7] in sevens and value in data]


def test_no_value_of_a_protected_column_is_in_the_output(persons: pa.RecordBatch) -> None:
    dropped: dict[str, Any] = {"drop": wire.Drop()}
    rules = RULES | {"suburb": token("place"), "state": dropped, "postcode": dropped, "DOB": dropped}
    applied = prepare_batch(operation(rules), "person/1", persons.schema, context(KEY)).apply(persons)
    out, status = applied.batch, applied.status
    data = out.serialize().to_pybytes() + status.to_batch(0).serialize().to_pybytes()
    # shorter values are met by chance in any half a megabyte; seven bytes of base32 by chance are one in 3e10
    values = {
        value.encode()
        for name in persons.schema.names
        for value in persons.column(name).to_pylist()
        if value is not None and len(value) >= 7
    }
    assert len(values) > 15_000
    assert found(values, data) == []
    kept = (
        prepare_batch(operation(RULES), "person/1", persons.schema, context(KEY))
        .apply(persons)
        .batch.serialize()
        .to_pybytes()
    )
    assert found(values, kept), "the scan finds values that are kept"


def test_no_name_is_in_an_output_of_block_tokens(persons: pa.RecordBatch) -> None:
    """Numbers of seven digits are met by chance in hexadecimal text; names are not."""
    names = ("record_id", "first", "last", "suburb", "address_1", "address_2")
    rules: dict[str, dict[str, Any]] = {name: {"drop": wire.Drop()} for name in COLUMNS.values()}
    rules |= {name: {"aes_token": wire.AesToken(domain=name)} for name in names}
    data = prepare_batch(operation(rules), "person/1", persons.schema, context(KEY)).apply(persons).batch.serialize()
    values = {v.encode() for name in names for v in persons.column(name).to_pylist() if v and len(v) >= 7}
    assert len(values) > 10_000
    assert found(values, data.to_pybytes()) == []


def test_no_date_stays_where_it_was(persons: pa.RecordBatch) -> None:
    out = prepare_batch(operation(RULES), "person/1", persons.schema, context(KEY)).apply(persons).batch
    source, got = persons.column("DOB").to_pylist(), out.column("DOB").to_pylist()
    assert not [v for v, w in zip(source, got, strict=True) if v is not None and v == w]


def test_the_whole_way_in_a_window(persons: pa.RecordBatch) -> None:
    limit = 1 << 20
    writer = StreamWriter(persons.schema, max_batch_bytes=limit)
    data = b"".join(
        [
            writer.schema_message().to_pybytes(),
            *(m.to_pybytes() for i in range(0, 5000, 700) for m in writer.batch_messages(persons.slice(i, 700))),
            END_OF_STREAM,
        ]
    )
    reader = StreamReader(memoryview(bytearray(window_bytes(limit))), max_batch_rows=700, max_batch_bytes=limit)
    parts, run = [], None
    for start in range(0, len(data), 100_000):
        piece = data[start : start + 100_000]
        reader.free[: len(piece)] = piece
        reader.advance(len(piece))
        for batch in reader.batches():
            run = run or prepare_batch(operation(RULES), "person/1", reader.schema, context(KEY))
            parts.append(run.apply(batch).batch.serialize().to_pybytes())
    reader.finish()
    assert run is not None
    batches = [pa.ipc.read_record_batch(pa.py_buffer(part), run.output_schema) for part in parts]
    whole = prepare_batch(operation(RULES), "person/1", persons.schema, context(KEY)).apply(persons).batch
    assert pa.Table.from_batches(batches).combine_chunks().to_batches()[0].equals(whole)
