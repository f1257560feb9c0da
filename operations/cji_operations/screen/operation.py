"""`screen` as an operation: the reference is the job's side table `reference`, the records are the inquiries.

result            `outcomes/1`: one row an inquiry: hit, no hit, not screenable
hits              `hits/1`: one row a hit, by inquiry and rank
reference_status  `row_status/1` of the reference: records that no inquiry can find, or of unknown files

A job with `retain_seconds` leaves the index of its reference in its slot; a job with `resident_reference` finds it
there and brings none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import structs

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import WHOLE_ROW, RowStatus
from cji_operations.in_parts import InParts
from cji_operations.operation import Applied, Context, Operation, Reference, Side, Signature
from cji_operations.parameters import bad_parameters
from cji_operations.screen.codes import Code
from cji_operations.screen.index import Index, build
from cji_operations.screen.outputs import HITS, OUTCOMES, REFERENCE_STATUS
from cji_operations.screen.parameters import Screen, check_tables, complete, decode, encode
from cji_operations.screen.reference_store import restore, store
from cji_operations.screen.search import run
from cji_operations.screen.self_test import CASES
from cji_operations.shard_parts import RESULT, by_shard
from cji_operations.tables.screening import Model

_SIDE: Final = "reference"
_SIDE_SCHEMA: Final = "hotfile/1"
_ROOM: Final = 8 << 30  # the cell's own memory is the limit that counts; see `cell_memory_mib`
_BATCH: Final = 16_384


@dataclass(slots=True, kw_only=True)
class Screening:
    """A prepared operation; made by `_prepare` alone."""

    parameters: Screen
    """With rules, not the name of a preset."""
    model: Model
    index: Index
    was_resident: bool
    """Whether the index was there before this job."""
    rows: int = 0
    """Inquiries so far."""
    output_schema: pa.Schema = OUTCOMES.arrow

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Outcomes are made from the inquiry as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Screen some inquiries; see BatchOperation."""
        found = run(batch, self.index, self.parameters, self.model)
        first, self.rows = self.rows, self.rows + batch.num_rows
        return Applied(batch=found.outcomes(first), status=found.status, parts={HITS.name: [found.hits(first)]})

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The status of the reference, if this job brought it."""
        if self.was_resident:
            return {}
        status = self.index.status
        firsts = range(0, len(status.status), _BATCH)
        return {REFERENCE_STATUS.name: (status.slice(first, first + _BATCH).to_batch(first) for first in firsts)}


def _signature(parameters: Screen) -> Signature:
    accepts, digest = frozenset(("person/1", "hotfile/1")), parameters.resident_reference
    if digest is not None:
        reference = Reference(side=_SIDE, schema=_SIDE_SCHEMA, sha256=bytes.fromhex(digest))
        return Signature(accepts=accepts, result=OUTCOMES.schema_id, parts=(HITS,), reference=reference)
    seconds = parameters.retain_seconds
    return Signature(
        accepts=accepts,
        result=OUTCOMES.schema_id,
        parts=(HITS, REFERENCE_STATUS),
        sides=(Side(name=_SIDE, schema=_SIDE_SCHEMA, required=True),),
        reference=Reference(side=_SIDE, schema=_SIDE_SCHEMA, seconds=seconds) if seconds else None,
    )


def _prepare(parameters: Screen, _schema_id: str, _schema: pa.Schema, context: Context) -> Screening:
    """Index the reference, or find its index where it is resident.

    Raises: Refusal(BAD_PARAMETERS) without one, Refusal(LIMIT_EXCEEDED) for one that is too large, or too large for
    its slot.
    """
    table = context.tables.screening
    rules = parameters.rules or table.presets[parameters.preset or ""]
    return Screening(
        parameters=structs.replace(parameters, preset=None, rules=rules),
        model=table.model,
        index=_index(parameters, context),
        was_resident=parameters.resident_reference is not None,
    )


def _index(parameters: Screen, context: Context) -> Index:
    slot, is_resident = context.reference_slot, parameters.resident_reference is not None
    if slot is None and (is_resident or parameters.retain_seconds):
        raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
    if slot is not None and is_resident:
        return restore(Index, slot)
    reference = context.sides.get(_SIDE)
    if not reference:
        raise bad_parameters(Stage.COMPUTE)
    index = build(reference, context.tables.dissemination.files, room=_ROOM)
    if slot is not None and parameters.retain_seconds:
        store(replace(index, status=RowStatus.all_ok(0)), slot)
    return index


def _in_parts(parameters: Screen) -> InParts | None:
    """Every shard of the inquiries against the whole reference; a resident one is on one machine only."""
    if parameters.retain_seconds or parameters.resident_reference is not None:
        return None
    return by_shard(_prepare, parts=(HITS,), same=(REFERENCE_STATUS,), numbered=(RESULT, HITS.name), sides=(_SIDE,))


SCREEN: Final = Operation(
    parameters=Screen,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=check_tables,
    signature=_signature,
    prepare=_prepare,
    in_parts=_in_parts,
    terminal=True,
    schemas=(OUTCOMES, HITS.schema),
    codes=Code,
    self_test=CASES,
)
