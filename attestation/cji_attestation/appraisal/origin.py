"""Whether the evidence is Azure's at all. It runs first: what another cloud shows is not broken, it is not Azure's.

The report is authentic only after E02 and E06, or E28; until then this is a comparison of unverified bytes, which can
refuse and cannot accept.
"""

from collections.abc import Callable
from typing import Final

from cji_attestation.appraisal.azure import IdKey, id_key, knows_mrtd
from cji_attestation.appraisal.reference import ReferenceValues
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence import HclReport, parse_snp_report, parse_td_quote, parse_td_report

_ID_KEY_DIGEST: Final = slice(0xE0, 0x110)  # AMD 56860, ATTESTATION_REPORT
_MRTD: Final = slice(528, 576)  # Intel TDX Module ABI, TDREPORT_STRUCT
_BARE: Final[dict[str, Callable[[bytes], object]]] = {
    "an SNP report": parse_snp_report,
    "a TDREPORT": parse_td_report,
    "a TD quote": parse_td_quote,
}


def foreign(data: bytes) -> AttestationError | None:
    """E40 for a hardware report without Azure's HCL report around it, as machines of other clouds have it."""
    for kind, parse in _BARE.items():
        try:
            parse(data)
        except AttestationError:
            continue
        return _not_azure(f"{kind} without an HCL report")
    return None


def check_origin(report: HclReport, reference: ReferenceValues) -> tuple[IdKey | None, Check]:
    """E40, and the key that signed the paravisor, which TDX has not."""
    if report.tee == "tdx":
        mrtd = report.hardware[_MRTD]
        if knows_mrtd(mrtd, reference.mrtds):
            return None, Check("E40", f"paravisor with MRTD {mrtd.hex()}")
        return None, Skipped("E40", f"MRTD {mrtd.hex()} is not a known paravisor's: only Microsoft's token can vouch")
    digest = report.hardware[_ID_KEY_DIGEST]
    known = id_key(digest, reference.id_keys)
    if known is None:
        raise _not_azure(f"ID key {digest.hex()}" if any(digest) else "firmware that no ID key signed")
    return known, Check("E40", f"paravisor under ID key {digest.hex()}")


def _not_azure(found: str) -> AttestationError:
    return AttestationError(Fault.POLICY_MISMATCH, check="E40", found=f"not Azure: {found}")
