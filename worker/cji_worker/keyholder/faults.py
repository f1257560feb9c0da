"""Consequences of a fault of attestation for keys: which are dropped, what is tried again, the Reason for callers."""

from collections.abc import Mapping
from typing import Final

from cji_attestation import AttestationError, Fault
from cji_core.errors import Reason
from cji_core.trail import DropCause
from cji_worker.keyholder.schedule import Failure

MACHINE_REFUSED: Final = frozenset(
    {Fault.NOT_CONFIDENTIAL, Fault.EVIDENCE_INVALID, Fault.UNTRUSTED_ROOT, Fault.POLICY_MISMATCH}
)
NOT_ATTESTED: Final = MACHINE_REFUSED | {Fault.TOKEN_INVALID, Fault.MAA_REFUSED, Fault.CONFIG_INVALID}
KEY_REFUSED: Final = frozenset({Fault.RELEASE_DENIED, Fault.RELEASE_INVALID, Fault.CONFIG_INVALID})
_NOT_STARTED: Final = "not-started"
_PCR_DRIFT: Final = (Fault.EVIDENCE_INVALID, "pcr-changed")
ANOTHER_START: Final = (Fault.EVIDENCE_INVALID, "E48")
"""PCR 15 shows another worker's start: no worker can attest before the next boot."""
ATTEST_AGAIN: Final = frozenset(
    {(Fault.TOKEN_INVALID, "age"), (Fault.TOKEN_INVALID, "used"), (Fault.RELEASE_DENIED, "vault-403-unverified")}
)
_REASONS: Final[Mapping[Fault, Reason]] = {
    Fault.RELEASE_DENIED: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_INVALID: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_THROTTLED: Reason.KEY_THROTTLED,
    Fault.RELEASE_UNAVAILABLE: Reason.NOT_READY,
    Fault.MAA_UNAVAILABLE: Reason.NOT_READY,
    Fault.IDENTITY_UNAVAILABLE: Reason.NOT_READY,
    Fault.KEYS_UNAVAILABLE: Reason.NOT_READY,
}


def reason_of(error: AttestationError) -> Reason:
    """The Reason that callers of the worker get."""
    if error.check == _NOT_STARTED:
        return Reason.NOT_READY
    return _REASONS.get(error.fault, Reason.ATTESTATION_REJECTED)


def cause_of(error: AttestationError) -> DropCause:
    """The cause of a drop, for the audit trail."""
    return "pcr-drift" if (error.fault, error.check) == _PCR_DRIFT else "evidence"


def failure_of(fault: Fault) -> Failure:
    """How a key that was not released is scheduled."""
    if fault in KEY_REFUSED:
        return "denied"
    return "throttled" if fault is Fault.RELEASE_THROTTLED else "failed"
