"""A Managed HSM's attestation of a key, made as Microsoft's verifier reads it; each part can be replaced and signed."""

import functools
import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_attestation.release import AttestedKey, verify_key_attestation
from cji_attestation.release.hsm import CLASS, EXPONENT, ID, KEY_TYPE, LOCAL, MODULUS, SENSITIVE
from cji_core.certs import spki_sha256
from cji_core.jose import jwk_thumbprint
from cji_core.strict import b64url
from cji_simulator.certificates import Credential, authority, leaf, pem

VERSION = "0123456789abcdef0123456789abcdef"
KEK = f"https://agency.managedhsm.azure.net/keys/cji-cmk/{VERSION}"
NOW = datetime.now(UTC)
Attributes = dict[int, bytes]


@dataclass(frozen=True, kw_only=True)
class Hsm:
    root: Credential
    partition: Credential
    key: rsa.RSAPrivateKey

    @property
    def thumbprint(self) -> str:
        return b64url(jwk_thumbprint(self.key.public_key()))


@functools.cache
def hsm() -> Hsm:
    root, adapter, partition = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    maker = authority("Maker", root)
    return Hsm(
        root=maker,
        partition=leaf("partition", partition, authority("Adapter", adapter, maker)),
        key=rsa.generate_private_key(65537, 3072),
    )


def attributes(*, private: bool, **changes: bytes | None) -> Attributes:
    numbers = hsm().key.public_key().public_numbers()
    found: dict[int, bytes | None] = {
        CLASS: b"\3" if private else b"\2",
        KEY_TYPE: b"\0",
        ID: f"hsm/keys/cji-cmk/{VERSION}".encode() + bytes(3),
        MODULUS: numbers.n.to_bytes(384, "big"),
        EXPONENT: numbers.e.to_bytes(3, "big"),
    }
    if private:
        found |= {SENSITIVE: b"\1", LOCAL: b"\1", MODULUS: None, EXPONENT: None}
    found |= {int(name[1:], 16): value for name, value in changes.items()}
    return {kind: value for kind, value in found.items() if value is not None}


def statement(given: Attributes, *, at: int = 8, signer: rsa.RSAPrivateKey | None = None, **wrong: int) -> bytes:
    body = b"".join(struct.pack(">II", kind, len(value)) + value for kind, value in given.items())
    data = struct.pack(">4H", 0, 0, at, 0) + struct.pack(">III", 7, wrong.get("count", len(given)), 0) + body
    total, size = wrong.get("total", 16 + len(data) + 256), wrong.get("size", len(data))
    return signed(struct.pack(">4I", 0, 0, total, size) + data, signer)


def signed(message: bytes, signer: rsa.RSAPrivateKey | None = None) -> bytes:
    return message + (signer or hsm().partition.rsa()).sign(message, padding.PKCS1v15(), hashes.SHA256())


def bundle(*, private: bytes | None = None, public: bytes | None = None, chain: bytes = b"", **changes: Any) -> bytes:
    certificates = chain or b"".join(pem(one) for one in hsm().partition.chain[:2])
    inner = {
        "version": "3.4.1",
        "certificatePemFile": b64url(certificates),
        "privateKeyAttestation": b64url(statement(attributes(private=True)) if private is None else private),
        "publicKeyAttestation": b64url(statement(attributes(private=False)) if public is None else public),
        **changes,
    }
    return json.dumps({"key": {}, "attributes": {"enabled": True, "attestation": inner}}).encode()


def verify(data: bytes, **kw: Any) -> AttestedKey:
    given: dict[str, Any] = {
        "kek_id": KEK,
        "public_thumbprint": hsm().thumbprint,
        "maker": pem(hsm().root.certificate),
        "now": NOW,
        "roots": (spki_sha256(hsm().root.certificate.public_key()),),
    }
    return verify_key_attestation(data, **(given | kw))
