"""`screen` as an operation: the reference is the job's side table `hotfile/1`, the records are the inquiries.

result            `outcomes/1`: one row an inquiry: hit, no hit, not screenable
hits              `hits/1`: one row a hit, by inquiry and rank
reference_status  `row_status/1` of the reference: records that no inquiry can find, or of unknown files
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute import screen
from worker.compute.operation import Applied, Context, Part, bad_parameters
from worker.compute.tables import Tables
from worker.errors import Stage
from worker.records import ROW_STATUS_SCHEMA, WHOLE_ROW, tagged
from worker.records import check as check_schema
from worker.wire.v1 import worker_pb2

__all__ = ["ACCEPTS", "OUTCOMES", "PARTS", "REFERENCE", "Screening", "check", "check_tables", "prepare"]

ACCEPTS: Final = frozenset(("person/1", "hotfile/1"))
REFERENCE: Final = "hotfile/1"
OUTCOMES: Final = "outcomes/1"
PARTS: Final = (("hits", "hits/1"), ("reference_status", "row_status/1"))
_MAX_RULES: Final = 64 << 10
_ROOM: Final = 8 << 30  # the cell's own memory is the limit that counts; see `cell_memory_mib`
_BATCH: Final = 16_384


def _parameters(parameters: worker_pb2.Screen) -> screen.Screen:
    if bool(parameters.preset) == bool(parameters.rules) or len(parameters.rules) > _MAX_RULES:
        raise bad_parameters(Stage.ADMIT)
    try:
        rules = (
            screen.PRESETS[parameters.preset]
            if parameters.preset
            else msgspec.json.decode(parameters.rules, type=screen.Rules)
        )
    except (KeyError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from None
    return screen.Screen(
        rules=rules,
        max_hits=parameters.max_hits,
        min_score=parameters.min_score if parameters.HasField("min_score") else None,
        include_restricted=parameters.include_restricted,
        status_only=parameters.status_only,
    )


def check(parameters: worker_pb2.Screen) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if len(parameters.tables_sha256) not in {0, 32}:
        raise bad_parameters(Stage.ADMIT)
    screen.check(_parameters(parameters))


def check_tables(parameters: worker_pb2.Screen, tables: Tables) -> None:
    """Refuse other tables than the job expects."""
    if parameters.tables_sha256 not in {b"", tables.sha256}:
        raise bad_parameters(Stage.ADMIT)


def prepare(parameters: worker_pb2.Screen, schema_id: str, schema: pa.Schema, context: Context) -> "Screening":
    """Index the reference. Raises: Refusal(BAD_PARAMETERS) without one, Refusal(LIMIT_EXCEEDED) for too large a one."""
    check_tables(parameters, context.tables)
    check_schema(schema_id, schema)
    reference = context.sides.get(REFERENCE)
    if not reference:
        raise bad_parameters(Stage.COMPUTE)
    index = screen.build(reference, context.tables.dissemination.files, room=_ROOM)
    return Screening(parameters=_parameters(parameters), index=index, columns=len(schema))


@dataclass(slots=True, kw_only=True)
class Screening:
    """A prepared operation; made by `prepare` alone."""

    parameters: screen.Screen
    index: screen.Index
    columns: int
    rows: int = 0
    """Inquiries so far."""

    @property
    def output_schema(self) -> pa.Schema:
        """Of the outcomes."""
        return tagged(OUTCOMES, list(screen.OUTCOMES))

    @property
    def output_schema_id(self) -> str:
        """Of the outcomes."""
        return OUTCOMES

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Outcomes are made from the inquiry as a whole."""
        return np.full(len(screen.OUTCOMES), WHOLE_ROW, np.int16)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Hits, and what became of the reference's rows."""
        return (
            Part(name="hits", schema=tagged("hits/1", list(screen.HITS))),
            Part(name="reference_status", schema=ROW_STATUS_SCHEMA),
        )

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Screen some inquiries; see BatchOperation."""
        found = screen.run(batch, self.index, self.parameters)
        first, self.rows = self.rows, self.rows + batch.num_rows
        outcomes = _tagged(found.outcomes(first), self.output_schema)
        hits = _tagged(found.hits(first), self.parts[0].schema)
        return Applied(batch=outcomes, status=found.status, parts={"hits": [hits]})

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The status of the reference."""
        status = self.index.status
        firsts = range(0, len(status.status), _BATCH)
        return {"reference_status": (status.slice(first, first + _BATCH).to_batch(first) for first in firsts)}


def _tagged(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
