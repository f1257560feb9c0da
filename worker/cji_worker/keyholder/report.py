"""The keyholder's report for the operator: readiness, keys, cells, jobs, the head of the trail."""

import time

from cji_core.format.job import Policy
from cji_worker.ipc.messages import MAX_KEYS, Ends, JobCounts, KeyholderReport, KeyReport, MissingKey, NotReady
from cji_worker.keyholder.cells import Cells
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.readiness import Readiness
from cji_worker.trail.file import AuditFile


def report(
    *,
    readiness: Readiness,
    host: HostState,
    custody: Custody,
    cells: Cells,
    jobs: Jobs,
    counts: JobCounts,
    policy: Policy,
    keys_opened: int,
    audit: AuditFile,
    anchor: int,
    delivery: DeliveryWatch,
) -> KeyholderReport:
    """The state now. Keys end by the clock of this process; the report converts their ends to UTC."""
    holdings = custody.holdings
    state, usable = readiness.state(), holdings.usable()
    offset = time.time() - time.monotonic()
    keys = [KeyReport(kek_id=kek_id, until=int(key.until + offset)) for kek_id, key in usable.items()]
    missing = [MissingKey(kek_id=kek_id, reason=reason) for kek_id, reason in holdings.missing.items()]
    return KeyholderReport(
        reason=state.reason if isinstance(state, NotReady) else None,
        unmet=host.unmet,
        tpm_clock=host.tpm_clock.held,
        keys=tuple(keys[:MAX_KEYS]),
        keys_missing=tuple(missing[: MAX_KEYS - len(keys[:MAX_KEYS])]),
        keys_held=len(keys),
        ends=_ends(custody, policy, offset),
        jobs=counts,
        cells_warm=cells.count,
        cells_busy=jobs.running,
        jobs_waiting=jobs.waiting,
        policy_sha384=policy.sha384,
        keys_opened=keys_opened,
        audit_writable=audit.writable(),
        audit_line=audit.head.seq,
        audit_hash=bytes.fromhex(audit.head.hash),
        audit_anchor=anchor,
        deliveries=delivery.report(),
    )


def _ends(custody: Custody, policy: Policy, offset: float) -> Ends:
    """Ends of the evidence in use, of the decisions under which the next is appraised, and of the first agreement."""
    evidence, review = custody.holdings.evidence(), custody.review
    table = int(review.until.timestamp())
    agreed = int(policy.agreed_until.timestamp())
    if evidence is None:
        return Ends(advisories=table, policy=agreed)
    accepted = review.accepted_until(evidence.verdict.findings)
    return Ends(
        evidence=int(custody.holdings.until + offset),
        token=evidence.token.expires,
        advisories=table,
        acceptance=None if accepted is None else int(accepted.timestamp()),
        policy=agreed,
    )
