"""The instance metadata service: AMD certificates, TD quotes, the region, user data. All are the host's word only.

Every request carries `Metadata: true`, bypasses proxies and is bounded in size and time; on a worker it goes to the
broker's socket (`cji_core.metadata`). THIM is the service's Trusted Hardware Identity Management branch.
"""

import json
import re
import time
from dataclasses import dataclass
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.service import MAX_REPLY_BYTES, TOTAL_SECONDS, request_until
from cji_attestation.strict import parse_object, text_member
from cji_attestation.trust import Endpoint, Trust, metadata_endpoint
from cji_core.metadata import AMD_CERTIFICATES, HEADERS, LOCATION, TD_QUOTE, USER_DATA
from cji_core.strict import JsonObject, b64_decode, b64url, b64url_decode, hex_decode

NOT_READY: Final = frozenset({404, 410})  # 404 is usual in the first minutes after boot
MAX_USER_DATA: Final = 64 * 1024  # bytes, before base64; Azure's limit
_MAX_USER_DATA_TEXT: Final = MAX_USER_DATA * 4 // 3 + 4
TCB_BYTES: Final = 8
_THIM: Final = "imds-thim"
_REGION: Final = re.compile(r"[a-z0-9]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdCertificates:
    """PEM of VCEK, ASK and ARK in this order, and the TCB that the VCEK was made for (8 bytes as in the report)."""

    pem: bytes
    chain: bytes  # PEM of ASK and ARK
    tcb: bytes


def imds_endpoint(trust: Trust) -> Endpoint:
    """The pinned address: of the broker's socket, or a base URL."""
    return metadata_endpoint(trust)


def _request(trust: Trust, *, check: str, path: str, body: bytes | None = None, limit: int = MAX_REPLY_BYTES) -> bytes:
    return request_until(
        imds_endpoint(trust),
        path=path,
        headers=HEADERS | ({} if body is None else {"Content-Type": "application/json"}),
        body=body,
        until=time.monotonic() + TOTAL_SECONDS,
        also_retried=NOT_READY,
        check=check,
        limit=limit,
    ).body


def _object(data: bytes, check: str) -> JsonObject:
    return parse_object(data, limit=MAX_REPLY_BYTES, fault=Fault.EVIDENCE_UNAVAILABLE, check=check)


def amd_certificates(trust: Trust) -> AmdCertificates:
    """The chip's certificates from THIM; EVIDENCE_UNAVAILABLE "imds-thim" where it has none."""
    reply = _request(trust, check=_THIM, path=AMD_CERTIFICATES)
    return read_thim(reply, fault=Fault.EVIDENCE_UNAVAILABLE)


def read_thim(data: bytes, *, fault: Fault) -> AmdCertificates:
    """The certificates in an answer of THIM: `fault` "imds-thim" for any other text."""
    reply = parse_object(data, limit=MAX_REPLY_BYTES, fault=fault, check=_THIM)
    vcek, chain, tcbm = (
        text_member(reply, name, fault=fault, check=_THIM) for name in ("vcekCert", "certificateChain", "tcbm")
    )
    try:
        # tcbm is the number's hexadecimal, in capitals; the report has it little-endian
        tcb = hex_decode(tcbm.lower(), size=TCB_BYTES)[::-1]
        issuers = chain.encode("ascii").rstrip() + b"\n"
        pem = vcek.encode("ascii").rstrip() + b"\n" + issuers
    except ValueError as error:
        raise AttestationError(fault, check=_THIM) from error
    return AmdCertificates(pem=pem, chain=issuers, tcb=tcb)


def td_quote(trust: Trust, report: bytes) -> bytes:
    """The quote that the host makes of a TDREPORT of 1024 bytes."""
    check = "imds-tdquote"
    body = json.dumps({"report": b64url(report)}).encode("ascii")
    reply = _object(_request(trust, check=check, path=TD_QUOTE, body=body), check)
    try:
        return b64url_decode(text_member(reply, "quote", fault=Fault.EVIDENCE_UNAVAILABLE, check=check).rstrip("="))
    except ValueError as error:
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check) from error


def region(trust: Trust) -> str:
    """The Azure region's name, such as "eastus"; for receipts, for people, and to refuse a machine. It admits none."""
    check = "imds-location"
    text = _request(trust, check=check, path=LOCATION).strip().decode("ascii", "replace")
    if not _REGION.fullmatch(text):
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check)
    return text


def user_data(trust: Trust) -> bytes:
    """The user data of this machine, 1 byte to 64 KiB: anybody with a right to the VM in Azure can write them.

    EVIDENCE_UNAVAILABLE "user-data" for a machine that has none.
    """
    check = "user-data"
    text = _request(trust, check=check, path=USER_DATA, limit=_MAX_USER_DATA_TEXT).strip()
    try:
        found = b64_decode(text.decode("ascii"))
    except ValueError as error:
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check) from error
    if not 0 < len(found) <= MAX_USER_DATA:
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check)
    return found
