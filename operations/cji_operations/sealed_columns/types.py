"""The encoding of each type, and what its values are opened to."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.columns import ColumnFormat, SqlType
from cji_core.format.records import arrow
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.code_pages import coding
from cji_operations.sealed_columns.moments import (
    Dates,
    Datetime2,
    DatetimeOffsets,
    Datetimes,
    SmallDatetimes,
    Times,
)
from cji_operations.sealed_columns.numbers import Decimals, Integers, Money, Reals
from cji_operations.sealed_columns.plain import Decoded, Encoding, coded
from cji_operations.sealed_columns.texts import Binaries, Guids, Texts

_SIMPLE: Final[dict[str, Encoding]] = {
    "bit": Integers(0, 1, bits=True),
    "tinyint": Integers(0, (1 << 8) - 1),
    "smallint": Integers(-(1 << 15), (1 << 15) - 1),
    "int": Integers(-(1 << 31), (1 << 31) - 1),
    "bigint": Integers(-(1 << 63), (1 << 63) - 1),
    "real": Reals(4),
    "float": Reals(8),
    "money": Money(64),
    "smallmoney": Money(32),
    "date": Dates(),
    "datetime": Datetimes(),
    "smalldatetime": SmallDatetimes(),
    "uniqueidentifier": Guids(),
    "bool": Integers(0, 1, bits=True, words=True),
    "long": Integers(-(1 << 63), (1 << 63) - 1),
    "double": Reals(8),
    "string": Texts(coding("utf-8"), None, padded=False),
}
_MOMENTS: Final[dict[str, Callable[[int], Encoding]]] = {
    "time": Times,
    "datetime2": Datetime2,
    "datetimeoffset": DatetimeOffsets,
}
_MARKERS: Final = {"bool": 2, "double": 3, "long": 4, "string": 5}
"""The byte before a cell of Cosmos DB; nothing authenticates it."""
_TEXTS: Final = {"char": True, "varchar": False, "nchar": True, "nvarchar": False}
_BINARIES: Final = {"binary": True, "varbinary": False}
"""Whether values are padded to the length."""
_DAY_CHARACTERS: Final = 10
_WITH_DAY: Final = frozenset(("date", "datetime2", "datetimeoffset", "datetime", "smalldatetime"))


def marker_of(kind: SqlType, format: ColumnFormat) -> bytes:  # noqa: A002 - the statement's word
    """The byte before a cell of this type: none in SQL Server. Raises ValueError for a type of the other format."""
    if kind.format is not format:
        raise ValueError("the format has no such type, and no marker of it")
    return bytes((_MARKERS[kind.name],)) if kind.name in _MARKERS else b""


def encoding_of(kind: SqlType) -> Encoding:
    """How values of the type lie in cells."""
    name = kind.name
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name in _MOMENTS:
        return _MOMENTS[name](kind.scale or 0)
    if name in _TEXTS:
        return Texts(coding(kind.code_page), kind.length, padded=_TEXTS[name])
    if name in _BINARIES:
        return Binaries(kind.length, padded=_BINARIES[name])
    return Decimals(kind.precision or 0, kind.scale or 0)


def rendered(array: pa.Array, kind: SqlType, target: pa.DataType, *, day: bool = False) -> Decoded:
    """The decoded column as `target`, utf8, binary, bool or uint64. Raises ValueError if no value could be that.

    `day`: of a date or moment its day as YYYYMMDD, as the client sends a date in plain text.
    """
    none = np.zeros(len(array), np.uint16)
    if target == array.type:
        found = Decoded(array, none)
    elif pa.types.is_uint64(target) and pa.types.is_int64(array.type):
        numbers = arrow.numbers(array)
        found = Decoded(arrow.from_numpy(numbers.astype("u8")), coded(numbers < 0, CellCode.CELL_RANGE))
    elif target not in (pa.utf8(), pa.binary()):
        raise ValueError("no value of the type can be one of the column")
    elif pa.types.is_binary(array.type):
        offsets, data = arrow.text(array)
        text = coding("utf-8").decode(data[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype("i8"))
        found = Decoded(text.text, coded(text.wrong, CellCode.CELL_TEXT))
    elif pa.types.is_boolean(array.type) and kind.format is ColumnFormat.SQL_SERVER:
        found = Decoded(array.cast(pa.int8()).cast(pa.utf8()), none)
    else:
        found = Decoded(array if array.type == pa.utf8() else array.cast(pa.utf8()), none)
    if day and kind.name in _WITH_DAY:
        days = pc.utf8_slice_codeunits(found.array, 0, _DAY_CHARACTERS)
        found = Decoded(pc.replace_substring(days, "-", ""), none)
    return found if found.array.type == target else Decoded(found.array.view(pa.binary()), found.codes)
