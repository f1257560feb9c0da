"""Which job ids were used: the audit trail is the ledger.

An admission is on disk before a data key is opened, so the trail knows of every attempt there ever was on this
machine. Attempts that a crash cut short are closed when the trail is opened.
"""

from typing import Final

from worker.audit import AuditFile, JobAdmitted, JobEnded, JobState
from worker.errors import Reason, Stage
from worker.job import Attempt, Entry, Header, decide

__all__ = ["AuditLedger"]

_ATTEMPTS: Final = {
    JobState.ADMITTED: Attempt.RUNNING,
    JobState.ENDED: Attempt.ENDED,
    JobState.COMPLETED: Attempt.RECEIPTED,
}


class AuditLedger:
    """The replay decision over an audit trail that this process alone writes."""

    def __init__(self, audit: AuditFile) -> None:
        self._audit = audit
        for job_id in audit.unfinished():
            self._close(job_id)

    def decide(self, header: Header) -> None:
        """Return if an attempt may begin, else raise REPLAYED or ALREADY_EXISTS."""
        known = self._audit.entry(header.job_id)
        if known is None:
            return
        decide(Entry(header_sha384=known.header_sha384, attempt=_ATTEMPTS[known.state]), header.sha384)

    def _close(self, job_id: bytes) -> None:
        *_, admitted = (r.event for r in self._audit.events_for(job_id) if isinstance(r.event, JobAdmitted))
        self._audit.append(
            JobEnded(
                job_id=admitted.job_id,
                header_sha384=admitted.header_sha384,
                submitter=admitted.submitter,
                requesting_ori=admitted.requesting_ori,
                purpose_code=admitted.purpose_code,
                duration_ms=0,
                stage=Stage.COMPUTE,
                reason=Reason.CELL_FAILED,
                correlation_id="restart",
            )
        )
