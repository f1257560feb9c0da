"""Decide whether a job may run: nine checks in a fixed order.

    1 header well-formed      6 submitter's failed unwraps few
    2 audience                7 key known and fresh
    3 times                   8 audit trail writable
    4 submitter's signature   9 job id not used
    5 policy, parameters, input schemas

Every failed unwrap costs a cell and is a question about the key, so check 6 allows ten at once and one more every ten
seconds. All of them are alike: in their Reason, and in the work done before it.

Nothing is decrypted before all of them have passed and the admission is on disk.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, ParamSpec

from worker.audit import AuditFile
from worker.compute.registry import plan
from worker.compute.tables import Tables
from worker.envelope import unwrap_dek, unwrap_project_key, verify_header
from worker.errors import Reason, Refusal, RetryLater, Stage
from worker.ipc.messages import Admit
from worker.job import Grant, Header, check_audience, check_times, parse
from worker.keyholder.admitted_job import Admission
from worker.keyholder.holdings import Holdings
from worker.keyholder.ledger import AuditLedger
from worker.keyholder.policy import PolicyInForce
from worker.keyholder.token_buckets import TokenBuckets

_UNWRAP_BURST: Final = 10
_UNWRAP_SECONDS: Final = 10.0

P = ParamSpec("P")


class AdmissionControl:
    """The checks of one worker."""

    def __init__(
        self,
        *,
        audience: str,
        policy: PolicyInForce,
        audit: AuditFile,
        tables: Tables,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audience, self._policy, self._audit, self._tables = audience, policy, audit, tables
        self._ledger = AuditLedger(audit)
        self._unwraps = TokenBuckets(burst=_UNWRAP_BURST, seconds=_UNWRAP_SECONDS, clock=clock)

    def parse(self, request: Admit) -> Header:
        """Check 1."""
        return parse(request.header, ori_prefixes=self._policy.now.ori_prefixes)

    def check(self, request: Admit, header: Header, *, holdings: Holdings, now: datetime) -> Admission:
        """Checks 2 to 9 on a header that `parse` returned. Raises the Refusal of the first that fails."""
        check_audience(header, self._audience)  # 2
        check_times(header, now)  # 3
        grant = self.authorise(request, header)  # 4, 5
        planned = plan(header.operations, header.input_schemas, self._tables)
        if wait := self._unwraps.wait(grant.submitter):  # 6
            raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=int(1000 * wait) + 1)
        key = holdings.key(header.kek_id)  # 7
        if not self._audit.writable():  # 8
            raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)
        self._ledger.check(header)  # 9
        return Admission(header=header, grant=grant, plan=planned, key=key)

    def authorise(self, request: Admit, header: Header) -> Grant:
        """Checks 4 and 5, under the policy in force."""
        policy = self._policy.now
        submitter = policy.submitter(request.submitter)
        verify_header(submitter.signing_key, header.data, request.signature)
        return policy.authorise(header, submitter)

    def unwrap_failed(self, submitter: str) -> None:
        """Count a job whose keys could not be opened."""
        self._unwraps.take(submitter)


def open_keys(admission: Admission) -> list[bytes]:
    """The data key, then one project key per operation that needs one. Raises DEK_UNWRAP_FAILED.

    Every key is unwrapped before any failure is reported, so that its time does not depend on which one failed.
    """
    private, header = admission.key.private, admission.header
    keys = [_opened(unwrap_dek, private, header.wrapped_dek)]
    keys += [_opened(unwrap_project_key, private, each.name, each.wrapped_key) for each in admission.plan.projects]
    opened = [key for key in keys if key is not None]
    if len(opened) != len(keys) or any(key == keys[0] for key in keys[1:]):
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return opened


def _opened(unwrap: Callable[P, bytes], *args: P.args, **keywords: P.kwargs) -> bytes | None:
    try:
        return unwrap(*args, **keywords)
    except Refusal:
        return None
