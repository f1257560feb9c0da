"""The audit events of jobs and of custody, each built from what it is about."""

import time
from datetime import UTC, datetime

import msgspec

from cji_attestation.release import Attestation
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, Stage
from cji_core.format.job import Header
from cji_core.strict import b64url
from cji_core.trail import (
    AttemptSuperseded,
    Attested,
    Attributed,
    CallsRefused,
    DisagreementAbout,
    FailureSuperseded,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    KeyDropped,
    KeyNotReleased,
    KeyReleased,
    TicketPoisoned,
    TokenCheck,
    TpmClock,
    Volumes,
    WitnessesDisagreed,
    receipt_sha384,
    token_or_none,
    utc_hundredths,
)
from cji_core.trail.failures import FailureClaims
from cji_core.trail.short_receipts import Stated, shorten
from cji_core.trail.used_column_keys import used_column_keys
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.admitted_job import Attempt, Opened
from cji_worker.keyholder.entra import TokenRefused
from cji_worker.keyholder.holdings import CustodyEvent, Dropped, HeldKey, NotReleased


def job_refused(request: Admit, header: Header | None, refusal: Refusal, *, submitter: str | None) -> JobRefused:
    """A refusal at admission; `header` is None where it was malformed, `submitter` where the policy has none."""
    return JobRefused(
        source=request.source,
        stage=refusal.stage,
        reason=refusal.reason,
        correlation_id=request.correlation_id,
        submitter=submitter,
        job_id=header.job_id.hex() if header else None,
        header_sha384=header.sha384.hex() if header else None,
        requesting_ori=header.requesting_ori if header else None,
        purpose_code=header.purpose_code if header else None,
        token_check=refusal.check if isinstance(refusal, TokenRefused) else None,
        denied_by=denied_by(refusal),
        attempt=attempt(request),
    )


def attempt(request: Admit) -> str | None:
    """The name of the attempt of a job by reference."""
    return None if request.attempt is None else request.attempt.hex()


def denied_by(refusal: Refusal) -> DeniedBy | None:
    """The rule of the policy that refused, if one did."""
    return refusal.by if isinstance(refusal, Denied) else None


def calls_refused(
    reason: Reason,
    *,
    count: int,
    seconds: int,
    source: str,
    identity: str,
    submitter: str | None,
    token_check: TokenCheck | None,
) -> CallsRefused:
    """Several refusals in one event; `identity` is what the caller's certificate, or a compromised front, states."""
    return CallsRefused(
        reason=reason,
        count=count,
        seconds=seconds,
        source=source,
        identity=token_or_none(identity),
        submitter=submitter,
        token_check=token_check,
    )


def job_admitted(job: Attempt) -> JobAdmitted:
    """The admission of a job."""
    header, grant, reference = job.admission.header, job.admission.grant, job.admission.plan.reference
    return JobAdmitted(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        not_after=utc_hundredths(header.not_after),
        submitter=grant.submitter,
        source=job.source,
        originating_ori=header.originating_ori,
        requesting_ori=header.requesting_ori,
        attribution=attributed(job.opened),
        suite=header.suite,
        purpose_code=header.purpose_code,
        operations=header.operation_names,
        recipients=tuple(r.key_id for r in header.recipients),
        kek_id=header.kek_id,
        policy_sha384=grant.policy_sha384.hex(),
        resident_reference=reference.sha256.hex() if reference and reference.sha256 else None,
        entra=None if job.admission.token is None else job.admission.token.application,
        attempt=attempt(job.request),
        column_keys=used_column_keys(header),
    )


def attributed(opened: Opened | Refusal | None) -> Attributed | None:
    """The names in the opened attribution; None if it did not open."""
    if not isinstance(opened, Opened):
        return None
    by = opened.attribution
    return Attributed(operator_id=by.operator_id, requestor=by.requestor, secondary_recipient=by.secondary_recipient)


def job_completed(job: Attempt, volumes: Volumes, receipt: str) -> JobCompleted:
    """The end of a job with its receipt."""
    header = job.admission.header
    return JobCompleted(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        submitter=job.admission.grant.submitter,
        requesting_ori=header.requesting_ori,
        purpose_code=header.purpose_code,
        duration_ms=duration_ms(job),
        volumes=volumes,
        receipt=receipt,
    )


def in_trail(event: JobCompleted, job: Attempt, base: Stated | None) -> JobCompleted:
    """The event as its line has it: without what its admission and the last whole receipt, `base`, state."""
    short = shorten(event.compact, event, job_admitted(job), base)
    return msgspec.structs.replace(event, receipt=short)


def witnesses_disagreed(job: Attempt, about: tuple[DisagreementAbout, ...]) -> WitnessesDisagreed:
    """Front and cell contradict each other about a job, or the cell contradicts the job itself."""
    header = job.admission.header
    return WitnessesDisagreed(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        submitter=job.admission.grant.submitter,
        about=about,
        correlation_id=job.correlation_id,
    )


def job_ended(job: Attempt, refusal: Refusal) -> JobEnded:
    """The end of a job without a receipt."""
    header = job.admission.header
    return JobEnded(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        submitter=job.admission.grant.submitter,
        requesting_ori=header.requesting_ori,
        purpose_code=header.purpose_code,
        duration_ms=duration_ms(job),
        stage=refusal.stage,
        reason=refusal.reason,
        correlation_id=job.correlation_id,
        denied_by=denied_by(refusal),
    )


def job_cut_short(admitted: JobAdmitted) -> JobEnded:
    """The end of a job whose process died before it could write one."""
    return JobEnded(
        job_id=admitted.job_id,
        header_sha384=admitted.header_sha384,
        submitter=admitted.submitter,
        requesting_ori=admitted.requesting_ori,
        purpose_code=admitted.purpose_code,
        duration_ms=0,
        stage=Stage.COMPUTE,
        reason=Reason.CELL_FAILED,
        correlation_id="restart",
    )


def attempt_superseded(done: JobCompleted) -> AttemptSuperseded:
    """The receipt of a job that has another end, or none yet."""
    return AttemptSuperseded(
        job_id=done.job_id,
        header_sha384=done.header_sha384,
        submitter=done.submitter,
        requesting_ori=done.requesting_ori,
        receipt_sha384=receipt_sha384(done.compact),
    )


def failure_superseded(given_up: TicketPoisoned) -> FailureSuperseded:
    """The failure receipt of a job that has another end."""
    return FailureSuperseded(
        job_id=given_up.job_id,
        header_sha384=given_up.header_sha384,
        submitter=given_up.submitter,
        requesting_ori=given_up.requesting_ori,
        failure_sha384=receipt_sha384(given_up.failure),
    )


def ticket_poisoned(claims: FailureClaims, failure: str, *, purpose_code: str) -> TicketPoisoned:
    """A job by reference that was given up, with its failure receipt."""
    return TicketPoisoned(
        job_id=claims.job_id,
        header_sha384=claims.header_sha384,
        submitter=claims.submitter,
        requesting_ori=claims.requesting_ori,
        purpose_code=purpose_code,
        tries=claims.attempts,
        stage=claims.stage,
        reason=claims.reason,
        failure=failure,
    )


def custody_event(event: CustodyEvent) -> Attested | KeyReleased | KeyNotReleased | KeyDropped:
    """Fresh evidence, a key that was released or not, or a dropped one."""
    match event:
        case NotReleased(kek_id=kek_id, cause=failure):
            return KeyNotReleased(kek_id=kek_id, cause=failure)
        case Dropped(kek_id=kek_id, cause=cause):
            return KeyDropped(kek_id=kek_id, cause=cause)
        case HeldKey(released=released, attestation=attestation):
            return KeyReleased(
                kek_id=released.kek_id,
                request_id=released.request_id,
                evidence_sha384=attestation.evidence.sha384.hex(),
                statement_sha384=released.statement_sha384.hex(),
                policy_sha256=released.policy.sha256,
                policy_before=released.policy_before,
                policy_immutable=released.policy.immutable,
                policy_accepted=released.policy.accepted,
                policy_warnings=released.policy.warnings,
            )
        case Attestation(evidence=evidence, token=token, verdict=verdict, receipt_key=receipt_key):
            return Attested(
                evidence_sha384=evidence.sha384.hex(),
                maa_token_sha384=token.sha384.hex(),
                issuer=token.issuer,
                tee=verdict.tee,
                accepted_advisories=verdict.accepted,
                chip=verdict.chip_id.hex(),
                region=event.region,
                expires=utc_hundredths(datetime.fromtimestamp(token.expires, UTC)),
                tpm=tpm_clock(event),
                receipt_key=b64url(receipt_key),
            )


def tpm_clock(attestation: Attestation) -> TpmClock:
    """The TPM's clock at the time of the quote."""
    clock = attestation.verdict.clock
    return TpmClock(clock=clock.clock, reset_count=clock.reset_count, restart_count=clock.restart_count)


def duration_ms(job: Attempt) -> int:
    """Milliseconds since the admission."""
    return int((time.monotonic() - job.started) * 1000)
