"""The caller, as the door reports it in the metadata of every call.

The door has verified the certificate, and nobody but the door reaches the socket. The front checks the report
regardless: each value is there exactly once, bounded, and of one shape; the connection has 256-bit keys; the
certificate names one URI. Whether it is accepted now is for `client_certificates`.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from cji_core.certs import load_pem
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import UNREADABLE, certificate_uri
from cji_worker.door.report import CERTIFICATE_HEADER, CIPHER, PREFIX, PROTOCOL, SOURCE_HEADER, TLS_HEADER, VERIFIED
from cji_worker.ipc.messages import BY_REFERENCE, MAX_AUTHORIZATION, MAX_PRESENTED, Presented, Transport

AUTHORIZATION_HEADER: Final = "authorization"
_MAX_ESCAPED: Final = 16384
_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_MAX_TEXT: Final = 128
_MAX_PORT: Final = 65535
_BITS: Final = {CIPHER: 256}
"""Bits of the key by suite. Every other suite is refused."""
Metadata = Iterable[tuple[str, str | bytes]]


class Peer(NamedTuple):
    """A caller: the URI in its certificate, its address and port, its connection, and what proves its identity."""

    identity: str
    source: str
    transport: Transport
    presented: Presented
    """The certificate in PEM, and what the caller sent as `authorization`, which the keyholder alone reads."""


FLEET: Final = Peer("fleet", "fleet", BY_REFERENCE, Presented())
"""The fleet process of this machine, at a socket that it alone can reach."""
DOOR: Final = Peer("door", "door", Transport(protocol="none", cipher="none", bits=0), Presented())
"""The user of this machine's TLS door itself, by a call of its own service, which nginx passes none of on."""
NOBODY: Final = Peer("", "unknown", Transport(protocol="none", cipher="none", bits=0), Presented())
"""A caller of whom nothing is known."""


def read_peer(metadata: Metadata | None) -> Peer:
    """The caller of a call with this metadata. Raises POLICY_DENIED for anything that the door does not write."""
    try:
        found: dict[str, str] = {}
        authorization: list[str] = []
        for name, value in metadata or ():
            if name == AUTHORIZATION_HEADER and isinstance(value, str):
                # one character or one value too many is enough for the keyholder to refuse it and to audit that
                authorization.append(value[:MAX_AUTHORIZATION])
            if name.startswith(PREFIX):
                if name in found or not isinstance(value, str):
                    raise ValueError("twice, or bytes")
                found[name] = value
        if found.keys() != {CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER}:
            raise ValueError("not from the door")
        pem = _pem(found[CERTIFICATE_HEADER])
        return Peer(
            certificate_uri(load_pem(pem)),
            _source(found[SOURCE_HEADER]),
            _transport(found[TLS_HEADER]),
            Presented(certificate=pem, authorization=tuple(authorization[:MAX_PRESENTED])),
        )
    except UNREADABLE:
        raise Refusal(Reason.POLICY_DENIED, stage=Stage.OPEN) from None


def _pem(text: str) -> bytes:
    """A certificate that was escaped as a part of a URI (RFC 3986 §2.1)."""
    if len(text) > _MAX_ESCAPED or not _ESCAPED.fullmatch(text):
        raise ValueError("certificate")
    return unquote_to_bytes(text)


def _source(text: str) -> str:
    """`[ADDRESS]:PORT` as the door writes it, in the usual form of its family."""
    if len(text) > _MAX_TEXT:
        raise ValueError("source")
    host, separator, number = text.removeprefix("[").partition("]:")
    if not separator or not number.isascii() or not number.isdigit() or not 0 < int(number) <= _MAX_PORT:
        raise ValueError("port")
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return f"ipv4:{address}:{int(number)}" if address.version == 4 else f"ipv6:[{address.compressed}]:{int(number)}"


def _transport(text: str) -> Transport:
    """Protocol, suite, and the outcome of the verification of the caller's certificate."""
    if len(text) > _MAX_TEXT:
        raise ValueError("tls")
    protocol, cipher, verified = text.split(" ")
    if protocol != PROTOCOL or cipher not in _BITS or verified != VERIFIED:
        raise ValueError("too weak, or not verified")
    return Transport(protocol=protocol, cipher=cipher, bits=_BITS[cipher])
