"""Extracts of the California Department of Justice as events of criminal histories.

The columns have the names that Code for America's public tools give them (codeforamerica/gogen); the Department
publishes no layout. There are 95, and in some files one more behind them. A file has them in this order, separated by
commas or tabs, or starts with a line that names them in any order. A row is one part of one count of one step of a
cycle, so a conviction with three parts of a sentence has three rows with one CNT_ORDER. Where an offense was changed at
conviction, its columns `CONV_OFFENSE_...` are filled: the person was convicted of that one, and of no other.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from cji_client.errors import SpecError
from cji_core.format.records import SCHEMAS

COLUMNS: Final = tuple(
    (  # noqa: SIM905 - reads as the layout
        "RECORD_ID SUBJECT_STATUS SUBJECT_ID "
        "REQ_SEG_SEP REQ_CII_NUMBER REQ_NAME REQ_GENDER REQ_DOB REQ_CDL REQ_SSN "
        "PII_SEG_SEP CII_NUMBER PRI_NAME GENDER PRI_DOB PRI_SSN PRI_CDL PRI_IDN PRI_INN FBI_NUMBER "
        "PDR_SEG_SEP RACE_CODE RACE_DESCR EYE_COLOR_CODE EYE_COLOR_DESCR HAIR_COLOR_CODE HAIR_COLOR_DESCR "
        "HEIGHT WEIGHT SINGLE_SOURCE MULTI_SOURCE POB_CODE POB_NAME POB_TYPE CITIZENSHIP_LIST "
        "CYC_SEG_SEP CYC_ORDER CYC_DATE "
        "STP_SEG_SEP STP_ORDER STP_EVENT_DATE STP_TYPE_CODE STP_TYPE_DESCR STP_ORI_TYPE STP_ORI_TYPE_DESCR "
        "STP_ORI_CODE STP_ORI_DESCR STP_ORI_CNTY_CODE STP_ORI_CNTY_NAME "
        "CNT_SEG_SEP CNT_ORDER DISP_DATE OFN OFFENSE_CODE OFFENSE_DESCR OFFENSE_TOC OFFENSE_QUAL_LST "
        "DISP_OFFENSE_CODE DISP_OFFENSE_DESCR DISP_OFFENSE_TOC DISP_OFFENSE_QUAL_LST "
        "CONV_OFFENSE_ORDER CONV_OFFENSE_CODE CONV_OFFENSE_DESCR CONV_OFFENSE_TOC CONV_OFFENSE_QUAL_LST "
        "FE_NUM_ORDER FE_NUM_ARR_AGY FE_NUM_BNCH_WARR FE_NUM_CITE FE_NUM_DOCKET FE_NUM_INCIDENT FE_NUM_BOOKING "
        "FE_NUM_NUMBER FE_NUM_REMAND FE_NUM_OOS_INN FE_NUM_CRT_CASE FE_NUM_WARRANT "
        "DISP_ORDER DISP_CODE DISP_DESCR CONV_STAT_CODE CONV_STAT_DESCR "
        "SENT_SEG_SEP SENT_ORDER SENT_LOC_CODE SENT_LOC_DESCR SENT_LENGTH SENT_TIME_CODE SENT_TIME_DESCR "
        "CYC_AGE CII_TYPE CII_TYPE_ALPHA COMMENT_TEXT END_OF_REC"
    ).split()
)
_AS_THEY_ARE: Final = {
    "subject": "SUBJECT_ID",
    "ORI": "STP_ORI_CODE",
    "DOB": "PRI_DOB",
    "cycle": "CYC_ORDER",
    "case": "FE_NUM_CRT_CASE",
    "count": "CNT_ORDER",
    "event": "STP_TYPE_DESCR",
    "date": "STP_EVENT_DATE",
    "county": "STP_ORI_CNTY_NAME",
    "offense_code": "OFFENSE_CODE",
    "offense": "OFFENSE_DESCR",
    "level": "OFFENSE_TOC",
    "disposition": "DISP_DESCR",
    "disposition_date": "DISP_DATE",
    "sentence": "SENT_LOC_DESCR",
    "comment": "COMMENT_TEXT",
}
_AT_CONVICTION: Final = {
    "offense_code": "CONV_OFFENSE_CODE",
    "offense": "CONV_OFFENSE_DESCR",
    "level": "CONV_OFFENSE_TOC",
}
_MADE: Final = ("sentence_length", "deceased")
_READ: Final = frozenset(
    (*_AS_THEY_ARE.values(), *_AT_CONVICTION.values(), "CONV_STAT_DESCR", "SENT_LENGTH", "SENT_TIME_CODE")
)
_WITHOUT_TIME: Final = ("FINE", "RESTITUTION")
_SCHEMA: Final = pa.schema(
    [
        pa.field(name, pa.bool_() if name == "deceased" else pa.binary())
        for name in SCHEMAS["chri_event/2"].columns
        if name in _AS_THEY_ARE or name in _MADE
    ]
)


def events(table: pa.Table) -> pa.Table:
    """The rows of an extract as `chri_event/2`. Raises: SpecError where a column that is read is missing."""
    _check(table.schema.names)
    return pa.Table.from_batches([_events(batch) for batch in table.to_batches()], schema=_SCHEMA)


def open_extract(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """(schema, batches) of the events in a file. Raises: SpecError for other columns; OSError; pa.ArrowException."""
    with path.open(newline="", encoding="latin-1") as file:
        line = file.readline(1 << 20)
    delimiter = "\t" if line.count("\t") > line.count(",") else ","
    first = [name.strip().lstrip("ï»¿") for name in next(csv.reader([line], delimiter=delimiter), [])]
    named = "SUBJECT_ID" in first
    if not named and len(first) not in {len(COLUMNS), len(COLUMNS) + 1}:
        raise SpecError(
            f"{path.name} has {len(first)} columns and no line of names, an extract has {len(COLUMNS)}",
            remedy="Export it unchanged, separated by commas or tabs.",
        )
    names = first if named else [*COLUMNS, "unnamed"][: len(first)]
    _check(names)
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=int(named)),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), include_columns=sorted(_READ), null_values=[]
        ),
    )
    return _SCHEMA, (_events(batch) for batch in reader)


def _check(names: list[str]) -> None:
    if missing := _READ - set(names):
        raise SpecError(f"the extract has no column {', '.join(sorted(missing))}")
    if len(set(names)) != len(names):
        raise SpecError("the extract has two columns of one name")


def _events(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: _text(batch, source) for name, source in _AS_THEY_ARE.items()}
    changed = {name: _text(batch, source) for name, source in _AT_CONVICTION.items()}
    is_changed = pc.or_(pc.is_valid(changed["offense_code"]), pc.is_valid(changed["offense"]))
    columns |= {name: pc.if_else(is_changed, new, columns[name]) for name, new in changed.items()}
    columns["level"] = pc.coalesce(_text(batch, "CONV_STAT_DESCR"), columns["level"])
    length = pc.binary_join_element_wise(_text(batch, "SENT_LENGTH"), _text(batch, "SENT_TIME_CODE"), b"")
    timeless = pc.is_in(columns["sentence"], value_set=pa.array(_WITHOUT_TIME, pa.binary()))
    none = pa.scalar(b"0D", pa.binary())
    columns["sentence_length"] = pc.if_else(pc.and_(timeless, pc.is_null(length)), none, length)
    columns["deceased"] = pc.equal(columns["event"], b"DECEASED").fill_null(False)
    return pa.RecordBatch.from_arrays([columns[field.name] for field in _SCHEMA], schema=_SCHEMA)


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The column without blanks at the ends, null where it is empty."""
    column = batch.column(name)
    kind = column.type
    text = column if pa.types.is_binary(kind) else column.cast(pa.utf8()).view(pa.binary())
    trimmed = pc.ascii_trim_whitespace(text.view(pa.utf8())).view(pa.binary())
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(None, pa.binary()), trimmed)
