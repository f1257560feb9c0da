"""A Managed HSM's attestation of a key, verified offline: the pinned key was made inside an HSM. H01 to H05.

`az keyvault key get-attestation`, or `KeyClient.get_key_attestation`, returns one statement of the HSM on the private
and one on the public key, and the certificates of the HSM's partition. A statement is, big-endian:

    u32 · u32 · u32 size of the whole · u32 size of the data
    data: u16 · u16 · u16 offset in the data · u16
    at that offset: u32 · u32 count · u32, and for each attribute u32 type, u32 size, value
    256 bytes: RSA signature (PKCS #1 v1.5, SHA-256) of everything before it

The types are those of PKCS #11. Source: Azure/azure-managed-hsm-key-attestation, Microsoft's own verifier. Statements
of firmware 1 and 2 are signed without the padding of PKCS #1, so anybody could forge them; they are refused. Nothing
shows that the HSM is Microsoft's: the bundle has a root of Microsoft's too, but its digest is not published.
"""

import re
import struct
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_attestation.checks import Check
from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.strict import load_pem_chain, parse_object, rsa_from_jwk, text_member
from cji_core.certs import CertificateRefused, require_in_force, spki_sha256
from cji_core.chains import require_issued
from cji_core.jose import jwk_thumbprint
from cji_core.strict import JsonObject, b64url, b64url_decode
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

MAX_BYTES: Final = 256 * 1024
MAX_ATTRIBUTES: Final = 256
SIGNATURE_BYTES: Final = 256
# SHA-256 of the SubjectPublicKeyInfo of Marvell's roots for LiquidSecurity and LiquidSecurity 2 adapters, from the
# verifier that Microsoft published in 2025.
MAKER_ROOTS: Final = (
    "78adcba1f38bee304bc44d6a086503f2940037d4b3d58a1bf66a3282ef58cd41",
    "f84b0610f2ca68f1f936c12c37a22794b59a2afa54f55f8d3c977232c5b97d7c",
)
CLASS, KEY_TYPE, ID, SENSITIVE, MODULUS, EXPONENT, LOCAL = 0x000, 0x100, 0x102, 0x103, 0x120, 0x122, 0x163
_PUBLIC_KEY, _PRIVATE_KEY, _RSA, _TRUE = 2, 3, 0, 1
_VERSION: Final = re.compile(r"3(\.[0-9]+)*", re.ASCII)
Attributes = dict[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedKey(Verified):
    """A key that passed H01 to H05."""

    kek_id: str
    public_key: rsa.RSAPublicKey = field(repr=False)
    checks: tuple[Check, ...]


def verify_key_attestation(
    data: bytes,
    *,
    kek_id: str,
    public_thumbprint: str,
    maker: bytes,
    now: datetime,
    roots: tuple[str, ...] = MAKER_ROOTS,
) -> AttestedKey:
    """Check the JSON text `data` for the key version that is pinned; RELEASE_INVALID with the number of the check.

    `maker` is PEM: the maker's own root certificates, as it publishes them. Each must have one of the pins `roots`.
    """
    with Record() as record:
        private, public, certificates = record.take(_read(data))
        partition = record.take(_partition(certificates, _maker_roots(maker, roots), now))
        for blob in (private, public):
            record.add(_check_signature(blob, partition))
        secret, shown = _attributes(private), _attributes(public)
        record.add(_check_origin(secret, shown, kek_id))
        key = record.take(_public_key(shown, public_thumbprint))
    return AttestedKey(kek_id=kek_id, public_key=key, checks=record.checks, constructor_key=_CONSTRUCTOR_KEY)


def _refused(check: str, *, found: str = "", expected: str = "") -> AttestationError:
    return AttestationError(Fault.RELEASE_INVALID, check=check, found=found, expected=expected)


def _read(data: bytes) -> tuple[tuple[bytes, bytes, tuple[x509.Certificate, ...]], Check]:
    """H01: the statements on the private and the public key, and the certificates."""
    found: JsonObject = parse_object(data, limit=MAX_BYTES, fault=Fault.RELEASE_INVALID, check="H01")
    for inner in ("attributes", "attestation"):
        found = found[inner] if isinstance(found.get(inner), dict) else found
    version = text_member(found, "version", fault=Fault.RELEASE_INVALID, check="H01")
    if not _VERSION.fullmatch(version):
        raise _refused("H01", found=f"firmware {version}", expected="firmware 3")
    try:
        pem, private, public = (
            b64url_decode(text_member(found, name, fault=Fault.RELEASE_INVALID, check="H01").rstrip("="))
            for name in ("certificatePemFile", "privateKeyAttestation", "publicKeyAttestation")
        )
    except ValueError as error:
        raise _refused("H01") from error
    certificates = load_pem_chain(pem, fault=Fault.RELEASE_INVALID, check="H01")
    return (private, public, certificates), Check("H01", f"firmware {version}, {len(certificates)} certificates")


def _maker_roots(pem: bytes, pins: tuple[str, ...]) -> tuple[x509.Certificate, ...]:
    roots = load_pem_chain(pem, fault=Fault.CONFIG_INVALID, check="maker-roots")
    if any(spki_sha256(root.public_key()) not in pins for root in roots):
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="H02", found="a root that is not the HSM maker's")
    return roots


def _partition(
    certificates: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...], now: datetime
) -> tuple[rsa.RSAPublicKey, Check]:
    """H02: root → adapter → partition, each in force."""
    adapters = [one for one in certificates if any(_issued(one, root, below=1) for root in roots)]
    partitions = [one for one in certificates if any(_issued(one, adapter) for adapter in adapters)]
    if len(adapters) != 1 or len(partitions) != 1:
        raise _refused("H02", found=f"{len(adapters)} adapters and {len(partitions)} partitions", expected="one each")
    for one in (*adapters, *partitions):
        try:
            require_in_force(one, now)
        except CertificateRefused as error:
            raise _refused("H02", found=str(error), expected=f"valid at {now}") from error
    key = partitions[0].public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 8 * SIGNATURE_BYTES:
        raise _refused("H02", found="a partition without an RSA key of 2048 bits")
    return key, Check("H02", f"partition {partitions[0].subject.rfc4514_string()}")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, *, below: int = 0) -> bool:
    try:
        require_issued(certificate, issuer, below=below)
    except CertificateRefused:
        return False
    return certificate != issuer


def _check_signature(blob: bytes, partition: rsa.RSAPublicKey) -> Check:
    """H03."""
    try:
        partition.verify(blob[-SIGNATURE_BYTES:], blob[:-SIGNATURE_BYTES], padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise _refused("H03") from error
    return Check("H03", f"{len(blob)} bytes signed by the partition")


def _attributes(blob: bytes) -> Attributes:
    """The attributes in a statement; H01 for one that is not laid out as it says."""
    try:
        _, _, total, size = struct.unpack_from(">4I", blob)
        start, end = total - SIGNATURE_BYTES - size, total - SIGNATURE_BYTES
        if total != len(blob) or start < struct.calcsize(">4I"):
            raise _refused("H01")
        (at,) = struct.unpack_from(">4x H", blob[:end], start)
        _, count, _ = struct.unpack_from(">3I", blob[:end], start + at)
        at += start + struct.calcsize(">3I")
        found: Attributes = {}
        for _ in range(min(count, MAX_ATTRIBUTES + 1)):
            kind, length = struct.unpack_from(">2I", blob[:end], at)
            at += struct.calcsize(">2I") + length
            if at > end:
                raise _refused("H01")
            found[kind] = blob[at - length : at]
    except struct.error as error:
        raise _refused("H01") from error
    if len(found) != count:
        raise _refused("H01", found=f"{count} attributes")
    return found


def _number(attributes: Attributes, kind: int) -> int:
    return int.from_bytes(attributes[kind], "big") if attributes.get(kind) else -1


def _check_origin(private: Attributes, public: Attributes, kek_id: str) -> Check:
    """H04: an RSA pair of the pinned name and version that the HSM made itself and shows to nobody in the clear."""
    required = {CLASS: _PRIVATE_KEY, KEY_TYPE: _RSA, SENSITIVE: _TRUE, LOCAL: _TRUE}
    wrong = [
        f"{kind:#x} is {_number(private, kind)}" for kind, value in required.items() if _number(private, kind) != value
    ]
    wrong += [
        f"public {kind:#x}"
        for kind, value in ((CLASS, _PUBLIC_KEY), (KEY_TYPE, _RSA))
        if _number(public, kind) != value
    ]
    name = urlsplit(kek_id).path.removeprefix("/keys/").encode()
    wrong += ["another id" for one in (private, public) if not _names(one.get(ID, b""), name)]
    if wrong:
        raise _refused("H04", found="; ".join(wrong), expected=f"made in the HSM as {name.decode()}")
    return Check("H04", f"made in the HSM as {name.decode()}")


def _names(identity: bytes, name: bytes) -> bool:
    """Ids end in the key's name and version, after a slash, and NULs."""
    return (b"/" + identity.rstrip(b"\0")).endswith(b"/" + name)


def _public_key(public: Attributes, thumbprint: str) -> tuple[rsa.RSAPublicKey, Check]:
    """H05."""
    jwk = {"n": b64url(public.get(MODULUS, b"")), "e": b64url(public.get(EXPONENT, b""))}
    key = rsa_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="H05")
    found = b64url(jwk_thumbprint(key))
    if found != thumbprint:
        raise _refused("H05", found=found, expected=thumbprint)
    return key, Check("H05", f"thumbprint {found}")
