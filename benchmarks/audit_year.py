"""A scripted year of one worker: its audit trail, made of the writer's own types and appended by its own function.

52 starts with a key each. Each busy minute has its jobs, one in twenty of which fails, an anchor for each second with
new lines, a refusal now and then, and a signed checkpoint; evidence and key are renewed every two hours. Receipts have
true claims in a true sequence; to save the time of a quarter of a million signatures, theirs are zeros. Nobody who
verifies a trail relies on them: the checkpoints sign the lines that they stand in. Files are closed as a worker does.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Reason, Stage
from cji_core.jose import key_id
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_core.trail import (
    FIRST_PREVIOUS,
    GENESIS,
    WITNESSES,
    Attested,
    Attributed,
    Claims,
    CryptoModule,
    Event,
    Head,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    KeyReleased,
    PartDigest,
    TpmClock,
    TrailAnchored,
    TrailCheckpoint,
    Transport,
    Volumes,
    WorkerStarted,
    WorkerStopped,
    append_record,
    receipt_sha384,
    utc_hundredths,
)
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.rules import CheckpointKeys
from cji_core.trail.segments import segment_path
from cji_core.trail.short_receipts import Stated, shorten
from cji_worker.trail.file import SEGMENT_BYTES

__all__ = ["START", "Year", "job_id"]

START: Final = datetime(2025, 11, 24, 0, 0, tzinfo=UTC)
_WORKER: Final = "worker-1"
_STARTS: Final = 52
_DIGEST: Final = "ab" * 48
_KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
_AGENCIES: Final = tuple((f"agency-{i:02}", f"WI{i:02}30000") for i in range(40))
_PURPOSES: Final = ("C", "C", "C", "C", "J", "F", "H")
_encoder: Final = msgspec.json.Encoder(order="deterministic")


def job_id(number: int) -> str:
    """The id of one job: spread like random ones."""
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()[:32]


class Year:
    """Writes the trail to a file; `keys` are those that signed its checkpoints."""

    def __init__(self, path: Path, *, lines: int, per_minute: int = 3, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Write `lines` lines, or a few more: until the worker has stopped. Each busy minute has `per_minute` jobs."""
        self.keys: dict[str, ec.EllipticCurvePublicKey] = {}
        self.jobs = self._refused = 0
        self._head: Head = GENESIS
        self._tree = Frontier()
        self._now = START
        self._anchor, self._sequence, self._previous = 0, 0, FIRST_PREVIOUS
        self._base: Stated | None = None
        minutes = lines // (3 * per_minute + 3)
        self._per_minute = per_minute
        self._pause = timedelta(days=364) / max(1, minutes)
        events = self._events(lines, max(1, minutes // _STARTS))
        first = 1
        while self._write(path, events, segment_bytes):
            path.rename(segment_path(path, first, self.lines))
            first, self._base = self.lines + 1, None

    def _write(self, path: Path, events: Iterator[Event], most: int) -> bool:
        """Write the current file; return whether it is closed: after a checkpoint, once it has `most` bytes."""
        with path.open("wb", buffering=1 << 20) as file:
            path.chmod(0o600)
            for event in events:
                time = utc_hundredths(self._now)
                self._head, line = append_record(event, head=self._head, time=time, worker=_WORKER)
                self._tree.append(leaf_hash(line))
                file.write(line)
                if isinstance(event, TrailCheckpoint) and file.tell() >= most:
                    return True
        return False

    @property
    def lines(self) -> int:
        """Lines in the trail."""
        return self._tree.size

    @property
    def checkpoint_keys(self) -> CheckpointKeys:
        """Of all starts."""
        return self.keys

    def _events(self, lines: int, per_start: int) -> Iterator[Event]:
        while self.lines < lines:
            key = ec.generate_private_key(ec.SECP384R1())
            self._key, self._key_id = key, key_id(key.public_key())
            self.keys[self._key_id] = key.public_key()
            yield self._started()
            yield self._checkpoint()
            for minute in range(per_start):
                if minute % 120 == 0:
                    yield from self._renewed()
                yield from self._minute()
                if self.lines >= lines:
                    break
            yield WorkerStopped(jobs_completed=self._sequence)
            yield self._checkpoint()
            yield self._anchored()

    def _minute(self) -> Iterator[Event]:
        self._now += self._pause
        for _ in range(self._per_minute):
            number, self.jobs = self.jobs, self.jobs + 1
            yield self._admitted(number)
            yield self._anchored()
            self._now += timedelta(seconds=1.25)
            yield self._ended(number) if number % 20 == 7 else self._completed(number)
        yield self._anchored()
        if self.jobs % 4 == 0:
            yield self._refusal()
        yield self._checkpoint()
        yield self._anchored()

    def _anchored(self) -> TrailAnchored:
        self._anchor += 1
        return TrailAnchored(counter=self._anchor)

    def _checkpoint(self) -> TrailCheckpoint:
        note = sign_checkpoint(self._tree, origin=origin_of(_WORKER), key=self._key)
        return TrailCheckpoint(note=note.decode(), receipt_key=self._key_id)

    def _started(self) -> WorkerStarted:
        return WorkerStarted(
            version="1.0.0",
            code_sha384=_DIGEST,
            config_sha384=_DIGEST,
            policy_sha384=_DIGEST,
            simulated=True,
            host_profile="none",
        )

    def _renewed(self) -> Iterator[Event]:
        yield Attested(
            evidence_sha384=_DIGEST,
            maa_token_sha384=_DIGEST,
            issuer="https://sharedeus.eus.attest.azure.net",
            tee="snp",
            accepted_advisories=("AMD-SB-3019",),
            chip="0f" * 64,
            region="eastus",
            expires=utc_hundredths(self._now + timedelta(hours=8)),
            tpm=TpmClock(clock=1, reset_count=1, restart_count=0),
            receipt_key=self._key_id,
        )
        yield KeyReleased(
            kek_id=_KEK,
            request_id="f3b1c2d4-5e6f-4a1b-8c2d-0123456789ab",
            evidence_sha384=_DIGEST,
            statement_sha384=_DIGEST,
            policy_sha256="cd" * 32,
            policy_immutable=True,
            policy_accepted=(),
            policy_warnings=(),
        )

    def _who(self, number: int) -> dict[str, Any]:
        submitter, ori = _AGENCIES[(number + number // 7) % len(_AGENCIES)]
        purpose = _PURPOSES[number % len(_PURPOSES)]
        return {"submitter": submitter, "requesting_ori": ori, "purpose_code": purpose}

    def _admitted(self, number: int) -> JobAdmitted:
        return JobAdmitted(
            job_id=job_id(number),
            header_sha384=_DIGEST,
            not_after=utc_hundredths(self._now + timedelta(hours=1)),
            source="ipv4:10.0.0.17:50000",
            originating_ori="WI0130000",
            attribution=Attributed(
                operator_id=f"op-{number % 700}", requestor=f"Det. {number % 900}", secondary_recipient=""
            ),
            suite=Suite.CLASSICAL_1,
            operations=("deidentify",),
            recipients=("A" * 43,),
            kek_id=_KEK,
            policy_sha384=_DIGEST,
            **self._who(number),
        )

    def _ended(self, number: int) -> JobEnded:
        return JobEnded(
            job_id=job_id(number),
            header_sha384=_DIGEST,
            duration_ms=900,
            stage=Stage.COMPUTE,
            reason=Reason.CELL_FAILED,
            correlation_id=job_id(number)[:16],
            **self._who(number),
        )

    def _refusal(self) -> JobRefused:
        self._refused += 1
        number = 10**9 + self._refused
        return JobRefused(
            source="ipv4:10.0.0.99:50000",
            stage=Stage.ADMIT,
            reason=Reason.POLICY_DENIED,
            correlation_id=job_id(number)[:16],
            job_id=job_id(number),
            header_sha384=_DIGEST,
            **self._who(number),
        )

    def _completed(self, number: int) -> JobCompleted:
        who = self._who(number)
        rows = 100 + number % 5000
        volumes = Volumes(
            rows_in=rows, rows_out=rows, bytes_in=rows * 200, bytes_out=rows * 180, chri_rows_out=0, subjects_out=rows
        )
        receipt = self._receipt(number, volumes, who)
        self._sequence, self._previous = self._sequence + 1, receipt_sha384(receipt)
        event = JobCompleted(
            job_id=job_id(number), header_sha384=_DIGEST, duration_ms=1250, volumes=volumes, receipt=receipt, **who
        )
        short = shorten(receipt, event, self._admitted(number), self._base)
        if isinstance(short, str):
            self._base = Stated.of(short)
        return msgspec.structs.replace(event, receipt=short)

    def _receipt(self, number: int, volumes: Volumes, who: dict[str, Any]) -> str:
        claims = Claims(
            version=1,
            worker=_WORKER,
            sequence=self._sequence + 1,
            previous_sha384=self._previous,
            job_id=job_id(number),
            header_sha384=_DIGEST,
            result_header_sha384=_DIGEST,
            inputs=(PartDigest(name="people", sha256="04" * 32, bytes=volumes.bytes_in),),
            outputs=(PartDigest(name="result", sha256="05" * 32, bytes=volumes.bytes_out),),
            witnesses=WITNESSES,
            submitter_key="S" * 43,
            originating_ori="WI0130000",
            suite=Suite.CLASSICAL_1,
            operations=("deidentify",),
            recipients=("A" * 43,),
            kek_id=_KEK,
            volumes=volumes,
            started=utc_hundredths(self._now),
            ended=utc_hundredths(self._now),
            region="eastus",
            tee="snp",
            tcb={"bootloader": 3, "microcode": 72},
            accepted_advisories=("AMD-SB-3019",),
            evidence_sha384=_DIGEST,
            maa_token_sha384=_DIGEST,
            policy_sha384=_DIGEST,
            config_sha384=_DIGEST,
            code_sha384=_DIGEST,
            tables_sha256=_DIGEST[:64],
            fips=CryptoModule(name="OpenSSL", version="4.0.3", certificate="none", mode="not_approved"),
            transport=Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
            host_profile="none",
            simulated=True,
            tpm=TpmClock(clock=1, reset_count=1, restart_count=0),
            trail="0d" * 48,
            audit_anchor=self._anchor - 1,
            **who,
        )
        header = {"alg": "ES384", "kid": self._key_id, "typ": "cji-receipt+jws"}
        return f"{b64url(msgspec.json.encode(header))}.{b64url(_encoder.encode(claims))}.{b64url(bytes(96))}"
