"""Sealed columns: the types of their cells, and the statements under which a job gets their keys.

    types      SqlType: the types that sealed columns have
    statement  what an agency states of the keys of one table; bytes in, typed values out
    build      a statement from values
    sealing    those keys sealed and signed, verified, opened

The front reads statements and has nothing to open them with, so `sealing` is loaded where it is used.
"""

from typing import TYPE_CHECKING

from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_core.format.columns.build import column_keys_message, new_statement, parse_column_keys
    from cji_core.format.columns.sealing import open_keys, seal_keys, verify_statement
    from cji_core.format.columns.statement import (
        CEK_BYTES,
        ColumnEncryption,
        ColumnEncryptionKey,
        ColumnKeys,
        ColumnKeyStatement,
        ColumnRight,
        StatedColumn,
        parse_statement,
    )
    from cji_core.format.columns.types import CODE_PAGES, ColumnFormat, SqlType, TypeInvalid
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "CEK_BYTES",
    "CODE_PAGES",
    "ColumnEncryption",
    "ColumnEncryptionKey",
    "ColumnFormat",
    "ColumnKeyStatement",
    "ColumnKeys",
    "ColumnRight",
    "SqlType",
    "StatedColumn",
    "TypeInvalid",
    "column_keys_message",
    "new_statement",
    "open_keys",
    "parse_column_keys",
    "parse_statement",
    "seal_keys",
    "verify_statement",
]
