"""Whether jobs may be admitted; every change is reported to the fronts and to the audit trail.

Ready means: fresh evidence and a key released under it, a policy (the process does not run without one), a warm cell
at least once, a zygote that is not stopped, a writable trail that is anchored and reaches the destinations that must
get it, a machine that meets its conditions, and the pool ledger, if there is one.
Keys expire and disks fill up without notice, so all of it is checked at every heartbeat.

`report` is the state for the operator: readiness, keys, cells, jobs, the head of the trail.
"""

import time
import weakref

from cji_attestation.bundle.head import Head
from cji_core.errors import Reason, Refusal
from cji_core.format.job import Policy
from cji_core.jose import public_jwk
from cji_core.log import log
from cji_core.operations.registry import OPERATIONS, SCHEMAS
from cji_core.strict import hex_decode
from cji_core.trail import HostChanged, WorkerNotReady, WorkerReady
from cji_worker.ipc.messages import (
    MAX_KEYS,
    Condition,
    Ends,
    JobCounts,
    KeyholderReport,
    KeyReport,
    MissingKey,
    NotReady,
    PublishedKey,
    Ready,
)
from cji_worker.keyholder.anchor import Anchor
from cji_worker.keyholder.bundle_in_force import name_of
from cji_worker.keyholder.cells import Cells
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.events import custody_event
from cji_worker.keyholder.floors import Floors
from cji_worker.keyholder.fronts import Fronts
from cji_worker.keyholder.holdings import CustodyEvent, HeldKey
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.pool_ledger import PoolLedger
from cji_worker.trail.file import AuditFile


class Readiness:
    """Watches holdings, cells and the trail; for the main thread."""

    def __init__(
        self,
        audit: AuditFile,
        anchor: Anchor,
        *,
        custody: Custody,
        cells: Cells,
        host: HostState,
        delivery: DeliveryWatch,
        fronts: Fronts,
        pool: PoolLedger | None,
        floors: Floors | None,
    ) -> None:
        self._audit, self._anchor = audit, anchor
        self._custody, self._cells, self._fronts = custody, cells, fronts
        self._host, self._unmet = host, host.unmet
        self._delivery, self._pool, self._floors = delivery, pool, floors
        self.zygote_silent = False
        self._reported: Ready | NotReady | None = None
        self._published: dict[str, tuple[weakref.ref[HeldKey], PublishedKey]] = {}

    def note(self, event: CustodyEvent) -> None:
        """Append a change of the holdings to the trail."""
        if not self._audit.record(custody_event(event)):
            log("audit unavailable")

    def report(self) -> bool:
        """Report the readiness if it changed; return whether it did."""
        self._report_host()
        state = self.state()
        if state == self._reported:
            return False
        self._reported = state
        try:
            match state:
                case Ready(keys=keys):
                    self._audit.append(WorkerReady(kek_ids=tuple(k.kek_id for k in keys)))
                case NotReady(reason=reason, condition=condition):
                    log("not ready", reason=reason.value, condition=condition)
                    self._audit.append(WorkerNotReady(reason=reason, condition=condition))
        except Refusal:
            log("audit unavailable")
        self._fronts.broadcast(state)
        return True

    def _report_host(self) -> None:
        unmet = self._host.unmet
        if unmet == self._unmet:
            return
        self._unmet = unmet
        log("host conditions", what=", ".join(unmet) or "all met")
        try:
            self._audit.append(HostChanged(unmet=unmet))
        except Refusal:
            log("audit unavailable")

    def state(self) -> Ready | NotReady:
        """The readiness now."""
        holdings = self._custody.holdings
        usable = holdings.usable()
        floors = self._floors
        pool_away = self._pool is not None and (self._pool.away or (floors is not None and not floors.known))
        outdated = floors is not None and floors.is_outdated
        conditions: tuple[tuple[bool, Reason, Condition], ...] = (
            (not self._audit.writable(), Reason.AUDIT_UNAVAILABLE, "trail"),
            (self._anchor.overdue, Reason.AUDIT_UNAVAILABLE, "anchor"),
            (self._delivery.stops, Reason.AUDIT_UNAVAILABLE, "delivery"),
            (bool(self._host.unmet), Reason.NOT_READY, "host"),
            (not usable, holdings.why(), "evidence" if holdings.evidence() is None else "keys"),
            (not self._cells.populated, Reason.NOT_READY, "cells"),
            (self.zygote_silent, Reason.NOT_READY, "zygote-silent"),
            (pool_away, Reason.LEDGER_UNAVAILABLE, "ledger"),
            (outdated, Reason.NOT_READY, "bundle"),
        )
        for unmet, reason, condition in conditions:
            if unmet:
                return NotReady(reason=reason, condition=condition)
        keys = tuple(self._publish(kek_id, key) for kek_id, key in usable.items())
        return Ready(keys=keys, operations=tuple(sorted(OPERATIONS)), schemas=tuple(sorted(SCHEMAS)))

    def _publish(self, kek_id: str, key: HeldKey) -> PublishedKey:
        """Encoded once for each held key: the state is asked for with every change of a cell."""
        known, published = self._published.get(kek_id, (None, None))
        if published is None or known is None or known() is not key:
            ml_kem = key.private.public_key().ml_kem
            encoded = "" if ml_kem is None else public_jwk(ml_kem)
            published = PublishedKey(kek_id=kek_id, public_jwk=key.released.public_jwk, ml_kem_jwk=encoded)
            self._published[kek_id] = weakref.ref(key), published  # a key that is dropped is not kept here
        return published


def report(
    *,
    readiness: Readiness,
    host: HostState,
    custody: Custody,
    cells: Cells,
    jobs: Jobs,
    counts: JobCounts,
    policy: Policy,
    bundle: Head | None,
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
        condition=state.condition if isinstance(state, NotReady) else None,
        unmet=host.unmet,
        tpm_clock=host.tpm_clock.held,
        keys=tuple(keys[:MAX_KEYS]),
        keys_missing=tuple(missing[: MAX_KEYS - len(keys[:MAX_KEYS])]),
        keys_held=len(keys),
        ends=_ends(custody, policy, offset),
        early=_early(custody),
        jobs=counts,
        cells_warm=cells.count,
        cells_busy=jobs.running,
        jobs_waiting=jobs.waiting,
        policy_sha384=policy.sha384,
        bundle=None if bundle is None else name_of(bundle),
        keys_opened=keys_opened,
        audit_writable=audit.writable(),
        audit_line=audit.head.seq,
        audit_hash=hex_decode(audit.head.hash),
        audit_anchor=anchor,
        deliveries=delivery.report(),
    )


def _early(custody: Custody) -> tuple[str, ...]:
    evidence = custody.holdings.evidence()
    return () if evidence is None else tuple(one.id for one in evidence.verdict.early)


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
