"""`clear` as an operation: the records with their relief, and the determinations behind it.

result           the records, and `relief` utf8 at each charge that a rule decided
determinations   `determinations/1`: relief, rule, reason and facts of each of these
not_decided      `not_decided/1`: each charge in scope that no rule decided, with its cause
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import WHOLE_ROW, tagged
from cji_core.operations.clear.declaration import CLEAR, NEEDED, RELIEF, Clear
from cji_core.operations.clear.rules import Rule, Rules
from cji_core.operations.clear.when import Count, Punishable, Waited, When, Which
from cji_operations.clear.facts import Columns
from cji_operations.clear.outcome import outcome
from cji_operations.clear.parts import clear_functions
from cji_operations.operation import Case, Context, Implementation, Outputs, Row
from cji_operations.progress import ProgressCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """A prepared operation; made by `_prepare` alone."""

    parameters: Clear
    output_schema: pa.Schema
    keeps_rows: bool = True

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Every column comes from itself, the relief from the row."""
        return np.append(np.arange(len(self.output_schema) - 1), WHOLE_ROW).astype(np.int16)

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Decide on all charges; see TableOperation."""
        found = outcome(self.parameters, Columns(records), progress)
        return Outputs(status=found.status, result=self.relieved(records, found.relief), parts=found.parts)

    def relieved(self, records: Sequence[pa.RecordBatch], relief: pa.Array) -> Iterator[pa.RecordBatch]:
        """The records with the `relief` utf8[n] of each."""
        first = 0
        for batch in records:
            columns = [*batch.columns, relief.slice(first, batch.num_rows)]
            yield pa.RecordBatch.from_arrays(columns, schema=self.output_schema)
            first += batch.num_rows


def _prepare(parameters: Clear, schema_id: str, schema: pa.Schema, _context: Context) -> Clearing:
    """Bind parameters to the records. Raises: Refusal(SCHEMA_MISMATCH) for a column that is missing, or not to be."""
    if RELIEF in schema.names or not NEEDED.issubset(schema.names):
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    return Clearing(parameters=parameters, output_schema=tagged(schema_id, [*schema, pa.field(RELIEF, pa.utf8())]))


_FUNCTIONS: Final = clear_functions(_prepare)


_ROW: Final[Row] = {
    "subject": "S1",
    "event": "COURT ACTION",
    "date": "20010203",
    "DOB": "19700101",
    "county": "NOWHERE",
    "offense": "100(A) XX-SOMETHING",
    "level": "M",
    "disposition": "CONVICTED",
    "sentence": "JAIL",
    "sentence_length": "10D",
    "case": "1",
    "transaction": "1",
    "max_penalty": "90D",
    "offense_date": "20010101",
    "discharged": "20010301",
    "pending": False,
    "fines_paid": True,
}

CASES: Final = (
    Case(
        schema="chri_event/2",
        row=_ROW,
        parameters=Clear(
            table=Rules(
                version=1,
                state="Nowhere",
                title="A table of the self-test",
                sources=("None.",),
                laws=("XX",),
                dispositions={"conviction": ("CONVICTED",)},
                lists={"old": ("100 XX",)},
                scope=When(sections=("old",)),
                rules=(
                    Rule(
                        id="young",
                        relief="dismiss",
                        reason="The subject was young.",
                        source="None.",
                        when=When(level=("misdemeanor",), age_at_conviction_below=21, only_sections=("old",)),
                    ),
                    Rule(
                        id="long-ago",
                        relief="dismiss",
                        reason="It is long ago.",
                        source="None.",
                        when=When(
                            punishable=Punishable(to="93D"),
                            years_since_sentence=2,
                            years_crime_free=2,
                            not_sentence=("PRISON",),
                            at_most=(
                                Count(number=2, level=("felony",), by="transaction"),
                                Count(number=2, sections=("old",), within="20Y", same="case"),
                            ),
                            waited=Waited(time="60M", since=("conviction", "release"), restarted_by=Which()),
                            no_pending=True,
                            paid=("fines",),
                        ),
                    ),
                ),
            ),
            as_of=datetime.date(2026, 1, 1),
            county="NOWHERE",
        ),
    ),
)
"""A conviction that a rule relieves."""

IMPLEMENTATION: Final = Implementation(operation=CLEAR, prepare=_prepare, self_test=CASES, stages=lambda _: _FUNCTIONS)
