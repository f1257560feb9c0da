"""The HCL report that the paravisor keeps in NV 0x01400001: header, hardware report, runtime claims.

Layout: microsoft/openvmm, openhcl_attestation_protocol `igvm_attest/get.rs`. The hardware report's `report_data` is
the SHA-256 of the runtime claims' exact bytes, so their order and separators are part of the format.
"""

import hashlib
import json
import struct
import uuid
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator.encoding import rsa_jwk
from cji_simulator.snp import REPORT_LENGTH

__all__ = ["NV_SIZE", "USER_DATA_LENGTH", "RuntimeClaims", "report", "report_data"]

NV_SIZE: Final = 2600
USER_DATA_LENGTH: Final = 64
_AK_CERT_REQUEST: Final = 2
_SNP: Final = 2
_SHA256: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeClaims:
    """What the paravisor vouches for besides the hardware report."""

    ak: rsa.RSAPublicKey
    ek: rsa.RSAPublicKey
    vm_id: uuid.UUID

    def encode(self, user_data: bytes) -> bytes:
        """Return the JSON as machines with SNP have written it since 2024: no spaces, GUID and hex in capitals."""
        configuration = {
            "console-enabled": True,
            "root-cert-thumbprint": "",
            "secure-boot": True,
            "tpm-enabled": True,
            "tpm-persisted": True,
            "vmUniqueId": str(self.vm_id).upper(),
        }
        keys = [self._key("HCLAkPub", "sign", self.ak), self._key("HCLEkPub", "encrypt", self.ek)]
        claims = {"keys": keys, "vm-configuration": configuration, "user-data": user_data.hex().upper()}
        return json.dumps(claims, separators=(",", ":")).encode()

    @staticmethod
    def _key(kid: str, operation: str, key: rsa.RSAPublicKey) -> dict[str, object]:
        jwk = rsa_jwk(key)
        return {"kid": kid, "key_ops": [operation], "kty": "RSA", "e": jwk["e"], "n": jwk["n"]}


def report_data(claims: bytes) -> bytes:
    """Return the 64 bytes that the hardware report must carry for these claims."""
    return hashlib.sha256(claims).digest() + bytes(32)


def report(hardware_report: bytes, claims: bytes) -> bytes:
    """Return the whole NV content, zero-padded."""
    size = 32 + REPORT_LENGTH + 20 + len(claims)
    header = struct.pack("<4sIIII12x", b"HCLA", 1, size, _AK_CERT_REQUEST, 0)
    data = struct.pack("<IIIII", 20 + len(claims), 1, _SNP, _SHA256, len(claims))
    return (header + hardware_report + data + claims).ljust(NV_SIZE, b"\0")
