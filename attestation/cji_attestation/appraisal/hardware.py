"""`Hardware`: what a processor's own evidence shows of a machine, in the same words for both vendors."""

from dataclasses import dataclass

from cji_attestation.evidence import SnpReport, Tcb, TdReport, TdxTcb


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Authentic, but not yet compared with any reference value. `Verdict` documents the fields for TDX."""

    product: str
    measurement: bytes
    tcb: Tcb | TdxTcb
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    policy: int
    vmpl: int | None
    chip_id: bytes
    report: SnpReport | TdReport
