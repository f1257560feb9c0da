"""A job without any input or output: header, policy, the state machine of the Run stream, limits.

Everything here is pure: bytes and times in, frozen values or a Refusal out. No socket, file, clock or log.
"""

from typing import TYPE_CHECKING

from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_core.format.job.attribution import Attribution
    from cji_core.format.job.build import new_header, new_job_id
    from cji_core.format.job.header import (
        Header,
        InputPart,
        JobId,
        Recipient,
        SealedOutput,
        SizeClass,
        check_audience,
        check_parts,
        check_times,
        parse,
    )
    from cji_core.format.job.identity import UNREADABLE, EntraRule, certificate_uri, identity_sha256
    from cji_core.format.job.job_plan import JobPlan, encode_plan, parse_plan, plan_facts
    from cji_core.format.job.limits import LIMITS, Limits
    from cji_core.format.job.ori import is_ori
    from cji_core.format.job.policy import (
        OPERATIONS,
        PURPOSE_CODES,
        AccessRequest,
        Grant,
        Policy,
        PolicyInvalid,
        Submitter,
        access_request,
    )
    from cji_core.format.job.result_header import OutputPart
    from cji_core.format.job.state import Empty, Event, Finish, HalfClose, Open, Phase, RunState, Segment, advance
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "LIMITS",
    "OPERATIONS",
    "PURPOSE_CODES",
    "UNREADABLE",
    "AccessRequest",
    "Attribution",
    "Empty",
    "EntraRule",
    "Event",
    "Finish",
    "Grant",
    "HalfClose",
    "Header",
    "InputPart",
    "JobId",
    "JobPlan",
    "Limits",
    "Open",
    "OutputPart",
    "Phase",
    "Policy",
    "PolicyInvalid",
    "Recipient",
    "RunState",
    "SealedOutput",
    "Segment",
    "SizeClass",
    "Submitter",
    "access_request",
    "advance",
    "certificate_uri",
    "check_audience",
    "check_parts",
    "check_times",
    "encode_plan",
    "identity_sha256",
    "is_ori",
    "new_header",
    "new_job_id",
    "parse",
    "parse_plan",
    "plan_facts",
]
