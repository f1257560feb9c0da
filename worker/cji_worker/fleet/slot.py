"""One slot of the fleet process: a ticket at a time, from its lease to its end.

    storage does not answer          nothing is leased, and the next look is later
    the job has its end              it is published, if it is not yet, and the ticket is deleted
    not a ticket, no submission      refused: poison queue, an audit event, no failure receipt
    the submitter asks for an end    given up: failure receipt, poison queue
    the worker refuses for good      given up
    the id is another job's          put aside without a failure receipt, as that of a job by a connection
    the job is held here already     a new ticket after a lease: it is a second one for the same job
    the job did not begin            a new ticket after a delay
    the policy here refuses it       the same after a minute or two, until the header expires: it may be of this worker
    an attempt failed                given up if it was the last one by the pool ledger; else visible after a delay
    lease lost                       nothing: another worker has the ticket
    this process ends                a new ticket at once

The pool ledger alone counts attempts. How often a ticket was leased decides nothing but the delay. Every step can be
repeated: a ticket that comes again finds what is published. `cji_core.pool.one_end` has the decisions.
"""

import hashlib
import random
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Final

from cji_core.errors import Reason, Stage
from cji_core.log import log
from cji_core.pool import names
from cji_core.pool.documents import SUBMISSION_BYTES, DocumentError, decode_submission
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, LeaseLostError, StoreError
from cji_core.pool.one_end import Next, after_attempt
from cji_core.pool.queue import Message, Queue
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket, TicketError, decode
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.errors import WorkerError
from cji_worker.fleet.attempt import (
    Attempt,
    AttemptFailedError,
    Containers,
    Publication,
    conclude,
    give_up,
    new_attempt,
    recover,
)
from cji_worker.fleet.front import Front, FrontAwayError, FrontRefusedError
from cji_worker.fleet.lease import End, Lease
from cji_worker.fleet.metrics import Outcome
from cji_worker.fleet.records import Records

_LONGEST_S: Final = 300.0
_POLICY_PAUSE_S: Final = 60.0
_NO_JOB: Final = ""
_ANOTHER_JOB: Final = frozenset({Reason.ALREADY_EXISTS, Reason.REPLAYED})
_PROBE: Final = "probe"
"""The name of a blob that is not there: any answer about it shows that the storage is."""


class RefusedTicketError(WorkerError):
    """A ticket without a submission: `fault` is that of the audit event `ticket_refused`."""

    code = "ticket-refused"
    remedy = "Submit the job again."

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class Slot:
    """Takes tickets. `outcomes` counts what became of them, for metrics."""

    def __init__(
        self,
        *,
        front: Front,
        at: Containers,
        queue: Queue,
        poison: Queue,
        lease_queue: Queue,
        lease_jobs: Blobs,
        records: Records,
        lease_seconds: int,
        outcomes: Counter[Outcome],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._front, self._at, self._queue, self._poison = front, at, queue, poison
        self._lease_queue, self._lease_jobs, self._records = lease_queue, lease_jobs, records
        self._seconds, self._outcomes, self._chance = lease_seconds, outcomes, chance
        self._lease: Lease | None = None
        self._attempt: Attempt | None = None

    @property
    def busy(self) -> bool:
        """Whether it has a ticket."""
        return self._lease is not None

    def stop(self) -> None:
        """Have the running attempt stop and its ticket given back; from another thread."""
        if (lease := self._lease) is not None:
            lease.stop(End.STOPPED)

    def step(self) -> bool:
        """Take one ticket, if worker and storage serve and there is one; whether there was. Raises StoreError."""
        if not self._front.serving():
            return False
        self._at.results.exists(_PROBE)
        message = self._queue.receive(lease=self._seconds)
        if message is None:
            return False
        try:
            self._take(message)
        except LeaseLostError:
            self._outcomes["lease_lost"] += 1
        except (StoreError, FrontAwayError, FrontRefusedError, OSError) as error:
            # the lease ends by itself, and the ticket is visible again
            self._outcomes["interrupted"] += 1
            log("attempt interrupted", error=type(error).__name__)
        return True

    def _take(self, message: Message) -> None:
        try:
            ticket = decode(message.text)
        except TicketError:
            self._refuse(message, "malformed", job=_NO_JOB)
            return
        self._lease = Lease(
            message,
            job=ticket.job,
            queue=self._lease_queue,
            jobs=self._lease_jobs,
            seconds=self._seconds,
            ended=self._end_attempt,
        )
        try:
            with self._lease as lease, self._records.hold(ticket.job) as mine:
                if mine:
                    self._serve(ticket, lease)
                else:  # its record and its receipt are those of a live attempt
                    self._again(lease, self._seconds, "not_begun")
        finally:
            self._lease = self._attempt = None

    def _end_attempt(self) -> None:
        if (attempt := self._attempt) is not None:
            attempt.cancel()

    def _serve(self, ticket: Ticket, lease: Lease) -> None:
        job, results = ticket.job, self._at.results
        if results.exists(names.receipt(job)) or results.exists(names.failure(job)):
            self._delete(lease, "done")
            return
        try:
            submission = self._submission(ticket)
        except RefusedTicketError as refused:
            lease.release()
            self._refuse(lease.message, refused.fault, job=job)
            return
        if self._at.jobs.exists(names.cancel(job)):
            self._give_up(ticket, submission, lease, AttemptFailedError(Reason.CANCELLED, Stage.OPEN))
        else:
            self._try(ticket, submission, lease)

    def _submission(self, ticket: Ticket) -> pb.Submission:
        try:
            found = decode_submission(self._at.jobs.read(names.header(ticket.job), most=SUBMISSION_BYTES))
        except BlobAbsentError as error:
            raise RefusedTicketError("absent") from error
        except (BlobTooLargeError, BlobChangedError, DocumentError) as error:
            raise RefusedTicketError("submission") from error
        if hashlib.sha384(found.header).hexdigest() != ticket.header_sha384:
            raise RefusedTicketError("digest")
        return found

    def _try(self, ticket: Ticket, submission: pb.Submission, lease: Lease) -> None:
        before = self._records.of(ticket.job)  # storage or front went away before it was finished
        if before is not None:
            found = recover(before, front=self._front, results=self._at.results)
            self._records.end(ticket.job)
            if found not in {None, Publication.WITHDRAWN}:
                self._delete(lease, "published" if found is Publication.PUBLISHED else "superseded")
                return
        attempted = new_attempt(ticket, secrets.token_hex(16))
        self._attempt = attempt = Attempt(attempted, submission, front=self._front, at=self._at, records=self._records)
        if lease.end is not None:
            attempt.cancel()
        log("attempt", job_id=ticket.job, call=lease.message.tries)
        try:
            publication = attempt.perform()
        except AttemptFailedError as failed:
            self._failed(ticket, submission, lease, failed)
            return
        except FrontAwayError:
            if lease.end is None:
                raise
            self._failed(ticket, submission, lease, AttemptFailedError(Reason.INCOMPLETE, Stage.COMPUTE))
            return
        self._delete(lease, "published" if publication is Publication.PUBLISHED else "superseded")

    def _failed(self, ticket: Ticket, submission: pb.Submission, lease: Lease, failed: AttemptFailedError) -> None:
        log("attempt failed", job_id=ticket.job, reason=failed.reason.value, stage=failed.stage.value)
        if lease.end is End.LOST:
            raise LeaseLostError("the ticket may be another worker's")
        if failed.reason is Reason.ALREADY_EXISTS and self._has_ended(ticket, lease):
            return
        if not failed.began:
            self._records.end(ticket.job)
        # else it may have been signed before it was stopped: what settles it ends the record
        if lease.end is End.CANCELLED:
            self._give_up(ticket, submission, lease, AttemptFailedError(Reason.CANCELLED, Stage.COMPUTE))
        elif lease.end is End.STOPPED:
            self._again(lease, 0.0, "given_back")
        elif (step := after_attempt(failed.reason, began=failed.began)) is Next.SOON:
            self._again(lease, max(failed.after, 1 + 4 * self._chance()), "not_begun")
        elif step is Next.BY_POLICY:
            self._again(lease, _POLICY_PAUSE_S * (1 + self._chance()), "not_begun")
        elif step is Next.GIVE_UP or failed.began:
            self._give_up(ticket, submission, lease, failed)
        else:
            self._later(lease, failed)

    def _later(self, lease: Lease, failed: AttemptFailedError) -> None:
        """Have the ticket visible again, after a delay that doubles."""
        lease.release()
        delay = min(_LONGEST_S, 2.0**lease.message.tries * (1 - self._chance() / 2))
        self._queue.renew(lease.message, lease=max(failed.after, delay))
        self._outcomes["failed"] += 1

    def _has_ended(self, ticket: Ticket, lease: Lease) -> bool:
        """Whether the job has an end, which is published then, or a receipt here that nobody published: it runs again.

        Else the job runs, here or elsewhere.
        """
        try:
            found = conclude(ticket, front=self._front, results=self._at.results)
        except FrontRefusedError as refused:
            if refused.reason is Reason.INCOMPLETE:
                return False
            if refused.reason not in _ANOTHER_JOB:
                raise
            self._set_aside(ticket, lease)
            return True
        self._records.end(ticket.job)
        if found is Publication.WITHDRAWN:
            self._again(lease, 0.0, "superseded")
        else:
            self._delete(lease, "superseded")
        return True

    def _give_up(self, ticket: Ticket, submission: pb.Submission, lease: Lease, failed: AttemptFailedError) -> None:
        """Have the failure signed and published, and put the ticket aside; later, if other attempts may follow."""
        try:
            given_up = give_up(
                ticket,
                submission,
                front=self._front,
                results=self._at.results,
                sent=lease.message.sent,
                reason=failed.reason,
                stage=failed.stage,
            )
        except FrontRefusedError as refused:
            if refused.reason is Reason.INCOMPLETE:
                self._later(lease, failed)
            elif refused.reason is Reason.REPLAYED:
                self._set_aside(ticket, lease)
            elif refused.reason is Reason.ALREADY_EXISTS:  # it has an end, or runs here
                if not self._has_ended(ticket, lease):
                    self._later(lease, failed)
            else:
                raise
            return
        lease.release()
        self._put_aside(lease.message, "poisoned" if given_up else "refused")

    def _set_aside(self, ticket: Ticket, lease: Lease) -> None:
        """Put the ticket aside without a failure receipt: the id has the end of another job, or of a direct one."""
        self._records.end(ticket.job)
        lease.release()
        self._put_aside(lease.message, "refused")

    def _refuse(self, message: Message, fault: str, *, job: str) -> None:
        self._front.refused_ticket(fault, job=job)
        self._put_aside(message, "refused")

    def _put_aside(self, message: Message, outcome: Outcome) -> None:
        self._poison.send(message.text)
        self._queue.delete(message)
        self._outcomes[outcome] += 1

    def _again(self, lease: Lease, delay: float, outcome: Outcome) -> None:
        """A new ticket in place of this one."""
        lease.release()
        self._queue.send(lease.message.text, delay=delay)
        self._queue.delete(lease.message)
        self._outcomes[outcome] += 1

    def _delete(self, lease: Lease, outcome: Outcome) -> None:
        lease.release()
        self._queue.delete(lease.message)
        self._outcomes[outcome] += 1
