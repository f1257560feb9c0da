"""The worker's record schemas: the columns of each, their types and their class of data.

A schema is a closed list of columns. A stream declares its schema by name in the Arrow schema metadata, key
`cji.schema`. Columns may come in any order, and optional ones may be absent. An unlisted column, a repeated column, a
different type or a different name in the metadata is SCHEMA_MISMATCH.

Columns have the names of NCIC's message fields (NAM, DOB, SOC ...) where these exist. Widths and code sets are not part
of a schema: operations check values, and a bad value never fails a job.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from cji_core.data_classes import DataClass
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records.declared import (
    BINARY,
    BOOL,
    INT16,
    METADATA_KEY,
    UINT8,
    UINT16,
    UINT64,
    UTF8,
    Field,
    Fields,
    Kind,
    list_of,
)

if TYPE_CHECKING:
    import pyarrow as pa


EVERY: Final = "*"
"""Every column of the inputs, in `Column.of`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, the kinds of its permitted Arrow types, its class of data, and whether it is required.

    `date`: its text is a date. `of`: columns of the inputs that an output's values are from, EVERY for any of them.
    """

    name: str
    data_class: DataClass
    kinds: tuple[Kind, ...]
    required: bool = False
    date: bool = False
    of: frozenset[str] = frozenset()

    @property
    def types(self) -> "tuple[pa.DataType, ...]":
        """Its permitted Arrow types."""
        return tuple(kind.arrow for kind in self.kinds)

    @property
    def least_bits(self) -> int:
        """The fewest bits that one value takes in an Arrow stream, null or not: its own, or those of its offset."""
        return min(kind.bits for kind in self.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchema:
    """A named, closed list of columns.

    `output_only`: the worker makes such records and accepts none. `lines`: the one column holds the lines of a text
    file.
    """

    schema_id: str
    columns: Mapping[str, Column]
    output_only: bool = False
    lines: bool = False

    @classmethod
    def output(cls, schema_id: str, *groups: tuple[Column, ...], lines: bool = False) -> Self:
        """A schema of records that the worker makes."""
        return cls(schema_id=schema_id, columns=_by_name(*groups), output_only=True, lines=lines)

    @property
    def declared(self) -> Fields:
        """The Arrow schema of an output: every column, each with its first type, null only where not required."""
        return Fields(
            tuple(Field(c.name, c.kinds[0], nullable=not c.required) for c in self.columns.values()), self.schema_id
        )

    @property
    def arrow(self) -> "pa.Schema":
        """`declared` as a schema."""
        return self.declared.arrow

    def made_from(self, inputs: "Iterable[pa.Schema]") -> "pa.Schema":
        """The schema of an output as the recipient gets it, of a job with these inputs.

        It is `arrow`, but a column with values `of` columns of the inputs is text, unless one of those is binary.
        """
        binary = {field.name for schema in inputs for field in schema if field.type == BINARY.arrow}
        binary |= {EVERY} if binary else set()
        text = {column.name for column in self.columns.values() if column.of and binary.isdisjoint(column.of)}
        return tagged(
            self.schema_id, [field.with_type(UTF8.arrow) if field.name in text else field for field in self.arrow]
        )

    @property
    def data_classes(self) -> frozenset[DataClass]:
        """The classes of data that its records may hold, whichever optional columns they have."""
        return frozenset(column.data_class for column in self.columns.values()) - {DataClass.NONE}

    @property
    def least_row_bits(self) -> int:
        """The fewest bits that one row takes in an Arrow stream: its required columns, of at least one column."""
        return max(1, sum(column.least_bits for column in self.columns.values() if column.required))


def columns(
    data_class: DataClass, names: str, *kinds: Kind, required: bool = False, dates: str = "", of: str = ""
) -> tuple[Column, ...]:
    """A column of these Arrow types and this class of data for each of the blank-separated `names`.

    Those that are listed in `dates` too hold dates; `of` is for all of them.
    """
    return tuple(
        Column(
            name=name,
            data_class=data_class,
            kinds=kinds,
            required=required,
            date=name in dates.split(),
            of=frozenset(of.split()),
        )
        for name in names.split()
    )


def _by_name(*groups: tuple[Column, ...]) -> Mapping[str, Column]:
    return MappingProxyType({column.name: column for group in groups for column in group})


ROW_STATUS: Final = "row_status/1"
_TEXT: Final = (UTF8, BINARY)
_BIOGRAPHIC: Final = DataClass.BIOGRAPHIC
_HISTORY: Final = DataClass.IDENTITY_HISTORY
_CONTROL: Final = DataClass.CONTROL_NUMBER
_CASE: Final = DataClass.CASE

_PERSON: Final = (
    *columns(_CONTROL, "record_id", *_TEXT),
    *columns(_BIOGRAPHIC, "NAM last first middle suffix", *_TEXT),
    *columns(_BIOGRAPHIC, "SEX RAC ETN DOB POB HGT WGT EYE HAI SKN SMT", *_TEXT, dates="DOB"),
    *columns(_BIOGRAPHIC, "SOC OLN OLS OLY MNU", *_TEXT),
    *columns(_CONTROL, "FBI SID", *_TEXT),
    *columns(_BIOGRAPHIC, "street_number address_1 address_2 suburb city county state postcode country", *_TEXT),
)
_CLUSTER: Final = columns(_CONTROL, "cluster", UINT64)
_HOTFILE: Final = (
    *_PERSON,
    *columns(_CONTROL, "NIC ORI", *_TEXT),
    *columns(_CASE, "MKE OCA file_code EXL CMC entered expires", *_TEXT, dates="entered expires"),
    *columns(DataClass.PROPERTY, "VIN LIC LIS LIY LIT VYR VMA VMO VST VCO", *_TEXT),
)
_CHRI_EVENT: Final = (
    *columns(_CONTROL, "subject ORI", *_TEXT),
    *columns(
        _HISTORY, "cycle event date charge level disposition disposition_date", *_TEXT, dates="date disposition_date"
    ),
    *columns(_HISTORY, "sealed expunged juvenile non_conviction", BOOL),
)
_CHRI_EVENT_2: Final = (
    *columns(_CONTROL, "subject ORI", *_TEXT),
    *columns(_BIOGRAPHIC, "DOB", *_TEXT, dates="DOB"),
    *columns(_HISTORY, "cycle case count event date county offense_code offense level", *_TEXT, dates="date"),
    *columns(_HISTORY, "offense_date transaction max_penalty marks", *_TEXT, dates="offense_date"),
    *columns(
        _HISTORY,
        "disposition disposition_date sentence sentence_length discharged released comment relief",
        *_TEXT,
        dates="disposition_date discharged released",
    ),
    *columns(_HISTORY, "deceased pending restitution_paid fines_paid", BOOL),
    *columns(_HISTORY, "sealed expunged juvenile non_conviction", BOOL),
)
_COURT_ORDER: Final = (
    *columns(_CONTROL, "order_id", *_TEXT, required=True),
    *columns(_HISTORY, "action", *_TEXT, required=True),
    *columns(_HISTORY, "whole_record", BOOL),
    *columns(
        _HISTORY,
        "ordered cycle count event date charge offense_code disposition_date",
        *_TEXT,
        dates="ordered date disposition_date",
    ),
    *columns(_CONTROL, "subject ORI", *_TEXT),
    *_PERSON,
)
_NARRATIVE: Final = (
    *columns(_CONTROL, "record_id ORI", *_TEXT),
    *columns(_CASE, "OCA date title", *_TEXT, dates="date"),
    *columns(_CASE, "narrative", *_TEXT, required=True),
)
_NIBRS_ORI: Final = columns(
    _CONTROL,
    "ori status nibrs_start inactive_from covered_from federal",
    *_TEXT,
    required=True,
    dates="nibrs_start inactive_from covered_from",
)
_NIBRS_VERDICTS: Final = (
    *columns(_CASE, "ori number", *_TEXT, required=True),
    *columns(_CASE, "row", UINT64, required=True),
    *columns(_CASE, "accepted", BOOL, required=True),
    *columns(_CASE, "group action", *_TEXT),
    *columns(_CASE, "segments errors warnings", UINT64),
)
_NIBRS_ON_FILE: Final = columns(_CONTROL, "kind ori number sequence date", *_TEXT, required=True, dates="date")
_ROW_STATUS: Final = (
    *columns(DataClass.NONE, "row", UINT64, required=True),
    *columns(_CASE, "status", UINT8, required=True),
    *columns(_CASE, "codes", list_of(UINT16), required=True),
    *columns(_CASE, "columns", list_of(INT16), required=True),
)


def _input(schema_id: str, *groups: tuple[Column, ...], lines: bool = False) -> RecordSchema:
    return RecordSchema(schema_id=schema_id, columns=_by_name(*groups), lines=lines)


SCHEMAS: Final = MappingProxyType(
    {
        schema.schema_id: schema
        for schema in (
            _input("person/1", _PERSON, _CLUSTER),
            _input("hotfile/1", _HOTFILE, _CLUSTER),
            _input("chri_event/1", _CHRI_EVENT),
            _input("chri_event/2", _CHRI_EVENT_2),
            _input("court_order/1", _COURT_ORDER),
            _input("narrative/1", _NARRATIVE),
            _input("offense_codes/1", columns(_CASE, "code standard", *_TEXT, required=True)),
            _input("words/1", columns(_BIOGRAPHIC, "word kind", *_TEXT, required=True)),
            _input("nibrs.flat/3.1", columns(_CASE, "segment", BINARY, required=True), lines=True),
            _input("nibrs.xml/2019.1", columns(_CASE, "report", BINARY, required=True)),
            _input("nibrs_ori/1", _NIBRS_ORI),
            _input("nibrs_on_file/1", _NIBRS_ON_FILE),
            _input("nibrs_verdicts/1", _NIBRS_VERDICTS),
            RecordSchema.output(ROW_STATUS, _ROW_STATUS),
        )
    }
)
"""The inputs of jobs, and the status of rows. Each operation declares the other records that it makes."""

EVENTS: Final = frozenset(("chri_event/1", "chri_event/2"))
"""Schemas of events in criminal histories."""
PERSONAL: Final = frozenset(("person/1", "hotfile/1")) | EVENTS
"""Schemas of records about persons, for operations that take any of them."""

SEVERAL_ROWS: Final = EVENTS | frozenset(("hotfile/1",))
"""Schemas of records that are not persons: events, and entries of hot files. A person may have several."""

FREE_TEXT: Final = frozenset(("charge", "comment", "narrative", "offense", "title"))
"""Columns in which people write what they want, names and numbers of anybody included."""

KINDS: Final = frozenset(
    kind for schema in SCHEMAS.values() for column in schema.columns.values() for kind in column.kinds
)


def data_classes(schema_ids: Iterable[str]) -> frozenset[DataClass]:
    """The classes of data that records of these schemas may hold. Raises Refusal(SCHEMA_MISMATCH) for an unknown id."""
    return frozenset[DataClass]().union(*map(_data_classes_of, schema_ids))


@functools.cache
def _data_classes_of(schema_id: str) -> frozenset[DataClass]:
    if (schema := SCHEMAS.get(schema_id)) is None:
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.ADMIT)
    return schema.data_classes


def check_schema(schema_id: str, schema: "pa.Schema") -> None:
    """Refuse an Arrow schema that is not `schema_id`.

    Raises: Refusal(SCHEMA_MISMATCH) for an unknown id, different metadata, no column, an unknown or repeated column, a
    type that the column does not allow, or a missing required column.
    """
    known = SCHEMAS.get(schema_id)
    declared = (schema.metadata or {}).get(METADATA_KEY)
    if known is None or declared != schema_id.encode():
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    names = set(schema.names)
    if not names or len(names) != len(schema.names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    for field in schema:
        column = known.columns.get(field.name)
        if column is None or field.type not in column.types:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    if any(column.required and column.name not in names for column in known.columns.values()):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)


def tagged(schema_id: str, fields: "list[pa.Field]") -> "pa.Schema":
    """An Arrow schema with these fields that declares itself as `schema_id`, with no other metadata."""
    import pyarrow as pa  # noqa: PLC0415 - as in `declared`

    return pa.schema(fields, metadata={METADATA_KEY: schema_id.encode()})
