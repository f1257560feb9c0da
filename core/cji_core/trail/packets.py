"""The agency's signature on an auditor's packet: `typ` "cji-packet+jws" (`trail.compact`), beside packet.json.

It names packet.json by SHA-384, and packet.json names every other file. It is of the suite hybrid-1: ES384 and
ML-DSA-87 in one composite signature, of which no half counts alone. An RFC 3161 timestamp is over `stamped`, so it
proves the time of the signature and of what is under it. Neither chooses anything: its reader says whose key counts.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.digests import Hex96
from cji_core.jose import VerifyingKey
from cji_core.suites import Suite
from cji_core.trail.compact import ReceiptError, SignedClaims
from cji_core.trail.fields import Utc

SIGNATURE: Final = "packet.jws"
STAMP: Final = "packet.tsr"
_STAMPED: Final = b"cji-packet-stamp/1\0"


class PacketClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement under the signature. `signed` is the time of the signer's clock, a timestamp that of another."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    suite: Suite = Suite.HYBRID_1
    packet_sha384: Hex96
    signed: Utc


_packets: Final = SignedClaims("cji-packet+jws", PacketClaims)


def sign_packet(claims: PacketClaims, public_key: VerifyingKey, make_signature: Callable[[bytes], bytes]) -> str:
    """The compact JWS; `make_signature` has the private half of `public_key`. ValueError for a signature not of it."""
    document = _packets.signed_by(claims, public_key, make_signature)
    try:
        verify_packet(document, key=public_key, packet_sha384=claims.packet_sha384)
    except ReceiptError as error:
        raise ValueError(f"not a signature of this pair: {error.field}") from error
    return document


def verify_packet(document: str, *, key: VerifyingKey, packet_sha384: str) -> PacketClaims:
    """The claims, if the pair `key` signed them about this packet.json. Raises ReceiptError."""

    def differences(claims: PacketClaims) -> tuple[str, ...]:
        found = (("suite", claims.suite is Suite.HYBRID_1), ("packet_sha384", claims.packet_sha384 == packet_sha384))
        return tuple(name for name, same in found if not same)

    return _packets.verify(document, key=key, differences=differences)


def stamped(signature: bytes) -> bytes:
    """The message of a timestamp over the file of a signature: "cji-packet-stamp/1" NUL ‖ SHA-384."""
    return _STAMPED + hashlib.sha384(signature).digest()
