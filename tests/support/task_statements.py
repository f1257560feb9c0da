"""Statements of a job of `letters` in parts, as honest workers would sign them; any fact of each can be another."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET

from cji_core.format.envelope import NO_PLAN, seal_result_key, statement_key, statement_proof
from cji_core.format.job import (
    Header,
    InputPart,
    JobPlan,
    OutputPart,
    encode_plan,
    parse,
    parse_plan,
    plan_facts,
)
from cji_core.format.job.result_header import result_header
from cji_core.jose import public_jwk
from cji_core.operations.registry import Plan
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import EdgeStream, PartStream, Stream, TaskStreams
from cji_core.strict import b64url
from cji_core.trail import Facts, Machine, StatedPart, StatedStream, sign_statement
from tests.support.job_headers import OURS, make
from tests.support.letters import Letters, planned

DEK = bytes(range(32))
MACHINE = Machine(
    simulated=True, code_sha384="23" * 48, tables_sha256="24" * 32, host_profile="none", fips="not_approved"
)
ROWS = 10
KEYS = [ec.generate_private_key(ec.SECP384R1()) for _ in range(2)]
Place = tuple[Stage, int]


@dataclass(kw_only=True)
class Honest:
    """A job under its plan, and the key of its proofs. `changes` are those of its header, as for `make`."""

    shards: int = 2
    buckets: int = 2
    changes: dict[str, Any] = field(default_factory=dict)
    header: Header = field(init=False)
    planned: Plan = field(init=False)
    job: TaskStreams = field(init=False)
    plan: JobPlan = field(init=False)
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        rows = ROWS * self.shards
        inputs = [InputPart(name="records", schema="person/1", rows_declared=rows, shards=self.shards)]
        self.header = parse(make(**{"inputs": inputs, **self.changes}))
        self.planned = planned(Letters(buckets=self.buckets))
        before = TaskStreams.of(self.planned, ["records"], shards=self.shards)
        self.job = before.under({"bucket": self.buckets})
        self.plan = self.another_plan()
        self.key = statement_key(DEK, self.header.sha384)

    def another_plan(self) -> JobPlan:
        """A plan of this job."""
        return plan_of(self.header, self.job)

    @property
    def places(self) -> list[Place]:
        """All tasks, in order."""
        return [(stage, n) for stage in self.job.stages.in_order for n in range(self.job.tasks[stage.name])]

    def facts(self, stage: Stage, number: int, /, *, attempt: int = 0, read: int = 0, **changes: Any) -> Facts:
        """The facts about attempt number `attempt`, which read attempt `read` of every producer."""
        inputs, outputs = self.job.read_by(stage, number), self.job.written_by(stage, number)
        values: dict[str, Any] = {
            "version": 1,
            "worker": "w",
            "receipt_jwk": public_jwk(KEYS[0].public_key()),
            "job_id": self.header.job_id.hex(),
            "header_sha384": self.header.sha384.hex(),
            "plan_sha384": (self.plan.sha384 if self.job.is_planned(stage) else NO_PLAN).hex(),
            "made_plan_sha384": self.plan.sha384.hex() if stage.plans else UNSET,
            "stage": stage.name,
            "task": number,
            "attempt": attempt.to_bytes(16, "big").hex(),
            "parts_in": _parts(inputs, 0),
            "streams_in": _streams(inputs, read),
            "streams_out": _streams(outputs, attempt),
            "parts_out": _parts(outputs, 1 + attempt),
            "rows_in": ROWS if stage.records else 0,
            "rows_out": 7 if stage.name == "label" else 0,
            "rows_status": ROWS if stage.name == "label" else 0,
            "subjects_out": 7 if stage.name == "label" else 0,
            "started": "2026-11-27T04:00:00.00Z",
            "ended": "2026-11-27T04:00:01.00Z",
            "region": "eastus",
            "tee": "snp",
            "evidence_sha384": "ab" * 48,
            "maa_token_sha384": "cd" * 48,
            "policy_sha384": "ef" * 48,
            "config_sha384": "01" * 48,
            **MACHINE._asdict(),
            **changes,
        }
        return Facts(**values)

    def signed(self, facts: Facts, *, key: bytes | None = None, signer: int = 0) -> str:
        """The statement; `key` is that of its proof."""
        return sign_statement(facts, statement_proof(key or self.key, facts.encoded()), KEYS[signer])

    def statements(self) -> list[str]:
        """One of every task."""
        return [self.signed(self.facts(stage, n)) for stage, n in self.places]


def plan_of(header: Header, job: TaskStreams) -> JobPlan:
    """A plan of the job with these tasks, made with `DEK`."""
    outputs = [
        OutputPart(name=each.name, schema=each.schema.schema_id, shards=shards)
        for each, shards in zip(job.outputs, job.output_shards(), strict=True)
    ]
    wrapped = [os.urandom(384) for _ in header.recipients]
    data = result_header(header, worker_id=header.audience, outputs=outputs, wrapped_keys=wrapped)
    facts = plan_facts(header.sha384, job.tasks, data)
    return parse_plan(encode_plan(facts, seal_result_key(DEK, facts, os.urandom(32))))


def _digest(*about: object) -> str:
    return b64url(hashlib.sha256(repr(about).encode()).digest())


def _streams(streams: Sequence[Stream], attempt: int) -> tuple[StatedStream, ...]:
    return tuple(
        StatedStream(
            edge=each.edge,
            producer=each.producer,
            consumer=each.consumer,
            segments=1,
            bytes=4096,
            tags_sha256=_digest(each, attempt),
        )
        for each in streams
        if isinstance(each, EdgeStream)
    )


def _parts(streams: Sequence[Stream], attempt: int) -> tuple[StatedPart, ...]:
    return tuple(
        StatedPart(
            part=each.part,
            segments=1,
            bytes=500,
            tags_sha256=_digest("t", each, attempt),
            sha256=_digest(each, attempt),
        )
        for each in streams
        if isinstance(each, PartStream)
    )


__all__ = ["DEK", "KEYS", "OURS", "ROWS", "Honest", "plan_of"]
