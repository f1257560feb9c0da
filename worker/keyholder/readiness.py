"""Whether jobs may be admitted, told to the front and to the audit trail whenever it changes.

Ready is: fresh evidence and a key released under it, a policy (or the process would not run), a warm cell at least
once, a writable trail. Time passes and disks fill up without a word, so all of it is looked at every second.
"""

from worker.audit import AuditFile, Event, KeyDropped, KeyReleased, WorkerNotReady, WorkerReady
from worker.compute.registry import OPERATIONS, SCHEMAS
from worker.errors import Reason, Refusal
from worker.ipc import Channel
from worker.ipc.messages import FrontFromKeyholder, KeyholderFromFront, NotReady, PublishedKey, Ready
from worker.keyholder.cells import Cells
from worker.keyholder.custody import Custody, CustodyEvent, Dropped, HeldKey
from worker.keyholder.receipts import ReceiptSigner
from worker.log import log

__all__ = ["Readiness"]


class Readiness:
    """Watches holdings, cells and the trail; for the main thread."""

    def __init__(
        self,
        *,
        audit: AuditFile,
        custody: Custody,
        signer: ReceiptSigner,
        cells: Cells,
        front: Channel[KeyholderFromFront, FrontFromKeyholder],
    ) -> None:
        self._audit, self._custody, self._signer, self._cells, self._front = audit, custody, signer, cells, front
        self._told: Ready | NotReady | None = None

    def note(self, event: CustodyEvent) -> None:
        """Write down what happened to the holdings."""
        try:
            self._audit.append(self._event(event))
        except Refusal:
            log("audit unavailable")

    def _event(self, event: CustodyEvent) -> Event:
        match event:
            case Dropped(kek_id=kek_id, cause=cause):
                return KeyDropped(kek_id=kek_id, cause=cause)
            case HeldKey(released=released, attestation=attestation):
                return KeyReleased(
                    kek_id=released.kek_id,
                    evidence_sha384=attestation.evidence.sha384.hex(),
                    statement_sha384=released.statement_sha384.hex(),
                    policy_sha256=released.policy.sha256,
                    policy_before=released.policy_before,
                    policy_immutable=released.policy.immutable,
                    policy_accepted=released.policy.accepted,
                    policy_warnings=released.policy.warnings,
                )
            case _:
                return self._signer.attested(event)

    def tell(self) -> None:
        """Report it where it changed."""
        state = self._state()
        if state == self._told:
            return
        self._told = state
        try:
            match state:
                case Ready(keys=keys):
                    self._audit.append(WorkerReady(kek_ids=tuple(k.kek_id for k in keys)))
                case NotReady(reason=reason):
                    log("not ready", reason=reason.value)
                    self._audit.append(WorkerNotReady(reason=reason))
        except Refusal:
            log("audit unavailable")
        self._front.send(state)

    def _state(self) -> Ready | NotReady:
        holdings = self._custody.holdings
        usable = holdings.usable()
        if not self._audit.writable():
            return NotReady(reason=Reason.AUDIT_UNAVAILABLE)
        if not usable:
            return NotReady(reason=holdings.why())
        if not self._cells.populated:
            return NotReady(reason=Reason.NOT_READY)
        keys = (PublishedKey(kek_id=kek_id, public_jwk=key.released.public_jwk) for kek_id, key in usable.items())
        return Ready(keys=tuple(keys), operations=tuple(sorted(OPERATIONS)), schemas=tuple(sorted(SCHEMAS)))
