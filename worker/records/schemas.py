"""The worker's record schemas: the columns of each, their types and their class of data.

A schema is a closed list of columns. A stream declares its schema by name in the Arrow schema metadata, key
`cji.schema`. Columns may come in any order, and optional ones may be absent. An unlisted column, a repeated column, a
different type or a different name in the metadata is SCHEMA_MISMATCH.

Columns have the names of NCIC's message fields (NAM, DOB, SOC ...) where these exist. Widths and code sets are not part
of a schema: operations check values, and a bad value never fails a job.
"""

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from worker.errors import Reason, Refusal, Stage

__all__ = ["METADATA_KEY", "SCHEMAS", "TYPES", "Column", "DataClass", "RecordSchema", "check_schema", "tagged"]

METADATA_KEY: Final = b"cji.schema"


class DataClass(enum.Enum):
    """The kind of Criminal Justice Information in a column (CJIS Security Policy 5.9.5, section 4.1)."""

    BIOMETRIC = "biometric"
    IDENTITY_HISTORY = "identity history"
    BIOGRAPHIC = "biographic"
    PROPERTY = "property"
    CASE = "case"
    CONTROL_NUMBER = "control number"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, its permitted Arrow types, its class of data, and whether it is required."""

    name: str
    data_class: DataClass
    types: tuple[pa.DataType, ...]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchema:
    """A named, closed list of columns; `made` by an operation and never sent in, or a submitter's own."""

    schema_id: str
    columns: MappingProxyType[str, Column]
    made: bool = False


_TEXT: Final = (pa.utf8(), pa.binary())
_BIOGRAPHIC: Final = DataClass.BIOGRAPHIC
_HISTORY: Final = DataClass.IDENTITY_HISTORY
_CONTROL: Final = DataClass.CONTROL_NUMBER


def _text(data_class: DataClass, names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, data_class=data_class, types=_TEXT) for name in names.split())


def _schema(schema_id: str, *columns: Column, made: bool = False) -> RecordSchema:
    named = MappingProxyType({column.name: column for column in columns})
    return RecordSchema(schema_id=schema_id, columns=named, made=made)


_PERSON: Final = (
    *_text(_CONTROL, "record_id"),
    *_text(_BIOGRAPHIC, "NAM last first middle suffix"),
    *_text(_BIOGRAPHIC, "SEX RAC ETN DOB POB HGT WGT EYE HAI SKN SMT"),
    *_text(_BIOGRAPHIC, "SOC OLN OLS OLY MNU"),
    *_text(_CONTROL, "FBI SID"),
    *_text(_BIOGRAPHIC, "street_number address_1 address_2 suburb city county state postcode country"),
)
_CLUSTER: Final = Column(name="cluster", data_class=_CONTROL, types=(pa.uint64(),))
_HOTFILE: Final = (
    *_PERSON,
    *_text(_CONTROL, "NIC ORI"),
    *_text(DataClass.CASE, "MKE OCA file_code EXL CMC entered expires"),
    *_text(DataClass.PROPERTY, "VIN LIC LIS LIY LIT VYR VMA VMO VST VCO"),
)
_CHRI_EVENT: Final = (
    *_text(_CONTROL, "subject ORI"),
    *_text(_HISTORY, "cycle event date charge level disposition disposition_date"),
    *(
        Column(name=name, data_class=_HISTORY, types=(pa.bool_(),))
        for name in ("sealed", "expunged", "juvenile", "non_conviction")
    ),
)
_NIBRS: Final = (Column(name="segment", data_class=DataClass.CASE, types=(pa.binary(),), required=True),)
_LEDGER: Final = (
    *(Column(name=name, data_class=_CONTROL, types=(pa.binary(),)) for name in ("subject", "SID", "FBI", "file")),
    *(
        Column(name=name, data_class=_HISTORY, types=(pa.utf8(),))
        for name in ["time", "purpose", "requestor", "requesting_ori", "secondary_recipient", "recipient_class"]
    ),
    Column(name="rows", data_class=_HISTORY, types=(pa.uint64(),)),
)
_WITHHELD: Final = (
    Column(name="reason", data_class=DataClass.CASE, types=(pa.utf8(),)),
    Column(name="rows", data_class=DataClass.CASE, types=(pa.uint64(),)),
)
_TOKEN_MAP: Final = (
    Column(name="column", data_class=DataClass.NONE, types=(pa.utf8(),)),
    Column(name="token", data_class=DataClass.NONE, types=(pa.binary(),)),
    Column(name="value", data_class=_BIOGRAPHIC, types=(pa.binary(),)),
)
_K_ANONYMITY: Final = (
    Column(name="stage", data_class=DataClass.NONE, types=(pa.utf8(),)),
    *(Column(name=name, data_class=DataClass.CASE, types=(pa.uint64(),)) for name in ("size", "classes", "rows")),
)
_CASE: Final = DataClass.CASE


def _needed(names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, data_class=_CONTROL, types=_TEXT, required=True) for name in names.split())


def _binary(names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, data_class=_CASE, types=(pa.binary(),)) for name in names.split())


def _counts(names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, data_class=_CASE, types=(pa.uint64(),)) for name in names.split())


_NIBRS_FINDINGS: Final = (
    *_counts("row record"),
    Column(name="level", data_class=_CASE, types=(pa.uint8(),)),
    *_binary("element"),
    Column(name="rule", data_class=_CASE, types=(pa.uint16(),)),
    *_binary("value sequence offense loss"),
    Column(name="warning", data_class=_CASE, types=(pa.bool_(),)),
    *_binary("message period action ori number"),
)


def _numbers(names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, data_class=_CASE, types=(pa.float64(),)) for name in names.split())


_PAIRS: Final = (
    *_counts("left right"),
    *_numbers("weight frequency probability"),
    Column(name="pattern", data_class=_CASE, types=(pa.uint32(),)),
    Column(name="match", data_class=_CASE, types=(pa.bool_(),)),
)
_PATTERNS: Final = (
    Column(name="pattern", data_class=_CASE, types=(pa.uint32(),)),
    *_counts("pairs"),
    Column(name="comparison", data_class=_CASE, types=(pa.utf8(),)),
    Column(name="level", data_class=_CASE, types=(pa.int8(),)),
    Column(name="words", data_class=_CASE, types=(pa.utf8(),)),
    *_numbers("m u weight"),
)
_BLOCKS: Final = (
    Column(name="rule", data_class=_CASE, types=(pa.utf8(),)),
    *_counts("blocks largest pairs new_pairs"),
    Column(name="left_out", data_class=_CASE, types=(pa.bool_(),)),
    *_counts("split split_rows"),
)
_CELLS: Final = (
    Column(name="grouping", data_class=_CASE, types=(pa.uint16(),)),
    *_binary("key_1 key_2 key_3 key_4"),
    Column(name="unclassifiable", data_class=_CASE, types=(pa.uint16(),)),
    Column(name="hidden", data_class=_CASE, types=(pa.bool_(),)),
    *_counts("rows persons sum_1 sum_2 sum_3 sum_4"),
)
_RETURN_A: Final = (*_binary("form ori month line"), *_counts("actual cleared cleared_under_18"))
_ACCOUNTING: Final = (
    Column(name="outcome", data_class=_CASE, types=(pa.utf8(),)),
    *_counts("reports"),
)
_OUTCOMES: Final = (
    *_counts("row"),
    *(Column(name=name, data_class=_CASE, types=(pa.utf8(),)) for name in ("outcome", "best")),
    *_counts("hits listed"),
)
_HITS: Final = (
    *_counts("row"),
    Column(name="rank", data_class=_CASE, types=(pa.uint32(),)),
    Column(name="class", data_class=_CASE, types=(pa.utf8(),)),
    Column(name="score", data_class=_CASE, types=(pa.float64(),)),
    Column(name="agreement", data_class=_CASE, types=(pa.utf8(),)),
    *_counts("reference_row"),
    Column(name="restricted", data_class=_CASE, types=(pa.bool_(),)),
    *_binary("NIC ORI OCA MKE file_code EXL CMC"),
)
_NIBRS_INCIDENTS: Final = (
    *_binary("ori number group action"),
    *_counts("row segments errors warnings"),
    Column(name="accepted", data_class=_CASE, types=(pa.bool_(),)),
)
_FINDINGS: Final = (
    *_counts("row"),
    Column(name="column", data_class=_CASE, types=(pa.utf8(),)),
    Column(name="code", data_class=_CASE, types=(pa.uint16(),)),
    Column(name="finding", data_class=_CASE, types=(pa.utf8(),)),
    Column(name="warning", data_class=_CASE, types=(pa.bool_(),)),
    *_binary("value"),
)
_FINDING_COUNTS: Final = (
    Column(name="column", data_class=_CASE, types=(pa.utf8(),)),
    Column(name="finding", data_class=_CASE, types=(pa.utf8(),)),
    *_counts("rows"),
)
_NIBRS_RATES: Final = (
    *_binary("ori"),
    *_counts("reports rejected errors rejected_per_10000"),
)
_ROW_STATUS: Final = (
    Column(name="row", data_class=DataClass.NONE, types=(pa.uint64(),), required=True),
    Column(name="status", data_class=DataClass.CASE, types=(pa.uint8(),), required=True),
    Column(name="codes", data_class=DataClass.CASE, types=(pa.list_(pa.uint16()),), required=True),
    Column(name="columns", data_class=DataClass.CASE, types=(pa.list_(pa.int16()),), required=True),
)

SCHEMAS: Final = MappingProxyType(
    {
        schema.schema_id: schema
        for schema in (
            _schema("person/1", *_PERSON, _CLUSTER),
            _schema("hotfile/1", *_HOTFILE, _CLUSTER),
            _schema("chri_event/1", *_CHRI_EVENT),
            _schema("nibrs.flat/3.1", *_NIBRS),
            _schema("row_status/1", *_ROW_STATUS, made=True),
            _schema("nibrs_ori/1", *_needed("ori status nibrs_start inactive_from covered_from federal")),
            _schema("nibrs_on_file/1", *_needed("kind ori number sequence date")),
            _schema("aggregate_cells/1", *_CELLS, made=True),
            _schema("return_a/1", *_RETURN_A, made=True),
            _schema("return_a_accounting/1", *_ACCOUNTING, made=True),
            _schema("pairs/1", *_PAIRS, made=True),
            _schema("patterns/1", *_PATTERNS, made=True),
            _schema("blocks/1", *_BLOCKS, made=True),
            _schema("outcomes/1", *_OUTCOMES, made=True),
            _schema("hits/1", *_HITS, made=True),
            _schema("findings/1", *_FINDINGS, made=True),
            _schema("finding_counts/1", *_FINDING_COUNTS, made=True),
            _schema("nibrs_findings/1", *_NIBRS_FINDINGS, made=True),
            _schema("nibrs_incidents/1", *_NIBRS_INCIDENTS, made=True),
            _schema("nibrs_rates/1", *_NIBRS_RATES, made=True),
            _schema("nibrs_eds/3.1", *_binary("record"), made=True),
            _schema("token_map/1", *_TOKEN_MAP, made=True),
            _schema("k_anonymity/1", *_K_ANONYMITY, made=True),
            _schema("ledger/1", *_LEDGER, made=True),
            _schema("withheld/1", *_WITHHELD, made=True),
        )
    }
)

TYPES: Final = frozenset(
    data_type for schema in SCHEMAS.values() for column in schema.columns.values() for data_type in column.types
)


def check_schema(schema_id: str, schema: pa.Schema) -> None:
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


def tagged(schema_id: str, fields: list[pa.Field]) -> pa.Schema:
    """An Arrow schema with these fields that declares itself as `schema_id`, with no other metadata."""
    return pa.schema(fields, metadata={METADATA_KEY: schema_id.encode()})
