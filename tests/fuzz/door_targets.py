"""What is read about the door and from it: the metadata of a call, one `name: value` a line; the account of nginx."""

import functools
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Refusal, StartupError
from cji_simulator.certificates import authority, leaf, pem
from cji_worker.door.config import Build
from cji_worker.door.program import read_build
from cji_worker.door.report import CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER
from cji_worker.front.peer import Peer, read_peer
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, TEXT
from tests.support.connections import STRONG, escaped

__all__ = ["DOOR"]

URI: Final = "spiffe://cji.example/agency/metro-pd"


@functools.cache
def _certificate() -> str:
    issuer = authority("Agency CA", ec.generate_private_key(ec.SECP256R1()))
    found = leaf("metro-pd", ec.generate_private_key(ec.SECP256R1()), issuer, uris=[URI])
    return escaped(pem(found.certificate))


def _metadata() -> tuple[bytes, ...]:
    lines = [
        "user-agent: grpc",
        f"{CERTIFICATE_HEADER}: {_certificate()}",
        f"{SOURCE_HEADER}: [192.0.2.1]:443",
        f"{TLS_HEADER}: {STRONG}",
    ]
    sound = "\n".join(lines)
    return sound.encode(), sound.replace("192.0.2.1", "2001:db8::1").encode(), "\n".join([*lines, lines[1]]).encode()


def _read(data: bytes) -> Peer:
    """As gRPC hands them out: values of names in -bin as bytes, all others as text."""
    found: list[tuple[str, str | bytes]] = []
    for line in data.decode("latin-1").split("\n"):
        name, _, value = line.partition(": ")
        found.append((name, value.encode("latin-1") if name.endswith("-bin") else value))
    return read_peer(found)


def _fair(_: bytes, peer: object) -> bool:
    """Accepted is a strong connection, an address in its one form, and a bounded ASCII name."""
    assert isinstance(peer, Peer)
    family, separator, _address = peer.source.partition(":")
    named = len(peer.identity) > 0 and peer.identity.isascii()
    return named and family in {"ipv4", "ipv6"} and bool(separator) and peer.transport.bits >= 256


def _account() -> tuple[bytes, ...]:
    options = "--with-http_ssl_module --with-http_v2_module --modules-path=/usr/lib/nginx/modules"
    head = "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.7 9 Jun 2026 (running with OpenSSL 3.5.9 29 Sep 2026)"
    return tuple(
        f"{head}\nconfigure arguments: {options} {stream}\n".encode()
        for stream in ("--with-stream", "--with-stream=dynamic")
    )


def _can_be_the_door(_: bytes, build: object) -> bool:
    assert isinstance(build, Build)
    return build.version >= (1, 26) and build.openssl >= (3,)


DOOR: Final = (
    target("door-metadata", _metadata, _read, refusals=(Refusal,), fair=_fair, mutators=(*BYTES, *TEXT), weight=30),
    target(
        "door-build",
        _account,
        lambda data: read_build(data.decode("latin-1")),
        refusals=(StartupError,),
        fair=_can_be_the_door,
        mutators=(*BYTES, *TEXT),
        weight=5,
    ),
)
