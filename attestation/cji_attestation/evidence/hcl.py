"""The HCL report of NV 0x01400001: a hardware report and the runtime claims that it is bound to. Little-endian.

Layout (learn.microsoft.com, "Azure confidential VM guest attestation design"; openvmm, igvm_attest/get.rs):
0 "HCLA" · 4 version 1 or 2 · 8 report size = 1236 + claims · 12 request type 2 · 16 status 0 · 20 reserved ·
32 hardware report, 1184 bytes (SNP report, or TDREPORT of 1024 and zeros) · 1216 data size = 20 + claims ·
1220 data version 1 · 1224 report type 2 SNP, 4 TDX · 1228 hash type · 1232 size of claims · 1236 claims, JSON · zeros.
Parsing verifies nothing: that is for `cji_attestation.appraisal`.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import member, parse_object, rsa_from_jwk, text_member
from cji_core.strict import JsonObject

Tee = Literal["snp", "tdx"]
HEADER_BYTES: Final = 32
HARDWARE_BYTES: Final = 1184
CLAIMS_AT: Final = 1236
MAX_BYTES: Final = 8192  # OpenHCL allocates 2900, older hosts 2600
TDREPORT_BYTES: Final = 1024
AK_KID: Final = "HCLAkPub"
_TEES: Final[dict[int, Tee]] = {2: "snp", 4: "tdx"}
_HASHES: Final = {1: "sha256", 2: "sha384", 3: "sha512"}
_REPORT_DATA_AT: Final[dict[Tee, int]] = {"snp": 0x50, "tdx": 128}
_CHECK: Final = "hcl"


@dataclass(frozen=True, slots=True, kw_only=True)
class HclReport:
    """A parsed HCL report. `raw` has no padding; `claims_bytes` are the exact bytes that `report_data` commits to."""

    raw: bytes
    tee: Tee
    hardware: bytes  # 1184 bytes for SNP, 1024 for TDX
    report_data: bytes  # 64 bytes
    hash_name: str
    claims_bytes: bytes
    claims: JsonObject
    ak: rsa.RSAPublicKey
    vm_unique_id: str
    user_data: str  # hexadecimal, "" on reports of 2022


def runtime_ak(claims: JsonObject, *, fault: Fault, check: str) -> rsa.RSAPublicKey:
    """The key of the one JWK whose kid is exactly HCLAkPub; none, two or another spelling is an error."""
    keys = claims.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise AttestationError(fault, check=check)
    spelled = [key for key in keys if str(key.get("kid", "")).casefold() == AK_KID.casefold()]
    if len(spelled) != 1 or spelled[0].get("kid") != AK_KID or spelled[0].get("kty") != "RSA":
        raise AttestationError(fault, check=check)
    return rsa_from_jwk(spelled[0], fault=fault, check=check)


def _invalid(error: Exception | None = None) -> AttestationError:
    refusal = AttestationError(Fault.EVIDENCE_INVALID, check=_CHECK)
    refusal.__cause__ = error
    return refusal


def parse_hcl(data: bytes) -> HclReport:
    """Parse an NV dump, with or without zero padding; raises AttestationError(EVIDENCE_INVALID, "hcl" or "hcl-ak")."""
    if not CLAIMS_AT < len(data) <= MAX_BYTES:
        raise _invalid()
    magic, version, size, request, status, reserved = struct.unpack_from("<4sIIII12s", data, 0)
    data_size, data_version, kind, hash_type, claims_size = struct.unpack_from("<5I", data, 1216)
    end = CLAIMS_AT + claims_size
    consistent = (
        magic == b"HCLA"
        and version in {1, 2}
        and request == 2
        and status == 0
        and not any(reserved)
        and data_version == 1
        and kind in _TEES
        and hash_type in _HASHES
        and 0 < claims_size <= len(data) - CLAIMS_AT
        and size == end
        and data_size == 20 + claims_size
        and not any(data[end:])
    )
    if not consistent:
        raise _invalid()
    tee = _TEES[kind]
    hardware = data[HEADER_BYTES : HEADER_BYTES + HARDWARE_BYTES]
    if tee == "tdx":
        if any(hardware[TDREPORT_BYTES:]):
            raise _invalid()
        hardware = hardware[:TDREPORT_BYTES]
    claims_bytes = data[CLAIMS_AT:end]
    claims = parse_object(claims_bytes, limit=MAX_BYTES, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    machine = member(claims, "vm-configuration", fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    user_data = claims.get("user-data", "")
    if not isinstance(user_data, str):
        raise _invalid()
    at = _REPORT_DATA_AT[tee]
    return HclReport(
        raw=data[:end],
        tee=tee,
        hardware=hardware,
        report_data=hardware[at : at + 64],
        hash_name=_HASHES[hash_type],
        claims_bytes=claims_bytes,
        claims=claims,
        ak=runtime_ak(claims, fault=Fault.EVIDENCE_INVALID, check="hcl-ak"),
        vm_unique_id=text_member(machine, "vmUniqueId", fault=Fault.EVIDENCE_INVALID, check=_CHECK),
        user_data=user_data,
    )
