"""`Verdict`: what an appraisal found. Only `attestation.appraisal.appraise` can make one."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from attestation.evidence import Tcb, Tee
from attestation.evidence.tpm_structures import TpmClock

__all__ = ["Verdict"]

_SEAL: Final = object()  # known to `appraise` alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The evidence was accepted. `checks` are (id, what it found) in the order in which they passed."""

    tee: Tee
    product: str
    measurement: bytes
    report_data: bytes
    tcb: Tcb
    policy: int
    vmpl: int
    chip_id: bytes
    vm_unique_id: str
    ak: rsa.RSAPublicKey = field(repr=False)
    ephemeral: rsa.RSAPublicKey = field(repr=False)
    pcrs: tuple[bytes, ...]
    clock: TpmClock
    evidence_sha384: bytes
    checks: tuple[tuple[str, str], ...]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a Verdict comes from appraise()")
