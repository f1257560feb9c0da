"""Names for evidence that is not Azure's, so that a refusal names the cloud or the format.

Nothing is verified here, and nothing is accepted because of it: a name is a guess from the first bytes.

* AWS Nitro, Enclaves and NitroTPM: COSE_Sign1 with ES384 around a CBOR map with module_id and pcrs (aws-nitro-enclaves-
  nsm-api, "Attestation document").
* Google Cloud: tokens of Confidential Space; vTPM attestations with certificates of "Google Cloud" (go-tpm-tools);
  extended reports whose table of certificates has Google's firmware endorsement (go-sev-guest, GCEFwCertGUID).
* Bare reports and quotes of the processors, which most other clouds and machines of one's own show.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.snp_report import REPORT_BYTES, parse_snp_report
from cji_attestation.evidence.td_quote import parse_td_quote, parse_td_report
from cji_attestation.strict import parse_object
from cji_core.strict import b64url_decode

_COSE_ES384: Final = bytes.fromhex("8444a1013822")  # an array of four, of which the first is the header {1: -35}
_COSE_TAG: Final = b"\xd2"
_MAX_LOOK: Final = 64 * 1024  # bytes
_GOOGLE_FIRMWARE: Final = uuid.UUID("9f4116cd-c503-4f5a-8f6f-fb68882f4ce2").bytes_le
_TEXT: Final = re.compile(rb"[A-Za-z0-9+/=_\-\s]+")
_ISSUERS: Final[Mapping[str, str]] = {
    "https://confidentialcomputing.googleapis.com": "a token of Google Cloud's attestation service",
    "https://portal.trustauthority.intel.com": "a token of Intel Trust Authority",
}
_HCL_KINDS: Final[Mapping[int, str]] = {
    0: "invalid",
    1: "VBS",
    3: "Trusted Launch, which is not confidential",
    5: "Arm CCA",
}
_SGX_TEE: Final = bytes(4)


def looks_like(data: bytes) -> str:
    """A name for evidence that is not an HCL report of a confidential VM; empty for what nobody here recognises."""
    head = data[:_MAX_LOOK]
    return next((name for look in _LOOKS if (name := look(head))), "")


def bare_report(data: bytes) -> str:
    """A name for a processor's own report or quote without an HCL report around it; empty for anything else."""
    for name, parse in _BARE.items():
        try:
            parse(data)
        except AttestationError:
            continue
        return f"{name}{_signer(data) if name == 'an SNP report' else ''}"
    return ""


def _extended(data: bytes) -> str:
    """An SNP report with the host's table of certificates behind it (GHCB, "SNP Extended Guest Request")."""
    if bare_report(data[:REPORT_BYTES]) == "":
        return ""
    whose = " of Google Cloud" if _GOOGLE_FIRMWARE in data[REPORT_BYTES:] else ""
    return f"an extended SNP report{whose}, with its host's certificates"


def _signer(report: bytes) -> str:
    return " signed by a VLEK, as on AWS" if parse_snp_report(report).signing_key == 1 else ""


def _nitro(data: bytes) -> str:
    if not data.removeprefix(_COSE_TAG).startswith(_COSE_ES384) or b"module_id" not in data:
        return ""
    return f"an attestation document of AWS {'NitroTPM' if b'nitrotpm_pcrs' in data else 'Nitro Enclaves'}"


def _google(data: bytes) -> str:
    google = b"Google Cloud" in data or b"GCE Virtual Firmware" in data or b"GCE NonHostInfo" in data
    return "an attestation of a vTPM of Google Cloud" if google else ""


def _token(data: bytes) -> str:
    parts = data.strip().split(b".")
    if len(parts) != 3 or not data.startswith(b"eyJ"):
        return ""
    try:
        payload = b64url_decode(parts[1].decode("ascii"))
        claims = parse_object(payload, limit=_MAX_LOOK, fault=Fault.EVIDENCE_INVALID, check="token")
    except (ValueError, AttestationError):
        return "a token"
    issuer = str(claims.get("iss"))
    if ".attest.azure.net" in issuer:
        return "a token of Azure Attestation, which is not the evidence itself"
    return _ISSUERS.get(issuer.rstrip("/"), "a token of another service")


def _hcl(data: bytes) -> str:
    if not data.startswith(b"HCLA") or len(data) < 1228:
        return ""
    kind = _HCL_KINDS.get(int.from_bytes(data[1224:1228], "little"))
    return f"an HCL report of kind {kind}" if kind else ""


def _enclave(data: bytes) -> str:
    return "a quote of an SGX enclave" if data[:4] == b"\x03\0\x02\0" and data[4:8] == _SGX_TEE else ""


def _encoded(data: bytes) -> str:
    """The same in base64, as most interfaces hand it out."""
    if not _TEXT.fullmatch(data):
        return ""
    text = b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        inner = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return ""
    found = next((name for look in _LOOKS[:-1] if (name := look(inner))), "")
    return f"{found} in base64" if found else ""


_BARE: Final[dict[str, Callable[[bytes], object]]] = {
    "an SNP report": parse_snp_report,
    "a TDREPORT": parse_td_report,
    "a TD quote": parse_td_quote,
}
_LOOKS: Final[tuple[Callable[[bytes], str], ...]] = (
    _hcl,
    bare_report,
    _extended,
    _nitro,
    _token,
    _google,
    _enclave,
    _encoded,
)
