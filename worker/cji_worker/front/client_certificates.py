"""Which client certificates are accepted: issued by one of the authorities itself, valid now, and not revoked.

The TLS door verifies a certificate once, when a connection is made, and reads no revocation list. So every call is
checked here, before its caller takes anything: a certificate that was revoked, or whose authority was removed, loses
its next call on an open connection too.

Contract and invariants
* A certificate must be signed by an authority of `client_roots` itself. One that hangs on an intermediate certificate
  that its owner sends is refused: no revocation list here would cover it.
* If there are revocation lists, there is exactly one of each authority, signed by it, complete (no delta, no partial
  list, no critical extension at all) and current. After the `nextUpdate` of any of them, every call is refused.
* What was found about a certificate is kept for the next call; the table is bounded and holds no certificate that no
  authority signed.

Source: RFC 5280 §5 and §6.3.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from cji_core.certs import (
    CertificateRefused,
    load_pem,
    load_pem_chain,
    require_authority,
    require_end_entity,
    require_in_force,
    signed_by,
)
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.configuration.operator_files import ClientFiles, FileRefused
from cji_core.format.job import UNREADABLE
from cji_worker.ipc.messages import ClientDigests

_LIST: Final = re.compile(rb"-----BEGIN X509 CRL-----\s.*?\s-----END X509 CRL-----", re.DOTALL)
_MARK: Final = b"-----BEGIN"
_MAX_ROOTS: Final = 1 << 20
_MAX_AUTHORITIES: Final = 64
_MAX_KNOWN: Final = 1024
_NEW_LIST: Final = "Have the authority issue a new one, complete and in PEM, and put it into client_crl."


class _Known(NamedTuple):
    """A certificate that an authority signed, with the authority's position."""

    authority: int
    certificate: x509.Certificate


class ClientCertificates:
    """The authorities and their revocation lists, as of one reading of the files."""

    def __init__(
        self,
        authorities: tuple[x509.Certificate, ...],
        revoked: Mapping[int, frozenset[int]] | None,
        *,
        digests: ClientDigests,
    ) -> None:
        """`revoked` has the serial numbers by the position of their authority; None without revocation lists."""
        self._authorities, self._revoked, self.digests = authorities, revoked, digests
        self._known: dict[bytes, _Known] = {}
        self.current_until: datetime | None = None
        """The first `nextUpdate` of the revocation lists."""
        self.authorities_until = min(each.not_valid_after_utc for each in authorities)
        """The first end of an authority's certificate."""

    @classmethod
    def load(cls, files: ClientFiles, *, now: datetime) -> "ClientCertificates":
        """Check the files against each other and the time. Raises FileRefused."""
        authorities, crl = _authorities(files.client_roots), files.client_crl
        digests = ClientDigests(
            client_roots=hashlib.sha384(files.client_roots).digest(),
            client_crl=None if crl is None else hashlib.sha384(crl).digest(),
        )
        if crl is None:
            return cls(authorities, None, digests=digests)
        revoked: dict[int, frozenset[int]] = {}
        ends = []
        for each in _lists(crl):
            position, end = _check_list(each, authorities, now=now)
            if position in revoked:
                raise FileRefused("client_crl", "it has two lists of one authority", _NEW_LIST)
            revoked[position] = _serials(each)
            ends.append(end)
        for position, authority in enumerate(authorities):
            if position not in revoked:
                subject = authority.subject.rfc4514_string()
                raise FileRefused("client_crl", f"it has no list of the authority {subject!a}", _NEW_LIST)
        found = cls(authorities, revoked, digests=digests)
        found.current_until = min(ends)
        return found

    @property
    def revoked(self) -> int:
        """Number of revoked certificates."""
        return sum(map(len, self._revoked.values())) if self._revoked else 0

    def current(self, now: datetime) -> bool:
        """Whether every revocation list is current."""
        return self.current_until is None or now < self.current_until

    def require(self, certificate: bytes, *, now: datetime) -> None:
        """Raise CERTIFICATE_REFUSED, or REVOCATION_UNKNOWN after a list has expired, for a certificate in PEM."""
        if not self.current(now):
            raise Refusal(Reason.REVOCATION_UNKNOWN, stage=Stage.OPEN)
        known = self._known.get(certificate) or self._examine(certificate)
        try:
            require_in_force(known.certificate, now)
        except CertificateRefused as error:
            raise Refusal(Reason.CERTIFICATE_REFUSED, stage=Stage.OPEN) from error
        if self._revoked is not None and known.certificate.serial_number in self._revoked[known.authority]:
            raise Refusal(Reason.CERTIFICATE_REFUSED, stage=Stage.OPEN)

    def _examine(self, certificate: bytes) -> _Known:
        try:
            leaf = load_pem(certificate)
            require_end_entity(leaf, ExtendedKeyUsageOID.CLIENT_AUTH, stated=False)
            known = _Known(_issuer(leaf, self._authorities), leaf)
        except CertificateRefused as error:
            raise Refusal(Reason.CERTIFICATE_REFUSED, stage=Stage.OPEN) from error
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[certificate] = known
        return known


class AcceptedClients:
    """The one reference to what is accepted; `now` is replaced by a reload."""

    __slots__ = ("now",)

    def __init__(self, first: ClientCertificates) -> None:
        self.now = first

    def require(self, certificate: bytes) -> None:
        """Raise a Refusal for a client certificate in PEM that is not accepted now."""
        self.now.require(certificate, now=datetime.now(UTC))

    def current(self) -> bool:
        """Whether callers can be accepted: no revocation list has expired."""
        return self.now.current(datetime.now(UTC))


def _issuer(leaf: x509.Certificate, authorities: Iterable[x509.Certificate]) -> int:
    """The position of the authority that signed the certificate. Raises CertificateRefused if none did."""
    for position, authority in enumerate(authorities):
        if signed_by(leaf, authority):
            return position
    raise CertificateRefused("no authority signed it")


def _authorities(roots: bytes) -> tuple[x509.Certificate, ...]:
    remedy = "Put the PEM certificates of the authorities that issue client certificates into client_roots."
    try:
        found = load_pem_chain(roots, limit=_MAX_ROOTS)
        # an authority that renewed its certificate under the same name and key is one
        authorities = {(each.subject.public_bytes(), _public(each)): each for each in reversed(found)}
    except CertificateRefused as error:
        raise FileRefused("client_roots", "it is not PEM certificates", remedy) from error
    for each in found:
        try:
            require_authority(each)
        except CertificateRefused as error:
            subject = each.subject.rfc4514_string()
            raise FileRefused("client_roots", f"the certificate {subject!a} is {error}", remedy) from error
    if len(authorities) > _MAX_AUTHORITIES:
        raise FileRefused("client_roots", f"it has more than {_MAX_AUTHORITIES} authorities", remedy)
    return tuple(reversed(authorities.values()))


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _lists(crl: bytes) -> list[x509.CertificateRevocationList]:
    blocks = _LIST.findall(crl)
    if not blocks or len(blocks) != crl.count(_MARK) or len(blocks) > _MAX_AUTHORITIES:
        raise FileRefused("client_crl", "it is not revocation lists in PEM", _NEW_LIST)
    try:
        return [x509.load_pem_x509_crl(block) for block in blocks]
    except UNREADABLE as error:
        raise FileRefused("client_crl", "a list in it cannot be read", _NEW_LIST) from error


def _check_list(
    crl: x509.CertificateRevocationList, authorities: tuple[x509.Certificate, ...], *, now: datetime
) -> tuple[int, datetime]:
    """The position of its authority, and its end. Raises FileRefused unless it is signed, whole and current."""
    try:
        position = next(n for n, each in enumerate(authorities) if each.subject == crl.issuer and _signed(crl, each))
    except StopIteration:
        raise FileRefused("client_crl", "no authority of client_roots signed a list in it", _NEW_LIST) from None
    except UNREADABLE as error:
        raise FileRefused("client_crl", "a list in it cannot be read", _NEW_LIST) from error
    begin, end = crl.last_update_utc, crl.next_update_utc
    if end is None or not begin <= now < end:
        period = f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC" if end else "without an end"
        raise FileRefused("client_crl", f"a list in it is valid {period}, not now", _NEW_LIST)
    try:
        partial = any(each.critical or isinstance(each.value, _PARTIAL) for each in crl.extensions)
    except UNREADABLE as error:
        raise FileRefused("client_crl", "the extensions of a list in it cannot be read", _NEW_LIST) from error
    if partial:
        raise FileRefused("client_crl", "a list in it is partial, or has a critical extension", _NEW_LIST)
    return position, end


_PARTIAL: Final = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # another kind is a TypeError
    except TypeError:
        return False


def _serials(crl: x509.CertificateRevocationList) -> frozenset[int]:
    """The serial numbers. An entry with a critical extension may mean another authority's certificate."""
    try:
        entries = [(each.serial_number, any(extension.critical for extension in each.extensions)) for each in crl]
    except UNREADABLE as error:
        raise FileRefused("client_crl", "an entry of a list in it cannot be read", _NEW_LIST) from error
    if any(critical for _, critical in entries):
        raise FileRefused("client_crl", "an entry of a list in it has a critical extension", _NEW_LIST)
    return frozenset(serial for serial, _ in entries)
