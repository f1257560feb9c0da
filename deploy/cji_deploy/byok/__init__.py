"""Bring your own key: the transfer blob in which Key Vault and Managed HSM take a key that was made elsewhere.

Contract: `transfer_blob` wraps a private key for one key exchange key (KEK) of a vault, and only the HSM behind it can
unwrap it. `python -m cji_deploy.byok` writes the file for `az keyvault key import --byok-file`; the README has the
steps.

Format: RSA-OAEP with SHA-1 of a fresh AES-256 key, then AES key wrap with padding (RFC 5649) of the key's PKCS#8:
CKM_RSA_AES_KEY_WRAP of PKCS#11, in JSON with the KEK's address. SHA-1 is the vault's choice; OAEP is sound with it.
Source: learn.microsoft.com, "Bring your own key specification".
"""

import base64
import json
import os
import re
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from cji_core.certs import CertificateRefused, load_private_key
from cji_deploy.errors import DeploymentError

__all__ = ["ByokError", "load_kek", "load_target", "transfer_blob"]

_KID: Final = re.compile(
    r"https://[a-z0-9-]{3,24}\.(vault|managedhsm)\.(azure\.net|usgovcloudapi\.net)/keys/[A-Za-z0-9-]{1,127}/[0-9a-f]{32}"
)
_KEK_BITS: Final = (3072, 4096)  # the vault would also take 2048
_TARGET_BITS: Final = (3072, 4096)  # the worker refuses a shorter master key
_EXPONENT: Final = 65537
_MAX_BYTES: Final = 64 << 10
_GENERATOR: Final = "cji-worker deploy/byok; software key"


class ByokError(DeploymentError):
    """A key or an address that no vault would take, or that is too weak."""

    code = "byok-refused"
    remedy = "Make a KEK of RSA-HSM with 3072 bits or more, and download its public half again."


def load_kek(pem: bytes) -> rsa.RSAPublicKey:
    """Public half of the KEK, as `az keyvault key download` writes it. Raises ByokError."""
    try:
        key = serialization.load_pem_public_key(_bounded(pem))
    except ValueError as error:
        raise ByokError("the KEK is not a public key in PEM") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _KEK_BITS:
        raise ByokError("the KEK must be an RSA key of 3072 or 4096 bits")
    return key


def load_target(pem: bytes, passphrase: bytes | None) -> rsa.RSAPrivateKey:
    """The key to transfer: a private RSA key in PEM, which may be encrypted. Raises ByokError."""
    try:
        key = load_private_key(pem, passphrase)
    except CertificateRefused as error:
        raise ByokError("the key is not a private key in PEM, or the passphrase is wrong or missing") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size not in _TARGET_BITS:
        raise ByokError("the key must be an RSA key of 3072 or 4096 bits")
    if key.public_key().public_numbers().e != _EXPONENT:
        raise ByokError(f"the key's public exponent must be {_EXPONENT}")
    return key


def _bounded(pem: bytes) -> bytes:
    if len(pem) > _MAX_BYTES:
        raise ValueError("too long")
    return pem


def transfer_blob(kek: rsa.RSAPublicKey, kid: str, target: rsa.RSAPrivateKey) -> bytes:
    """Content of the `.byok` file. `kid` is the KEK's address with its version. Raises ByokError."""
    if _KID.fullmatch(kid) is None:
        raise ByokError("the KEK's address must be https://NAME.vault.azure.net/keys/NAME/VERSION, or of Managed HSM")
    if kek.public_numbers() == target.public_key().public_numbers():
        raise ByokError("the KEK and the key are the same")
    ephemeral = os.urandom(32)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - the format's
    pkcs8 = target.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    wrapped = kek.encrypt(ephemeral, oaep) + aes_key_wrap_with_padding(ephemeral, pkcs8)
    blob = {
        "schema_version": "1.0.0",
        "header": {"kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"},
        "ciphertext": base64.urlsafe_b64encode(wrapped).decode().rstrip("="),
        "generator": _GENERATOR,
    }
    return (json.dumps(blob, indent=2) + "\n").encode()
