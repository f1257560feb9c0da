"""The one error of `attestation`: a closed Fault, the check that failed, and what to do about it.

`str()` of it is made from these closed sets only; it never holds evidence, tokens, keys or another exception's words.
Values found and expected are in `failures`, for anyone who holds the evidence; remote callers never see them. Detail
for developers travels in `__cause__`.
"""

import enum
from types import TracebackType
from typing import Final, Self, TypeVar

from cji_attestation.checks import Check, Failure, remedy, requirement
from cji_core.errors import CjiError

T = TypeVar("T")


class Fault(enum.StrEnum):
    """The kind of a failure on the path from this machine to its key."""

    NOT_CONFIDENTIAL = "NOT_CONFIDENTIAL"
    EVIDENCE_UNAVAILABLE = "EVIDENCE_UNAVAILABLE"
    EVIDENCE_INVALID = "EVIDENCE_INVALID"
    UNTRUSTED_ROOT = "UNTRUSTED_ROOT"
    POLICY_MISMATCH = "POLICY_MISMATCH"
    MAA_UNAVAILABLE = "MAA_UNAVAILABLE"
    MAA_REFUSED = "MAA_REFUSED"
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a name, not a password
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"
    RELEASE_DENIED = "RELEASE_DENIED"
    RELEASE_THROTTLED = "RELEASE_THROTTLED"
    RELEASE_UNAVAILABLE = "RELEASE_UNAVAILABLE"
    RELEASE_INVALID = "RELEASE_INVALID"
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE"
    CONFIG_INVALID = "CONFIG_INVALID"


REMEDIES: Final[dict[Fault, str]] = {
    Fault.NOT_CONFIDENTIAL: "Run on a confidential VM size (DCas/ECas v5 or v6, DCes/ECes v6) with vTPM enabled.",
    Fault.EVIDENCE_UNAVAILABLE: "Check that the vTPM (/dev/tpmrm0, group tss) and the metadata service, on a worker by "
    "cji-broker.socket, are reachable, and on TDX Intel's certification service. Then try again.",
    Fault.EVIDENCE_INVALID: "Collect the evidence again; if it fails again, redeploy the VM.",
    Fault.UNTRUSTED_ROOT: "Check that the cloud named is the one the evidence comes from. Production pins AMD's and "
    "Intel's own roots only.",
    Fault.POLICY_MISMATCH: "Compare the reference values with what the check found: the machine is genuine.",
    Fault.MAA_UNAVAILABLE: "Check the URL of the attestation provider, DNS and outbound rules. Then try again.",
    Fault.MAA_REFUSED: "Check that secure boot is on, and what the attestation provider's policy requires.",
    Fault.TOKEN_INVALID: "Attest again. If it fails again, investigate which endpoint is responding.",
    Fault.IDENTITY_UNAVAILABLE: "Assign the managed identity to this VM, and configure its client id; check that "
    "cji-broker.socket is active.",
    Fault.RELEASE_DENIED: "Compare the key's release policy with this machine, and give the identity the role "
    "'Key Vault Crypto Service Release User'.",
    Fault.RELEASE_THROTTLED: "Wait for the time given: Key Vault allows 10 releases per 10 seconds and vault.",
    Fault.RELEASE_UNAVAILABLE: "Check the vault's name, its private endpoint and outbound rules. Then try again.",
    Fault.RELEASE_INVALID: "Stop and investigate which endpoint is responding: the statement does not describe the "
    "pinned key.",
    Fault.KEYS_UNAVAILABLE: "Check the tenant of the policy's entra table, DNS, and outbound rules to the authority of "
    "Microsoft Entra. Then try again.",
    Fault.CONFIG_INVALID: "Correct the item of the configuration's attestation section that the check names.",
}


class AttestationError(CjiError):
    """Evidence, token or key was not accepted. `check` is a short code such as "T07"; `retry_after` is in seconds.

    `failures` has every check that failed, at least the one named, and `passed` the checks that passed before.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        check: str,
        found: str = "",
        expected: str = "",
        failures: tuple[Failure, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(fault, check)
        self.fault = fault
        self.check = check
        self.failures = _all_failures(failures, Failure(check, found, expected))
        self.passed: tuple[Check, ...] = ()
        self.retry_after = retry_after
        self.code = fault.value
        self.remedy = remedy(check) or REMEDIES[fault]

    @property
    def what(self) -> str:
        """The fault and the check."""
        return f"{self.fault.value} at {self.check}"

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def _all_failures(several: tuple[Failure, ...], one: Failure) -> tuple[Failure, ...]:
    return several or (one._replace(expected=one.expected or requirement(one.id)),)


def invalid(check: str, *, found: str = "", expected: str = "") -> AttestationError:
    """EVIDENCE_INVALID at a check."""
    return AttestationError(Fault.EVIDENCE_INVALID, check=check, found=found, expected=expected)


class Record:
    """Collects what checks return, as they pass; an AttestationError that leaves the block takes them along."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, AttestationError):
            error.passed = self.checks

    def add(self, check: Check) -> None:
        """Keep one check."""
        self._checks.append(check)

    def take(self, result: tuple[T, Check]) -> T:
        """Keep the check of a result and return its value."""
        value, check = result
        self._checks.append(check)
        return value

    @property
    def checks(self) -> tuple[Check, ...]:
        """Those that passed, in order."""
        return tuple(self._checks)
