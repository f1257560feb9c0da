"""Replay protection: a job id is used once, and the audit trail records every use.

    replay ledger has the job as   same header digest    other header digest
    unknown                        may begin             may begin
    ended without a receipt        may begin again       REPLAYED
    tasks of it ran here           may begin             REPLAYED
    admitted, no end yet           ALREADY_EXISTS        REPLAYED
    completed                      ALREADY_EXISTS        REPLAYED

An attempt that comes by a connection is signed for its number, the next one (`admissions`): a job has three, each later
one after a pause. Only an admission counts, so nobody without the signature uses them up. The ledger counts them,
across restarts. A job counts once among those of a day, with its first attempt.

The digest decides first, so an altered job learns nothing about the progress of the genuine one. An admission is on
disk before a data key is opened, so the trail has every attempt on this machine. Entries outlive their header by a day.
The host sets the wall clock, and a clock set back must not make an old job new: a header created before the ledger's
floor is EXPIRED, because its entry may have left. After a resumption the floor is the time of the next attestation.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cji_core.errors import Reason, Refusal, RetryLater, Stage, StartupError
from cji_core.format.configuration.worker import Config
from cji_core.format.envelope.admission import MAX_ATTEMPTS
from cji_core.format.job import LIMITS, Grant, Header
from cji_core.trail import TrailResumed
from cji_worker.keyholder.events import job_cut_short
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobEntry

_PAUSES_S: Final = (0, 1, 4)
"""Before the next attempt, by the number of those that began; from the admission of the last one."""
_LONGEST_MS: Final = 1000 * _PAUSES_S[-1]
"""A clock that was set back makes no pause longer."""


def open_trail(config: Config, *, rebuild: bool = False) -> AuditFile:
    """The audit trail of this worker, begun if it is new; `rebuild` discards its replay ledger first.

    Raises StartupError.
    """
    audit = AuditFile(
        Path(config.audit_file),
        worker=config.worker.id,
        clock=lambda: datetime.now(UTC),
        ledger=None if config.audit_ledger is None else Path(config.audit_ledger),
        rebuild=rebuild,
        segment_bytes=config.audit_segment_bytes,
    )
    try:
        audit.begin()
    except StartupError:
        audit.close()
        raise
    return audit


def resume_trail(config: Config, *, operator_id: str, explanation: str) -> AuditFile:
    """The open trail of a stopped worker, verified from its first line, with `TrailResumed` as its last one.

    Raises StartupError, and for a text that no event can hold as well.
    """
    audit = open_trail(config, rebuild=True)
    try:
        audit.append(TrailResumed(operator_id=operator_id, explanation=explanation))
    except ValueError as error:
        audit.close()
        what = "The operator's id and the explanation must be 1 to 256 printable characters on one line"
        raise StartupError(what, "Shorten or correct them.") from error
    return audit


class ReplayProtection:
    """Decides by the replay ledger of an audit trail that this process alone writes.

    The constructor closes the attempts that a crash cut short.
    """

    def __init__(self, audit: AuditFile) -> None:
        self._audit = audit
        for admitted in audit.unfinished():
            audit.append(job_cut_short(admitted))

    def check(self, header: Header) -> JobEntry | None:
        """Return the ledger's entry if an attempt may begin; without one, the job does not count among a day's yet.

        Else raise EXPIRED, REPLAYED, ALREADY_EXISTS or AUDIT_UNAVAILABLE.

        Raises NOT_READY between a resumption and the first attestation, whose time becomes the floor.
        """
        if self._audit.resumed:
            raise Refusal(Reason.NOT_READY, stage=Stage.ADMIT)
        if (header.created - LIMITS.skew).timestamp() <= self._audit.floor:
            raise Refusal(Reason.EXPIRED, stage=Stage.ADMIT)
        entry = self._audit.entry(header.job_id)
        decide(entry, header.sha384)
        return entry

    def check_attempt(self, entry: JobEntry | None, attempt: int, *, now: datetime) -> None:
        """Return if this is the next attempt at the job of this entry, and its pause is over.

        Else raise ADMISSION_ATTEMPT, or OVERLOADED with the rest of the pause.
        """
        begun = 0 if entry is None else entry.attempts
        if begun >= MAX_ATTEMPTS or attempt != begun + 1:
            raise Refusal(Reason.ADMISSION_ATTEMPT, stage=Stage.ADMIT)
        if entry is not None and (left := entry.admitted + _PAUSES_S[begun] - now.timestamp()) > 0:
            raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=min(int(1000 * left) + 1, _LONGEST_MS))

    def check_jobs_left(self, grant: Grant, *, day: date) -> None:
        """Return if one more job of this submitter and agency may be admitted on this UTC day, else raise Denied."""
        grant.require_job_left(self._audit.admitted(day=day, submitter=grant.submitter, ori=grant.requesting_ori))


def decide(known: JobEntry | None, header_sha384: bytes) -> None:
    """Return if an attempt may begin, else raise REPLAYED or ALREADY_EXISTS."""
    if known is None:
        return
    if known.header_sha384 != header_sha384:
        raise Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    if not known.state.may_begin:
        raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.ADMIT)
