r"""The id of an event outside its trail: the same whenever, and wherever to, the event is delivered.

A UUID of version 8 (RFC 9562 §5.8), whose bits are those of

    SHA-256("cji-event-id/1\0" + worker + "\0" + seq in decimal + "\0" + hash in hex)

The line's hash covers every byte of the line and of all lines before it, so two events never share an id.
"""

import hashlib
from typing import Final
from uuid import UUID

from cji_core.trail.chain import Record

_DOMAIN: Final = "cji-event-id/1"
_VERSION: Final = 8


def event_id(record: Record) -> str:
    """The id of the event in this line, in the usual text form."""
    text = "\0".join((_DOMAIN, record.worker, str(record.seq), record.hash))
    number = int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:16], "big")
    number = number & ~(0xF << 76) | _VERSION << 76  # version
    number = number & ~(0b11 << 62) | 0b10 << 62  # variant
    return str(UUID(int=number))
