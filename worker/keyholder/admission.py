"""Whether a job may run, in one fixed order; and only after all of it, its keys.

    1 header well-formed      5 policy, parameters, input schemas
    2 audience                6 key known and fresh
    3 times                   7 audit sink writable
    4 submitter's signature   8 job id not used
    then, with the admission on disk: a warm cell, the data key, the project keys

Nothing is decrypted before step 8 has passed.
"""

from dataclasses import dataclass
from datetime import datetime

from worker.compute.registry import Plan, plan
from worker.compute.tables import Tables
from worker.envelope import unwrap_dek, unwrap_project_key, verify_header
from worker.errors import Reason, Refusal, Stage
from worker.job import Grant, Header, Policy, check_audience, check_times, parse
from worker.keyholder.custody import HeldKey, Holdings

__all__ = ["Admission", "check", "open_keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A job that steps 1 to 6 let pass."""

    header: Header
    grant: Grant
    plan: Plan
    key: HeldKey


def check(
    *,
    header: Header,
    signature: bytes,
    san: str,
    audience: str,
    policy: Policy,
    holdings: Holdings,
    tables: Tables,
    now: datetime,
) -> Admission:
    """Steps 2 to 6 on a header that `parse_header` returned."""
    check_audience(header, audience)
    check_times(header, now)
    submitter = policy.submitter(san)
    verify_header(submitter.signing_key, header.data, signature)
    grant = policy.authorise(header, submitter)
    planned = plan(header.operations, header.input_schemas, tables)
    return Admission(header=header, grant=grant, plan=planned, key=holdings.key(header.kek_id))


def parse_header(data: bytes, policy: Policy) -> Header:
    """Step 1."""
    return parse(data, ori_prefixes=policy.ori_prefixes)


def open_keys(admission: Admission) -> list[bytes]:
    """The data key, then one project key per operation that needs one."""
    private, header = admission.key.private, admission.header
    keys = [unwrap_dek(private, header.wrapped_dek)]
    keys += [unwrap_project_key(private, project.name, project.wrapped_key) for project in admission.plan.projects]
    if any(key == keys[0] for key in keys[1:]):
        raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
    return keys
