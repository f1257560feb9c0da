"""Trails for reviews: a worker's weeks with ordinary jobs, into which a test puts what it wants to be found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from cji_core.errors import Reason, Stage
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
    KeyReleased,
    PartDigest,
    TpmClock,
    TrailAnchored,
    Transport,
    Volumes,
    WorkerReady,
    WorkerStarted,
    WorkerStopped,
    append_record,
    receipt_sha384,
    utc_hundredths,
)
from cji_core.trail.short_receipts import Stated, shorten

MONDAY = datetime(2025, 11, 10, tzinfo=UTC)
"""First day of 2025-W46."""
WEEK = "2025-W48"
"""The week after three earlier ones, of which two have jobs; its Monday is 24 November."""
KEK = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
KEY = "A" * 43
CLOCK = TpmClock(clock=1, reset_count=1, restart_count=1)
NONE: Mapping[str, Any] = MappingProxyType({})
VOLUMES = Volumes(rows_in=10, rows_out=8, bytes_in=1000, bytes_out=900, chri_rows_out=2, subjects_out=7)
_HEADER = b64url(f'{{"alg":"ES384","kid":"{KEY}","typ":"cji-receipt+jws"}}'.encode())


@dataclass(kw_only=True)
class Trail:
    """A trail in memory. `at` is the time of the next line."""

    worker: str = "worker-1"
    at: datetime = MONDAY
    lines: list[bytes] = field(default_factory=list)
    head: Head = GENESIS
    jobs: int = 0
    receipts: list[str] = field(default_factory=list)
    base: Stated | None = None
    """The last whole receipt in a line."""
    anchor: int = 0
    number: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    """Of the last start; a reload changes that of the policy."""

    def add(self, event: Event, *, at: datetime | None = None, worker: str | None = None) -> int:
        """Append an event; the number of its line."""
        self.at = at or self.at
        self.head, line = append_record(
            event, head=self.head, time=utc_hundredths(self.at), worker=worker or self.worker
        )
        self.lines.append(line)
        return self.head.seq

    def start(self, **other: Any) -> None:
        """The worker starts and is ready."""
        fields: dict[str, Any] = {
            "version": "0.1.0", "code_sha384": "0a" * 48, "config_sha384": "0b" * 48, "policy_sha384": "0c" * 48,
            "simulated": False, "host_profile": "cji-1",
        }  # fmt: skip
        self.digests = {name: text for name, text in (fields | other).items() if name.endswith("_sha384")}
        self.add(WorkerStarted(**fields | other))
        self.renew()
        self.add(WorkerReady(kek_ids=(KEK,)))

    def stop(self) -> None:
        """An orderly end."""
        self.add(WorkerStopped(jobs_completed=self.jobs))

    def renew(self, *, at: datetime | None = None, **other: Any) -> None:
        """Evidence, the key, and an anchor, as at every renewal."""
        self.at = at or self.at
        self.add(attested())
        self.add(key_released(**other))
        self.anchor += 1
        self.add(TrailAnchored(counter=self.anchor))

    def job(self, *, at: datetime | None = None, volumes: Volumes = VOLUMES, ends: bool = True, **other: Any) -> int:
        """A job with results; the number of its last line. `attribution` may be None."""
        admitted = job_admitted(self._next_id(), **self._policy() | other)
        first = self.add(admitted, at=at)
        return self.complete(admitted, volumes=volumes) if ends else first

    def complete(self, admitted: JobAdmitted, *, volumes: Volumes = VOLUMES, claims: Mapping[str, Any] = NONE) -> int:
        """The results of a job, with a receipt that only its signature tells from a real one."""
        number = self.number = self.number + 1
        previous = receipt_sha384(self.receipts[-1]) if self.receipts else FIRST_PREVIOUS
        stated = {
            **self.digests,
            "policy_sha384": admitted.policy_sha384,
            "worker": self.worker,
            "sequence": number,
            "previous_sha384": previous,
            **claims,
        }
        text = receipt(admitted, volumes, utc_hundredths(self.at), stated)
        self.receipts.append(text)
        event = job_completed(admitted, volumes, text)
        short = shorten(text, event, admitted, self.base)
        self.base = Stated.of(short) if isinstance(short, str) else self.base
        return self.add(msgspec.structs.replace(event, receipt=short))

    def fail(self, *, at: datetime | None = None, reason: Reason = Reason.CELL_FAILED, **other: Any) -> int:
        """A job that ends without results."""
        admitted = job_admitted(self._next_id(), **self._policy() | other)
        self.add(admitted, at=at)
        return self.add(
            JobEnded(
                job_id=admitted.job_id, header_sha384=admitted.header_sha384, submitter=admitted.submitter,
                requesting_ori=admitted.requesting_ori, purpose_code=admitted.purpose_code, duration_ms=10,
                stage=Stage.COMPUTE, reason=reason, correlation_id="c0ffee",
            )
        )  # fmt: skip

    def write(self, path: Path) -> Path:
        """The trail as a file."""
        path.write_bytes(b"".join(self.lines))
        return path

    def write_receipts(self, folder: Path) -> Path:
        """Each receipt in a file of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(self.receipts, 1):
            (folder / f"{number}.jws").write_text(text)
        return folder

    def _policy(self) -> dict[str, str]:
        return {name: text for name, text in self.digests.items() if name == "policy_sha384"}

    def _next_id(self) -> str:
        self.jobs += 1
        return f"{self.worker.encode().hex():.8}{self.jobs:024x}".rjust(32, "0")


def quiet_weeks(
    weeks: int = 3, *, worker: str = "worker-1", start: datetime = MONDAY
) -> Iterator[tuple[datetime, Trail]]:
    """A trail of whole weeks without anything to find, step by step: the time, and the trail so far.

    The worker starts six days before the first, runs a day longer, and renews its key every 50 minutes. An operator of
    each of two agencies runs jobs on weekdays from 15:00 to 22:00 UTC.
    """
    trail = Trail(worker=worker, at=start - timedelta(days=6))
    trail.start()
    yield from continued(trail, trail.at, end=start + timedelta(weeks=weeks, days=1), jobs_from=start)


def continued(
    trail: Trail, moment: datetime, *, end: datetime = MONDAY + timedelta(weeks=3, days=1), jobs_from: datetime = MONDAY
) -> Iterator[tuple[datetime, Trail]]:
    """The same from `moment`, the time of a renewal, to the end."""
    while moment < end:
        moment += timedelta(minutes=50)
        trail.renew(at=moment)
        if moment >= jobs_from and moment.weekday() < 5 and 15 <= moment.hour < 22:
            for minute, (operator, ori) in enumerate((("op-17", "WI0130000"), ("op-4", "IL0160000")), 1):
                trail.job(
                    at=moment + timedelta(minutes=minute),
                    requesting_ori=ori,
                    attribution=Attributed(operator_id=operator, requestor="Det. Muñoz", secondary_recipient=""),
                )
        yield moment, trail


def quiet(weeks: int = 3, *, worker: str = "worker-1", start: datetime = MONDAY) -> Trail:
    """The whole trail of `quiet_weeks`."""
    *_, (_, trail) = quiet_weeks(weeks, worker=worker, start=start)
    return trail


def attested(**other: Any) -> Attested:
    """Evidence that was accepted."""
    fields: dict[str, Any] = {
        "evidence_sha384": "01" * 48, "maa_token_sha384": "02" * 48, "issuer": "https://p.eus2.attest.azure.net",
        "tee": "snp", "accepted_advisories": (), "region": "eastus2", "expires": "2027-01-01T00:00:00.00Z",
        "tpm": CLOCK, "chip": "0f" * 64,
    }  # fmt: skip
    known = set(Attested.__struct_fields__)
    if "receipt_key" in known:
        fields["receipt_key"] = KEY
    return Attested(**fields | other)


def key_released(**other: Any) -> KeyReleased:
    """A key."""
    fields: dict[str, Any] = {
        "kek_id": KEK, "request_id": "f3b1c2d4-5e6f-4a1b-8c2d-0123456789ab",
        "evidence_sha384": "01" * 48, "statement_sha384": "03" * 48, "policy_sha256": "04" * 32,
        "policy_immutable": True, "policy_accepted": (), "policy_warnings": (),
    }  # fmt: skip
    return KeyReleased(**fields | other)


def job_admitted(job_id: str, **other: Any) -> JobAdmitted:
    """A job begins."""
    fields: dict[str, Any] = {
        "job_id": job_id, "header_sha384": "05" * 48, "not_after": "2027-01-01T00:00:00.00Z", "submitter": "metro-pd",
        "source": "ipv4:10.0.0.4:50000", "originating_ori": "WI0130000", "requesting_ori": "WI0130000",
        "attribution": Attributed(operator_id="op-17", requestor="Det. Muñoz", secondary_recipient=""),
        "suite": Suite.CLASSICAL_1, "purpose_code": "C", "operations": ("deidentify",), "recipients": (KEY,),
        "kek_id": KEK, "policy_sha384": "0c" * 48,
    }  # fmt: skip
    return JobAdmitted(**fields | other)


def job_completed(admitted: JobAdmitted, volumes: Volumes, text: str) -> JobCompleted:
    """It has results."""
    return JobCompleted(
        job_id=admitted.job_id, header_sha384=admitted.header_sha384, submitter=admitted.submitter,
        requesting_ori=admitted.requesting_ori, purpose_code=admitted.purpose_code, duration_ms=1250, volumes=volumes,
        receipt=text,
    )  # fmt: skip


def receipt(admitted: JobAdmitted, volumes: Volumes, ended: str, stated: Mapping[str, Any]) -> str:
    """A receipt whose signature is not one."""
    fields: dict[str, Any] = {
        "version": 1, "worker": "worker-1", "sequence": 1, "previous_sha384": FIRST_PREVIOUS,
        "job_id": admitted.job_id, "header_sha384": admitted.header_sha384, "result_header_sha384": "06" * 48,
        "inputs": (PartDigest(name="people", sha256="07" * 32, bytes=volumes.bytes_in),),
        "outputs": (PartDigest(name="result", sha256="08" * 32, bytes=volumes.bytes_out),), "witnesses": WITNESSES,
        "submitter": admitted.submitter, "submitter_key": "S" * 43, "originating_ori": admitted.originating_ori,
        "requesting_ori": admitted.requesting_ori, "suite": admitted.suite, "purpose_code": admitted.purpose_code,
        "operations": admitted.operations, "recipients": admitted.recipients, "kek_id": admitted.kek_id,
        "volumes": volumes, "started": ended, "ended": ended, "region": "eastus2", "tee": "snp",
        "tcb": {"bootloader": 3}, "accepted_advisories": (), "evidence_sha384": "01" * 48,
        "maa_token_sha384": "02" * 48, "policy_sha384": "0c" * 48, "config_sha384": "0b" * 48,
        "code_sha384": "0a" * 48, "tables_sha256": "0e" * 32, "host_profile": "cji-1", "simulated": False, "tpm": CLOCK,
        "trail": "0d" * 48, "audit_anchor": 1,
        "fips": CryptoModule(name="OpenSSL", version="3.5.0", certificate="none", mode="not_approved"),
        "transport": Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
    }  # fmt: skip
    payload = msgspec.json.encode(Claims(**{**fields, **stated}), order="deterministic")
    return f"{_HEADER}.{b64url(payload)}.{b64url(b'signature')}"


def written(folder: Path, *trails: Trail) -> Sequence[Path]:
    """The files of these trails."""
    return [trail.write(folder / f"{number}-{trail.worker}.log") for number, trail in enumerate(trails)]
