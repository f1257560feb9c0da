"""`Verdict`: what an appraisal found. Only `attestation.appraisal.appraise` can make one."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from attestation.evidence import SnpReport, Tcb, TdReport, TdxTcb, Tee
from attestation.evidence.tpm_structures import TpmClock

__all__ = ["Verdict"]

_SEAL: Final = object()  # known to `appraise` alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The evidence was accepted. `checks` are (id, what it found) in the order in which they passed.

    For TDX `product` is the FMSPC, `measurement` the MRTD, `policy` the TD attributes, `chip_id` the PPID, and there is
    no VMPL; `tcb_status` and `advisories` are Intel's words. For SEV-SNP those two are empty. `accepted` are the
    advisories that are open for this machine and were accepted by name. `hardware` is the report that was judged, for
    whoever has another party's claims about it to compare.
    """

    tee: Tee
    product: str
    measurement: bytes
    report_data: bytes
    tcb: Tcb | TdxTcb
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    policy: int
    vmpl: int | None
    chip_id: bytes
    hardware: SnpReport | TdReport = field(repr=False)
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
