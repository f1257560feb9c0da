"""Decide whether a job may run: eleven checks in a fixed order.

    1 header well-formed      6 submitter's failed unwraps few
    2 audience                7 key known and fresh
    3 times                   8 audit trail writable
    4 token, suite, signature 9 job id not used
    5 policy, parameters,    10 admission signed for this worker, now, and the next attempt
      schemas, column keys   11 jobs left for this submitter and agency on this day

A task of a job in parts, and the end of such a job, pass the same checks; check 5 includes the task and the plan, and
check 11 a job of which nothing has run here yet. Jobs by reference have no admission signature: the fleet process holds
no key. It may repeat a job until that has a receipt or expires.

Every failed unwrap costs a cell and is a question about the key, so check 6 allows ten at once and one more every ten
seconds. All of them are alike: in their Reason, and in the work done before it.

Nothing is decrypted before all of them have passed. Then the keyholder opens the keys of the job, with those of its
sealed columns, and its attribution, which the admission in the audit trail names. Once that is on disk, one check is
left: the policy must list the secondary recipient, which only the attribution names, and a plan must open with the data
key. Then the cell gets the keys, and so the records.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, ParamSpec, TypeVar

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.columns import open_keys as open_column_keys
from cji_core.format.envelope import ATTRIBUTION, DEK_BYTES, open_box, open_dek, unwrap_project_key, verify_submitter
from cji_core.format.job import (
    Attribution,
    Grant,
    Header,
    Submitter,
    access_request,
    check_audience,
    check_times,
    parse,
)
from cji_core.format.records import data_classes
from cji_core.jose import VerifyingKey
from cji_core.operations.registry import Plan, plan
from cji_core.operations.tables import Tables
from cji_core.suites import Suite
from cji_worker.ipc.messages import Admit, Presented
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.admitted_job import Admission, Opened, Proven
from cji_worker.keyholder.entra import SecondIdentity, VerifiedToken, require_rule
from cji_worker.keyholder.holdings import Holdings
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.replay import ReplayProtection
from cji_worker.keyholder.tasks import check_plan, plan_of, task_of
from cji_worker.keyholder.token_buckets import TokenBuckets
from cji_worker.trail.file import AuditFile

_UNWRAP_BURST: Final = 10
_UNWRAP_SECONDS: Final = 10.0

P = ParamSpec("P")
R = TypeVar("R")


class AdmissionControl:
    """The checks of one worker."""

    def __init__(
        self,
        *,
        audience: str,
        policy: PolicyInForce,
        audit: AuditFile,
        tables: Tables,
        second: SecondIdentity,
        admissions: Admissions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audience, self._policy, self._audit, self._tables = audience, policy, audit, tables
        self._second, self._replay, self._admissions = second, ReplayProtection(audit), admissions
        self._unwraps = TokenBuckets(burst=_UNWRAP_BURST, seconds=_UNWRAP_SECONDS, clock=clock)

    def parse(self, request: Admit) -> Header:
        """Check 1."""
        return parse(request.header, ori_prefixes=self._policy.now.ori_prefixes)

    def check(
        self, request: Admit, header: Header, *, holdings: Holdings, now: datetime, proven: Proven | None = None
    ) -> Admission:
        """Checks 2 to 11 on a header that `parse` returned. Raises the Refusal of the first that fails.

        `proven` is of this request's check before this one: what stays true of the same bytes is not computed again.
        """
        check_audience(header, self._audience)  # 2
        check_times(header, now)  # 3
        token = self.authenticate(request.submitter, request.presented, now=now)  # 4
        grant, submitter, signing_key = self._authorise(request, header, token, now, proven)  # 4, 5
        planned = plan(header.operations, header.input_schemas, self._tables) if proven is None else proven.plan
        self._authorise_plan(grant, submitter, header, planned, now)
        task = None if request.task is None else task_of(header, planned, request.task)
        finish = None if request.finish is None else plan_of(header, planned, request.finish.plan)
        if wait := self._unwraps.wait(grant.submitter):  # 6
            raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=int(1000 * wait) + 1)
        key = holdings.key(header.kek_id)  # 7
        if header.suite is Suite.HYBRID_1 and key.private.ml_kem is None:
            raise Refusal(Reason.SUITE_NOT_ACCEPTED, stage=Stage.ADMIT)
        if not self._audit.writable():  # 8
            raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)
        entry = self._replay.check(header)  # 9
        if request.attempt is None:
            known = proven is not None and proven.signing_key is signing_key
            self._admissions.check(request.admission, header, signing_key, verified=known)  # 10
            attempt = 0 if request.admission is None else request.admission.attempt
            self._replay.check_attempt(entry, attempt, now=now)
        if entry is None:
            self._replay.check_jobs_left(grant, day=now.date())  # 11
        return Admission(
            header=header,
            grant=grant,
            plan=planned,
            key=key,
            token=token,
            task=task,
            finish=finish,
            proven=Proven(signing_key, planned),
        )

    def authenticate(self, san: str, presented: Presented, *, now: datetime) -> VerifiedToken | None:
        """The token of check 4; None for a submitter that needs none. Raises POLICY_DENIED, and TokenRefused."""
        return self._second.authenticate(presented, self._policy.now.submitter(san), now=now)

    def authorise_again(
        self, request: Admit, header: Header, planned: Plan, token: VerifiedToken | None, *, now: datetime
    ) -> None:
        """Checks 4 and 5 on a job that passed them, under the policy now in force; its token stays verified."""
        grant, submitter, _ = self._authorise(request, header, token, now)
        self._authorise_plan(grant, submitter, header, planned, now)

    def _authorise(
        self,
        request: Admit,
        header: Header,
        token: VerifiedToken | None,
        now: datetime,
        proven: Proven | None = None,
    ) -> tuple[Grant, Submitter, VerifyingKey]:
        """The grant of the policy, its submitter, and the key of theirs that signed the header.

        A signature that was proven counts for the very key, as long as the policy in force lists it for this submitter.
        """
        policy = self._policy.now
        submitter = policy.submitter(request.submitter)
        require_rule(token, submitter.entra)
        submitter.accept(header.suite)
        keys = submitter.signing_keys(now.date())
        known = [key for key in keys if proven is not None and key is proven.signing_key]
        key = known[0] if known else verify_submitter(keys, header, request.signature)
        asked = access_request(header, data_classes(part.schema for part in header.inputs))
        return policy.authorise(asked, submitter, day=now.date()), submitter, key

    def _authorise_plan(self, grant: Grant, submitter: Submitter, header: Header, planned: Plan, now: datetime) -> None:
        """Raise Denied unless the policy grants the resident reference and the column keys that the job uses."""
        if planned.reference is not None:
            grant.require_data_classes(data_classes([planned.reference.schema]))
        self._policy.now.authorise_columns(header, submitter, reference=planned.reference, now=now)

    def unwrap_failed(self, submitter: str) -> None:
        """Count a job whose keys could not be opened."""
        self._unwraps.take(submitter)


def check_opened(admission: Admission, opened: Opened) -> None:
    """The checks that need opened keys. Raises Denied for the attribution, BAD_PARAMETERS for an altered plan."""
    admission.grant.require_secondary_recipient(opened.attribution.secondary_recipient)
    plan = admission.task.plan if admission.task else admission.finish[1] if admission.finish else None
    if plan is not None:
        check_plan(plan, opened.keys[0])


def open_keys(admission: Admission) -> Opened:
    """The keys of a job, in the order of a key slot, and its attribution. Raises DEK_UNWRAP_FAILED.

    It has one project key per operation that needs one, and all keys of its statements on column keys, each of which
    costs a private operation of the worker's key: at most four more.
    Everything is tried before any failure is reported, so that its time does not depend on what failed. Raises
    MALFORMED_HEADER for an attribution that opens and is none: only who made the data key can send that.
    """
    header = admission.header
    dek = _opened(open_dek, admission.key.private, header.wrapped_dek, header.suite)
    under = bytes(DEK_BYTES) if dek is None else dek
    attribution = _opened(open_box, under, ATTRIBUTION, header.sealed_attribution)
    keys = [dek, *(_opened(unwrap_project_key, under, each.name, each.wrapped_key) for each in admission.plan.projects)]
    opened = [key for key in keys if key is not None]
    column_keys = _opened(open_column_keys, header.column_keys, admission.key.private)
    if attribution is None or column_keys is None or len(opened) != len(keys):
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    opened += column_keys
    if any(key == dek for key in opened[1:]):
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return Opened(keys=opened, attribution=Attribution.decode(attribution))


def _opened(unwrap: Callable[P, R], *args: P.args, **keywords: P.kwargs) -> R | None:
    try:
        return unwrap(*args, **keywords)
    except Refusal:
        return None
