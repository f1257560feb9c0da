"""AMD's certificate revocation lists: one for each product, DER, signed by its ARK (AMD 57230, "CRL").

`cji crl fetch` and the appraisal read them here, so that what is fetched is what will be accepted.
"""

import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_attestation.appraisal.advisories import Product
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import load_pem_chain
from cji_core.certs import common_name, spki_sha256

PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
MAX_AGE_DAYS: Final = 366
"""Greatest age of a CRL, and the default. AMD issues one about once a year, so a shorter default would refuse AMD's own
current list; an older list would hide a revocation for longer than a table of advisories may go without review."""

MAX_CRL_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """An authentic CRL. `ends` is None for one without an end."""

    updated: datetime
    ends: datetime | None
    revoked: frozenset[int]

    def not_current(self, now: datetime, *, max_age_days: int) -> str:
        """Why it must not be relied upon at `now`; empty if it may be."""
        if self.ends is None:
            return "a CRL without an end"
        if not self.updated <= now <= self.ends:
            return f"in force from {self.updated} to {self.ends}"
        age = (now - self.updated).days
        return f"{age} days old" if age > max_age_days else ""


def read_crl(data: bytes, ark: x509.Certificate) -> Crl:
    """A complete CRL that this ARK signed with RSA-PSS, SHA-384 and a salt of 48 bytes; ValueError with the reason."""
    crl, issuer, signature, signed = _parsed(data)
    if issuer != ark.subject:
        raise ValueError("a CRL of another issuer")
    key = ark.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the ARK has no RSA key")
    try:
        key.verify(signature, signed, PSS, hashes.SHA384())
    except InvalidSignature as error:
        raise ValueError("not signed by the ARK") from error
    return crl


def unusable(data: bytes, *, product: Product, now: datetime, max_age_days: int) -> str:
    """Why no machine of this product could be appraised by this list; empty if it fits. No signature is verified."""
    try:
        crl, issuer, _, _ = _parsed(data)
    except ValueError as error:
        return str(error)
    if [name.value for name in issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)] != [f"ARK-{product}"]:
        return "a CRL of another issuer"
    return crl.not_current(now, max_age_days=max_age_days)


def _parsed(data: bytes) -> tuple[Crl, x509.Name, bytes, bytes]:
    """A complete CRL, its issuer, its signature and what is signed. Raises ValueError."""
    if len(data) > MAX_CRL_BYTES:
        raise ValueError(f"more than {MAX_CRL_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see cji_core.certs.load_der
            found = x509.load_der_x509_crl(data)
            issuer, signature, signed = found.issuer, found.signature, found.tbs_certlist_bytes
            partial = any(extension.critical for extension in found.extensions)
            crl = Crl(
                updated=found.last_update_utc,
                ends=found.next_update_utc,
                revoked=frozenset(one.serial_number for one in found),
            )
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise ValueError("not a CRL") from error
    if partial:
        raise ValueError("a partial CRL")
    return crl, issuer, signature, signed


def read_published(chain: bytes, data: bytes, *, product: Product, roots: tuple[str, ...]) -> Crl:
    """A CRL with the ASK and ARK (PEM) that its publisher sends along; ValueError unless the ARK is pinned."""
    try:
        certificates = load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check="E33")
    except AttestationError as error:
        raise ValueError("no certificates") from error
    ark = certificates[-1]
    if spki_sha256(ark.public_key()) not in roots:
        raise ValueError("the root key is not pinned")
    if common_name(ark) != f"ARK-{product}":
        raise ValueError(f"a root of another product than {product}")
    return read_crl(data, ark)
