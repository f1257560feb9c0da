"""The statements of a job in parts, gathered until they make the job: a pure machine, one statement in after the other.

They come in the order of stages and tasks, so that producers come before their consumers. A task may have several, one
for each attempt; the first decides about outputs. A consumer may have read the stream of any attempt of its producer:
tasks are deterministic, so any mix of attempts makes the same records. What is checked of each statement:

    form     signed with the receipt key in it               streams  exactly those of its task; each that it read
    proof    made with the job's data key                             is one that its producer wrote
    job      this header, this plan, a task of it            parts    the same bytes of a part for all who read it
    order    in order, no attempt twice                      rows     the same rows of a shard for all who read it
    machine  the release, decision tables, host profile and module of the one that finishes the job

and in the end: every task has a statement, the plan was made by the task that plans, every row has a status. Memory is
bounded by the streams of a job (`cji_core.operations.stages.streams`), 32 bytes each, times MAX_ATTEMPTS.
"""

import hashlib
import hmac
import itertools
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import NO_PLAN, sha384, statement_proof
from cji_core.format.job import Header, JobPlan
from cji_core.jose import key_id, parse_canonical_verifying
from cji_core.operations.registry import Plan
from cji_core.operations.stages.stage import Stage as PartStage
from cji_core.operations.stages.streams import TO_ALL, EdgeStream, PartStream, Stream, TaskStreams
from cji_core.operations.volumes import RESULT, ROW_STATUS, counts_of, subjects_output
from cji_core.strict import b64url_decode
from cji_core.trail import (
    Machine,
    Node,
    PartDigest,
    StatedPart,
    StatedStream,
    Statement,
    StatementError,
    StatementFault,
    TasksClaim,
    Volumes,
    read_statement,
)
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_worker.errors import WorkerError
from cji_worker.keyholder.witnesses import Agreed

MAX_ATTEMPTS: Final = 4
"""Of a task, with statements in one job."""
MAX_NODES: Final = 128
"""That a receipt has room for."""


class StatementsRefusedError(WorkerError):
    """The statements do not make the job: the first fault, and the task that it is about."""

    code = "statements-refused"
    remedy = "Run the job again; its audit event names the task."

    def __init__(self, about: StatementFault, stage: str | None = None, task: int | None = None) -> None:
        super().__init__(about, stage, task)
        self.about, self.stage, self.task = about, stage, task


class Gathering:
    """The statements of one job, and what they add up to."""

    def __init__(
        self, header: Header, planned: Plan, job: TaskStreams, plan: JobPlan, *, key: bytes, machine: Machine
    ) -> None:
        """`key` is the job's statement key; `machine` is this one, with which all others must agree."""
        self._header, self._planned, self._job, self._plan = header, planned, job, plan
        self._key, self._machine = key, machine
        self._starts = dict(zip(job.tasks, itertools.accumulate(job.tasks.values(), initial=0), strict=False))
        self._places, self._next = sum(job.tasks.values()), 0
        self._attempts: set[str] = set()
        self._written: dict[tuple[int, int], list[bytes]] = {}
        self._parts_in: dict[int, StatedPart] = {}
        self._parts_out: dict[int, StatedPart] = {}
        self._rows: dict[int, int] = {}
        self._rows_out = self._rows_status = self._subjects_out = 0
        self._plan_made = False
        self._nodes: dict[tuple[str, str], Node] = {}
        self._tree = Frontier()

    def add(self, compact: str) -> None:
        """The next statement. Raises StatementsRefusedError, and LIMIT_EXCEEDED for too many nodes."""
        try:
            said = read_statement(compact)
        except StatementError:
            raise StatementsRefusedError("form") from None
        if not hmac.compare_digest(statement_proof(self._key, said.encoded()), b64url_decode(said.proof)):
            raise StatementsRefusedError("proof")
        stage = self._job.stage(said.stage)
        if stage is None or not self._is_of_job(said, stage):
            raise StatementsRefusedError("job", said.stage, said.task)
        if said.machine != self._machine:
            raise StatementsRefusedError("machine", said.stage, said.task)
        is_first = self._take_place(said, stage)
        self._take_streams(said, stage)
        self._take_rows(said, stage)
        if is_first:
            self._parts_out.update((part.part, part) for part in said.parts_out)
            self._rows_out += said.rows_out
            self._rows_status += said.rows_status
            self._subjects_out += said.subjects_out
        self._plan_made = self._plan_made or said.made_plan_sha384 == self._plan.sha384.hex()
        self._take_node(said)
        self._tree.append(leaf_hash(compact.encode("ascii")))

    def finish(self) -> tuple[Agreed, TasksClaim]:
        """The facts about the job that all statements together show. Raises StatementsRefusedError."""
        if self._next < self._places:
            raise self._missing()
        if not self._plan_made:
            raise StatementsRefusedError("job")
        rows_in, declared = sum(self._rows.values()), self._header.inputs[-1].rows_declared
        if self._rows_status != rows_in or declared not in {None, rows_in}:
            raise StatementsRefusedError("rows")
        shards_in = [(part.name, part.shards) for part in self._header.inputs]
        schemas = {output.name: output.schema.schema_id for output in self._planned.outputs}
        shards_out = list(zip(schemas, self._job.output_shards(), strict=True))
        rows = {subjects_output(schemas): self._subjects_out, RESULT: self._rows_out, ROW_STATUS: rows_in}
        agreed = Agreed(
            inputs=_digests(shards_in, self._parts_in),
            outputs=_digests(shards_out, self._parts_out),
            result_header_sha384=sha384(self._plan.result_header),
            volumes=Volumes(
                bytes_in=sum(part.bytes for part in self._parts_in.values()),
                bytes_out=sum(part.bytes for part in self._parts_out.values()),
                **counts_of(schemas, rows, withheld=bool(self._header.column_keys)),
            ),
        )
        claim = TasksClaim(
            plan_sha384=self._plan.sha384.hex(),
            statements=self._tree.size,
            root_sha256=self._tree.root().hex(),
            nodes=tuple(self._nodes.values()),
        )
        return agreed, claim

    def _is_of_job(self, said: Statement, stage: PartStage) -> bool:
        plan = self._plan.sha384 if self._job.is_planned(stage) else NO_PLAN
        return (
            said.job_id == self._header.job_id.hex()
            and said.header_sha384 == self._header.sha384.hex()
            and said.plan_sha384 == plan.hex()
            and (said.made_plan_sha384 is UNSET) is not stage.plans
            and said.task < self._job.tasks[stage.name]
        )

    def _take_place(self, said: Statement, stage: PartStage) -> bool:
        """Whether it is the first statement of its task, and that task the next one."""
        place = self._starts[stage.name] + said.task
        if place == self._next - 1:
            if said.attempt in self._attempts or len(self._attempts) >= MAX_ATTEMPTS:
                raise StatementsRefusedError("order", said.stage, said.task)
            self._attempts.add(said.attempt)
            return False
        if place < self._next:
            raise StatementsRefusedError("order", said.stage, said.task)
        if place > self._next:
            raise self._missing()
        self._next += 1
        self._attempts = {said.attempt}
        return True

    def _missing(self) -> StatementsRefusedError:
        """The first task without a statement."""
        stage = next(name for name in reversed(self._starts) if self._starts[name] <= self._next)
        return StatementsRefusedError("missing", stage, self._next - self._starts[stage])

    def _take_streams(self, said: Statement, stage: PartStage) -> None:
        inputs, outputs = self._job.read_by(stage, said.task), self._job.written_by(stage, said.task)
        if not (
            _named(said.parts_in, said.streams_in, inputs) and _named(said.parts_out, said.streams_out, outputs)
        ) or not all(map(self._was_written, said.streams_in)):
            raise StatementsRefusedError("streams", said.stage, said.task)
        by_edge: dict[int, list[bytes]] = {}
        for stream in said.streams_out:
            by_edge.setdefault(stream.edge, []).append(_digest(stream))
        for edge, digests in by_edge.items():
            self._written.setdefault((edge, said.task), []).append(b"".join(digests))
        for part in said.parts_in:
            if self._parts_in.setdefault(part.part, part) != part:
                raise StatementsRefusedError("parts", said.stage, said.task)

    def _was_written(self, stream: StatedStream) -> bool:
        """Whether an attempt of its producer states exactly this stream."""
        at = 32 * (0 if stream.consumer == TO_ALL else stream.consumer)
        written = self._written.get((stream.edge, stream.producer), ())
        return any(each[at : at + 32] == _digest(stream) for each in written)

    def _take_rows(self, said: Statement, stage: PartStage) -> None:
        if stage.records and self._rows.setdefault(said.task, said.rows_in) != said.rows_in:
            raise StatementsRefusedError("rows", said.stage, said.task)

    def _take_node(self, said: Statement) -> None:
        receipt_key = key_id(parse_canonical_verifying(said.receipt_jwk))
        self._nodes.setdefault(
            (receipt_key, said.evidence_sha384),
            Node(
                worker=said.worker,
                receipt_key=receipt_key,
                evidence_sha384=said.evidence_sha384,
                region=said.region,
                tee=said.tee,
            ),
        )
        if len(self._nodes) > MAX_NODES:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMMIT)


def _named(parts: Sequence[StatedPart], streams: Sequence[StatedStream], expected: Sequence[Stream]) -> bool:
    """Whether these are the streams of the task, in its order."""
    names = [(each.edge, each.producer, each.consumer) for each in expected if isinstance(each, EdgeStream)]
    numbers = [each.part for each in expected if isinstance(each, PartStream)]
    return [part.part for part in parts] == numbers and [(s.edge, s.producer, s.consumer) for s in streams] == names


def _digest(stream: StatedStream) -> bytes:
    counts = stream.segments.to_bytes(8, "big") + stream.bytes.to_bytes(8, "big")
    return hashlib.sha256(counts + stream.tags_sha256.encode("ascii")).digest()


def _digests(shards: Sequence[tuple[str, int]], parts: dict[int, StatedPart]) -> tuple[PartDigest, ...]:
    """The digest of each input or output; of several shards, that of their digests."""
    found, first = list[PartDigest](), 0
    for name, count in shards:
        try:
            own = [parts[number] for number in range(first, first + count)]
        except KeyError:
            raise StatementsRefusedError("parts") from None
        sha256 = [b64url_decode(part.sha256) for part in own]
        whole = sha256[0] if count == 1 else hashlib.sha256(b"".join(sha256)).digest()
        found.append(PartDigest(name=name, sha256=whole.hex(), bytes=sum(part.bytes for part in own)))
        first += count
    return tuple(found)
