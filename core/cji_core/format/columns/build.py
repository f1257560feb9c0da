"""Statements on column keys from values, for agencies, and their messages in a header, for submitters.

Invariant: `parse_statement` reads every statement that `new_statement` returns; equal values give equal bytes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cji_core.format.columns.statement import (
    VERSION,
    ColumnEncryptionKey,
    ColumnKeys,
    ColumnKeyStatement,
    StatedColumn,
    malformed,
    parse_statement,
    read_column_keys,
)
from cji_core.format.columns.types import ColumnFormat
from cji_core.format.job.fields import SUITE_VALUES, MalformedError, timestamp
from cji_core.format.job.ori import ORI_PREFIXES
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2


def column_keys_message(keys: ColumnKeys) -> worker_pb2.ColumnKeys:
    """Its message in a header."""
    return worker_pb2.ColumnKeys(
        statement=keys.statement.data,
        wrapped_key=keys.wrapped_key,
        sealed_keys=keys.sealed_keys,
        signature=keys.signature,
    )


def parse_column_keys(*, statement: bytes, wrapped_key: bytes, sealed_keys: bytes, signature: bytes) -> ColumnKeys:
    """The column keys in these four fields. Raises Refusal(MALFORMED_HEADER) for others."""
    message = worker_pb2.ColumnKeys(
        statement=statement, wrapped_key=wrapped_key, sealed_keys=sealed_keys, signature=signature
    )
    try:
        return read_column_keys(message, ORI_PREFIXES)
    except MalformedError as error:
        raise malformed() from error


def new_statement(
    *,
    format: ColumnFormat,  # noqa: A002 - the field's name
    table: str,
    keys: Sequence[ColumnEncryptionKey],
    columns: Iterable[StatedColumn],
    originating_ori: str,
    purpose_codes: Iterable[str],
    submitters: Iterable[bytes],
    signer: bytes,
    suite: Suite,
    kek_id: str,
    created: datetime,
    not_after: datetime,
) -> ColumnKeyStatement:
    """The statement with these values, in whatever order; both times in whole seconds.

    Raises MALFORMED_HEADER for values that break docs/format.md §13.
    """
    try:
        message = worker_pb2.ColumnKeyStatement(
            version=VERSION,
            format=worker_pb2.ColumnFormat.Name(format),
            table=table,
            keys=[worker_pb2.ColumnEncryptionKey(key_path=k.key_path, cek_sha384=k.cek_sha384) for k in keys],
            columns=[_column(each) for each in sorted(columns, key=lambda column: column.column)],
            originating_ori=originating_ori,
            purpose_codes=sorted(purpose_codes),
            submitters=sorted(submitters),
            signer=signer,
            suite=SUITE_VALUES[suite],
            kek_id=kek_id,
            created=timestamp(created),
            not_after=timestamp(not_after),
        )
        data = message.SerializeToString(deterministic=True)
    except (ValueError, TypeError) as error:
        raise malformed() from error
    return parse_statement(data)


def _column(column: StatedColumn) -> worker_pb2.StatedColumn:
    return worker_pb2.StatedColumn(
        column=column.column,
        type=str(column.type),
        data_class=column.data_class.value,
        encryption=worker_pb2.ColumnEncryption.Name(column.encryption),
        rights=[worker_pb2.ColumnRight.Name(right) for right in sorted(column.rights)],
        key=column.key,
    )
