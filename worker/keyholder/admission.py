"""Decide whether a job may run: eight checks in a fixed order.

    1 header well-formed      5 policy, parameters, input schemas
    2 audience                6 key known and fresh
    3 times                   7 audit trail writable
    4 submitter's signature   8 job id not used

Nothing is decrypted before all of them have passed and the admission is on disk.
"""

from datetime import datetime

from worker.audit import AuditFile
from worker.compute.registry import plan
from worker.compute.tables import Tables
from worker.envelope import unwrap_dek, unwrap_project_key, verify_header
from worker.errors import Reason, Refusal, Stage
from worker.ipc.messages import Admit
from worker.job import Header, Policy, check_audience, check_times, parse
from worker.keyholder.admitted_job import Admission
from worker.keyholder.holdings import Holdings
from worker.keyholder.ledger import AuditLedger


class AdmissionControl:
    """The checks of one worker."""

    def __init__(self, *, audience: str, policy: Policy, audit: AuditFile, tables: Tables) -> None:
        self._audience, self._policy, self._audit, self._tables = audience, policy, audit, tables
        self._ledger = AuditLedger(audit)

    def parse(self, request: Admit) -> Header:
        """Check 1."""
        return parse(request.header, ori_prefixes=self._policy.ori_prefixes)

    def check(self, request: Admit, header: Header, *, holdings: Holdings, now: datetime) -> Admission:
        """Checks 2 to 8 on a header that `parse` returned. Raises the Refusal of the first that fails."""
        check_audience(header, self._audience)  # 2
        check_times(header, now)  # 3
        submitter = self._policy.submitter(request.submitter)
        verify_header(submitter.signing_key, header.data, request.signature)  # 4
        grant = self._policy.authorise(header, submitter)  # 5
        planned = plan(header.operations, header.input_schemas, self._tables)
        key = holdings.key(header.kek_id)  # 6
        if not self._audit.writable():  # 7
            raise Refusal(Reason.AUDIT_UNAVAILABLE, stage=Stage.ADMIT)
        self._ledger.check(header)  # 8
        return Admission(header=header, grant=grant, plan=planned, key=key)


def open_keys(admission: Admission) -> list[bytes]:
    """The data key, then one project key per operation that needs one. Raises DEK_UNWRAP_FAILED."""
    private, header = admission.key.private, admission.header
    keys = [unwrap_dek(private, header.wrapped_dek)]
    keys += [unwrap_project_key(private, project.name, project.wrapped_key) for project in admission.plan.projects]
    if any(key == keys[0] for key in keys[1:]):
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return keys
