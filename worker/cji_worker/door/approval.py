"""A certificate without EST: the attested machine vouches for its request, and a person's command approves it.

    door                                      container of blobs                 approver, `cji enroll approve`
    key in memory, request               ──▶  request                       ──▶  names, proof of possession
    asks the keyholder at its own socket ◀──  challenge: a fresh nonce      ◀──
    evidence for the nonce, signature    ──▶  evidence                      ──▶  appraises, compares, issues
    compares with key, names and roots   ◀──  certificate                   ◀──

The key never leaves this process until the certificate is there. A renewal is the same again, with a new key. The rules
for what is taken are those of `est`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.format.configuration.worker import EnrollmentSection
from cji_core.pool.enrollment import MAX_CERTIFICATES, Exchange, digest_of
from cji_core.pool.errors import StoreError
from cji_worker.door.est import RETRY, EnrollmentRefused, certificate_request, taken_of, trusted_roots
from cji_worker.door.report import OWN_SERVICE

PAUSE_S: Final = 2.0
VOUCH_S: Final = 60.0
_MESSAGE_BYTES: Final = 4 << 20

T = TypeVar("T")
Vouch = Callable[[bytes, bytes], bytes]
"""Nonce and SHA-384 of a request in, the bytes of a VouchResponse out. Raises EnrollmentRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The ways of a request: to the approver, and to the keyholder of this machine."""

    exchange: Exchange
    vouch: Vouch
    pause_s: float = PAUSE_S


def obtain_approved(
    section: EnrollmentSection,
    key: ec.EllipticCurvePrivateKey,
    channel: Channel,
    *,
    now: Callable[[], datetime],
    total_seconds: float,
) -> tuple[x509.Certificate, ...]:
    """The certificate for this key and the ones above it, without the root. Raises EnrollmentRefused."""
    until, roots = time.monotonic() + total_seconds, trusted_roots(section.roots)
    exchange, request = channel.exchange, certificate_request(section, key, None)

    def awaited(read: Callable[[], T | None]) -> T:
        while (found := read()) is None:
            if time.monotonic() + channel.pause_s > until:
                raise EnrollmentRefused(
                    "Nobody has approved this machine's request yet",
                    "Run `cji enroll approve` at a desk, with this machine in its list; then try again.",
                    status=RETRY,
                )
            time.sleep(channel.pause_s)
        return found

    def vouched() -> bytes | None:
        try:
            return channel.vouch(nonce, digest_of(request))
        except EnrollmentRefused:
            if time.monotonic() + channel.pause_s > until:
                raise
            return None  # the worker may not be attested yet

    try:
        exchange.ask(request)
        nonce = awaited(lambda: exchange.nonce(request))
        exchange.answer(nonce, awaited(vouched))
        issued = awaited(lambda: exchange.certificates(request))
    except StoreError as error:
        raise EnrollmentRefused(
            f"The container of requests for certificates: {error}",
            "Check enrollment.url, and that the machine's identity may read and write blobs there.",
            status=RETRY,
        ) from error
    try:
        leaf, *above = load_pem_chain(issued, limit=MAX_CERTIFICATES)
    except CertificateRefused as error:
        raise EnrollmentRefused("What was issued is not certificates in PEM", "Investigate the container.") from error
    if leaf.public_key() != key.public_key():
        raise EnrollmentRefused("The approver issued a certificate for another key", "Investigate the container.")
    return taken_of(leaf, above, section, roots, now())


def vouch_at(socket: str) -> Vouch:
    """Ask the keyholder of this machine through the first front's socket, which only the door's user can enter."""

    def vouch(nonce: bytes, request_sha384: bytes) -> bytes:
        import grpc  # noqa: PLC0415 - not for EST

        from cji_core.wire.v1 import worker_pb2 as pb  # noqa: PLC0415

        options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.enable_http_proxy", 0)]
        credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
        with grpc.secure_channel(f"unix:{socket}", credentials, options=options) as channel:
            try:
                request = pb.VouchRequest(nonce=nonce, request_sha384=request_sha384)
                call = channel.unary_unary(f"/{OWN_SERVICE}/Vouch", pb.VouchRequest.SerializeToString, bytes)
                response: bytes = call(request, timeout=VOUCH_S)
            except grpc.RpcError as error:
                raise EnrollmentRefused(
                    f"The worker does not vouch for the request ({error.code().name})",
                    "Wait until it is attested: `cji doctor` and its log name what is missing.",
                    status=RETRY,
                ) from error
        return response

    return vouch
