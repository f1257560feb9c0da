"""`screen` as an operation: the reference is the job's side table `hotfile/1`, the records are the inquiries.

result            `outcomes/1`: one row an inquiry: hit, no hit, not screenable
hits              `hits/1`: one row a hit, by inquiry and rank
reference_status  `row_status/1` of the reference: records that no inquiry can find, or of unknown files

A job with `retain_seconds` leaves the index of its reference on a shelf; a job with `resident_reference` finds it there
and brings none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.operation import Applied, Context, Part, Reference, bad_parameters
from worker.compute.operations import screen
from worker.compute.operations.screen.reference_store import restore, store
from worker.compute.tables import Tables
from worker.errors import Reason, Refusal, Stage
from worker.records import ROW_STATUS_SCHEMA, WHOLE_ROW, RowStatus, check_schema, tagged
from worker.wire.v1 import worker_pb2

__all__ = [
    "ACCEPTS",
    "HOLD_SECONDS",
    "OUTCOMES",
    "REFERENCE",
    "Screening",
    "check",
    "check_tables",
    "needs",
    "output_parts",
    "prepare",
    "reference",
]

ACCEPTS: Final = frozenset(("person/1", "hotfile/1"))
REFERENCE: Final = "hotfile/1"
OUTCOMES: Final = "outcomes/1"
HOLD_SECONDS: Final = 24 * 3600
"""At most; a worker's configuration may allow less."""
_MAX_RULES: Final = 64 << 10
_ROOM: Final = 8 << 30  # the cell's own memory is the limit that counts; see `cell_memory_mib`
_BATCH: Final = 16_384


def _rules(parameters: worker_pb2.Screen) -> screen.Rules | None:
    """The job's own; None with a preset."""
    if bool(parameters.preset) == bool(parameters.rules) or len(parameters.rules) > _MAX_RULES:
        raise bad_parameters(Stage.ADMIT)
    if parameters.preset:
        return None
    try:
        return msgspec.json.decode(parameters.rules, type=screen.Rules)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from None


def _min_score(parameters: worker_pb2.Screen) -> float | None:
    return parameters.min_score if parameters.HasField("min_score") else None


def _parameters(parameters: worker_pb2.Screen, tables: Tables) -> screen.Screen:
    return screen.Screen(
        rules=_rules(parameters) or tables.screening.presets[parameters.preset],
        model=tables.screening.model,
        max_hits=parameters.max_hits,
        min_score=_min_score(parameters),
        include_restricted=parameters.include_restricted,
        status_only=parameters.status_only,
    )


def check(parameters: worker_pb2.Screen) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if len(parameters.tables_sha256) not in {0, 32} or len(parameters.resident_reference) not in {0, 32}:
        raise bad_parameters(Stage.ADMIT)
    if parameters.retain_seconds > (0 if parameters.resident_reference else HOLD_SECONDS):
        raise bad_parameters(Stage.ADMIT)
    _rules(parameters)
    screen.check(max_hits=parameters.max_hits, min_score=_min_score(parameters))


def check_tables(parameters: worker_pb2.Screen, tables: Tables) -> None:
    """Refuse other tables than the job expects, and a preset that they do not have."""
    known = not parameters.preset or parameters.preset in tables.screening.presets
    if parameters.tables_sha256 not in {b"", tables.sha256} or not known:
        raise bad_parameters(Stage.ADMIT)


def reference(parameters: worker_pb2.Screen) -> Reference | None:
    """The reference that is to be held, or that is held."""
    if not parameters.retain_seconds and not parameters.resident_reference:
        return None
    return Reference(schema=REFERENCE, seconds=parameters.retain_seconds, sha256=parameters.resident_reference)


def needs(parameters: worker_pb2.Screen) -> frozenset[str]:
    """A reference, unless one is held."""
    return frozenset() if parameters.resident_reference else frozenset((REFERENCE,))


def output_parts(parameters: worker_pb2.Screen) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of the further outputs; what became of a held reference's rows was said when it came."""
    hits = (("hits", "hits/1"),)
    return hits if parameters.resident_reference else (*hits, ("reference_status", "row_status/1"))


def prepare(parameters: worker_pb2.Screen, schema_id: str, schema: pa.Schema, context: Context) -> "Screening":
    """Index the reference, or find its index where it is held.

    Raises: Refusal(BAD_PARAMETERS) without one, Refusal(LIMIT_EXCEEDED) for one that is too large, or too large for
    the shelf.
    """
    check_tables(parameters, context.tables)
    check_schema(schema_id, schema)
    wanted, index = _parameters(parameters, context.tables), _index(parameters, context)
    return Screening(parameters=wanted, index=index, held=bool(parameters.resident_reference))


def _index(parameters: worker_pb2.Screen, context: Context) -> screen.Index:
    kept = reference(parameters)
    if kept and context.shelf is None:
        raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
    if kept and kept.sha256 and context.shelf:
        return restore(screen.Index, context.shelf)
    brought = context.sides.get(REFERENCE)
    if not brought:
        raise bad_parameters(Stage.COMPUTE)
    index = screen.build(brought, context.tables.dissemination.files, room=_ROOM)
    if kept and context.shelf:
        store(replace(index, status=RowStatus.all_ok(0)), context.shelf)
    return index


@dataclass(slots=True, kw_only=True)
class Screening:
    """A prepared operation; made by `prepare` alone."""

    parameters: screen.Screen
    index: screen.Index
    held: bool
    """Whether the index was there before this job."""
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
        hits = (Part(name="hits", schema=tagged("hits/1", list(screen.HITS))),)
        return hits if self.held else (*hits, Part(name="reference_status", schema=ROW_STATUS_SCHEMA))

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Screen some inquiries; see BatchOperation."""
        found = screen.run(batch, self.index, self.parameters)
        first, self.rows = self.rows, self.rows + batch.num_rows
        outcomes = _tagged(found.outcomes(first), self.output_schema)
        hits = _tagged(found.hits(first), self.parts[0].schema)
        return Applied(batch=outcomes, status=found.status, parts={"hits": [hits]})

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The status of the reference, if this job brought it."""
        if self.held:
            return {}
        status = self.index.status
        firsts = range(0, len(status.status), _BATCH)
        return {"reference_status": (status.slice(first, first + _BATCH).to_batch(first) for first in firsts)}


def _tagged(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
