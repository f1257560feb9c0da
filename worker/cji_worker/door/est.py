"""A client of EST (RFC 7030): a certificate for a key that this machine made, from the agency's own authority.

TLS and the issued certificate both lead to the roots of the configuration ("explicit trust anchors", §3.6.1), never to
the system's. The first request is authenticated by a token of the machine's identity (§3.2.3), a renewal by the current
certificate (§3.3.2). An answer 202 is asked for again after its Retry-After, until a deadline (§4.2.3).

Contract and invariants
* A certificate is used only if it is of the key just made, for exactly the names that were asked for, valid now, for
  servers, and leads to a root by the certificates of /cacerts.
* An answer has at most 256 KiB and 64 certificates; an exchange takes 60 s, all together 5 minutes.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from cji_core.certs import CertificateRefused, load_der, load_pem_chain, self_issued
from cji_core.chains import dns_names, verify_server
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import EnrollmentSection
from cji_core.https import Client, ExchangeError, Response, retry_after, tls_context
from cji_core.strict import b64_decode

TOTAL_SECONDS: Final = 300.0
RETRY: Final = 4
"""Exit status of a request that may succeed later."""
_MAX_ANSWER: Final = 256 << 10
_MAX_CERTIFICATES: Final = 64
_MAX_ROOTS: Final = 1 << 20
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_LEAST_PAUSE_S: Final = 1.0
_MAX_PAUSE_S: Final = 86_400.0
_UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
_CN_LENGTH: Final = 64


class EnrollmentRefused(StartupError):  # noqa: N818 - the domain's word, as in StartupError's base
    """No certificate was obtained. `status` is RETRY if the same request may succeed later."""

    def __init__(self, what: str, remedy: str, *, status: int = 1) -> None:
        super().__init__(what, remedy)
        self.status = status


@dataclass(frozen=True, slots=True)
class Current:
    """The certificate in use and the files with which TLS proves it."""

    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path


def new_key() -> ec.EllipticCurvePrivateKey:
    """P-384, as the suites of this worker require."""
    return ec.generate_private_key(ec.SECP384R1())


def obtain(
    section: EnrollmentSection,
    key: ec.EllipticCurvePrivateKey,
    *,
    current: Current | None,
    token: Callable[[], str] | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    total_seconds: float = TOTAL_SECONDS,
) -> tuple[x509.Certificate, ...]:
    """The certificate for this key and the ones above it, without the root. Raises EnrollmentRefused.

    `current` is renewed, if given; `token` returns one for the first enrolment.
    """
    until = time.monotonic() + total_seconds
    roots = trusted_roots(section.roots)
    headers = {"Authorization": f"Bearer {token()}"} if token is not None and current is None else {}
    with _client(section.roots, current) as client:
        request = certificate_request(section, key, None if current is None else current.certificate.subject)
        path = "simpleenroll" if current is None else "simplereenroll"
        issued = _certificates(
            _exchange(client, f"{section.url}/{path}", base64.encodebytes(request), until, headers), _ISSUED
        )
    with _client(section.roots, None) as client:  # everybody may ask for these, §4.1.1
        above = _certificates(_exchange(client, f"{section.url}/cacerts", None, until, {}), _AUTHORITIES)
    leaf = next((one for one in issued if one.public_key() == key.public_key()), None)
    if leaf is None:
        raise EnrollmentRefused("The EST service issued a certificate for another key", "Investigate the service.")
    return taken_of(leaf, [*issued, *above], section, roots, now())


_ISSUED: Final = "The EST service's answer is not a certificate"
_AUTHORITIES: Final = "The EST service's list of authorities is not one of certificates"


def certificate_request(
    section: EnrollmentSection, key: ec.EllipticCurvePrivateKey, subject: x509.Name | None
) -> bytes:
    """PKCS#10, signed by the key itself: the proof that this machine has it. A renewal keeps its subject (§4.2.2)."""
    if subject is None:
        short = [name for name in section.names if len(name) <= _CN_LENGTH][:1]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in short])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in section.names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    return builder.sign(key, SHA384()).public_bytes(Encoding.DER)


def _client(roots: str, current: Current | None) -> Client:
    own = None if current is None else (str(current.certificate_file), str(current.key_file))
    try:
        return Client(tls_context(ca_file=roots, certificate=own), limit=_MAX_ANSWER)
    except OSError as error:
        raise EnrollmentRefused("enrollment.roots cannot be read", f"Let this user read {roots!a}.") from error


def _exchange(client: Client, url: str, body: bytes | None, until: float, headers: dict[str, str]) -> bytes:
    """The body of the answer with status 200."""
    headers = {"Accept": "application/pkcs7-mime"} | headers
    if body is not None:
        headers |= {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
    while True:
        try:
            reply = client.exchange(
                "GET" if body is None else "POST",
                url,
                body=body,
                headers=headers,
                seconds=max(1.0, until - time.monotonic()),
            )
        except ExchangeError as error:
            raise EnrollmentRefused(
                "The EST service does not answer, or its certificate does not lead to enrollment.roots",
                "Check its address, roots and the outbound rules; then try again.",
                status=RETRY,
            ) from error
        if reply.status != HTTPStatus.ACCEPTED:
            break
        pause = max(_LEAST_PAUSE_S, retry_after(reply.headers.get("retry-after"), most=_MAX_PAUSE_S) or 0.0)
        if time.monotonic() + pause > until:
            raise EnrollmentRefused(
                "The EST service has not issued the certificate yet",
                "Approve the request there; then try again.",
                status=RETRY,
            )
        time.sleep(pause)
    return _body(reply)


def _body(reply: Response) -> bytes:
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise EnrollmentRefused(
            f"The EST service does not accept this machine (HTTP {reply.status})",
            "Let the service accept tokens of the machine's identity for enrollment.audience.",
        )
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.status != HTTPStatus.OK or kind != "application/pkcs7-mime":
        later = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _LATER
        raise EnrollmentRefused(
            f"The EST service answered HTTP {reply.status}, with {kind or 'nothing'!a}",
            "Compare enrollment.url with the service, and the names with what it may issue.",
            status=RETRY if later else 1,
        )
    return reply.body


def read_certificates(body: bytes) -> list[x509.Certificate]:
    """The certificates of a base64 "certs-only" message (§4.1.3, §4.2.3). ValueError for anything else."""
    try:
        found = pkcs7.load_der_pkcs7_certificates(b64_decode(b"".join(body.split()).decode("ascii")))
    except (UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ValueError("not a list of certificates") from error
    if not 0 < len(found) <= _MAX_CERTIFICATES:
        raise ValueError("no certificate, or too many")
    return [load_der(one.public_bytes(Encoding.DER)) for one in found]


def _certificates(body: bytes, what: str) -> list[x509.Certificate]:
    try:
        return read_certificates(body)
    except _UNREADABLE as error:
        raise EnrollmentRefused(what, "Investigate the service.") from error


def trusted_roots(path: str) -> tuple[x509.Certificate, ...]:
    """The roots that `enrollment.roots` pins. Raises EnrollmentRefused."""
    try:
        return load_pem_chain(Path(path).read_bytes(), limit=_MAX_ROOTS)
    except OSError as error:
        raise EnrollmentRefused("enrollment.roots cannot be read", f"Let this user read {path!a}.") from error
    except CertificateRefused as error:
        raise EnrollmentRefused("enrollment.roots is not PEM certificates", "Put the roots into it.") from error


def taken_of(
    leaf: x509.Certificate,
    others: list[x509.Certificate],
    section: EnrollmentSection,
    roots: tuple[x509.Certificate, ...],
    now: datetime,
) -> tuple[x509.Certificate, ...]:
    """An issued certificate and those above it, without the root, if it may be used. Raises EnrollmentRefused."""
    if dns_names(leaf) != tuple(sorted(section.names)):
        raise EnrollmentRefused(
            "The authority issued a certificate for other names", "Let it issue exactly enrollment.names."
        )
    above, names = [one for one in others if one != leaf], [x509.DNSName(name) for name in section.names]
    try:
        path = verify_server(leaf, above, roots=roots, at=now, names=names)
    except CertificateRefused as error:
        raise EnrollmentRefused(
            "The certificate does not lead to enrollment.roots, or is not one of a server, valid now",
            "Compare enrollment.roots with the authority, and its profile with RFC 5280.",
        ) from error
    return tuple(one for one in path if one == leaf or not self_issued(one))
