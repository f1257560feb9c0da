"""Answers that start no job: evidence for `Attest`, receipts from the trail for `GetReceipt`. For the main thread."""

import asyncio
import os
from datetime import UTC, datetime

from cji_core.errors import Reason, Refusal, Stage
from cji_core.trail import JobCompleted
from cji_worker.ipc import Channel, hand_over
from cji_worker.ipc.messages import (
    Attest,
    Attested,
    FetchedReceipt,
    FetchReceipt,
    FrontFromKeyholder,
    KeyholderFromFront,
)
from cji_worker.keyholder.by_reference import came_by_reference
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.effects import Effects, unsigned
from cji_worker.keyholder.entra import SecondIdentity, TokenRefused
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.quotes import Quoted
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.refusals import Refusals
from cji_worker.keyholder.settlement import Settlements
from cji_worker.trail.file import AuditFile


class StoredReceipts:
    """Receipts of completed jobs."""

    def __init__(
        self,
        *,
        policy: PolicyInForce,
        second: SecondIdentity,
        audit: AuditFile,
        effects: Effects,
        refusals: Refusals,
        settlements: Settlements | None = None,
    ) -> None:
        self._policy, self._second, self._audit = policy, second, audit
        self._effects, self._refusals, self._settlements = effects, refusals, settlements

    def fetch(self, request: FetchReceipt) -> None:
        """Send the receipt of the caller's own job. Another's job, an unknown and an unfinished one look the same."""
        try:
            done = self._by_reference(request) if request.by_reference else self._own(request)
            if done is None:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            receipt = unsigned(done.receipt) if request.by_reference else done.receipt
            self._effects.send(FetchedReceipt(call=request.call, receipt=receipt))
        except Refusal as refusal:
            if isinstance(refusal, TokenRefused):
                self._refusals.receipt(request, refusal)
            self._effects.refuse(request.call, refusal)

    def _by_reference(self, request: FetchReceipt) -> JobCompleted | None:
        done = self._audit.completion(request.job_id)
        return done if done is not None and came_by_reference(done) else None

    def _own(self, request: FetchReceipt) -> JobCompleted | None:
        submitter = self._policy.now.submitter(request.submitter)
        self._second.authenticate(request.presented, submitter, now=datetime.now(UTC))
        done = self._audit.completion(request.job_id)
        if self._settlements is not None and self._settlements.waits(request.job_id.hex()):
            raise Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.RECEIPT)  # whether it is the job's end is not known
        return done if done is not None and done.submitter == submitter.name else None


class EvidenceAnswers:
    """Fresh evidence for a caller's nonce; quotes are made by the custody thread."""

    def __init__(
        self,
        *,
        custody: Custody,
        signer: ReceiptSigner,
        effects: Effects,
        front: Channel[KeyholderFromFront, FrontFromKeyholder],
    ) -> None:
        self._custody, self._signer, self._effects, self._front = custody, signer, effects, front

    def attest(self, request: Attest) -> None:
        """Send evidence once there is a quote, or refuse."""
        call, loop = request.call, asyncio.get_running_loop()
        attestation = self._custody.holdings.evidence()
        if attestation is None:
            self._effects.refuse(call, Refusal(self._custody.holdings.why(), stage=Stage.OPEN))
            return

        def answer(result: Quoted | Refusal) -> None:
            loop.call_soon_threadsafe(deliver, result)

        def deliver(result: Quoted | Refusal) -> None:
            if isinstance(result, Refusal):
                self._effects.refuse(call, result)
                return
            message = Attested(
                call=call,
                maa_token=attestation.token.raw,
                receipt_jwk=self._signer.public_jwk,
                nonce_path=result.nonce_path,
                token_nonce=attestation.nonce,
            )
            fds = [hand_over(result.evidence), hand_over(attestation.evidence.to_json())]
            self._front.send(message, fds)
            for fd in fds:
                os.close(fd)

        self._custody.quotes.ask(request.nonce, answer)
