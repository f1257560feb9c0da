"""The types of sealed columns: SQL types as Always Encrypted has them, and the four types of Cosmos DB's properties.

    SQL Server   bit tinyint smallint int bigint real float money smallmoney
                 date datetime smalldatetime uniqueidentifier
                 decimal(p,s) numeric(p,s)    1 <= p <= 38, 0 <= s <= p
                 time(s) datetime2(s) datetimeoffset(s)    0 <= s <= 7
                 char(n) varchar(n) with a code page: "char(9) cp1252"    1 <= n <= 8000; varchar(max)
                 nchar(n) nvarchar(n)    1 <= n <= 4000; nvarchar(max)
                 binary(n) varbinary(n)    1 <= n <= 8000; varbinary(max)
    Cosmos DB    string long double bool

A type has one text: `SqlType.parse` refuses any other, and `str` returns it.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cji_core.errors import CoreError


class ColumnFormat(IntEnum):
    """The format of a table's cells; the numbers are those of the proto."""

    SQL_SERVER = 1
    COSMOS_DB = 2


class TypeInvalid(CoreError, ValueError):  # noqa: N818 - the domain's word, as PolicyInvalid is
    """The text is not a type of a sealed column."""

    code = "column-type-invalid"
    remedy = "Write the type as docs/format.md does, for example nvarchar(60), char(9) cp1252 or decimal(9,2)."


CODE_PAGES: Final = frozenset(
    (
        "cp437",
        "cp850",
        "cp874",
        "cp932",
        "cp936",
        "cp949",
        "cp950",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "utf-8",
    )
)
"""Of SQL Server's collations; Python's codecs have the same names."""

_INTEGERS: Final = ("bit", "tinyint", "smallint", "int", "bigint")
_NUMBERS: Final = ("real", "float", "money", "smallmoney")
_DATES: Final = ("date", "datetime", "smalldatetime")
_PLAIN: Final = frozenset((*_INTEGERS, *_NUMBERS, *_DATES, "uniqueidentifier"))
_COSMOS: Final = frozenset(("string", "long", "double", "bool"))
_DECIMAL: Final = frozenset(("decimal", "numeric"))
_FRACTION: Final = frozenset(("time", "datetime2", "datetimeoffset"))
_LENGTHS: Final = {"char": 8000, "varchar": 8000, "nchar": 4000, "nvarchar": 4000, "binary": 8000, "varbinary": 8000}
"""The greatest length of each, in characters or bytes."""
_WITH_MAX: Final = frozenset(("varchar", "nvarchar", "varbinary"))
_WITH_PAGE: Final = frozenset(("char", "varchar"))
_MAX_PRECISION: Final = 38
_MAX_FRACTION: Final = 7
_NUMBER: Final = "(0|[1-9][0-9]{0,3})"
_TEXT: Final = re.compile(rf"([a-z][a-z0-9]*)(?:\((max|{_NUMBER}(?:,{_NUMBER})?)\))?(?: (\S+))?")


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type. What does not belong to it is None.

    `length` is that of text and binary types, None for max, `precision` and `scale` those of decimals, `scale` alone
    the digits of a second's fraction, `code_page` that of char and varchar.
    """

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    code_page: str | None = None

    def __post_init__(self) -> None:
        """Raise TypeInvalid for a type that does not exist."""
        if not self._exists():
            raise TypeInvalid("not a type of a sealed column")

    @property
    def format(self) -> ColumnFormat:
        """The format whose type it is."""
        return ColumnFormat.COSMOS_DB if self.name in _COSMOS else ColumnFormat.SQL_SERVER

    @classmethod
    def parse(cls, text: str) -> "SqlType":
        """The type with this text. Raises TypeInvalid."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise TypeInvalid("not a type of a sealed column")
        name, brackets, first, second, page = found.groups()
        numbers = [None if each is None else int(each) for each in (first, second)]
        if name in _DECIMAL:
            made = cls(name, precision=numbers[0], scale=numbers[1])
        elif name in _FRACTION:
            made = cls(name, scale=numbers[0])
        else:
            made = cls(name, length=numbers[0], code_page=page)
        if str(made) != text or (brackets == "max" and name not in _WITH_MAX):
            raise TypeInvalid("not the text of a type")
        return made

    def __str__(self) -> str:
        """Its text."""
        page = f" {self.code_page}" if self.code_page else ""
        if self.name in _DECIMAL:
            return f"{self.name}({self.precision},{self.scale})"
        if self.name in _FRACTION:
            return f"{self.name}({self.scale})"
        if self.name in _LENGTHS:
            return f"{self.name}({self.length or 'max'}){page}"
        return self.name

    def _exists(self) -> bool:
        has = (self.length is not None, self.precision is not None, self.scale is not None)
        if (self.code_page in CODE_PAGES) != (self.name in _WITH_PAGE) or (
            self.code_page and self.name not in _WITH_PAGE
        ):
            return False
        if self.name in _LENGTHS:
            fits = self.name in _WITH_MAX if self.length is None else 1 <= self.length <= _LENGTHS[self.name]
            return fits and not any(has[1:])
        if self.precision is not None and self.scale is not None and self.name in _DECIMAL:
            return not has[0] and 1 <= self.precision <= _MAX_PRECISION and 0 <= self.scale <= self.precision
        if self.scale is not None and self.name in _FRACTION:
            return not any(has[:2]) and 0 <= self.scale <= _MAX_FRACTION
        return self.name in _PLAIN | _COSMOS and not any(has)
