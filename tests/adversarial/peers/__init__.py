"""Hostile neighbours: small programs that attack a real worker the way a peer could.

A tester tells a hostile front what to do behind the 96 bytes of a job's signature: it is all that a front can read and
that no honest part of a job uses.
"""

from msgspec.structs import replace

from cji_core.jose import ES384_BYTES
from cji_worker.ipc.messages import Admit


def told(signature: bytes, text: str) -> bytes:
    """A signature of classical-1 with this text behind it."""
    return signature + text.encode()


def heard(message: Admit) -> tuple[Admit, str]:
    """The message without the text, and the text."""
    text = message.signature[ES384_BYTES:].decode()
    return replace(message, signature=message.signature[:ES384_BYTES]), text
