"""`validate`, declared: the FBI's edits of NIBRS submissions, and rules for columns."""

import datetime
from collections.abc import Iterator
from functools import cache, partial
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from cji_core.format.records import PERSONAL, ROW_STATUS, SCHEMAS, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, INT64, UINT8, UINT16, UINT64, UTF8, Fields
from cji_core.format.records.nibrs.data import read_data
from cji_core.operations.declaration import Operation, OutputSpec, ReadOutput, Side, Signature
from cji_core.operations.parameters import Name, Parameters, Sealing, Sha256, check_digest, decoded, known
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.stages.stage import RESULT_OUTPUT, ROW_STATUS_OUTPUT, Edge, Stage, Stages, Width
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_core.strict import hex_decode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Findings on a column, besides those on the value alone."""

    VALUE_MISSING = 301, "There must be a value."
    NO_SUCH_DATE = 305, "The value is not a date, or has unknown digits where it may not."
    IN_THE_FUTURE = 306, "The date lies after the day of judgement."
    OUT_OF_RANGE = 307, "The number is outside of its range."
    WRONG_CHECK_DIGIT = 309, "The check digit does not fit."
    OUT_OF_ORDER = 311, "The date is earlier than another one that it cannot precede."
    NOT_CARRIED = 313, "NCIC cannot carry a letter or sign of the name; it is transmitted in A to Z."


RULE_CODES: Final = 20_000
"""In `row_status/1` the finding of rule r has the code RULE_CODES + r; a rule number is less than 1000."""
OF_REJECTED_REPORT: Final = 21_000
"""Code of a row without an error of its own in a report that is rejected as a whole (specification, 5.1)."""
NO_RECORD: Final = 21_001
"""Code of a row of nothing but blanks; those of other rows without a record follow, in the order of `Unread`."""


# ------------------------------------------------------------------ parameters

NCIC: Final = "ncic/1"
"""The rule set for columns: of persons, hot files and criminal histories."""
BY_PERIOD: Final = "nibrs/period"
"""In place of a rule set's name: the one for the month and year of the submission."""
RULE_SETS: Final = MappingProxyType({row["rule_set"]: row["specification"] for row in read_data("rule_sets.csv")})
"""The specification of each rule set for NIBRS submissions."""
_NIBRS_RULES: Final = frozenset(
    f"{int(number):03d}" for row in read_data("rules.csv") for number in row["rule"].split()
)
"""The numbers of the rules of all of them."""


class Validate(Parameters, frozen=True, kw_only=True, tag="validate"):
    """Left out, the rule set is that for the submission's period, or the one for columns, `as_of` the day of sealing.

    What lies after `as_of` is in the future. `without` has rules of the rule set that are switched off, by number;
    `also` has rules that it has withdrawn and that apply anyway. `tables_sha256` is the digest that the
    worker's tables must have.
    """

    rule_set: Name | None = None
    as_of: datetime.date | None = None
    without: tuple[Name, ...] = ()
    also: tuple[Name, ...] = ()
    tables_sha256: Sha256 | None = None

    def __post_init__(self) -> None:
        for field, rules in (("without", self.without), ("also", self.also)):
            if len(set(rules)) != len(rules):
                raise ValueError(f"{field}: a rule twice")
        if set(self.without) & set(self.also):
            raise ValueError("also: a rule that is switched off")
        if self.rule_set is not None:
            unknown = {*self.without, *self.also} - _rules(self.rule_set)
            if unknown:
                raise ValueError(f"without, also: {self.rule_set} has no rule {min(unknown)}")
            if self.rule_set == NCIC and self.also:
                raise ValueError(f"also: {NCIC} has withdrawn no rule")

    @property
    def is_nibrs(self) -> bool:
        """Whether the records are a NIBRS submission, not columns."""
        return self.rule_set != NCIC


@cache
def _rules(rule_set: str) -> frozenset[str]:
    """The rules by number. Raises: ValueError for an unknown rule set."""
    if rule_set == NCIC:
        return frozenset(str(code.value) for code in (*Code, *ValueCode) if code // 100 == 3)
    if rule_set not in (BY_PERIOD, *RULE_SETS):
        raise ValueError(f"rule_set: the rule sets are {', '.join(sorted((BY_PERIOD, *RULE_SETS, NCIC)))}")
    return _NIBRS_RULES


def decode(message: pb.Validate) -> Validate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    return decoded(
        Validate,
        {
            "rule_set": message.rule_set,
            "as_of": message.as_of,
            "without": tuple(message.without),
            "also": tuple(message.also),
            "tables_sha256": message.tables_sha256.hex() or None,
        },
    )


def encode(parameters: Validate) -> pb.Validate:
    """The parameters as they stand in a header."""
    return pb.Validate(
        rule_set=known(parameters.rule_set),
        as_of=known(parameters.as_of).isoformat(),
        without=parameters.without,
        also=parameters.also,
        tables_sha256=hex_decode(parameters.tables_sha256 or ""),
    )


def complete(parameters: Validate, sealing: Sealing) -> Validate:
    """With the rule set for the records, and the day of sealing, where there are no others."""
    default = BY_PERIOD if sealing.schema.startswith("nibrs.") else NCIC
    return replace(parameters, rule_set=parameters.rule_set or default, as_of=parameters.as_of or sealing.today)


# ------------------------------------------------------------------ outputs

_CASE: Final = DataClass.CASE

NIBRS_FINDINGS: Final = RecordSchema.output(
    "nibrs_findings/1",
    columns(_CASE, "row record", UINT64),
    columns(_CASE, "level", UINT8),
    columns(_CASE, "element", BINARY),
    columns(_CASE, "rule", UINT16),
    columns(_CASE, "value sequence offense loss", BINARY),
    columns(_CASE, "warning", BOOL),
    columns(_CASE, "message period action ori number path", BINARY),
)
"""One row a finding; see `findings`."""

INCIDENTS: Final = OutputSpec(
    name="incidents",
    schema=RecordSchema.output(
        "nibrs_incidents/1",
        columns(_CASE, "ori number group action", BINARY),
        columns(_CASE, "row segments errors warnings", UINT64),
        columns(_CASE, "accepted", BOOL),
    ),
)
"""One row a report, and whether it is accepted."""

RATES: Final = OutputSpec(
    name="rates",
    schema=RecordSchema.output(
        "nibrs_rates/1",
        columns(_CASE, "ori rule_set", BINARY),
        columns(_CASE, "reports rejected errors rejected_per_10000", UINT64),
    ),
)
"""One row an ORI, with the rule set that it was checked by."""

EDS: Final = OutputSpec(
    name="eds", schema=RecordSchema.output("nibrs_eds/3.1", columns(_CASE, "record", BINARY), lines=True)
)
"""The FBI's Error Data Set, a record a row."""

FINDINGS: Final = RecordSchema.output(
    "findings/1",
    columns(_CASE, "row", UINT64),
    columns(_CASE, "column", UTF8),
    columns(_CASE, "code", UINT16),
    columns(_CASE, "finding", UTF8),
    columns(_CASE, "warning", BOOL),
    columns(_CASE, "value", BINARY),
    columns(_CASE, "transmit", UTF8),
)
"""One row a finding on a column; `transmit` is the name as NCIC carries it, where `value` has other letters."""

COUNTS: Final = OutputSpec(
    name="counts",
    schema=RecordSchema.output(
        "finding_counts/1", columns(_CASE, "column finding", UTF8), columns(_CASE, "rows", UINT64)
    ),
)
"""Rows by column and finding."""


# ------------------------------------------------------------------ inputs

FLAT: Final = "nibrs.flat/3.1"
XML: Final = "nibrs.xml/2019.1"
ORI_SIDE: Final = "ori_table"
ORI_TABLE: Final = "nibrs_ori/1"
ON_FILE_SIDE: Final = "on_file"
ON_FILE: Final = "nibrs_on_file/1"

# ------------------------------------------------------------------ stages


RELATIONS: Final = ("again", "shared_number", "same_arrest", "arrest_on_file")

SURVEYS: Final = Edge(
    name="surveys",
    fields=Fields.of(
        [
            *((name, INT64) for name in ("rows", "records", "head_rows", "head_records", "period")),
            ("has_start", BOOL),
        ]
    ),
)
STANDARDS: Final = Edge(
    name="standards",
    fields=Fields.of(
        [
            ("rule_set", UTF8),
            *((name, BINARY) for name in ("month", "state", "lengths", "differs")),
            *((name, BOOL) for name in ("has_month", "has_state")),
        ]
    ),
)
"""Of each rule set that may apply: of the head, then of the rest of a shard."""
HEADS: Final = Edge(name="heads", fields=Fields.of([("row", BINARY)]))
REPORTS: Final = Edge(
    name="reports",
    fields=Fields.of([("number", INT64), ("beginning", BINARY), ("group", UINT8), ("incident", BOOL)]),
    each=True,
)
RELATED: Final = Edge(
    name="related",
    fields=Fields.of([("number", INT64), *((name, BOOL) for name in RELATIONS)]),
    each=True,
)
STATUSES: Final = Edge(name="statuses", fields=SCHEMAS[ROW_STATUS].declared, each=True)
RATES_EDGE: Final = Edge(name="rates", fields=RATES.schema.declared)
_OF_WHOLE: Final = (SURVEYS, STANDARDS, HEADS)


def _nibrs_stages() -> Stages:
    """The stages; they are the same for all parameters, and `nibrs_parts` describes them."""
    shards = partial(Stage, width=Width.SHARDS)
    of_whole = tuple(edge.name for edge in _OF_WHOLE)
    return Stages(
        in_order=(
            shards(name="survey", records=True, writes=_OF_WHOLE),
            shards(name="cut", records=True, reads=of_whole, writes=(REPORTS,)),
            shards(name="relate", sides=(ON_FILE_SIDE,), reads=(REPORTS.name,), writes=(RELATED,)),
            shards(
                name="check",
                records=True,
                sides=(ORI_SIDE, ON_FILE_SIDE),
                reads=(*of_whole, RELATED.name),
                writes=(STATUSES, RATES_EDGE),
                outputs=(RESULT_OUTPUT, INCIDENTS.name, EDS.name),
            ),
            shards(name="status", reads=(STATUSES.name,), outputs=(ROW_STATUS_OUTPUT,)),
            Stage(name="merge", width=Width.ONE, reads=(RATES_EDGE.name,), outputs=(RATES.name,)),
        )
    )


# ------------------------------------------------------------------ the operation


_NIBRS: Final = Signature(
    accepts=frozenset((FLAT, XML)),
    result=NIBRS_FINDINGS.schema_id,
    parts=(INCIDENTS, RATES, EDS),
    sides=(Side(name=ORI_SIDE, schema=ORI_TABLE), Side(name=ON_FILE_SIDE, schema=ON_FILE)),
)
_COLUMNS: Final = Signature(accepts=PERSONAL, result=FINDINGS.schema_id, parts=(COUNTS,))

_NIBRS_STAGES: Final = _nibrs_stages()
COLUMNS_BY_SHARD: Final = ByShard(merged=(COUNTS,), numbered=(RESULT_OUTPUT,))


def _summary(parameters: Validate, read: ReadOutput) -> Iterator[str]:
    """The rule set that a submission was checked by: its period may have chosen it."""
    if not parameters.is_nibrs:
        return
    used = {name for batch in read(RATES.name) for name in batch.column("rule_set").to_pylist()}
    for name, specification in RULE_SETS.items():
        if name.encode() in used:
            yield f"rules    {name} ({specification})"


VALIDATE: Final = Operation(
    parameters=Validate,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=lambda parameters, tables: check_digest(parameters.tables_sha256, tables),
    signature=lambda parameters: _NIBRS if parameters.is_nibrs else _COLUMNS,
    stages=lambda parameters: _NIBRS_STAGES if parameters.is_nibrs else COLUMNS_BY_SHARD.stages,
    terminal=True,
    input_rows=True,
    schemas=(NIBRS_FINDINGS, INCIDENTS.schema, RATES.schema, EDS.schema, FINDINGS, COUNTS.schema),
    steps=("check",),
    codes=Code,
    summary=_summary,
    row_bytes=lambda _: 16 << 10,  # findings
)
