"""Sealed columns: cells that a database's client encrypted, opened; and results, sealed as such cells.

    cells        AEAD_AES_256_CBC_HMAC_SHA256 over a whole column
    numbers, moments, texts, code_pages    the bytes of each type's values, to Arrow and back
    types        the encoding of each type, and what its values are opened to
    opened       cells and values that are remembered
    opener, sealer    one column, batch after batch

Everything is a pure function of cells and keys, and for randomized cells of the random bytes that a caller draws.
"""

from cji_operations.sealed_columns.opened import MAX_SEEN, OpenedValues
from cji_operations.sealed_columns.opener import ColumnOpener, OpenedColumn
from cji_operations.sealed_columns.plain import ValueUnfit
from cji_operations.sealed_columns.sealer import ColumnSealer

__all__ = ["MAX_SEEN", "ColumnOpener", "ColumnSealer", "OpenedColumn", "OpenedValues", "ValueUnfit"]
