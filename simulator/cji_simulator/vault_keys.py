"""The vault's keys: versions, attributes, public form and exported form."""

import os
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from cji_simulator.encoding import CURVES, b64url, ec_jwk, rsa_jwk
from cji_simulator.release_policy import ReleasePolicy

__all__ = ["WRAPS", "Backups", "Key", "KeyVersion", "new_material", "use", "verifies", "wrap"]

Material = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

WRAPS: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1,
    "RSA_AES_KEY_WRAP_256": hashes.SHA256,
    "RSA_AES_KEY_WRAP_384": hashes.SHA384,
}
_SIGNS: Final[dict[int, tuple[str, hashes.HashAlgorithm]]] = {
    256: ("ES256", hashes.SHA256()),
    384: ("ES384", hashes.SHA384()),
    521: ("ES512", hashes.SHA512()),
}
"""RFC 7518 §3.4: algorithm and hash, by the bits of the curve."""
_OPENS: Final[dict[str, hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1(),
    "RSA-OAEP-256": hashes.SHA256(),
}
# PrivateKeyInfo of an EC key up to the private scalar, which is all that the service exports: no public key
_EC_PREFIX: Final = {
    "P-256": bytes.fromhex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420"),
    "P-384": bytes.fromhex("304e020100301006072a8648ce3d020106052b81040022043730350201010430"),
    "P-521": bytes.fromhex("3060020100301006072a8648ce3d020106052b81040023044930470201010442"),
}


@dataclass(slots=True, kw_only=True)
class KeyVersion:
    """One version of a key."""

    material: Material = field(repr=False)
    operations: list[str]
    exportable: bool
    enabled: bool = True
    version: str = field(default_factory=lambda: os.urandom(16).hex())
    created: int = field(default_factory=lambda: int(time.time()))
    times: dict[str, int] = field(default_factory=dict)  # nbf and exp, which no release looks at

    def jwk(self, kid: str) -> dict[str, Any]:
        """Return the public key as the vault shows it: an HSM's type, and an exponent of four bytes."""
        public = self.material.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            jwk = {**rsa_jwk(public), "kty": "RSA-HSM", "e": b64url(public.public_numbers().e.to_bytes(4, "big"))}
        else:
            jwk = {**ec_jwk(public), "kty": "EC-HSM"}
        return {"kid": kid, "kty": jwk.pop("kty"), "key_ops": self.operations, **jwk}

    def attributes(self) -> dict[str, Any]:
        """Return the attributes as the vault shows them."""
        return {
            "enabled": self.enabled,
            "created": self.created,
            "updated": self.created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
            "exportable": self.exportable,
            **self.times,
        }

    def exported(self) -> bytes:
        """Return PKCS#8 DER; of an EC key without the public key."""
        if isinstance(self.material, ec.EllipticCurvePrivateKey):
            size = (self.material.key_size + 7) // 8
            scalar = self.material.private_numbers().private_value.to_bytes(size, "big")
            return _EC_PREFIX[f"P-{self.material.key_size}"] + scalar
        return self.material.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(slots=True, kw_only=True)
class Key:
    """All versions of a key, oldest first, and their one release policy."""

    kty: str
    size: int
    curve: str
    policy: ReleasePolicy | None
    immutable: bool
    versions: list[KeyVersion] = field(default_factory=list)

    def find(self, version: str) -> KeyVersion | None:
        """Return one version, the newest for ''."""
        if not version:
            return self.versions[-1]
        return next((one for one in self.versions if one.version == version), None)

    def policy_json(self) -> dict[str, Any]:
        """Return `release_policy` as the vault shows it, in an object; an empty one without policy."""
        if self.policy is None:
            return {}
        data = {
            "contentType": "application/json; charset=utf-8",
            "data": b64url(self.policy.encoded),
            "immutable": self.immutable,
        }
        return {"release_policy": data}


class Backups:
    """Backups of keys, which only vaults of the same security world can open: a backup's bytes name it."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[str, Key]] = {}

    def keep(self, name: str, key: Key) -> bytes:
        """The backup of a key as it is now, with all its versions."""
        backup = os.urandom(256)
        self._kept[backup] = (name, replace(key, versions=[replace(one) for one in key.versions]))
        return backup

    def restored(self, backup: bytes) -> tuple[str, Key]:
        """The name and the key of a backup; raises KeyError."""
        name, key = self._kept[backup]
        return name, replace(key, versions=[replace(one) for one in key.versions])


def new_material(*, kty: str, size: int, curve: str) -> Material:
    """Generate a key; raises KeyError or ValueError for what the vault does not make."""
    if kty == "RSA-HSM":
        if size not in (2048, 3072, 4096):
            raise ValueError("key_size")
        return rsa.generate_private_key(65537, size)
    if kty == "EC-HSM":
        return ec.generate_private_key(CURVES[curve]())
    raise ValueError("kty")


def wrap(data: bytes, *, target: rsa.RSAPublicKey, enc: str) -> bytes:
    """Return CKM_RSA_AES_KEY_WRAP of `data` (PKCS#11 v3): OAEP of an AES-256 key, then AES-KWP under that key."""
    digest, inner = WRAPS[enc], os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(digest()), digest(), None)
    return target.encrypt(inner, oaep) + aes_key_wrap_with_padding(inner, data)


def use(material: Material, operation: str, algorithm: str, value: bytes) -> bytes:
    """Sign a digest (r ‖ s of EC) or open a ciphertext; ValueError for what the service would not do with this key."""
    match operation, material:
        case "sign", ec.EllipticCurvePrivateKey(key_size=bits) if _SIGNS.get(bits, ("",))[0] == algorithm:
            made = material.sign(value, ec.ECDSA(Prehashed(_SIGNS[bits][1])))
            return b"".join(number.to_bytes(-(-bits // 8), "big") for number in decode_dss_signature(made))
        case "sign", rsa.RSAPrivateKey() if algorithm == "RS256":
            return material.sign(value, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        case "decrypt" | "unwrapKey", rsa.RSAPrivateKey() if algorithm in _OPENS:
            digest = _OPENS[algorithm]
            return material.decrypt(value, padding.OAEP(padding.MGF1(digest), digest, None))
    raise ValueError(f"Key and algorithm {algorithm} do not fit.")


def verifies(material: Material, algorithm: str, digest: bytes, signature: bytes) -> bool:
    """Verify a signature over a digest, RS256 only; ValueError for what the service would not do with this key."""
    if not isinstance(material, rsa.RSAPrivateKey) or algorithm != "RS256":
        raise ValueError(f"Key and algorithm {algorithm} do not fit.")
    try:
        material.public_key().verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
