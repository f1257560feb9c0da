"""`Verdict`: what an appraisal found. Only `cji_attestation.appraisal.appraise` can make one."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.appraisal.advisories import AdvisoryFinding
from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.checks import Check, Skipped
from cji_attestation.evidence import SnpReport, Tcb, TdReport, TdxTcb, Tee
from cji_attestation.evidence.tpm_structures import TpmClock
from cji_core.verified import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Verified):
    """The evidence was accepted. `checks` are the checks that ran, in order, each with its finding.

    For TDX `product` is the FMSPC, `measurement` the MRTD, `policy` the TD attributes, `chip_id` the PPID, and there is
    no VMPL; `tcb_status` and `advisories` are Intel's words. For SEV-SNP those two are empty. `findings` has the
    state of every advisory on this machine. `above_floor` lists the components of the reported TCB that are above the
    floor: what the fleet runs, and the floor does not require yet. `hardware` is the appraised report, for comparison
    with another party's claims about it.
    """

    tee: Tee
    product: str
    measurement: bytes
    report_data: bytes
    tcb: Tcb | TdxTcb
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    findings: tuple[AdvisoryFinding, ...] = ()
    above_floor: tuple[str, ...] = ()
    policy: int
    vmpl: int | None
    chip_id: bytes
    hardware: SnpReport | TdReport = field(repr=False)
    vm_unique_id: str
    ak: rsa.RSAPublicKey = field(repr=False)
    ephemeral: rsa.RSAPublicKey | None = field(repr=False)  # None for imported evidence
    pcrs: tuple[bytes, ...]  # 0 to 7
    boot: BootState | None  # None without a second quote
    clock: TpmClock
    vtpm_firmware: int  # firmwareVersion of the quote
    evidence_sha384: bytes
    checks: tuple[Check, ...]

    @property
    def accepted(self) -> tuple[str, ...]:
        """Ids of the advisories that are open or cannot be shown to be fixed, each accepted by name."""
        return tuple(one.id for one in self.findings if one.accepted_by)

    @property
    def early(self) -> tuple[AdvisoryFinding, ...]:
        """Advisories that are open only by Intel's early statements: they will be open once those are the standard."""
        return tuple(one for one in self.findings if one.state == "early")

    @property
    def skipped(self) -> tuple[Check, ...]:
        """The checks that had nothing to compare with: the verdict does not show these."""
        return tuple(check for check in self.checks if isinstance(check, Skipped))
