"""The self-test of sealed columns: values of every type sealed and opened again, and one known cell.

It also loads what types load lazily, because a cell cannot open files, and makes the tables of code pages.
"""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from cji_core.data_classes import DataClass
from cji_core.format.columns import (
    CODE_PAGES,
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnFormat,
    ColumnKeys,
    ColumnRight,
    SqlType,
    StatedColumn,
    new_statement,
)
from cji_core.format.job import Header, SealedOutput
from cji_core.format.records import tagged
from cji_core.operations.deidentify import Deidentify
from cji_core.suites import Suite
from cji_operations.operation import Case
from cji_operations.sealed_columns import ColumnOpener, ColumnSealer
from cji_worker.cell.columns import JobColumns

CEK: Final = bytes(range(32))
"""Of the known cell."""
_VALUE: Final = "DOE"
_CELL: Final = bytes.fromhex(
    "013d28c903d554c2af498b3ec2de39c1d33725fa0b551a603df8446b956224ec1b"
    "180975839c3e3fb0bdd9c94dab7a87bdb3ba24a1ac7dc268337a072d689a881b"
)
"""DOE as nvarchar in a deterministic column, made by another program."""
_VALUES: Final = MappingProxyType(
    {
        "bit": "1",
        "int": "-7",
        "real": "0.5",
        "float": "0.5",
        "decimal(9,2)": "-1.50",
        "smallmoney": "1.5000",
        "date": "2001-02-03",
        "datetime": "2001-02-03T04:05:06.000",
        "smalldatetime": "2001-02-03T04:05",
        "time(3)": "12:34:56.789",
        "datetime2(3)": "2001-02-03T12:34:56.789",
        "datetimeoffset(0)": "2001-02-03T12:34:56+01:00",
        "uniqueidentifier": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "nchar(3)": "DOÉ",
        "nvarchar(max)": "DOÉ",
        "binary(2)": "ab",
        "varbinary(max)": "a",
        "long": "5",
        "double": "0.5",
        "string": "DOÉ",
    }
)
_DOUBLE_BYTE: Final = frozenset(("cp932", "cp936", "cp949", "cp950"))
"""Their tables take long to make, so a cell makes the one that it needs."""
_STATED: Final = MappingProxyType(
    {"last": ("nvarchar(60)", ColumnEncryption.DETERMINISTIC), "first": ("nvarchar(60)", ColumnEncryption.RANDOMIZED)}
)

CASE: Final = Case(
    schema="person/1",
    row={"last": _CELL, "first": "JO"},
    parameters=Deidentify(columns={"last": "keep", "first": "keep"}),
)
"""A job whose result goes back as it came, and in new cells."""
SEALED: Final = ("last",)
"""Columns of its records."""
OUTPUTS: Final = tuple(
    SealedOutput(output="result", column=name, column_keys=0, as_column=name) for name in sorted(_STATED)
)


def column_keys() -> ColumnKeys:
    """The keys of `CASE`. Nobody opens them, and nobody signed them."""
    columns = [
        StatedColumn(
            column=name,
            type=SqlType.parse(kind),
            data_class=DataClass.BIOGRAPHIC,
            encryption=encryption,
            rights=frozenset((ColumnRight.OPEN, ColumnRight.SEAL)),
            key=0,
        )
        for name, (kind, encryption) in _STATED.items()
    ]
    now = datetime.now(UTC).replace(microsecond=0)
    statement = new_statement(
        format=ColumnFormat.SQL_SERVER,
        table="self-test",
        keys=[ColumnEncryptionKey(key_path="self-test", cek_sha384=hashlib.sha384(CEK).digest())],
        columns=columns,
        originating_ori="VA0000000",
        purpose_codes=["C"],
        submitters=[bytes(32)],
        signer=bytes(32),
        suite=Suite.CLASSICAL_1,
        kek_id="https://self-test.invalid/keys/self-test/" + "0" * 32,
        created=now,
        not_after=now + timedelta(days=1),
    )
    return ColumnKeys(
        statement=statement, wrapped_key=os.urandom(384), sealed_keys=os.urandom(28 + len(CEK)), signature=b"none"
    )


def check_columns(header: Header) -> None:
    """Check every type, and the columns of a job of `CASE` with this header. Raises RuntimeError."""
    for text, value in _VALUES.items():
        _check_type(SqlType.parse(text), value)
    for page in sorted(CODE_PAGES - _DOUBLE_BYTE):
        _check_type(SqlType.parse(f"varchar(9) {page}"), _VALUE)
    columns = JobColumns(header, [CEK])
    schema = tagged(CASE.schema, [pa.field("last", pa.binary()), pa.field("first", pa.utf8())])
    cells, plain = pa.array([_CELL, _CELL[:-1]], pa.binary()), pa.array(["JO", "JO"])
    (rows,) = columns.of_input(0).open(pa.RecordBatch.from_arrays([cells, plain], schema=schema))
    _require(rows.batch["last"].to_pylist() == [_VALUE], "the known cell")
    _require(rows.status is not None and rows.status.counts() == (1, 0, 0, 1), "a faulty cell")
    (sealed,) = columns.outputs["result"].seal(rows.batch)
    _require(sealed["last"].to_pylist() == [_CELL], "the known cell going back")


def _check_type(kind: SqlType, value: str) -> None:
    sealer = ColumnSealer(kind, kind.format, deterministic=False, cek=CEK, random=os.urandom)
    opener = ColumnOpener(kind, kind.format, deterministic=False, cek=CEK, target=pa.utf8())
    opened = opener.open(sealer.seal(pa.array([value, None])))
    _require(opened.values.to_pylist() == [value, None] and not opened.codes.any(), str(kind))


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"the self-test of sealed columns failed: {what}")
