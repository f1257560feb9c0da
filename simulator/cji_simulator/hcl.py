"""The HCL report that the paravisor keeps in NV 0x01400001: header, hardware report, runtime claims.

Layout: microsoft/openvmm, openhcl_attestation_protocol `igvm_attest/get.rs`. The hardware report's `report_data` is
the SHA-256 of the runtime claims' exact bytes, so their order and separators are part of the format. Machines with
SEV-SNP have the closed HCL (version 1, capitals), those with TDX have OpenHCL (version 2, small letters).
"""

import hashlib
import json
import struct
import uuid
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator.encoding import rsa_jwk
from cji_simulator.snp import REPORT_LENGTH

__all__ = ["NV_SIZE", "USER_DATA_LENGTH", "RuntimeClaims", "Tee", "report", "report_data"]

Tee = Literal["snp", "tdx"]
NV_SIZE: Final[dict[Tee, int]] = {"snp": 2600, "tdx": 2900}
USER_DATA_LENGTH: Final = 64
_AK_CERT_REQUEST: Final = 2
_KINDS: Final[dict[Tee, tuple[int, int]]] = {"snp": (1, 2), "tdx": (2, 4)}  # version of the header, type of the report
_SHA256: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeClaims:
    """The paravisor's claims in addition to the hardware report."""

    ak: rsa.RSAPublicKey
    ek: rsa.RSAPublicKey
    vm_id: uuid.UUID
    tee: Tee = "snp"

    def encode(self, user_data: bytes) -> bytes:
        """Return the JSON as machines with SEV-SNP have written it since 2024, or those with TDX since 2026."""
        configuration: dict[str, object] = {
            "console-enabled": True,
            "root-cert-thumbprint": "",
            "secure-boot": True,
            "tpm-enabled": True,
            "tpm-persisted": True,
            "vmUniqueId": str(self.vm_id).upper(),
        }
        said = user_data.hex().upper()
        if self.tee == "tdx":
            configuration = {
                "root-cert-thumbprint": "",
                "console-enabled": True,
                "secure-boot": True,
                "tpm-enabled": True,
                "tpm-persisted": True,
                "filtered-vpci-devices-allowed": False,
                "vmUniqueId": str(self.vm_id),
            }
            said = user_data.hex()
        keys = [self._key("HCLAkPub", "sign", self.ak), self._key("HCLEkPub", "encrypt", self.ek)]
        claims = {"keys": keys, "vm-configuration": configuration, "user-data": said}
        return json.dumps(claims, separators=(",", ":")).encode()

    @staticmethod
    def _key(kid: str, operation: str, key: rsa.RSAPublicKey) -> dict[str, object]:
        jwk = rsa_jwk(key)
        return {"kid": kid, "key_ops": [operation], "kty": "RSA", "e": jwk["e"], "n": jwk["n"]}


def report_data(claims: bytes) -> bytes:
    """Return the 64 bytes that the hardware report must carry for these claims."""
    return hashlib.sha256(claims).digest() + bytes(32)


def report(hardware_report: bytes, claims: bytes, tee: Tee = "snp") -> bytes:
    """Return the whole NV content, zero-padded."""
    version, kind = _KINDS[tee]
    size = 32 + REPORT_LENGTH + 20 + len(claims)
    header = struct.pack("<4sIIII12x", b"HCLA", version, size, _AK_CERT_REQUEST, 0)
    data = struct.pack("<IIIII", 20 + len(claims), 1, kind, _SHA256, len(claims))
    return (header + hardware_report.ljust(REPORT_LENGTH, b"\0") + data + claims).ljust(NV_SIZE[tee], b"\0")
