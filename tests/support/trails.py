"""Trails as a worker writes them: starts with a key each, jobs with true receipts, anchors and checkpoints."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Reason, Stage
from cji_core.jose import key_id
from cji_core.trail import (
    FIRST_PREVIOUS,
    GENESIS,
    Attested,
    Event,
    Head,
    JobRefused,
    KeyReleased,
    TpmClock,
    TrailAnchored,
    TrailCheckpoint,
    WorkerStarted,
    WorkerStopped,
    append_record,
    receipt_sha384,
    sign,
    utc_hundredths,
)
from cji_core.trail.chain import read
from cji_core.trail.checkpoint import Checkpoint, origin_of, parse_checkpoint, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.rules import CheckpointKeys
from tests.support.audit_events import admitted, completed, ended
from tests.support.receipts import CLAIMS

__all__ = ["HEADER", "Writer", "job_id", "rechained", "week"]

HEADER: Final = b"\x02" * 48
START: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def job_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@dataclass
class Writer:
    """Appends lines as the keyholder does, to memory; `copy` continues from the same lines another way."""

    worker: str = "worker-1"
    now: datetime = START
    lines: list[bytes] = field(default_factory=list)
    head: Head = GENESIS
    tree: Frontier = field(default_factory=Frontier)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    sequence: int = 0
    previous: str = FIRST_PREVIOUS
    anchor: int = 40

    def copy(self) -> "Writer":
        tree = Frontier.decode(self.tree.encode())
        known = {"lines": list(self.lines), "tree": tree, "head": self.head, "key": self.key, "now": self.now}
        counts = {"sequence": self.sequence, "previous": self.previous, "anchor": self.anchor}
        return Writer(worker=self.worker, **known, **counts)  # type: ignore[arg-type]

    @property
    def key_id(self) -> str:
        return key_id(self.key.public_key())

    @property
    def keys(self) -> CheckpointKeys:
        return {self.key_id: self.key.public_key()}

    def add(self, event: Event, *, seconds: float = 1.0) -> int:
        self.now += timedelta(seconds=seconds)
        self.head, line = append_record(event, head=self.head, time=utc_hundredths(self.now), worker=self.worker)
        self.lines.append(line)
        self.tree.append(leaf_hash(line))
        return self.head.seq

    def start(self, *, new_key: bool = True) -> None:
        if new_key:
            self.key = ec.generate_private_key(ec.SECP384R1())
        self.add(started())
        self.checkpoint()
        self.add(attested(self.key_id))
        self.add(released())

    def stop(self) -> None:
        self.add(WorkerStopped(jobs_completed=self.sequence))
        self.checkpoint()
        self.mark()

    def mark(self) -> int:
        self.anchor += 1
        return self.add(TrailAnchored(counter=self.anchor))

    def note(self) -> bytes:
        return sign_checkpoint(self.tree, origin=origin_of(self.worker), key=self.key)

    def checkpoint(self) -> Checkpoint:
        note = self.note()
        self.add(TrailCheckpoint(note=note.decode(), receipt_key=self.key_id))
        return parse_checkpoint(note)

    def receipt(self, number: int, **changes: object) -> str:
        plain = completed(job_id(number), HEADER)
        if b'"kind":"trail_started"' in self.lines[0]:  # then a receipt names the trail by the hash of that line
            changes = {"trail": read(self.lines[0]).hash, **changes}
        claims = msgspec.structs.replace(
            CLAIMS,
            worker=self.worker,
            sequence=self.sequence + 1,
            previous_sha384=self.previous,
            audit_anchor=self.anchor,
            volumes=plain.volumes,
            **{name: getattr(plain, name) for name in ("job_id", "header_sha384", "submitter", "requesting_ori")},
        )
        return sign(msgspec.structs.replace(claims, **changes), self.key)

    def complete(self, number: int, receipt: str | None = None) -> int:
        receipt = receipt or self.receipt(number)
        self.sequence, self.previous = self.sequence + 1, receipt_sha384(receipt)
        return self.add(completed(job_id(number), HEADER, receipt=receipt))

    def job(self, number: int, *, fails: bool = False) -> None:
        self.add(admitted(job_id(number), HEADER))
        self.mark()
        if fails:
            self.add(ended(job_id(number), HEADER))
        else:
            self.complete(number)
        self.mark()

    def refuse(self, number: int) -> int:
        return self.add(
            JobRefused(
                source="ipv4:10.0.0.1:50000", stage=Stage.ADMIT, reason=Reason.POLICY_DENIED, correlation_id="c0ffee",
                submitter="county-so", job_id=job_id(number).hex(), header_sha384=HEADER.hex(),
                requesting_ori="WI0410000", purpose_code="F",
            )
        )  # fmt: skip

    def write(self, path: Path, lines: Iterable[bytes] | None = None) -> Path:
        path.write_bytes(b"".join(self.lines if lines is None else lines))
        return path


def started() -> WorkerStarted:
    digests = {name: getattr(CLAIMS, name) for name in ("code_sha384", "config_sha384", "policy_sha384")}
    return WorkerStarted(version="1", simulated=True, host_profile="none", **digests)


def attested(receipt_key: str) -> Attested:
    return Attested(
        evidence_sha384="07" * 48,
        maa_token_sha384="08" * 48,
        issuer="https://sharedeus.eus.attest.azure.net",
        tee="snp",
        accepted_advisories=(),
        chip="0f" * 64,
        region="eastus",
        expires="2026-11-24T16:00:00.00Z",
        tpm=TpmClock(clock=1, reset_count=1, restart_count=0),
        receipt_key=receipt_key,
    )


def released() -> KeyReleased:
    return KeyReleased(
        kek_id=CLAIMS.kek_id,
        request_id="f3b1c2d4-5e6f-4a1b-8c2d-0123456789ab",
        evidence_sha384=CLAIMS.evidence_sha384,
        statement_sha384="0c" * 48,
        policy_sha256="0d" * 32,
        policy_immutable=True,
        policy_accepted=(),
        policy_warnings=(),
    )


def week(*, jobs: int = 8, starts: int = 2) -> Writer:
    """A trail of several starts, each with jobs, refusals and checkpoints."""
    writer = Writer()
    for start in range(starts):
        writer.start()
        for number in range(start * jobs, (start + 1) * jobs):
            writer.job(number, fails=number % 4 == 3)
            if number % 3 == 0:
                writer.refuse(1_000_000 + number)
            if number % 2:
                writer.checkpoint()
        writer.stop()
    return writer


def rechained(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The same events as a chain without a fault: what somebody can write who has no key."""
    from cji_core.trail import read

    head = GENESIS
    for line in lines:
        record = read(line)
        head, again = append_record(record.event, head=head, time=record.time, worker=record.worker)
        yield again
