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
from cji_core.format.records.nibrs.records import Records
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
from cji_core.progress import ProgressCallback
from cji_operations.nibrs.specification import RuleSet, load_rule_set
from cji_operations.operation import Context, Outputs
from cji_operations.validate.edits import Options, validate
from cji_operations.validate.error_data_set import EDS_BYTES, eds
from cji_operations.validate.findings import Findings, Rates
from cji_operations.validate.xml_paths import paths

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
