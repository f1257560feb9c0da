"""`screen`, declared: inquiries against a reference in memory; scored hits, never a match."""

import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cji_core import documents, strict
from cji_core.errors import Stage
from cji_core.format.records import ROW_STATUS, SCHEMAS, DataClass, RecordSchema, columns
from cji_core.format.records.declared import BINARY, BOOL, FLOAT64, UINT32, UINT64, UTF8
from cji_core.operations.declaration import Operation, OutputSpec, Reference, Side, Signature
from cji_core.operations.parameters import Name, Parameters, Sealing, Sha256, bad_parameters, check_digest, decoded
from cji_core.operations.stages.by_shard import ByShard
from cji_core.operations.stages.stage import RESULT_OUTPUT
from cji_core.operations.status_codes import RowCode
from cji_core.operations.tables import Tables
from cji_core.operations.tables.screening import Rules
from cji_core.strict import hex_decode
from cji_core.wire.v1 import worker_pb2 as pb

# ------------------------------------------------------------------ row status codes


class Code(RowCode):
    """Inquiries that are not searched, and records that are not found."""

    NOT_SCREENABLE = 501, "There is nothing to search by: no identifier, and no surname with a date of birth."
    TOO_MANY_CANDIDATES = 502, "The inquiry is so broad that too many records would have to be compared with it."
    NOT_REACHABLE = 503, "No inquiry can find the record: no identifier, and no surname with a date of birth."
    UNKNOWN_FILE = 504, "The record is of a file that the table does not name, and counts as restricted."


# ------------------------------------------------------------------ parameters

MAX_HITS: Final = 1_000
_MAX_RETENTION_SECONDS: Final = 24 * 3600  # a worker's configuration may allow less
_MAX_RULES_BYTES: Final = 64 << 10
_DEFAULT: Final = "ncic_qw"


class Screen(Parameters, frozen=True, kw_only=True, tag="screen"):
    """A `preset` of the worker's tables, NCIC's name inquiry where nothing is given, or `rules` of the job's own.

    `max_hits` of an inquiry are listed. `min_score`, in bits: hits by name of less are dropped and not counted.
    `include_restricted`: records of restricted files (CJISSECPOL 4.2.2) are searched too. `status_only`: whether there
    is a hit, and nothing of the records (4.2.3.2).

    The reference is a side table. With `retain_seconds` it stays in the worker's memory for later jobs, which name it
    by `resident_reference`, the SHA-256 of the part in the receipt of the first job, and bring none.
    """

    preset: Name | None = None
    rules: Rules | None = None
    max_hits: Annotated[int, Meta(ge=1, le=MAX_HITS)] = 20
    min_score: float | None = None
    include_restricted: bool = False
    status_only: bool = False
    retain_seconds: Annotated[int, Meta(ge=0, le=_MAX_RETENTION_SECONDS)] = 0
    resident_reference: Sha256 | None = None
    tables_sha256: Sha256 | None = None

    def __post_init__(self) -> None:
        if self.preset is not None and self.rules is not None:
            raise ValueError("preset, rules: one of them")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise ValueError("min_score: a finite number")
        if self.retain_seconds and self.resident_reference is not None:
            raise ValueError("retain_seconds: the reference is resident already")


def decode(message: pb.Screen) -> Screen:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if bool(message.preset) == bool(message.rules):
        raise bad_parameters(Stage.ADMIT)
    try:
        rules = documents.decode(message.rules, Rules, limit=_MAX_RULES_BYTES) if message.rules else None
    except strict.StrictError as error:
        raise bad_parameters(Stage.ADMIT) from error
    return decoded(
        Screen,
        {
            "preset": message.preset or None,
            "rules": rules,
            "max_hits": message.max_hits,
            "min_score": message.min_score if message.HasField("min_score") else None,
            "include_restricted": message.include_restricted,
            "status_only": message.status_only,
            "retain_seconds": message.retain_seconds,
            "resident_reference": message.resident_reference.hex() or None,
            "tables_sha256": message.tables_sha256.hex() or None,
        },
    )


def encode(parameters: Screen) -> pb.Screen:
    """The parameters as they stand in a header."""
    return pb.Screen(
        preset=parameters.preset,
        rules=b"" if parameters.rules is None else msgspec.json.encode(parameters.rules),
        max_hits=parameters.max_hits,
        min_score=parameters.min_score,
        include_restricted=parameters.include_restricted,
        status_only=parameters.status_only,
        retain_seconds=parameters.retain_seconds,
        resident_reference=hex_decode(parameters.resident_reference or ""),
        tables_sha256=hex_decode(parameters.tables_sha256 or ""),
    )


def complete(parameters: Screen, _: Sealing) -> Screen:
    """With the default search where there is no other."""
    if parameters.preset is not None or parameters.rules is not None:
        return parameters
    return replace(parameters, preset=_DEFAULT)


def check_tables(parameters: Screen, tables: Tables) -> None:
    """Refuse other tables than the job expects, and a preset that they do not have."""
    check_digest(parameters.tables_sha256, tables)
    if parameters.preset is not None and parameters.preset not in tables.screening.presets:
        raise bad_parameters(Stage.ADMIT)


# ------------------------------------------------------------------ outputs

_CASE: Final = DataClass.CASE
SHOWN: Final = ("NIC", "ORI", "OCA", "MKE", "file_code", "EXL", "CMC")
"""Columns of the reference that hits show."""

OUTCOMES: Final = RecordSchema.output(
    "outcomes/1",
    columns(_CASE, "row", UINT64),
    columns(_CASE, "outcome best", UTF8),
    columns(_CASE, "hits listed", UINT64),
)
"""One row an inquiry. `status_only`: best, hits and listed are null."""

HITS: Final = OutputSpec(
    name="hits",
    schema=RecordSchema.output(
        "hits/1",
        columns(_CASE, "row", UINT64),
        columns(_CASE, "rank", UINT32),
        columns(_CASE, "class", UTF8),
        columns(_CASE, "score", FLOAT64),
        columns(_CASE, "agreement", UTF8),
        columns(_CASE, "reference_row rows", UINT64),
        columns(_CASE, "restricted", BOOL),
        *(columns(_CASE, name, BINARY, of=name) for name in SHOWN),
    ),
)
"""One row a record that is a hit: row of the inquiry, its rank there from 1 on, score in bits.

`reference_row` is the best of its `rows` that are hits. What the reference has not is null.
"""

REFERENCE_STATUS: Final = OutputSpec(name="reference_status", schema=SCHEMAS[ROW_STATUS])
"""Records of the reference that no inquiry can find, or of unknown files."""


# ------------------------------------------------------------------ the operation


SIDE: Final = "reference"
_SIDE_SCHEMA: Final = "hotfile/1"

BY_SHARD: Final = ByShard(parts=(HITS,), same=(REFERENCE_STATUS,), numbered=(RESULT_OUTPUT, HITS.name), sides=(SIDE,))
"""Every shard of the inquiries against the whole reference."""


def is_by_shard(parameters: Screen) -> bool:
    """Whether shards can be screened on many machines; a resident reference is on one machine only."""
    return not parameters.retain_seconds and parameters.resident_reference is None


def _signature(parameters: Screen) -> Signature:
    accepts, digest = frozenset(("person/1", "hotfile/1")), parameters.resident_reference
    if digest is not None:
        reference = Reference(side=SIDE, schema=_SIDE_SCHEMA, sha256=hex_decode(digest))
        return Signature(accepts=accepts, result=OUTCOMES.schema_id, parts=(HITS,), reference=reference)
    seconds = parameters.retain_seconds
    return Signature(
        accepts=accepts,
        result=OUTCOMES.schema_id,
        parts=(HITS, REFERENCE_STATUS),
        sides=(Side(name=SIDE, schema=_SIDE_SCHEMA, required=True),),
        reference=Reference(side=SIDE, schema=_SIDE_SCHEMA, seconds=seconds) if seconds else None,
    )


SCREEN: Final = Operation(
    parameters=Screen,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=check_tables,
    signature=_signature,
    stages=lambda parameters: BY_SHARD.stages if is_by_shard(parameters) else None,
    terminal=True,
    input_rows=True,
    schemas=(OUTCOMES, HITS.schema),
    codes=Code,
    row_bytes=lambda message: max(1, message.max_hits) * (4 << 10),
)
