"""The ends of jobs by reference that no attempt writes: a receipt that is superseded, a ticket that is given up.

The fleet process asks for both and is not trusted. It may hide or repeat what it has, within the time of the header; it
gets no receipt that was not signed for this job, and a failure receipt for a header alone that verifies.

For the main thread. A refused ticket has its own line up to a rate; beyond it, refusals are counted by their cause.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import verify_submitter
from cji_core.format.job import Header, Submitter, check_audience, parse
from cji_core.trail import JobCompleted, TicketFault, TicketRefused, claims_unverified
from cji_worker.ipc.messages import BY_REFERENCE, FrontFromKeyholder, GivenUp, GiveUp, Supersede, Superseded
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.events import attempt_superseded, ticket_poisoned
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.token_buckets import TokenBuckets
from cji_worker.trail.file import AuditFile

PERIOD_S: Final = 10.0
_BURST: Final = 300
_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Count:
    count: int
    job_id: str | None
    since: float


def came_by_reference(done: JobCompleted) -> bool:
    """Whether a completed job was one by reference, as its receipt states."""
    return claims_unverified(done.receipt).transport.protocol == BY_REFERENCE.protocol


class ByReference:
    """`send` sends to the front, `refuse` a refusal of a call."""

    def __init__(
        self,
        *,
        audience: str,
        policy: PolicyInForce,
        audit: AuditFile,
        signer: ReceiptSigner,
        custody: Custody,
        send: Callable[[FrontFromKeyholder], None],
        refuse: Callable[[int, Refusal], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audience, self._policy, self._audit = audience, policy, audit
        self._signer, self._custody, self._clock = signer, custody, clock
        self._send, self._refuse = send, refuse
        self._lines = TokenBuckets(burst=_BURST, seconds=_SECONDS, clock=clock)
        self._counts: dict[tuple[TicketFault, Reason | None], _Count] = {}
        self._flushed = clock()

    def supersede(self, request: Supersede) -> None:
        """Record it. INCOMPLETE for a job that has not completed here, or did not come by reference."""
        try:
            done = self._audit.completion(request.job_id)
            if done is None or done.header_sha384 != request.header_sha384.hex() or not came_by_reference(done):
                raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
            self._audit.append(attempt_superseded(done))
            self._send(Superseded(call=request.call))
        except Refusal as refusal:
            self._refuse(request.call, refusal)

    def give_up(self, request: GiveUp) -> None:
        """Sign a failure receipt if the header verifies; else record the ticket as refused.

        ALREADY_EXISTS for a job that runs or has completed here; OVERLOADED above the rate.
        """
        try:
            self._send(GivenUp(call=request.call, failure=self._failure(request)))
        except Refusal as refusal:
            self._refuse(request.call, refusal)

    def _failure(self, request: GiveUp) -> str:
        job_id = request.job_id.hex() or None
        if request.fault is not None:
            self._count(request.fault, None, job_id)
            return ""
        try:
            header, submitter = self._verified(request)
        except Refusal as refusal:
            self._count("unverified", refusal.reason, job_id)
            return ""
        known = self._audit.entry(header.job_id)
        if known is not None and known.header_sha384 == header.sha384 and not known.state.may_begin:
            raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.RECEIPT)
        if not self._lines.take(submitter.name):
            raise Refusal(Reason.OVERLOADED, stage=Stage.RECEIPT)
        claims, failure = self._signer.sign_failure(
            header,
            submitter=submitter.name,
            policy_sha384=self._policy.now.sha384,
            tries=request.tries,
            queued=request.queued,
            refusal=Refusal(request.reason, stage=request.stage),
            holdings=self._custody.holdings,
            now=datetime.now(UTC),
        )
        self._audit.append(ticket_poisoned(claims, failure, purpose_code=header.purpose_code))
        return failure

    def _verified(self, request: GiveUp) -> tuple[Header, Submitter]:
        """The header and its submitter. Its times do not matter: a job that is too late is one to give up."""
        policy = self._policy.now
        header = parse(request.header, ori_prefixes=policy.ori_prefixes)
        check_audience(header, self._audience)
        submitter = policy.submitter(request.submitter)
        submitter.accept(header.suite)
        verify_submitter(submitter.signing_keys(datetime.now(UTC).date()), header, request.signature)
        return header, submitter

    def _count(self, fault: TicketFault, reason: Reason | None, job_id: str | None) -> None:
        if self._lines.take("") and self._write(fault, reason, _Count(1, job_id, self._clock())):
            return
        found = self._counts.setdefault((fault, reason), _Count(0, job_id, self._clock()))
        found.count += 1

    def flush(self, *, at_once: bool = False) -> None:
        """Write what was counted, if a period has passed."""
        now = self._clock()
        if not self._counts or (now - self._flushed < PERIOD_S and not at_once):
            return
        self._flushed = now
        for (fault, reason), found in list(self._counts.items()):
            if not self._write(fault, reason, found):
                return
            del self._counts[fault, reason]

    def _write(self, fault: TicketFault, reason: Reason | None, found: _Count) -> bool:
        seconds = int(self._clock() - found.since)
        event = TicketRefused(fault=fault, reason=reason, count=found.count, seconds=seconds, job_id=found.job_id)
        try:
            self._audit.append(event)
        except Refusal:
            return False
        return True
