"""The replay ledger: a job id is used once, and the audit trail records every use.

    the trail knows the job as     same header digest    other header digest
    unknown                        may begin             may begin
    ended without a receipt        may begin again       REPLAYED
    admitted, no end yet           ALREADY_EXISTS        REPLAYED
    completed                      ALREADY_EXISTS        REPLAYED

The digest decides first, so an altered job learns nothing about the progress of the genuine one. An admission is on
disk before a data key is opened, so the trail knows every attempt on this machine. Entries outlive their header: the
host sets the wall clock, and a clock set back must not make an old job new.
"""

from worker.audit import AuditFile, JobAdmitted, JobEntry, JobState
from worker.errors import Reason, Refusal, Stage
from worker.job import Header
from worker.keyholder.events import job_cut_short


class AuditLedger:
    """The replay ledger on an audit trail that this process alone writes.

    The constructor closes the attempts that a crash cut short.
    """

    def __init__(self, audit: AuditFile) -> None:
        self._audit = audit
        for job_id in audit.unfinished():
            *_, admitted = (r.event for r in audit.events_for(job_id) if isinstance(r.event, JobAdmitted))
            audit.append(job_cut_short(admitted))

    def check(self, header: Header) -> None:
        """Return if an attempt may begin, else raise REPLAYED or ALREADY_EXISTS."""
        decide(self._audit.entry(header.job_id), header.sha384)


def decide(known: JobEntry | None, header_sha384: bytes) -> None:
    """Return if an attempt may begin, else raise REPLAYED or ALREADY_EXISTS."""
    if known is None:
        return
    if known.header_sha384 != header_sha384:
        raise Refusal(Reason.REPLAYED, stage=Stage.ADMIT)
    if known.state is not JobState.ENDED:
        raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.ADMIT)
