"""The TLS files in force: checked whole before they are used, and replaced while connections stay open.

gRPC's server takes a new certificate for its next handshake (`dynamic_ssl_server_credentials`); it would log an
unusable one and keep the old. So key, certificate, roots and revocation lists are checked here first, and either all
of them count or none. Connections stay; each of their calls is checked (`client_certificates`).
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from worker.config import ListenSection
from worker.front.client_certificates import UNREADABLE, ClientCertificates
from worker.ipc.messages import TlsDigests
from worker.operator_files import FileRefused, TlsFiles, read_tls_files

_MIN_RSA_BITS: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_KEYS: Final = "Use an unencrypted PEM key: RSA with at least 2048 bits, P-256 or P-384."
_PAIR: Final = "Install certificate and private_key together, as they were issued."


@dataclass(frozen=True, kw_only=True)
class CheckedTls:
    """TLS files that passed every check. Only `check` makes one."""

    files: TlsFiles
    clients: ClientCertificates
    until: datetime
    """End of the server certificate."""
    digests: TlsDigests


def check(files: TlsFiles, *, now: datetime) -> CheckedTls:
    """Check the files against each other and the time. Raises FileRefused for the first that cannot be used."""
    chain, key = _chain(files.certificate), _key(files.private_key)
    if chain[0].public_key() != key.public_key():
        raise FileRefused("private_key", "it does not belong to the certificate", _PAIR)
    begin, until = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    if not begin <= now <= until:
        raise FileRefused("certificate", f"it is valid from {begin:%Y-%m-%d} to {until:%Y-%m-%d}, not now", "Renew it.")
    return CheckedTls(
        files=files,
        clients=ClientCertificates.load(files.client_roots, files.client_crl, now=now),
        until=until,
        digests=TlsDigests(
            certificate=_sha384(files.certificate),
            client_roots=_sha384(files.client_roots),
            client_crl=None if files.client_crl is None else _sha384(files.client_crl),
        ),
    )


def read_listen_files(listen: ListenSection) -> TlsFiles:
    """The files that [listen] names. Raises FileRefused."""
    return read_tls_files(
        certificate=listen.certificate,
        private_key=listen.private_key,
        client_roots=listen.client_roots,
        client_crl=listen.client_crl,
    )


class Tls:
    """The TLS files in force."""

    def __init__(self, checked: CheckedTls) -> None:
        self.now = checked
        self._next: deque[grpc.ServerCertificateConfiguration] = deque(maxlen=1)

    def credentials(self) -> grpc.ServerCredentials:
        """Mutual TLS, with the files in force at each handshake."""
        first = _configuration(self.now.files)
        return grpc.dynamic_ssl_server_credentials(
            first,
            self._fetch,  # type: ignore[arg-type]  # the stubs forgot None
            require_client_authentication=True,
        )

    def replace(self, checked: CheckedTls) -> None:
        """Use these files from the next handshake and the next call on."""
        self._next.append(_configuration(checked.files))
        self.now = checked

    def require(self, certificate: bytes) -> None:
        """Raise a Refusal for a client certificate in PEM that is not accepted now."""
        self.now.clients.require(certificate, now=datetime.now(UTC))

    def current(self) -> bool:
        """Whether callers can be accepted: no revocation list has expired."""
        return self.now.clients.current(datetime.now(UTC))

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, in a thread of its own, before each handshake; None for no change."""
        try:
            return self._next.popleft()
        except IndexError:
            return None


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    pair = (files.private_key, files.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=files.client_roots)


def _chain(data: bytes) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(data)
        chain[0].public_key()
        return chain
    except UNREADABLE as error:
        raise FileRefused("certificate", "it is not a certificate chain in PEM", _PAIR) from error


def _key(data: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(data, None)
    except UNREADABLE as error:
        raise FileRefused("private_key", "it is not an unencrypted PEM key", _KEYS) from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    raise FileRefused("private_key", "it is a key of another kind", _KEYS)


def _sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()
