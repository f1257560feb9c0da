"""The ends of jobs by reference: a receipt whose outputs are stored, one that is superseded, a ticket that is given up.

The fleet process asks for all of them and is not trusted. It may hide or repeat what it has, within the time of the
header; it gets no receipt, and no failure receipt, that is not the end of its job in the pool ledger. A failure receipt
needs a header that verifies, and a reason that no other attempt can mend, or as many attempts as the pool allows.

For the main thread. A refused ticket has its own line up to a rate; beyond it, refusals are counted by their cause.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import verify_submitter
from cji_core.format.job import Header, Submitter, check_audience, parse
from cji_core.pool.entries import Outcome
from cji_core.pool.one_end import Ended, Open, may_fail
from cji_core.strict import hex_decode
from cji_core.trail import Event, JobCompleted, TicketFault, TicketPoisoned, TicketRefused, claims_unverified
from cji_worker.ipc.messages import BY_REFERENCE, GivenUp, GiveUp, Settle, Settled
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.events import failure_superseded, ticket_poisoned
from cji_worker.keyholder.fronts import Answer
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.pool_exchanges import Found, JobOfPool, PoolExchanges
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.settlement import AGAIN_S, NO_OUTPUTS, Settlements
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The pool of this worker."""

    exchanges: PoolExchanges
    settlements: Settlements


def came_by_reference(done: JobCompleted) -> bool:
    """Whether a completed job was one by reference, as its receipt states."""
    return claims_unverified(done.compact).transport.protocol == BY_REFERENCE.protocol


class ByReference:
    """`send` sends an answer, `refuse` a refusal of a call; `write` appends to the trail, now or later."""

    def __init__(
        self,
        *,
        audience: str,
        policy: PolicyInForce,
        audit: AuditFile,
        signer: ReceiptSigner,
        custody: Custody,
        send: Callable[[Answer], None],
        refuse: Callable[[int, Refusal], None],
        write: Callable[[Event], object],
        pool: Pool | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audience, self._policy, self._audit = audience, policy, audit
        self._signer, self._custody, self._clock = signer, custody, clock
        self._send, self._refuse, self._record, self._pool = send, refuse, write, pool
        self._lines = TokenBuckets(burst=_BURST, seconds=_SECONDS, clock=clock)
        self._counts: dict[tuple[TicketFault, Reason | None], _Count] = {}
        self._flushed = clock()

    def settle(self, request: Settle) -> None:
        """Send the end of the job. INCOMPLETE if it has none, and no receipt of this worker that could become it."""
        try:
            pool = self._require_pool()
            done = self._audit.completion(request.job_id)
            mine = done is not None and done.header_sha384 == request.header_sha384.hex() and came_by_reference(done)
            if done is None or not mine:
                pool.exchanges.look(request.job_id, partial(self._looked, request))
            elif request.whole is None:
                pool.settlements.withdraw(done, partial(self._answer, request))
            else:
                pool.settlements.stored(done, request.whole, partial(self._answer, request))
        except Refusal as refusal:
            self._refuse(request.call, refusal)

    def _looked(self, request: Settle, found: Found) -> None:
        if isinstance(found, Open):
            found = Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
        self._answer(request, found)

    def _answer(self, request: Settle, found: Ended | Refusal | None) -> None:
        match found:
            case Refusal():
                self._refuse(request.call, found)
            case None:
                self._send(Settled(call=request.call))
            case Ended(end) if end.header_sha384 != request.header_sha384.hex():
                self._refuse(request.call, Refusal(Reason.REPLAYED, stage=Stage.RECEIPT))
            case Ended(end) if end.outcome is Outcome.RECEIPT and end.name == NO_OUTPUTS.hex():
                # it came by a connection: the fleet process has nothing to publish
                self._refuse(request.call, Refusal(Reason.ALREADY_EXISTS, stage=Stage.RECEIPT))
            case Ended(end) if end.outcome is Outcome.RECEIPT:
                self._send(Settled(call=request.call, receipt=end.document, attempt=hex_decode(end.name)))
            case Ended(end):
                self._send(Settled(call=request.call, failure=end.document))

    def give_up(self, request: GiveUp) -> None:
        """Sign a failure receipt if the header verifies; else record the ticket as refused.

        ALREADY_EXISTS for a job that runs here or has an end; INCOMPLETE if other attempts may follow; OVERLOADED above
        the rate.
        """
        try:
            job_id = request.job_id.hex() or None
            if request.fault is not None:
                self._count(request.fault, None, job_id)
            elif (verified := self._verified_or_counted(request, job_id)) is not None:
                self._fail(request, *verified)
                return
            self._send(GivenUp(call=request.call, failure=""))
        except Refusal as refusal:
            self._refuse(request.call, refusal)

    def _verified_or_counted(self, request: GiveUp, job_id: str | None) -> tuple[Header, Submitter] | None:
        try:
            return self._verified(request)
        except Refusal as refusal:
            self._count("unverified", refusal.reason, job_id)
            return None

    def _fail(self, request: GiveUp, header: Header, submitter: Submitter) -> None:
        pool = self._require_pool()
        self._require_over(header)
        job = JobOfPool.of(header, submitter.name)

        def found(found: Found) -> None:
            try:
                if isinstance(found, Refusal):
                    raise found
                if isinstance(found, Ended) or found.last is None:
                    raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.RECEIPT)
                if not may_fail(request.reason, attempts=found.counted, tries=pool.exchanges.tries):
                    raise Refusal(Reason.INCOMPLETE, stage=Stage.RECEIPT)
                self._require_over(header)
                failure, event = self._sign(request, header, submitter, found.counted)
                self._audit.append(event)
                self._end(request, job, event, failure, found.last)
            except Refusal as refusal:
                self._refuse(request.call, refusal)

        pool.exchanges.give_up(job, found)

    def _require_over(self, header: Header) -> None:
        known = self._audit.entry(header.job_id)
        if known is not None and known.header_sha384 == header.sha384 and not known.state.may_begin:
            raise Refusal(Reason.ALREADY_EXISTS, stage=Stage.RECEIPT)

    def _sign(self, request: GiveUp, header: Header, submitter: Submitter, attempts: int) -> tuple[str, TicketPoisoned]:
        if not self._lines.take(submitter.name):
            raise Refusal(Reason.OVERLOADED, stage=Stage.RECEIPT)
        claims, failure = self._signer.sign_failure(
            header,
            submitter=submitter.name,
            policy_sha384=self._policy.now.sha384,
            tries=attempts,
            queued=request.queued,
            refusal=Refusal(request.reason, stage=request.stage),
            holdings=self._custody.holdings,
            now=datetime.now(UTC),
        )
        return failure, ticket_poisoned(claims, failure, purpose_code=header.purpose_code)

    def _end(self, request: GiveUp, job: JobOfPool, event: TicketPoisoned, failure: str, entry: int) -> None:
        """Offer the failure receipt as the end, until the ledger answers."""
        pool = self._require_pool()

        def answer(found: Ended | Refusal) -> None:
            if isinstance(found, Refusal):
                again = partial(self._end, request, job, event, failure, entry)
                asyncio.get_running_loop().call_later(AGAIN_S, again)
            elif found.end.document == failure:
                self._send(GivenUp(call=request.call, failure=failure))
            else:
                self._record(failure_superseded(event))
                self._refuse(request.call, Refusal(Reason.ALREADY_EXISTS, stage=Stage.RECEIPT))

        pool.exchanges.end(
            job, outcome=Outcome.FAILURE, document=failure, attempt=entry, name=NO_OUTPUTS, answer=answer
        )

    def _require_pool(self) -> Pool:
        if self._pool is None:
            raise Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.RECEIPT)
        return self._pool

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
