"""Answers to `GetReceipt`, from the trail."""

from datetime import UTC, datetime

from cji_core.errors import Reason, Refusal, Stage
from cji_core.trail import JobCompleted
from cji_worker.ipc.messages import FetchedReceipt, FetchReceipt
from cji_worker.keyholder.by_reference import came_by_reference
from cji_worker.keyholder.effects import Effects
from cji_worker.keyholder.entra import SecondIdentity, TokenRefused
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.refusals import Refusals
from cji_worker.trail.file import AuditFile


class StoredReceipts:
    """For the main thread."""

    def __init__(
        self,
        *,
        policy: PolicyInForce,
        second: SecondIdentity,
        audit: AuditFile,
        effects: Effects,
        refusals: Refusals,
    ) -> None:
        self._policy, self._second, self._audit = policy, second, audit
        self._effects, self._refusals = effects, refusals

    def fetch(self, request: FetchReceipt) -> None:
        """Send the receipt of the caller's own job. Another's job, an unknown and an unfinished one look the same."""
        try:
            done = self._by_reference(request) if request.by_reference else self._own(request)
            if done is None:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            self._effects.send(FetchedReceipt(call=request.call, receipt=done.receipt))
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
        return done if done is not None and done.submitter == submitter.name else None
