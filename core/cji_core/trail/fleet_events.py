"""The events of jobs in a pool beside those that every job has. Why a ticket is given up is the fleet's report.

The fleet process has no key and is not trusted: it can hide a job, and can neither invent one nor its receipt.
"""

from typing import Annotated

from msgspec import Meta

from cji_core.digests import Hex32, Hex96
from cji_core.errors import Reason, Stage
from cji_core.trail.fields import Code, Count, EventBase, Jws, Ori, TicketFault, Token
from cji_core.trail.meaning import SERVICE, Activity, Severity, entity, job

Tries = Annotated[int, Meta(ge=0, le=1000)]


class AttemptSuperseded(EventBase, frozen=True, kw_only=True, tag="attempt_superseded"):
    """The receipt of a completed attempt is not the end of its job: the job has another end, or none yet.

    It was released to nobody. `receipt_sha384` names the receipt that nobody shall use.
    """

    meaning = entity(
        Activity.UPDATE,
        Severity.LOW,
        "Receipt of an attempt superseded",
        noun="receipt",
        object="@receipt_sha384",
        asim="Set",
    )

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    receipt_sha384: Hex96


class FailureSuperseded(EventBase, frozen=True, kw_only=True, tag="failure_superseded"):
    """The failure receipt of a `ticket_poisoned` is not the end of its job: an attempt completed meanwhile, or failed.

    It was released to nobody. `failure_sha384` names the failure receipt that nobody shall use.
    """

    meaning = entity(
        Activity.UPDATE,
        Severity.LOW,
        "Failure receipt superseded",
        noun="failure receipt",
        object="@failure_sha384",
        asim="Set",
    )
    is_normal = True

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    failure_sha384: Hex96


class TicketPoisoned(EventBase, frozen=True, kw_only=True, tag="ticket_poisoned"):
    """A job by reference was given up after `tries` attempts. Its header verified, so `failure` was signed for it.

    `tries` counts its entries in the pool ledger; `reason` and `stage` are those of its last attempt, as the fleet
    process reports them. It is the end of the job, unless a `failure_superseded` follows, or the worker stopped before
    the pool ledger had it: the ledger decides.
    """

    meaning = job(Activity.END, Severity.MEDIUM, "Failure", "Job by reference given up", asim="Terminate")

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code
    tries: Tries
    stage: Stage
    reason: Reason
    failure: Jws


class TicketRefused(EventBase, frozen=True, kw_only=True, tag="ticket_refused"):
    """Tickets went to the poison queue without a failure receipt, because nothing shows that a submitter made them.

    `count` tickets within `seconds`; `job_id` is that of the first, if it names one.

    malformed   the text is not a ticket
    absent      there is no submission for it
    submission  what is there is not a submission
    digest      the header is not the one that the ticket names
    unverified  the header does not verify: `reason` has the check
    """

    meaning = job(Activity.REFUSE, Severity.MEDIUM, "Failure", "Tickets refused", object=SERVICE)

    fault: TicketFault
    count: Count
    seconds: Count
    job_id: Hex32 | None = None
    reason: Reason | None = None
