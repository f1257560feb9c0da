"""Whoever owns the engine and the account lies about everything between the tasks of one job of `link`.

The job goes stage by stage. Before a task, one blob after another is altered, and the task must be refused for the
reason that names the lie. With the blob as it was, the job goes on.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cji_client.seal import SealedJob
from cji_core.format.job import encode_plan, parse_plan, plan_facts
from cji_core.pool import names
from cji_core.trail import StatementsRefused, TaskAdmitted
from cji_core.wire.v1 import worker_pb2 as pb
from cji_engine.messages import Answer, Done, Refused, Request
from cji_worker.fleet.tasks.messages import FINISH, NO_PLAN
from cji_worker.fleet.tasks.published import MAX_ATTEMPTS, STATEMENT_BYTES, read_long
from tests.support.fleet_bench import Pool
from tests.support.parts_pool import ask, names_of, sockets

MOST: Final = 1 << 28


UNPLANNED: Final = ("count", "unite", "plan")
"""Stages of `link` that run before there is a plan."""


class Attacked:
    """A job that is run task by task, and the names of its blobs."""

    def __init__(self, pool: Pool, sealed: SealedJob) -> None:
        self.pool, self.sealed, self.named = pool, sealed, names_of(sealed)
        self.job = self.named.job
        self.plan = NO_PLAN
        self.tasks: Mapping[str, int] = dict.fromkeys(UNPLANNED, 1)

    def ask(self, stage: str, task: int = 0, **changes: Any) -> Answer:
        """What the node answers to the engine."""
        own = {"job": self.job, "header_sha384": self.named.header_sha384, "plan": self.folder(stage)}
        return ask(sockets(self.pool)["n1"], Request(**{**own, "stage": stage, "task": task, **changes}))

    def run(self, *stages: str) -> None:
        """Run all tasks of these stages."""
        for stage in stages:
            for task in range(self.tasks[stage]):
                done = self.ask(stage, task)
                assert isinstance(done, Done), done
                if done.plan is not None and done.tasks is not None:
                    self.plan, self.tasks = done.plan, done.tasks

    def refused(self, stage: str, **changes: Any) -> str:
        """The reason for which a task is refused."""
        answer = self.ask(stage, **changes)
        assert isinstance(answer, Refused), answer
        return answer.reason

    def refused_with(self, container: str, name: str, altered: bytes, stage: str, **changes: Any) -> str:
        """The reason for which a task is refused while a blob is altered."""
        blobs, before = self.pool.storage.blobs(container), self.blob(container, name)
        blobs.write(name, altered)
        try:
            return self.refused(stage, **changes)
        finally:
            blobs.write(name, before)

    def blob(self, container: str, name: str) -> bytes:
        """A whole blob."""
        return read_long(self.pool.storage.blobs(container), name, most=MOST)

    def folder(self, stage: str) -> str:
        """The plan in the names of a stage's blobs."""
        return NO_PLAN if stage in UNPLANNED else self.plan

    def listed(self, stage: str) -> str:
        """Name of the list of a task's attempts."""
        return names.task(self.job, self.folder(stage), stage, 0)

    def attempt(self, stage: str) -> str:
        """The newest attempt of a task."""
        return str(json.loads(self.blob("shuffle", self.listed(stage)))["attempts"][0]["attempt"])

    def streams(self, stage: str) -> str:
        """Name of the blob of a task's streams."""
        return names.streams(self.job, self.folder(stage), stage, 0, self.attempt(stage))

    def statement(self, stage: str) -> str:
        """Name of a task's statement."""
        return names.statement(self.job, self.folder(stage), stage, 0, self.attempt(stage))

    def admitted(self) -> int:
        """Tasks of the job for which a key was opened."""
        events = self.pool.members[0].events
        return sum(isinstance(one, TaskAdmitted) and one.job_id == self.job for one in events)


def with_table(data: bytes, change: Callable[[list[int]], list[int]]) -> bytes:
    """A blob of streams with another table."""
    length = int.from_bytes(data[:8], "big")
    table = [int.from_bytes(data[at : at + 8], "big") for at in range(0, length, 8)]
    return b"".join(entry.to_bytes(8, "big") for entry in change(table)) + data[length:]


def with_member(data: bytes, **members: Any) -> bytes:
    """A JSON document with other members."""
    return json.dumps({**json.loads(data), **members}).encode()


def of_another_submitter(data: bytes) -> bytes:
    """A submission with the header of one submitter under the name of another."""
    found = pb.Submission.FromString(data)
    found.submitter = "spiffe://cji.example/agency/other"
    return found.SerializeToString()


def with_more_tasks(data: bytes) -> bytes:
    """A published plan with another number of tasks, in its form."""
    plan = parse_plan(base64.b64decode(json.loads(data)["plan"]))
    facts = plan_facts(plan.header_sha384, {**plan.tasks, "observe": 2, "pairs": 2}, plan.result_header)
    return with_member(data, plan=base64.b64encode(encode_plan(facts, plan.sealed_result_key)).decode())


def alter_inputs(own: Attacked, other: Attacked) -> None:
    """Its part, submission and plan, before `observe`; what can be known before a key is opened opens none."""
    header, part, plan = names.header(own.job), names.part(own.job, 0), names.plan(own.job)
    data, submission = own.blob("jobs", part), own.blob("jobs", header)
    for altered in (b"", data[:-1], data + bytes(100), other.blob("jobs", names.part(other.job, 0))):
        assert own.refused_with("jobs", part, altered, "count", again=True) in {"SEGMENT_INVALID", "INCOMPLETE"}
    before = own.admitted()
    for altered, reason in (
        (b"\xff" * 100, "MALFORMED_HEADER"),
        (b"", "MALFORMED_HEADER"),
        (other.blob("jobs", names.header(other.job)), "REPLAYED"),
        (of_another_submitter(submission), "POLICY_DENIED"),
    ):
        assert own.refused_with("jobs", header, altered, "observe") == reason
    published = own.blob("shuffle", plan)
    forged = with_more_tasks(published)
    for altered in (b"", b"[" * 3000, other.blob("shuffle", names.plan(other.job))):
        assert own.refused_with("shuffle", plan, altered, "observe") == "BAD_PARAMETERS"
    assert own.admitted() == before
    name = hashlib.sha384(base64.b64decode(json.loads(forged)["plan"])).hexdigest()[:32]
    assert own.refused_with("shuffle", plan, forged, "frequencies", plan=name) == "BAD_PARAMETERS"


def alter_streams(own: Attacked, other: Attacked) -> None:
    """What `split` wrote for `observe`, and the list of its attempts, before it runs; its rows come first."""
    streams, listed = own.streams("split"), own.listed("split")
    data, attempts = own.blob("shuffle", streams), own.blob("shuffle", listed)
    (one,) = json.loads(attempts)["attempts"]
    within = int.from_bytes(data[:8], "big") + 16
    for altered, reason in (
        (b"", "SEGMENT_INVALID"),
        (data[:within], "SEGMENT_INVALID"),
        (data[:within] + bytes([data[within] ^ 1]) + data[within + 1 :], "SEGMENT_INVALID"),
        (with_table(data, lambda table: [table[0], table[1] + 1, *table[2:]]), "SEGMENT_INVALID"),
        (with_table(data, lambda table: [table[0], table[0], *table[2:]]), "SEGMENT_INVALID"),
        (with_table(data, lambda table: [table[0], table[-1], *table[2:]]), "SEGMENT_INVALID"),
        (with_table(data, lambda table: table[::-1]), "SEGMENT_INVALID"),
        (other.blob("shuffle", other.streams("split")), "SEGMENT_INVALID"),
    ):
        assert own.refused_with("shuffle", streams, altered, "observe") == reason
    before = own.admitted()
    for altered, reason in (
        (b"[" * 2000, "SEGMENT_INVALID"),
        (with_member(attempts, attempts=[]), "SEGMENT_INVALID"),
        (with_member(attempts, attempts=[one] * (MAX_ATTEMPTS + 1)), "SEGMENT_INVALID"),
        (with_member(attempts, attempts=[{**one, "attempt": "../" * 10 + ".."}]), "SEGMENT_INVALID"),
        (with_member(attempts, attempts=[{**one, "attempt": "0" * 32}]), "INCOMPLETE"),
    ):
        assert own.refused_with("shuffle", listed, altered, "observe") == reason
    assert own.admitted() == before


def ask_again(own: Attacked) -> None:
    """A task runs as often as attempts can be published."""
    before = own.admitted()
    found = [own.ask("observe", again=True) for _ in range(2 * MAX_ATTEMPTS)]
    assert all(isinstance(each, Done) for each in found)
    assert own.admitted() == before + MAX_ATTEMPTS - 1


def alter_statements(own: Attacked, other: Attacked) -> None:
    """What the receipt is made of, before the end."""
    statement, plan = own.statement("split"), names.plan(own.job)
    of_other = other.blob("shuffle", other.statement("split"))
    for altered, reason in (
        (b"", "SEGMENT_INVALID"),
        (b"\xff" * 10, "SEGMENT_INVALID"),
        (b"a" * STATEMENT_BYTES, "SEGMENT_INVALID"),
        (b"a" * (STATEMENT_BYTES + 1), "SEGMENT_INVALID"),
        (of_other, "SEGMENT_INVALID"),
        (own.blob("shuffle", own.statement("label")), "INCOMPLETE"),
    ):
        assert own.refused_with("shuffle", statement, altered, FINISH) == reason
    document = own.blob("shuffle", plan)
    assert own.refused_with("shuffle", plan, with_member(document, statement=of_other.decode()), FINISH) == (
        "SEGMENT_INVALID"
    )
    events = [one for one in own.pool.members[0].events if isinstance(one, StatementsRefused) and one.job_id == own.job]
    found = {one.about for one in events}  # the fleet process refuses by itself what has not the form of a statement
    assert found == {"proof", "missing"}, found
