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
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.screen import BY_SHARD, HITS, OUTCOMES, REFERENCE_STATUS, SCREEN, SIDE, Screen, is_by_shard
from cji_core.operations.tables.screening import Model
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.screen.index import Index, build
from cji_operations.screen.reference_store import restore, store
from cji_operations.screen.search import run
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions

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

    @property
    def reference_schema(self) -> pa.Schema:
        """See WithReference."""
        return self.index.shown.schema

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
    reference = context.sides.get(SIDE)
    if not reference:
        raise bad_parameters(Stage.COMPUTE)
    index = build(reference, context.tables.dissemination.files, room=_ROOM)
    if slot is not None and parameters.retain_seconds:
        store(replace(index, status=RowStatus.all_ok(0)), slot)
    return index


def _functions(parameters: Screen) -> StageFunctions:
    return by_shard(BY_SHARD, _prepare) if is_by_shard(parameters) else {}


CASES: Final = (
    Case(
        schema="person/1",
        row={"NAM": "DOE, JOHN", "SEX": "M", "RAC": "W", "DOB": "19800101", "SOC": "1"},
        parameters=Screen(preset="ncic_qw_expanded_dob", max_hits=5, retain_seconds=1),
        sides={
            "reference": (
                "hotfile/1",
                {
                    "NAM": "DOE, JON",
                    "SEX": "M",
                    "RAC": "W",
                    "DOB": "19800102",
                    "SOC": "2",
                    "NIC": "W",
                    "file_code": "W",
                },
            )
        },
    ),
    Case(
        schema="person/1",
        row={"last": "DOE", "first": "JOHN", "DOB": "19800101"},
        parameters=Screen(preset="iii_qh", max_hits=5, resident_reference="0" * 64),
    ),
)
"""An inquiry against a record of a hot file, then one against the reference that the first left resident."""

IMPLEMENTATION: Final = Implementation(operation=SCREEN, prepare=_prepare, self_test=CASES, stages=_functions)
