"""`validate` of a NIBRS submission as an operation: parameters in, findings, reports, rates and Error Data Set out.

result            `nibrs_findings/1`: one row a finding, as `Findings` has them, with the message of its rule
incidents         `nibrs_incidents/1`: one row a report, whether it is accepted
rates             `nibrs_rates/1`: one row an ORI
eds               `nibrs_eds/3.1`: the FBI's Error Data Set, a record a row
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import pack_strings, read
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.nibrs.data import read_data
from cji_core.format.records.nibrs.records import Records
from cji_core.format.records.nibrs.xml_fields import FIELDS
from cji_core.format.records.nibrs.xml_reports import read_reports
from cji_core.operations.parameters import known
from cji_core.operations.validate import (
    BY_PERIOD,
    EDS,
    INCIDENTS,
    NIBRS_FINDINGS,
    ON_FILE_SIDE,
    ORI_SIDE,
    RATES,
    XML,
    Validate,
)
from cji_operations.nibrs.specification import RuleSet, load_rule_set
from cji_operations.operation import Context, Outputs
from cji_operations.progress import ProgressCallback
from cji_operations.validate.edits import Options, validate
from cji_operations.validate.error_data_set import EDS_BYTES, eds
from cji_operations.validate.findings import Findings, Rates

_OBJECTS: Final = {
    0: "nibrs:ReportHeader",
    1: "nc:Incident",
    2: "j:Offense",
    3: "nc:Item",
    4: "j:Victim",
    5: "j:Subject",
    6: "j:Arrestee",
    7: "j:Arrestee",
}
_FIRST, _PERSON, _OTHER = range(3)
_POSITION: Final = {
    **dict.fromkeys(("j:Offense", "j:Victim", "j:Subject", "j:Arrestee"), _FIRST),
    "nc:Person": _PERSON,
    **dict.fromkeys(("nc:Location", "j:EnforcementOfficial", "j:Arrest"), _OTHER),
}
_STATUS: Final = {row["code"]: row["text"] for row in read_data("xml_values.csv") if row["form"] == "loss"}

_BATCH: Final = 16_384


def prepare(parameters: Validate, schema_id: str, context: Context) -> "ValidateNibrs":
    """Bind parameters and side tables to records of FLAT or XML."""
    rule_set = known(parameters.rule_set)
    return ValidateNibrs(
        rules=None if rule_set == BY_PERIOD else load_rule_set(rule_set),
        xml=schema_id == XML,
        options=Options(
            as_of=known(parameters.as_of),
            without=frozenset(map(int, parameters.without)),
            also=frozenset(map(int, parameters.also)),
        ),
        ori_table=context.sides.get(ORI_SIDE),
        on_file=context.sides.get(ON_FILE_SIDE),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateNibrs:
    """A prepared operation; made by `prepare` alone."""

    rules: RuleSet | None
    options: Options
    xml: bool = False
    ori_table: Sequence[pa.RecordBatch] | None = field(default=None, repr=False)
    on_file: Sequence[pa.RecordBatch] | None = field(default=None, repr=False)
    keeps_rows: bool = False
    output_schema: pa.Schema = NIBRS_FINDINGS.arrow

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """All columns are made from the one that there is."""
        return np.zeros(len(self.output_schema), np.int16)

    def read(self, rows: pa.Array) -> Records:
        """The records in some rows, binary[n]."""
        return read_reports(read(rows)) if self.xml else Records.of_lines(read(rows))

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Check the submission; see TableOperation."""
        found = validate(
            self.read(arrow.concat((batch.column(0) for batch in records), pa.binary())),
            rules=self.rules,
            options=self.options,
            ori_table=self.ori_table,
            on_file=self.on_file,
            progress=progress,
        )
        return outputs_of(found)


def outputs_of(found: Findings) -> Outputs:
    """All outputs of a submission."""
    incidents, lines = INCIDENTS.schema.arrow, EDS.schema.arrow
    return Outputs(
        status=found.status,
        result=_batches(NIBRS_FINDINGS.arrow, _findings(found)),
        parts={
            INCIDENTS.name: _batches(incidents, _columns(incidents, found.reports)),
            RATES.name: batches_of_rates(found.rates),
            EDS.name: _batches(lines, [pack_strings(eds(found).reshape(-1).view(f"S{EDS_BYTES}"))]),
        },
    )


def batches_of_rates(rates: Rates) -> Iterator[pa.RecordBatch]:
    """The part `rates`."""
    return _batches(RATES.schema.arrow, _columns(RATES.schema.arrow, rates))


def _findings(found: Findings) -> list[pa.Array]:
    messages = np.array([rule.message.encode() for rule in found.rules.rules])
    made = {"message": messages[found.message], "path": paths(found)}
    return [
        _column(made[field.name] if field.name in made else getattr(found, field.name), field.type)
        for field in NIBRS_FINDINGS.arrow
    ]


def _columns(schema: pa.Schema, source: object) -> list[pa.Array]:
    return [_column(getattr(source, field.name), field.type) for field in schema]


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pack_strings(values) if kind == pa.binary() else arrow.from_numpy(values, kind)


def _batches(schema: pa.Schema, columns: Sequence[pa.Array]) -> Iterator[pa.RecordBatch]:
    return arrow.cut(pa.RecordBatch.from_arrays(list(columns), schema=schema), _BATCH)


def paths(found: Findings) -> npt.NDArray[np.bytes_]:
    """S[k]: the path of each finding below `nibrs:Report`, by the mapping of the IEPD; nothing where it was flat.

    Objects have their position among those of their kind in the report. An element that is missing is named where it
    would stand; a finding about a report as a whole is at `.`. Property segments, which XML does not have, are all
    items of a status.
    """
    if found.positions is None or not len(found.row):
        return np.zeros(len(found.row), "S1")
    parts = [
        (found.record == 0).astype(np.uint8)[:, None],
        found.level[:, None],
        _as_bytes(found.element),
        _as_bytes(found.loss),
        np.ascontiguousarray(found.positions).view(np.uint8).reshape(len(found.row), -1),
    ]
    number = numbered(np.hstack(parts))
    example = np.empty(int(number.max()) + 1, np.int64)
    example[number] = np.arange(len(number))
    return np.array([_path(found, row).encode() for row in example.tolist()])[number]


def _as_bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _path(found: Findings, row: int) -> str:
    level, element = int(found.level[row]), found.element[row].decode()
    if found.record[row] == 0 or level not in _OBJECTS or found.positions is None:
        return "."
    at = str(min(level, 6))
    place = next(
        (FIELDS.paths[key] for key in ((at, element), ("", element), ("*", element)) if key in FIELDS.paths),
        None,
    )
    name, path = place or (_OBJECTS[level], "")
    if level == 3:
        status = _STATUS.get(found.loss[row].decode())
        name += f"[nc:ItemStatus/cjis:ItemStatusCode='{status}']" if status else ""
    elif name in _POSITION:
        position = int(found.positions[row, _POSITION[name]])
        name += f"[{position}]" if position else ""
    return f"{name}/{path}" if path else name
