"""Throw-away X.509: a key with its certificate, and how one signs the next.

Everything is valid from a day ago for thirty days: what was left lying about is good for nothing, and is
replaced.
"""

import datetime
import ipaddress
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "COMPLETE",
    "Credential",
    "PrivateKey",
    "authority",
    "leaf",
    "name",
    "pem",
    "private_pem",
    "rsa_keys",
    "usable",
    "validity",
    "write_private",
]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
COMPLETE: Final = "complete"
"""The file that is made last in a folder of credentials: a folder without it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A private key, its certificate and the certificates above it, leaf's issuer first."""

    key: PrivateKey
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificate followed by all above it."""
        return (self.certificate, *self.above)

    def rsa(self) -> rsa.RSAPrivateKey:
        """Return the key as the RSA key that it is."""
        if not isinstance(self.key, rsa.RSAPrivateKey):
            raise TypeError("not an RSA key")
        return self.key

    def save(self, stem: Path) -> None:
        """Write `stem.key` (mode 0600) and `stem.pem` (the chain)."""
        write_private(stem.with_suffix(".key"), private_pem(self.key))
        stem.with_suffix(".pem").write_bytes(b"".join(pem(c) for c in self.chain))

    @classmethod
    def load(cls, stem: Path) -> Self:
        """Read what `save` wrote."""
        key = serialization.load_pem_private_key(
            stem.with_suffix(".key").read_bytes(), None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise TypeError("a key of a kind that this package does not make")
        first, *above = _certificates(stem.with_suffix(".pem").read_bytes())
        return cls(key=key, certificate=first, above=tuple(above))


def rsa_keys(*bits: int) -> tuple[rsa.RSAPrivateKey, ...]:
    """Make keys of these sizes at once: OpenSSL looks for primes without the interpreter's lock."""

    def make(size: int) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, size)

    with ThreadPoolExecutor() as threads:
        return tuple(threads.map(make, bits))


def pem(certificate: x509.Certificate) -> bytes:
    """Return the PEM of one certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: PrivateKeyTypes) -> bytes:
    """Return unencrypted PKCS#8 PEM: these keys protect nothing but a test."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(data)


def name(common: str, **more: str) -> x509.Name:
    """Return a name that says in its organisation that it is not the real one."""
    fields = [(NameOID.ORGANIZATION_NAME, "cji-simulator, throw-away"), (NameOID.COMMON_NAME, common)]
    fields += [(getattr(NameOID, key), value) for key, value in more.items()]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in fields])


def usable(folder: Path) -> bool:
    """Whether a folder of credentials is complete, and each certificate in it is valid now and for another day."""
    if not (folder / COMPLETE).exists():
        return False
    now = datetime.datetime.now(datetime.UTC)
    tomorrow = now + datetime.timedelta(days=1)
    found = (one for path in folder.glob("*.pem") for one in _certificates(path.read_bytes()))
    return all(one.not_valid_before_utc <= now and tomorrow < one.not_valid_after_utc for one in found)


def _certificates(data: bytes) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a VCEK has serial number 0
        return x509.load_pem_x509_certificates(data)


def validity() -> tuple[datetime.datetime, datetime.datetime]:
    """Return notBefore and notAfter for everything issued now."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return now - datetime.timedelta(days=1), now + datetime.timedelta(days=30)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _start(subject: x509.Name, key: PrivateKey, issuer: Credential | None) -> x509.CertificateBuilder:
    start, end = validity()
    above = issuer.key if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
    )


def _finish(builder: x509.CertificateBuilder, key: PrivateKey, issuer: Credential | None) -> Credential:
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Credential(key=key, certificate=certificate, above=issuer.chain if issuer else ())


def authority(common: str, key: PrivateKey, issuer: Credential | None = None) -> Credential:
    """Make a certificate authority: self-signed, or below `issuer`."""
    builder = _start(name(common), key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return _finish(builder.add_extension(_usage(ca=True), critical=True), key, issuer)


def leaf(
    common: str,
    key: PrivateKey,
    issuer: Credential | None,
    *,
    hosts: Sequence[str] = (),
    uris: Sequence[str] = (),
    extensions: Sequence[x509.ExtensionType] = (),
) -> Credential:
    """Make an end certificate for host names, IP addresses and URIs; `issuer=None` signs it with its own key."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    builder = _start(name(common), key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(ca=False), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return _finish(builder, key, issuer)
