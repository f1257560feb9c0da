"""A timestamp authority: RFC 3161 responses whose every part can be replaced and signed anew."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cji_attestation.appraisal import TimestampRoot
from cji_simulator.certificates import Credential, authority, name, validity

__all__ = ["Tsa", "der", "oid", "stamper", "tsa"]

SHA512 = "2.16.840.1.101.3.4.2.3"
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
RSA = "1.2.840.113549.1.1.1"
INTEGER, OCTETS, NULL, OID, SEQUENCE, SET, TIME = 2, 4, 5, 6, 0x30, 0x31, 0x18


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def number(value: int) -> bytes:
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    out = b""
    for one in (40 * first + second, *rest):
        digits = [one & 0x7F]
        while one := one >> 7:
            digits.append(0x80 | one & 0x7F)
        out += bytes(reversed(digits))
    return der(OID, out)


def algorithm(text: str) -> bytes:
    return der(SEQUENCE, oid(text), der(NULL))


def attribute(kind: str, value: bytes) -> bytes:
    return der(SEQUENCE, oid(kind), der(SET, value))


def stamper(
    issuer: Credential,
    *,
    key: rsa.RSAPrivateKey | None = None,
    usages: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    serial: int | None = None,
) -> Credential:
    """A certificate whose one purpose is to stamp, unless another is given."""
    key = key or rsa.generate_private_key(65537, 2048)
    begin, end = validity()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Test Timestamp Authority"))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=critical)
    return Credential(key=key, certificate=builder.sign(issuer.key, hashes.SHA256()), above=issuer.chain)


@dataclass(kw_only=True)
class Tsa:
    """An authority of two levels. `response(...)` stamps a message; every argument replaces one true part."""

    root: Credential = field(default_factory=lambda: authority("Test TSA Root", rsa.generate_private_key(65537, 2048)))

    def __post_init__(self) -> None:
        self.issuer = authority("Test TSA CA", rsa.generate_private_key(65537, 2048), self.root)
        self.signer = stamper(self.issuer)

    @property
    def roots(self) -> tuple[TimestampRoot, ...]:
        certificate = self.root.certificate.public_bytes(Encoding.PEM)
        return (TimestampRoot(certificate=certificate, source="tests", seen=date(2026, 11, 26)),)

    def response(
        self,
        message: bytes,
        *,
        at: datetime | None = None,
        status: int = 0,
        signer: Credential | None = None,
        signing_key: rsa.RSAPrivateKey | None = None,
        certificates: Sequence[x509.Certificate] | None = None,
        imprint: bytes | None = None,
        signers: int = 1,
    ) -> bytes:
        signer = signer or self.signer
        at = at or datetime.now(UTC).replace(microsecond=0)
        digest = hashlib.sha512(message).digest() if imprint is None else imprint
        info = der(
            SEQUENCE,
            number(1),
            oid("1.2.3.4.1"),
            der(SEQUENCE, algorithm(SHA512), der(OCTETS, digest)),
            number(7),
            der(TIME, f"{at:%Y%m%d%H%M%S}Z".encode()),
        )
        signed = self._signer_info(info, signer.certificate, signing_key or signer.rsa())
        shown = signer.chain[:-1] if certificates is None else certificates
        data = der(
            SEQUENCE,
            number(3),
            der(SET, algorithm(SHA512)),
            der(SEQUENCE, oid(TST_INFO), der(0xA0, der(OCTETS, info))),
            der(0xA0, *sorted(one.public_bytes(Encoding.DER) for one in shown)),
            der(SET, *([signed] * signers)),
        )
        token = der(SEQUENCE, oid(SIGNED_DATA), der(0xA0, data))
        return der(SEQUENCE, der(SEQUENCE, number(status)), token)

    def _signer_info(self, info: bytes, certificate: x509.Certificate, key: Any) -> bytes:
        attributes = b"".join(
            sorted(
                (
                    attribute(CONTENT_TYPE, oid(TST_INFO)),
                    attribute(MESSAGE_DIGEST, der(OCTETS, hashlib.sha512(info).digest())),
                )
            )
        )
        signature = key.sign(der(SET, attributes), padding.PKCS1v15(), hashes.SHA512())
        return der(
            SEQUENCE,
            number(1),
            der(SEQUENCE, certificate.issuer.public_bytes(), number(certificate.serial_number)),
            algorithm(SHA512),
            der(0xA0, attributes),
            algorithm(RSA),
            der(OCTETS, signature),
        )


@functools.cache
def tsa() -> Tsa:
    """One authority for the whole session."""
    return Tsa()
