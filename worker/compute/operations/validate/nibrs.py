"""`validate` of a NIBRS submission as an operation: parameters in, findings, reports, rates and Error Data Set out.

result            `nibrs_findings/1`: one row a finding, as `Findings` has them, with the message of its rule
incidents         `nibrs_incidents/1`: one row a report, whether it is accepted
rates             `nibrs_rates/1`: one row an ORI
eds               `nibrs_eds/3.1`: the FBI's Error Data Set, a record a row
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import pack_strings, read
from worker.compute.nibrs.side_tables import ON_FILE, ORI_TABLE
from worker.compute.nibrs.specification import RULE_SETS, RuleSet, load_rule_set
from worker.compute.operation import Context, Outputs, Part, bad_parameters
from worker.compute.operations.validate.edits import Options, validate
from worker.compute.operations.validate.error_data_set import EDS, EDS_BYTES, eds
from worker.compute.operations.validate.findings import Findings
from worker.errors import Stage
from worker.progress import ProgressCallback
from worker.records import SCHEMAS, arrow, check_schema, tagged
from worker.wire.v1 import worker_pb2

__all__ = ["ACCEPTS", "FINDINGS", "PARTS", "SIDES", "ValidateNibrs", "check", "prepare"]

ACCEPTS: Final = frozenset(("nibrs.flat/3.1",))
FINDINGS: Final = "nibrs_findings/1"
PARTS: Final = (("incidents", "nibrs_incidents/1"), ("rates", "nibrs_rates/1"), ("eds", EDS))
SIDES: Final = frozenset((ORI_TABLE, ON_FILE))
_BATCH: Final = 16_384


def _schema(schema_id: str) -> pa.Schema:
    columns = SCHEMAS[schema_id].columns.values()
    return tagged(schema_id, [pa.field(column.name, column.types[0]) for column in columns])


def check(parameters: worker_pb2.Validate) -> None:
    """Refuse an unknown rule set, and rules that it does not have. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if parameters.rule_set not in RULE_SETS:
        raise bad_parameters(Stage.ADMIT)
    known = {f"{rule.number:03d}" for rule in load_rule_set(parameters.rule_set).rules}
    named = [*parameters.without, *parameters.also]
    if len(set(named)) != len(named) or not known.issuperset(named):
        raise bad_parameters(Stage.ADMIT)


def prepare(parameters: worker_pb2.Validate, schema_id: str, schema: pa.Schema, context: Context) -> "ValidateNibrs":  # noqa: ARG001 - it needs no context
    """Bind checked parameters. Raises: Refusal(SCHEMA_MISMATCH)."""
    check_schema(schema_id, schema)
    return ValidateNibrs(
        rules=load_rule_set(parameters.rule_set),
        options=Options(
            as_of=datetime.date.fromisoformat(parameters.as_of),
            without=frozenset(map(int, parameters.without)),
            also=frozenset(map(int, parameters.also)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateNibrs:
    """A prepared operation; made by `prepare` alone."""

    rules: RuleSet
    options: Options
    keeps_rows: bool = False

    @property
    def output_schema(self) -> pa.Schema:
        """Of the findings."""
        return _schema(FINDINGS)

    @property
    def output_schema_id(self) -> str:
        """Of the findings."""
        return FINDINGS

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """All columns are made from the one that there is."""
        return np.zeros(len(SCHEMAS[FINDINGS].columns), np.int16)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Reports, rates, Error Data Set."""
        return tuple(Part(name=name, schema=_schema(schema_id)) for name, schema_id in PARTS)

    def run(
        self,
        records: Sequence[pa.RecordBatch],
        sides: Mapping[str, Sequence[pa.RecordBatch]],
        progress: ProgressCallback,
    ) -> Outputs:
        """Check the submission; see TableOperation."""
        segments = arrow.concat((batch.column(0) for batch in records), pa.binary())
        found = validate(
            read(segments),
            rules=self.rules,
            options=self.options,
            ori_table=sides.get(ORI_TABLE),
            on_file=sides.get(ON_FILE),
            progress=progress,
        )
        incidents, rates, lines = (part.schema for part in self.parts)
        return Outputs(
            status=found.status,
            result=_batches(self.output_schema, _findings(found, self.rules)),
            parts={
                "incidents": _batches(incidents, _columns(incidents, found.reports)),
                "rates": _batches(rates, _columns(rates, found.rates)),
                "eds": _batches(lines, [pack_strings(eds(found, self.rules).reshape(-1).view(f"S{EDS_BYTES}"))]),
            },
        )


def _findings(found: Findings, rules: RuleSet) -> list[pa.Array]:
    messages = np.array([rule.message.encode() for rule in rules.rules])
    schema = _schema(FINDINGS)
    return [
        pack_strings(messages[found.message])
        if field.name == "message"
        else _column(getattr(found, field.name), field.type)
        for field in schema
    ]


def _columns(schema: pa.Schema, source: object) -> list[pa.Array]:
    return [_column(getattr(source, field.name), field.type) for field in schema]


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pack_strings(values) if kind == pa.binary() else arrow.from_numpy(values, kind)


def _batches(schema: pa.Schema, columns: Sequence[pa.Array]) -> Iterator[pa.RecordBatch]:
    return arrow.cut(pa.RecordBatch.from_arrays(list(columns), schema=schema), _BATCH)
