"""Answers that start no job: evidence for `Attest`, receipts from the trail for `GetReceipt`. For the main thread."""

import asyncio
import os
from datetime import UTC, datetime

from cji_attestation.evidence_file import written_update
from cji_core.errors import Reason, Refusal, Stage
from cji_core.pool.entries import Outcome
from cji_core.pool.one_end import Ended
from cji_worker.ipc import hand_over
from cji_worker.ipc.messages import (
    Attest,
    Attested,
    FetchedReceipt,
    FetchReceipt,
    ReleaseState,
)
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.by_reference import Pool, came_by_reference
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.effects import Effects, unsigned
from cji_worker.keyholder.entra import SecondIdentity, TokenRefused
from cji_worker.keyholder.fronts import Fronts
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.pool_exchanges import Found
from cji_worker.keyholder.quotes import Quoted
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.refusals import Refusals
from cji_worker.trail.file import AuditFile


class StoredReceipts:
    """Receipts of completed jobs, and what this worker, or the ledger of its pool, knows of jobs without one.

    An attempt that runs may release the result at any moment, so nothing is said of its job.
    """

    def __init__(
        self,
        *,
        policy: PolicyInForce,
        second: SecondIdentity,
        audit: AuditFile,
        effects: Effects,
        refusals: Refusals,
        jobs: Jobs,
        pool: Pool | None = None,
    ) -> None:
        """`pool` is None for the one machine there is, which knows by itself."""
        self._policy, self._second, self._audit = policy, second, audit
        self._effects, self._refusals, self._jobs, self._pool = effects, refusals, jobs, pool

    def fetch(self, request: FetchReceipt) -> None:
        """Send the receipt of the caller's own job, or whether anything of it was released.

        Another's job and an unknown one look the same. To the fleet process a job without a receipt is INCOMPLETE, and
        every receipt is without its signature.
        """
        try:
            if request.by_reference:
                self._fetch_for_fleet(request)
            else:
                self._fetch_own(request)
        except Refusal as refusal:
            if isinstance(refusal, TokenRefused):
                self._refusals.receipt(request, refusal)
            self._effects.refuse(request.call, refusal)

    def _fetch_for_fleet(self, request: FetchReceipt) -> None:
        done = self._audit.completion(request.job_id)
        if done is None or not came_by_reference(done):
            raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
        self._effects.send(FetchedReceipt(call=request.call, receipt=unsigned(done.compact), release="UNKNOWN"))

    def _fetch_own(self, request: FetchReceipt) -> None:
        submitter = self._policy.now.submitter(request.submitter)
        self._second.authenticate(request.presented, submitter, now=datetime.now(UTC))
        done = self._audit.completion(request.job_id)
        running = self._jobs.has(request.job_id, submitter=request.submitter)
        if self._pool is not None and self._pool.settlements.waits(request.job_id.hex()):
            running = True  # whether it is the job's end is not known
        if running:
            self._answer(request.call, released=None)
        elif done is not None and done.submitter == submitter.name:
            self._effects.send(FetchedReceipt(call=request.call, receipt=done.compact, release="RELEASED"))
        elif self._pool is None:
            self._answer(request.call, released=False)
        else:
            self._pool.exchanges.look(
                request.job_id,
                lambda found: self._answer(request.call, released=_released(found, submitter.name)),
            )

    def _answer(self, call: int, *, released: bool | None) -> None:
        """Without a receipt of this worker's; None if it cannot be known."""
        state: ReleaseState = "UNKNOWN" if released is None else "RELEASED" if released else "NOT_RELEASED"
        self._effects.send(FetchedReceipt(call=call, receipt="", release=state))


def _released(found: Found, submitter: str) -> bool | None:
    """By the pool ledger: only the end of a job of this submitter's says anything."""
    if isinstance(found, Ended) and found.end.submitter == submitter:
        return found.end.outcome is Outcome.RECEIPT
    return None


class EvidenceAnswers:
    """Fresh evidence for a caller's nonce; quotes are made by the custody thread."""

    def __init__(
        self,
        *,
        custody: Custody,
        signer: ReceiptSigner,
        effects: Effects,
        fronts: Fronts,
        admissions: Admissions,
    ) -> None:
        self._custody, self._signer, self._effects, self._fronts = custody, signer, effects, fronts
        self._admissions = admissions

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
            vouched = b""
            if request.request_sha384 is not None:
                vouched = self._signer.vouch(nonce=request.nonce, request_sha384=request.request_sha384)
            message = Attested(
                call=call,
                maa_token=attestation.token.raw,
                receipt_jwk=self._signer.public_jwk,
                nonce_path=result.nonce_path,
                token_nonce=attestation.nonce,
                admission_nonce=self._admissions.nonce(attestation.token.sha384),
                bundle_update=written_update(result.update),
                vouched=vouched,
            )
            fds = [hand_over(result.evidence), hand_over(attestation.evidence.to_json())]
            self._fronts.send(message, fds)
            for fd in fds:
                os.close(fd)

        self._custody.quotes.ask(request.nonce, answer)
