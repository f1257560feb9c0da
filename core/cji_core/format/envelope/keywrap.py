r"""Keys that travel with a job: its data key, its result key, and what the data key wraps.

    data key      random, or a KEM's, for the worker's key (CMK, and its ML-KEM half in hybrid-1)
    result key    random, wrapped for each recipient
    boxes         the header's attribution and the keys of projects, under the data key

RSA-OAEP is that of RFC 8017 §7.1 with SHA-256, MGF1-SHA-256 and no label. In hybrid-1 the data key is

    HKDF-SHA-384(ikm = ML-KEM shared secret ‖ RSA-OAEP plaintext, info = label ‖ SHA-256 thumbprints of both keys ‖
                 SHA-384(both ciphertexts))

which is the KDF of concatenated secrets of NIST SP 800-227 §4.6 and SP 800-56C. X-Wing leaves out what its KEMs bind
by themselves; RSA-OAEP binds neither its ciphertext nor its key, so the whole transcript is in the info. One half alone
gives nothing.

Every failure to open a data key is the same DEK_UNWRAP_FAILED. A wrong ML-KEM half gives another key (FIPS 203,
implicit rejection), under which no box opens: what fails then is `open_box`, with the same refusal.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from cji_core.errors import Reason, Refusal, Stage
from cji_core.jose import RecipientKey, thumbprint
from cji_core.pairs import ML_KEM_BYTES, POINT_BYTES, DecryptionPair
from cji_core.suites import Suite

DEK_BYTES: Final = 32
PROJECT_KEY_BYTES: Final = 32
SEED_BYTES: Final = 64  # d ‖ z of FIPS 203 §7.1
HPKE_OVERHEAD_BYTES: Final = ML_KEM_BYTES + POINT_BYTES + 16

_IV: Final = 12
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """The worker's public key: the CMK, and its ML-KEM-1024 half if it takes hybrid jobs."""

    rsa_key: rsa.RSAPublicKey = field(repr=False)
    ml_kem: mlkem.MLKEM1024PublicKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UnwrappingKey:
    """The private halves of a `WrappingKey`, as the keyholder has them after a release."""

    rsa_key: rsa.RSAPrivateKey = field(repr=False)
    ml_kem: mlkem.MLKEM1024PrivateKey | None = field(default=None, repr=False)

    def public_key(self) -> WrappingKey:
        """The public halves."""
        return WrappingKey(self.rsa_key.public_key(), self.ml_kem.public_key() if self.ml_kem else None)


def new_dek(key: WrappingKey, suite: Suite) -> tuple[bytes, bytes]:
    """A fresh 32-byte data key and its `wrapped_dek`. ValueError for hybrid-1 with a key that has no ML-KEM half."""
    random = secrets.token_bytes(DEK_BYTES)
    wrapped = wrap_dek(key.rsa_key, random)
    if suite is Suite.CLASSICAL_1:
        return random, wrapped
    if key.ml_kem is None:
        raise ValueError("hybrid-1 needs an ML-KEM key")
    shared, ciphertext = key.ml_kem.encapsulate()
    return _combine(shared, random, key, ciphertext + wrapped), ciphertext + wrapped


def open_dek(key: UnwrappingKey, wrapped: bytes, suite: Suite) -> bytes:
    """The 32-byte data key of `wrapped_dek`. Raises DEK_UNWRAP_FAILED, in hybrid-1 after the work for both halves."""
    if suite is Suite.CLASSICAL_1:
        return unwrap_dek(key.rsa_key, wrapped)
    if key.ml_kem is None or len(wrapped) <= ML_KEM_BYTES:
        raise _failed()
    plain = _decrypt(key.rsa_key, wrapped[ML_KEM_BYTES:])
    right = len(plain) == DEK_BYTES
    shared = key.ml_kem.decapsulate(wrapped[:ML_KEM_BYTES])
    dek = _combine(shared, plain if right else bytes(DEK_BYTES), key.public_key(), wrapped)
    if not right:
        raise _failed()
    return dek


def wrap_dek(public_key: rsa.RSAPublicKey, dek: bytes) -> bytes:
    """Wrap a 32-byte data key, or its RSA half."""
    if len(dek) != DEK_BYTES:
        raise ValueError("a data key has 32 bytes")
    return public_key.encrypt(dek, _OAEP)


def unwrap_dek(private_key: rsa.RSAPrivateKey, wrapped: bytes) -> bytes:
    """The 32-byte data key; every failure is the same DEK_UNWRAP_FAILED."""
    dek = _decrypt(private_key, wrapped)
    if len(dek) != DEK_BYTES:
        raise _failed()
    return dek


def wrap_result_key(recipient: RecipientKey, key: bytes, header_sha384: bytes) -> bytes:
    """Wrap the result key of the job with this header for a recipient, by the kind of the recipient's key."""
    if isinstance(recipient, rsa.RSAPublicKey):
        return wrap_dek(recipient, key)
    return _hpke().encrypt(key, recipient.hpke, _result_info(header_sha384))


def unwrap_result_key(private_key: rsa.RSAPrivateKey | DecryptionPair, wrapped: bytes, header_sha384: bytes) -> bytes:
    """The result key; every failure is the same DEK_UNWRAP_FAILED."""
    if isinstance(private_key, rsa.RSAPrivateKey):
        return unwrap_dek(private_key, wrapped)
    try:
        key = _hpke().decrypt(wrapped, private_key.hpke, _result_info(header_sha384))
    except InvalidTag:
        raise _failed() from None
    if len(key) != DEK_BYTES:
        raise _failed()
    return key


def wrapped_result_key_bytes(recipient: RecipientKey) -> int:
    """Length of what `wrap_result_key` returns for this recipient."""
    if isinstance(recipient, rsa.RSAPublicKey):
        return (recipient.key_size + 7) // 8
    return DEK_BYTES + HPKE_OVERHEAD_BYTES


def seal_box(dek: bytes, purpose: bytes, plaintext: bytes) -> bytes:
    """IV ‖ AES-256-GCM of a secret that only this purpose opens, under a key derived from the data key."""
    iv = os.urandom(_IV)
    return iv + _box_cipher(dek, purpose).encrypt(iv, plaintext, None)


def open_box(dek: bytes, purpose: bytes, box: bytes) -> bytes:
    """The plaintext of a box of this purpose; every failure is the same DEK_UNWRAP_FAILED."""
    try:
        return _box_cipher(dek, purpose).decrypt(box[:_IV], box[_IV:], None)
    except (InvalidTag, ValueError):
        raise _failed() from None


def wrap_project_key(dek: bytes, project: str, key: bytes) -> bytes:
    """Wrap a 32-byte project key for the project with this name, under the data key of a job."""
    if len(key) != PROJECT_KEY_BYTES:
        raise ValueError("a project key has 32 bytes")
    return seal_box(dek, _project(project), key)


def unwrap_project_key(dek: bytes, project: str, wrapped: bytes) -> bytes:
    """The 32-byte key of this project; every failure is the same DEK_UNWRAP_FAILED."""
    key = open_box(dek, _project(project), wrapped)
    if len(key) != PROJECT_KEY_BYTES:
        raise _failed()
    return key


def wrap_seed(public_key: rsa.RSAPublicKey, kek_id: str, seed: bytes) -> bytes:
    """Wrap the 64-byte seed of the ML-KEM half of the key with this id: nobody has it before the CMK is released."""
    if len(seed) != SEED_BYTES:
        raise ValueError("a seed of ML-KEM has 64 bytes")
    return public_key.encrypt(_seed_prefix(kek_id) + seed, _OAEP)


def unwrap_seed(private_key: rsa.RSAPrivateKey, kek_id: str, wrapped: bytes) -> bytes:
    """The 64-byte seed for this key id; every failure is the same DEK_UNWRAP_FAILED."""
    prefix = _seed_prefix(kek_id)
    plain = _decrypt(private_key, wrapped)
    if not hmac.compare_digest(plain[: len(prefix)], prefix) or len(plain) != len(prefix) + SEED_BYTES:
        raise _failed()
    return plain[len(prefix) :]


def _combine(shared: bytes, random: bytes, key: WrappingKey, wrapped: bytes) -> bytes:
    assert key.ml_kem is not None  # noqa: S101 - both callers have looked
    transcript = thumbprint(key.ml_kem) + thumbprint(key.rsa_key) + hashlib.sha384(wrapped).digest()
    info = b"cji-hybrid-1/dek\0" + transcript
    return HKDF(algorithm=hashes.SHA384(), length=DEK_BYTES, salt=None, info=info).derive(shared + random)


def _box_cipher(dek: bytes, purpose: bytes) -> AESGCM:
    return AESGCM(HKDFExpand(algorithm=hashes.SHA384(), length=32, info=b"cji-box/1\0" + purpose).derive(dek))


def _project(name: str) -> bytes:
    return b"project\0" + hashlib.sha256(name.encode()).digest()


def _seed_prefix(kek_id: str) -> bytes:
    return b"cji-ml-kem-seed/1\0" + hashlib.sha256(kek_id.encode()).digest()


def _hpke() -> HpkeSuite:
    return HpkeSuite(KEM.MLKEM1024_P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)


def _result_info(header_sha384: bytes) -> bytes:
    return b"cji-result-key/1\0" + header_sha384


def _decrypt(private_key: rsa.RSAPrivateKey, wrapped: bytes) -> bytes:
    """The plaintext, which is empty if it cannot be had; no plaintext of ours is.

    OpenSSL would refuse a ciphertext of another length, or a number above the modulus, before the private operation,
    and so sooner. In its place it gets the number 1, which decrypts to nothing.
    """
    size = (private_key.key_size + 7) // 8
    modulus = private_key.public_key().public_numbers().n
    usable = len(wrapped) == size and int.from_bytes(wrapped, "big") < modulus
    try:
        return private_key.decrypt(wrapped if usable else (1).to_bytes(size, "big"), _OAEP)
    except ValueError:
        return b""


def _failed() -> Refusal:
    return Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
