"""The keyholder's report for the operator: readiness, keys, cells, jobs, the head of the trail."""

import time

from worker.audit import AuditFile
from worker.ipc.messages import MAX_KEYS, KeyholderReport, KeyReport, NotReady
from worker.job import Policy
from worker.keyholder.cells import Cells
from worker.keyholder.delivery import DeliveryWatch
from worker.keyholder.holdings import Holdings
from worker.keyholder.host import HostState
from worker.keyholder.jobs import Jobs
from worker.keyholder.readiness import Readiness


def report(
    *,
    readiness: Readiness,
    host: HostState,
    holdings: Holdings,
    cells: Cells,
    jobs: Jobs,
    policy: Policy,
    keys_opened: int,
    audit: AuditFile,
    anchor: int,
    delivery: DeliveryWatch,
) -> KeyholderReport:
    """The state now. Keys end by the clock of this process; the report converts their ends to UTC."""
    state, usable = readiness.state(), holdings.usable()
    offset = time.time() - time.monotonic()
    keys = [KeyReport(kek_id=kek_id, until=int(key.until + offset)) for kek_id, key in usable.items()]
    return KeyholderReport(
        reason=state.reason if isinstance(state, NotReady) else None,
        unmet=host.unmet,
        tpm_clock=host.tpm_clock.held,
        keys=tuple(keys[:MAX_KEYS]),
        keys_held=len(keys),
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
