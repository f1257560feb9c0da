"""An EST service (RFC 7030) of one authority over TLS: cacerts, simpleenroll, simplereenroll.

The first enrolment is authenticated by a bearer token, a renewal by the certificate that the service issued before. It
certifies what a request asks for, as an authority with a lax profile would: what a client accepts is the client's own
decision. `Fault` makes it wrong in one way.
"""

import base64
import enum
import http.server
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem

__all__ = ["EstService", "Fault", "est"]

_PATH: Final = "/.well-known/est/cji/"
_MAX_BODY: Final = 1 << 16
_HOST: Final = "127.0.0.1"


class Fault(enum.StrEnum):
    """A mistake of the service, or a delay."""

    PENDING = "the first answer is 202"
    NEVER = "every answer is 202"
    AWAY = "503"
    OTHER_KEY = "certifies a key of its own"
    OTHER_NAME = "certifies another name"
    MORE_NAMES = "certifies one name more"
    CLIENT = "certifies a client"
    EXPIRED = "certifies until yesterday"
    OTHER_AUTHORITY = "certifies under an unknown authority"
    NO_RENEWAL = "refuses to renew"
    NOISE = "answers with noise"
    HUGE = "answers without end"
    PAGE = "answers with a page"


@dataclass(slots=True)
class EstService:
    """A running service. `requests` are the paths that were called, with how the caller was authenticated."""

    url: str
    roots: bytes
    token: str
    issuing: Credential
    lifetime: timedelta = timedelta(days=30)
    fault: Fault | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)

    def issue(self, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """A certificate for what was asked."""
        key: Any = request.public_key()
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer, until = self.issuing, datetime.now(UTC) + self.lifetime
        if self.fault is Fault.OTHER_KEY:
            key = ec.generate_private_key(ec.SECP384R1()).public_key()
        if self.fault is Fault.OTHER_NAME:
            names = x509.SubjectAlternativeName([x509.DNSName("other.agency.example")])
        if self.fault is Fault.MORE_NAMES:
            names = x509.SubjectAlternativeName([*names, x509.DNSName("other.agency.example")])
        if self.fault is Fault.EXPIRED:
            until = datetime.now(UTC) - timedelta(days=1)
        if self.fault is Fault.OTHER_AUTHORITY:
            issuer = authority("Unknown CA", ec.generate_private_key(ec.SECP384R1()))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]  # the latter for the renewal
        if self.fault is Fault.CLIENT:
            del usages[0]
        authority_key: Any = issuer.certificate.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(issuer.certificate.subject)
            .public_key(key)
            .serial_number(int.from_bytes(os.urandom(16), "big") >> 1)
            .not_valid_before(datetime.now(UTC) - timedelta(days=3))
            .not_valid_after(until)
            .add_extension(names, critical=not request.subject.rdns)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
        )
        signer: Any = issuer.key
        return builder.sign(signer, SHA384())

    def certifies(self, certificate: bytes) -> bool:
        """Whether this service issued the certificate, DER, with which a caller's TLS was made."""
        found = x509.load_der_x509_certificate(certificate)
        try:
            found.verify_directly_issued_by(self.issuing.certificate)
        except Exception:  # noqa: BLE001 - whatever the reason is
            return False
        return True


@contextmanager
def est(folder: Path) -> Iterator[EstService]:
    """A service until the block ends; `folder` gets its TLS files. Its authority is below the root in `roots`."""
    root = authority("Agency Root", ec.generate_private_key(ec.SECP384R1()))
    issuing = authority("Agency Issuing CA", ec.generate_private_key(ec.SECP384R1()), root)
    key = ec.generate_private_key(ec.SECP256R1())
    server = leaf("est", key, issuing, hosts=[_HOST])
    chain, private, roots = folder / "est.pem", folder / "est.key", folder / "est-clients.pem"
    chain.write_bytes(pem(server.certificate) + pem(issuing.certificate))
    private.write_bytes(private_pem(key))
    roots.write_bytes(pem(root.certificate) + pem(issuing.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(roots)
    found = EstService("", pem(root.certificate), os.urandom(16).hex(), issuing)

    class _Handler(_EstHandler):
        service = found
        tops = (root.certificate, issuing.certificate)

    with http.server.ThreadingHTTPServer((_HOST, 0), _Handler) as running:
        running.daemon_threads = True
        running.socket = context.wrap_socket(running.socket, server_side=True)
        found.url = f"https://{_HOST}:{running.server_port}{_PATH.rstrip('/')}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            running.shutdown()
            thread.join()


class _EstHandler(http.server.BaseHTTPRequestHandler):
    service: EstService
    tops: tuple[x509.Certificate, ...]
    timeout = 10

    def log_message(self, *_: object) -> None:
        """No log."""

    def do_GET(self) -> None:
        """Answer cacerts."""
        if self.path != f"{_PATH}cacerts":
            self._answer(404)
            return
        self.service.requests.append(("cacerts", ""))
        self._certificates(list(self.tops))

    def do_POST(self) -> None:
        """Answer an enrolment."""
        verb = self.path.removeprefix(_PATH)
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _MAX_BODY))
        if verb not in {"simpleenroll", "simplereenroll"} or self.headers.get_content_type() != "application/pkcs10":
            self._answer(404)
            return
        who = self._caller()
        self.service.requests.append((verb, who))
        if self._refused(verb, who):
            return
        request = x509.load_der_x509_csr(base64.b64decode(body))
        if not request.is_signature_valid:
            self._answer(400)
            return
        self._certificates([self.service.issue(request)])

    def _caller(self) -> str:
        certificate = self.connection.getpeercert(binary_form=True)
        if certificate is not None and self.service.certifies(certificate):
            return "certificate"
        return "token" if self.headers.get("Authorization") == f"Bearer {self.service.token}" else ""

    def _refused(self, verb: str, who: str) -> bool:
        """Whether this request gets another answer than a certificate."""
        fault = self.service.fault
        if who != {"simpleenroll": "token", "simplereenroll": "certificate"}[verb]:
            self._answer(401, headers={"WWW-Authenticate": "Bearer"})
        elif fault is Fault.NO_RENEWAL and verb == "simplereenroll":
            self._answer(403)
        elif fault in {Fault.PENDING, Fault.NEVER}:
            self.service.fault = None if fault is Fault.PENDING else fault
            self._answer(202, headers={"Retry-After": "1"})
        elif fault is Fault.AWAY:
            self._answer(503)
        elif fault is Fault.NOISE:
            self._answer(200, base64.b64encode(os.urandom(200)), headers={"Content-Type": "application/pkcs7-mime"})
        elif fault is Fault.HUGE:
            self._answer(200, b"A" * (1 << 20), headers={"Content-Type": "application/pkcs7-mime"})
        elif fault is Fault.PAGE:
            self._answer(200, b"<html>sign in</html>", headers={"Content-Type": "text/html"})
        else:
            return False
        return True

    def _certificates(self, found: list[x509.Certificate]) -> None:
        data = base64.encodebytes(pkcs7.serialize_certificates(found, Encoding.DER))
        kind = {"Content-Type": "application/pkcs7-mime; smime-type=certs-only", "Content-Transfer-Encoding": "base64"}
        self._answer(200, data, headers=kind)

    def _answer(self, status: int, body: bytes = b"", *, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
