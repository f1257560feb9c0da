r"""The hash chain: every audit line names its predecessor, so a change, loss or move inside the file is detected.

One record is one line of compact JSON (UTF-8, no blanks, members in this order, LF at the end):

    {"seq":N,"time":"...Z","worker":"...","prev":"...","event":{"kind":"...",...},"hash":"..."}

    hash = SHA-384("cji-audit/1\0" + every byte of the line before `,"hash":"`)

`prev` is the hash of the previous record (48 zero bytes for the first), both in base64url; `seq` counts from 1 without
gaps. Outside a line, hashes are in hexadecimal. Members of an event are in the order of its definition in
`cji_core.trail.events`, without those that have their default; the encoding is msgspec's, and a line that does not
encode back to itself is broken. The chain reveals changes inside it. Lines missing at the *end* are revealed only by
comparison with a head or a receipt kept elsewhere.
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.strict import StrictError, b64url, b64url_decode, hex_decode
from cji_core.trail.events import Event
from cji_core.trail.fields import Token, Utc

# The largest event carries a receipt of at most 64 KiB.
MAX_LINE_BYTES: Final = 80 * 1024

_DOMAIN: Final = b"cji-audit/1\0"
_HASH_TAIL_BYTES: Final = len(b',"hash":"') + 64 + len(b'"}')
_Hash = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{64}\Z")]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    time: Utc
    worker: Token
    prev: _Hash
    event: Event
    hash: _Hash


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the trail, with its hashes in hexadecimal."""

    seq: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    time: Utc
    worker: Token
    prev: Hex96
    event: Event
    hash: Hex96


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain: the last sequence number and its hash."""

    seq: int
    hash: str


GENESIS: Final = Head(seq=0, hash="0" * 96)


class ChainError(CoreError):
    """The chain is broken at `line` (from 1) in `field`; `detail` contains only numbers and fixed words."""

    code = "chain-broken"
    remedy = "Keep the file, and compare it with what sinks and witnesses have."

    def __init__(self, *, line: int, field: str, detail: str = "") -> None:
        super().__init__(line, field, detail)
        self.line = line
        self.field = field
        self.detail = detail

    def __str__(self) -> str:
        return f"audit line {self.line}: {self.field}" + (f": {self.detail}" if self.detail else "")


_encoder: Final = msgspec.json.Encoder()
_NO_HASH: Final = b64url(bytes(48))
_FORM: Final = OneForm(_Line, limit=MAX_LINE_BYTES, end=b"\n")


def append_record(event: Event, *, head: Head, time: str, worker: str) -> tuple[Head, bytes]:
    """Return the new head and the line (LF included) that appends `event` to the chain ending in `head`.

    Raises ValueError if event, time or worker do not fit their types, or if the line is too long.
    """
    try:
        draft = _Line(head.seq + 1, time, worker, b64url(hex_decode(head.hash)), event, _NO_HASH)
        body = _encoder.encode(draft)[:-_HASH_TAIL_BYTES]
        digest = _digest(body)
        line = body + b',"hash":"' + b64url(digest).encode("ascii") + b'"}\n'
        if len(line) <= MAX_LINE_BYTES:
            _FORM.decode(line)
    except ValueError as error:  # msgspec's, UnicodeError and StrictError
        raise ValueError("event field out of shape") from error
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("event too long")
    return Head(seq=head.seq + 1, hash=digest.hex()), line


def verify_next(line: bytes, *, head: Head, number: int) -> tuple[Head, Record]:
    """Return the new head and the record in `line` (LF included), the `number`-th, which must follow `head`.

    Raises ChainError: field `line` if it is not a record, else the first wrong one of `hash`, `seq`, `prev`.
    """
    record = read(line, number=number)
    if record.seq != head.seq + 1:
        raise ChainError(line=number, field="seq", detail=_gap(record.seq, head.seq + 1))
    if record.prev != head.hash:
        raise ChainError(line=number, field="prev", detail="the line before was another one")
    return Head(seq=record.seq, hash=record.hash), record


def _gap(found: int, expected: int) -> str:
    if found < expected:
        return f"line {found} again, expected {expected}"
    return f"expected {expected}, found {found}: lines are missing, or not in their order"


def read(line: bytes, *, number: int = 0) -> Record:
    """Return the record in one line (LF included) if its own hash is right. Raises ChainError at `line` or `hash`."""
    if len(line) > MAX_LINE_BYTES:
        raise ChainError(line=number, field="line", detail="no line feed within the longest line")
    if not line.endswith(b"\n"):
        raise ChainError(line=number, field="line", detail="no line feed at its end")
    try:
        found = _FORM.decode(line)
    except StrictError as error:
        detail = "not a record" if error.__cause__ else "not in canonical form"
        raise ChainError(line=number, field="line", detail=detail) from error
    digest = _digest(line[: -_HASH_TAIL_BYTES - 1])
    if found.hash != b64url(digest):
        raise ChainError(line=number, field="hash", detail="the line was changed")
    return Record(
        seq=found.seq,
        time=found.time,
        worker=found.worker,
        prev=b64url_decode(found.prev).hex(),
        event=found.event,
        hash=digest.hex(),
    )


def verify(lines: Iterable[bytes], *, start: Head = GENESIS) -> Head:
    """Return the head of a chain whose lines (LF included) follow `start` without a fault. Raises ChainError."""
    head = start
    for number, line in enumerate(lines, 1):
        head, _ = verify_next(line, head=head, number=number)
    return head


def _digest(body: bytes) -> bytes:
    return hashlib.sha384(_DOMAIN + body).digest()
