"""`clear`, declared."""

import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core import documents, strict
from cji_core.errors import Stage as Where
from cji_core.format.records import ROW_STATUS, SCHEMAS, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, INT64, UINT64, UTF8, Fields
from cji_core.operations.clear.reading import MAX_ENCODED_BYTES, RulesError, problems, read_rules
from cji_core.operations.clear.rules import Rules
from cji_core.operations.declaration import Operation, OutputSpec, Signature
from cji_core.operations.parameters import Parameters, ParametersError, Sealing, bad_parameters, decoded, known
from cji_core.operations.stages.by_shard import COUNT, ROWS
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge, Stage, Stages, Width
from cji_core.operations.status_codes import RowCode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Facts that are missing, and charges that were not decided for their want."""

    NO_SUBJECT = 701, "The row names no subject, so it is in nobody's history."
    NOT_DECIDED = 702, "The charge is in the scope of the rules and was not decided; `not_decided` has the cause."
    IN_THE_FUTURE = 703, "The date is after the day of the decision and is taken as missing."
    NOT_A_LEVEL = 704, "The level is not one that the table has words for, such as F or FELONY."
    NOT_A_LENGTH = (
        705,
        "The length is not a number of days, months or years, such as 16M, or LIFE as a maximum penalty.",
    )
    BIRTH_DATES_DIFFER = 706, "The rows of the subject have different dates of birth, so none is used."
    NOT_A_DISPOSITION = 707, "The disposition is not one that the table lists; it may be a conviction."


# ------------------------------------------------------------------ parameters


class Clear(Parameters, frozen=True, kw_only=True, tag="clear"):
    """The rules of a state, as a table or as the name of its TOML file, which is read when the job is sealed.

    Ages and years are counted to `as_of`, the day of sealing where it is left out. With a `county`, only charges of
    its courts are decided; the other events of their subjects still count.
    """

    rules: Path | None = None
    table: Rules | None = None
    as_of: datetime.date | None = None
    county: Annotated[str, Meta(max_length=64, pattern=r"^[ -~]*\Z")] = ""

    def __post_init__(self) -> None:
        if (self.rules is None) is (self.table is None):
            raise ValueError("rules: the file of a table, or the table itself")
        if self.table is not None and (found := problems(self.table)):
            raise ValueError(f"table: {found[0]}")
        if self.county != self.county.strip():
            raise ValueError("county: blanks at its ends")


def decode(message: pb.Clear) -> Clear:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    try:
        table = documents.decode(message.rules, Rules, limit=MAX_ENCODED_BYTES)
    except strict.StrictError as error:
        raise bad_parameters(Where.ADMIT) from error
    return decoded(Clear, {"table": table, "as_of": message.as_of, "county": message.county})


def encode(parameters: Clear) -> pb.Clear:
    """The parameters as they stand in a header; the file of the table must have been read."""
    return pb.Clear(
        rules=msgspec.json.encode(known(parameters.table)),
        as_of=known(parameters.as_of).isoformat(),
        county=parameters.county,
    )


def complete(parameters: Clear, sealing: Sealing) -> Clear:
    """With the table of the file, and with the day of sealing where there is no other."""
    table = parameters.table if parameters.rules is None else _read(sealing.read(parameters.rules))
    return replace(parameters, rules=None, table=table, as_of=parameters.as_of or sealing.today)


def _read(data: bytes) -> Rules:
    try:
        return read_rules(data)
    except RulesError as error:
        more = f" and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        first = error.problems[0]
        raise ParametersError(
            f"{first}{more}", remedy=f"{first.remedy} `cji clear check` lists every mistake."
        ) from None


# ------------------------------------------------------------------ outputs

_HISTORY: Final = DataClass.IDENTITY_HISTORY

DETERMINATIONS: Final = OutputSpec(
    name="determinations",
    schema=RecordSchema.output(
        "determinations/1",
        columns(DataClass.NONE, "row", UINT64, required=True),
        columns(DataClass.CONTROL_NUMBER, "subject", BINARY, of="subject"),
        columns(_HISTORY, "relief rule reason facts", UTF8, required=True),
    ),
)
"""One row for each charge that a rule decided, in the order of the records."""

NOT_DECIDED: Final = OutputSpec(
    name="not_decided",
    schema=RecordSchema.output(
        "not_decided/1",
        columns(DataClass.NONE, "row", UINT64, required=True),
        columns(DataClass.CONTROL_NUMBER, "subject", BINARY, of="subject"),
        columns(_HISTORY, "cause", UTF8, required=True),
        columns(_HISTORY, "rule", UTF8),
        columns(_HISTORY, "words", UTF8, required=True),
    ),
)
"""One row for each charge in scope that no rule decided, in the order of the records."""


# ------------------------------------------------------------------ stages


TEXTS: Final = (
    *("subject", "DOB", "cycle", "case", "count", "event", "date", "county", "offense_code", "offense", "comment"),
    *("offense_date", "transaction", "level", "max_penalty", "marks"),
    *("disposition", "sentence", "sentence_length", "discharged", "released"),
)
FLAGS: Final = ("deceased", "pending", "restitution_paid", "fines_paid")
NAMES: Final = (*TEXTS, *FLAGS)

HISTORIES: Final = Edge(
    name="histories",
    fields=Fields.of([("row", INT64), *((name, BINARY) for name in TEXTS), *((name, BOOL) for name in FLAGS)]),
    each=True,
)
RELIEFS: Final = Edge(name="reliefs", fields=Fields.of([("row", INT64), ("relief", UTF8)]), each=True)
STATUSES: Final = Edge(name="statuses", fields=SCHEMAS[ROW_STATUS].declared, each=True)
PART_EDGES: Final = tuple(
    Edge(name=spec.name, fields=spec.schema.declared, each=True) for spec in (DETERMINATIONS, NOT_DECIDED)
)
_BACK: Final = (RELIEFS, STATUSES, *PART_EDGES)

_shards: Final = partial(Stage, width=Width.SHARDS)
_STAGES: Final = Stages(
    in_order=(
        COUNT,
        _shards(name="deal", records=True, writes=(HISTORIES,)),
        _shards(name="decide", reads=(HISTORIES.name,), writes=_BACK),
        _shards(
            name="relieve",
            records=True,
            reads=(ROWS.name, *(edge.name for edge in _BACK)),
            outputs=(RESULT_OUTPUT, *(edge.name for edge in PART_EDGES)),
        ),
    )
)


# ------------------------------------------------------------------ the operation

RELIEF: Final = "relief"
NEEDED: Final = frozenset(("subject", "date", "disposition"))


def _add_relief(_: Clear, columns: frozenset[str]) -> frozenset[str]:
    if RELIEF in columns:
        raise ParametersError(f"the records have a column {RELIEF} already", remedy="Rename or drop it.")
    if missing := NEEDED - columns:
        raise ParametersError(
            f"no column {', '.join(sorted(missing))}", remedy="Name it with `rename` in the job spec."
        )
    return columns | {RELIEF}


CLEAR: Final = Operation(
    parameters=Clear,
    decode=decode,
    encode=encode,
    complete=complete,
    columns=_add_relief,
    signature=lambda _: Signature(accepts=frozenset(("chri_event/2",)), parts=(DETERMINATIONS, NOT_DECIDED)),
    stages=lambda _: _STAGES,
    schemas=(DETERMINATIONS.schema, NOT_DECIDED.schema),
    steps=("facts", "decide"),
    codes=Code,
)
