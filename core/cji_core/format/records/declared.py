"""Arrow types and schemas as they are declared: who only reads declarations does not load pyarrow."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY: Final = b"cji.schema"
_OFFSET_BITS: Final = 32  # of text, binary data and lists


@dataclass(frozen=True, slots=True)
class Kind:
    """An Arrow type: its name in pyarrow and the fewest bits of a value in a stream; `item`: it is a list of these."""

    name: str
    bits: int = _OFFSET_BITS
    item: "Kind | None" = None

    @property
    def arrow(self) -> "pa.DataType":
        """The type."""
        return _type(self)


UTF8: Final = Kind("utf8")
BINARY: Final = Kind("binary")
BOOL: Final = Kind("bool_", 1)
UINT8: Final = Kind("uint8", 8)
UINT16: Final = Kind("uint16", 16)
UINT32: Final = Kind("uint32", 32)
UINT64: Final = Kind("uint64", 64)
INT8: Final = Kind("int8", 8)
INT16: Final = Kind("int16", 16)
INT32: Final = Kind("int32", 32)
INT64: Final = Kind("int64", 64)
FLOAT64: Final = Kind("float64", 64)


def list_of(item: Kind) -> Kind:
    """Lists of values of another type."""
    return Kind("list_", item=item)


class Field(NamedTuple):
    """One column of a schema."""

    name: str
    kind: Kind
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Fields:
    """An Arrow schema. One with a `schema_id` declares itself as that, with no other metadata."""

    fields: tuple[Field, ...]
    schema_id: str = ""

    @classmethod
    def of(cls, fields: Iterable[tuple[str, Kind]]) -> Self:
        """Columns that may be null."""
        return cls(tuple(Field(name, kind) for name, kind in fields))

    @classmethod
    def required(cls, **kinds: Kind) -> Self:
        """Columns without nulls."""
        return cls(tuple(Field(name, kind, nullable=False) for name, kind in kinds.items()))

    @property
    def arrow(self) -> "pa.Schema":
        """The schema."""
        return _schema(self)


@cache
def _type(kind: Kind) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415 - see above

    if kind.item is not None:
        return pa.list_(kind.item.arrow)
    made: pa.DataType = getattr(pa, kind.name)()
    return made


@cache
def _schema(fields: Fields) -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415 - see above

    metadata = {METADATA_KEY: fields.schema_id.encode()} if fields.schema_id else None
    return pa.schema(
        [pa.field(name, kind.arrow, nullable=nullable) for name, kind, nullable in fields.fields], metadata=metadata
    )
