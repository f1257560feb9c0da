"""Whether jobs may be admitted, told to the front and to the audit trail whenever it changes.

Ready is: fresh evidence, a key, a policy (or the process would not run), a warm cell at least once, a writable trail.
"""

import asyncio
from typing import Final, Literal

from worker import compute
from worker.audit import AuditFile, KeyDropped, KeyReleased, WorkerNotReady, WorkerReady
from worker.errors import Reason, Refusal
from worker.ipc import Channel
from worker.ipc.messages import FrontFromKeyholder, KeyholderFromFront, NotReady, PublishedKey, Ready
from worker.keyholder.cells import Cells
from worker.keyholder.custody import Custody, Holdings
from worker.keyholder.receipts import ReceiptSigner
from worker.log import log
from worker.records import SCHEMAS

__all__ = ["Readiness"]

_TICK_S: Final = 1.0


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
        self._seen: Holdings = custody.holdings

    def holdings_changed(self, *, cause: Literal["expired", "revoked"] = "revoked") -> None:
        """There are other holdings; `cause` is why keys that are gone were dropped."""
        old, new = self._seen, self._custody.holdings
        self._seen = new
        try:
            if new.attestation is not None and new.attestation is not old.attestation:
                self._audit_attestation(new)
            for kek_id in old.keys.keys() - new.keys.keys():
                self._audit.append(KeyDropped(kek_id=kek_id, cause=cause))
        except Refusal:
            log("audit unavailable")
        self.tell()

    def _audit_attestation(self, holdings: Holdings) -> None:
        attestation = holdings.attestation
        assert attestation is not None  # noqa: S101 - asked by the caller
        self._audit.append(self._signer.attested(attestation))
        for kek_id, key in holdings.keys.items():
            self._audit.append(
                KeyReleased(
                    kek_id=kek_id,
                    evidence_sha384=attestation.evidence.sha384.hex(),
                    statement_sha384=key.released.statement_sha384.hex(),
                )
            )

    async def watch(self) -> None:
        """Time passes: evidence grows old, disks fill up."""
        while True:
            await asyncio.sleep(_TICK_S)
            if self._seen.keys and not self._seen.fresh():
                self._custody.drop_if_stale(self._seen)
                self.holdings_changed(cause="expired")
            self.tell()

    def tell(self) -> None:
        """Tell it where it changed."""
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
        if not self._audit.writable():
            return NotReady(reason=Reason.AUDIT_UNAVAILABLE)
        if not holdings.fresh():
            return NotReady(reason=holdings.reason)
        if not self._cells.populated:
            return NotReady(reason=Reason.NOT_READY)
        keys = (
            PublishedKey(kek_id=kek_id, public_jwk=key.released.public_jwk) for kek_id, key in holdings.keys.items()
        )
        return Ready(keys=tuple(keys), operations=tuple(sorted(compute.OPERATIONS)), schemas=tuple(sorted(SCHEMAS)))
