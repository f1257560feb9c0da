"""The statement on column keys: what an agency grants of the keys of one table, canonical bytes in, typed values out.

A job with sealed columns has up to four of these in its header, each with its keys sealed (`sealing`). A statement
lists who may use the keys, for whose records and purposes, under which key of a worker and until when; and for each
column its type, its class of data, its key and the rights of a job.

Contract and invariants
* `ColumnKeyStatement.data` holds exactly the bytes signed, and `sha384` their digest; policies grant that digest.
* Bytes have one meaning and a meaning has one encoding, as with headers; lists are ascending, but for that of the keys.
* A statement that was parsed is a claim. `verify_statement` establishes its signer, the policy its use.
* Key paths, tables and key ids are compared and shown, never contacted.
"""

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from cji_core.data_classes import DataClass
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns.types import ColumnFormat, SqlType, TypeInvalid
from cji_core.format.job.fields import (
    COLUMN,
    PURPOSE,
    SUITES,
    THUMBPRINT_BYTES,
    MalformedError,
    ascending,
    decode,
    distinct,
    moment,
    require,
    require_kek_id,
    require_printable,
    require_wrapped_key,
)
from cji_core.format.job.limits import LIMITS
from cji_core.format.job.ori import ORI_PREFIXES, is_ori
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2

VERSION: Final = 1
CEK_BYTES: Final = 32
_BOX_BYTES: Final = 28
"""A box is so much longer than its plaintext."""
_CLASSES: Final = {each.value: each for each in DataClass}


class ColumnEncryption(IntEnum):
    """Whether equal values have equal cells; the numbers are those of the proto."""

    DETERMINISTIC = 1
    RANDOMIZED = 2


class ColumnRight(IntEnum):
    """A right of a job to a column; the numbers are those of the proto."""

    OPEN = 1
    SEAL = 2
    COMPARE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEncryptionKey:
    """The name of a column encryption key: the path of its master key, which others may share, and its own SHA-384."""

    key_path: str
    cek_sha384: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedColumn:
    """The entry of a column in a statement; `column` is its name in record schemas, `key` a position in the keys."""

    column: str
    type: SqlType
    data_class: DataClass
    encryption: ColumnEncryption
    rights: frozenset[ColumnRight]
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnKeyStatement:
    """A well-formed statement."""

    data: bytes
    sha384: bytes
    format: ColumnFormat
    table: str
    keys: tuple[ColumnEncryptionKey, ...]
    columns: tuple[StatedColumn, ...]
    originating_ori: str
    purpose_codes: tuple[str, ...]
    submitters: tuple[bytes, ...]
    signer: bytes
    suite: Suite
    kek_id: str
    created: datetime
    not_after: datetime

    def column(self, name: str) -> StatedColumn | None:
        """The entry of the column with this name in record schemas."""
        return next((each for each in self.columns if each.column == name), None)

    def __repr__(self) -> str:
        return f"ColumnKeyStatement({self.sha384.hex()})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ColumnKeys:
    """A statement with its sealed keys and the signature over both, as they are in a header."""

    statement: ColumnKeyStatement
    wrapped_key: bytes
    sealed_keys: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"ColumnKeys({self.statement!r})"


def parse_statement(data: bytes, *, ori_prefixes: AbstractSet[str] = ORI_PREFIXES) -> ColumnKeyStatement:
    """The statement in these bytes. Raises Refusal(MALFORMED_HEADER) for others; `__cause__` has the rule."""
    try:
        return _statement(data, ori_prefixes)
    except MalformedError as error:
        raise malformed() from error


def read_column_keys(message: worker_pb2.ColumnKeys, ori_prefixes: AbstractSet[str]) -> ColumnKeys:
    """The column keys in this message of a canonical header. Raises MalformedError."""
    statement = _statement(message.statement, ori_prefixes)
    require_wrapped_key(message.wrapped_key, statement.suite, "wrapped_key")
    require(len(message.sealed_keys) == _BOX_BYTES + CEK_BYTES * len(statement.keys), "sealed_keys")
    require(0 < len(message.signature) <= LIMITS.signature_bytes, "signature of column keys")
    return ColumnKeys(
        statement=statement,
        wrapped_key=message.wrapped_key,
        sealed_keys=message.sealed_keys,
        signature=message.signature,
    )


def _statement(data: bytes, ori_prefixes: AbstractSet[str]) -> ColumnKeyStatement:
    message = decode(worker_pb2.ColumnKeyStatement, data)
    require(message.version == VERSION, "version of a statement")
    require(int(message.format) in ColumnFormat.__members__.values(), "format")
    require(message.suite in SUITES, "suite of a statement")
    require(is_ori(message.originating_ori, ori_prefixes), "originating_ori of a statement")
    require_kek_id(message.kek_id)
    require(len(message.signer) == THUMBPRINT_BYTES, "signer")
    require(1 <= len(message.purpose_codes) <= LIMITS.stated_names, "number of purposes")
    require(all(PURPOSE.fullmatch(code) for code in message.purpose_codes), "purpose code of a statement")
    ascending(message.purpose_codes, "order of purposes")
    require(1 <= len(message.submitters) <= LIMITS.stated_names, "number of submitters")
    require(all(len(each) == THUMBPRINT_BYTES for each in message.submitters), "submitter of a statement")
    ascending(message.submitters, "order of submitters")
    require(message.HasField("created") and message.HasField("not_after"), "times of a statement")
    require(message.created.nanos == message.not_after.nanos == 0, "whole seconds")
    created, not_after = moment(message.created), moment(message.not_after)
    require(created < not_after, "created before not_after")
    return ColumnKeyStatement(
        data=bytes(data),
        sha384=hashlib.sha384(data).digest(),
        format=ColumnFormat(message.format),
        table=require_printable(message.table),
        keys=_keys(message),
        columns=_columns(message),
        originating_ori=message.originating_ori,
        purpose_codes=tuple(message.purpose_codes),
        submitters=tuple(message.submitters),
        signer=message.signer,
        suite=SUITES[message.suite],
        kek_id=message.kek_id,
        created=created,
        not_after=not_after,
    )


def _keys(message: worker_pb2.ColumnKeyStatement) -> tuple[ColumnEncryptionKey, ...]:
    require(1 <= len(message.keys) <= LIMITS.column_keys, "number of column keys")
    require(all(len(key.cek_sha384) == hashlib.sha384().digest_size for key in message.keys), "cek_sha384")
    distinct([key.cek_sha384 for key in message.keys], "a column key twice")
    require({column.key for column in message.columns} == set(range(len(message.keys))), "keys of columns")
    return tuple(
        ColumnEncryptionKey(key_path=require_printable(key.key_path), cek_sha384=key.cek_sha384) for key in message.keys
    )


def _columns(message: worker_pb2.ColumnKeyStatement) -> tuple[StatedColumn, ...]:
    require(1 <= len(message.columns) <= LIMITS.sealed_columns, "number of columns")
    ascending([column.column for column in message.columns], "order of columns")
    return tuple(_stated(column, ColumnFormat(message.format)) for column in message.columns)


def _stated(column: worker_pb2.StatedColumn, table: ColumnFormat) -> StatedColumn:
    require(COLUMN.fullmatch(column.column), "name of a column")
    require(column.data_class in _CLASSES, "data class")
    require(int(column.encryption) in ColumnEncryption.__members__.values(), "encryption")
    rights = [int(right) for right in column.rights]
    require(rights and set(rights) <= set(ColumnRight.__members__.values()), "rights")
    ascending(rights, "order of rights")
    try:
        found = SqlType.parse(column.type)
    except TypeInvalid as error:
        raise MalformedError("type of a column") from error
    require(found.format is table, "type of another format")
    return StatedColumn(
        column=column.column,
        type=found,
        data_class=_CLASSES[column.data_class],
        encryption=ColumnEncryption(column.encryption),
        rights=frozenset(map(ColumnRight, rights)),
        key=column.key,
    )


def malformed() -> Refusal:
    """The refusal of bytes or values that make neither a statement nor column keys."""
    return Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
