"""Messages between a deliverer and the agency's log: JSON over HTTPS, with bearer tokens.

POST <prefix>/entries         a Submission: 200 Added; 403, 409, 422, 428 or 503 a Refused
GET  <prefix>/trails/<id>     the Newest entry of a trail, 404 without one
"""

import hashlib
import hmac
from pathlib import Path as FilePath
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cji_core.digests import Hex64, Hex96
from cji_core.documents import decode
from cji_core.errors import StartupError
from cji_core.strict import StrictError, b64_decode
from cji_core.tlog.leaves import MAX_ENTRY_BYTES, FirstLine, LeafError, NoteText, Path
from cji_core.tlog.proofs import MAX_BYTES as MAX_PROOF_BYTES
from cji_core.trail.fields import Count, Token

MAX_EVIDENCE_BYTES: Final = 3 << 20
MAX_SUBMISSION_BYTES: Final = MAX_EVIDENCE_BYTES * 4 // 3 + (64 << 10)
_MIN_TOKEN, _MAX_TOKEN = 32, 1024
_T = TypeVar("_T")


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A checkpoint of a trail. `evidence` is the file that attests its key, base64; needed for each new key."""

    trail: Hex96
    previous: Count
    consistency: Path
    note: NoteText
    first: FirstLine | None = None
    evidence: Annotated[str, Meta(max_length=MAX_EVIDENCE_BYTES * 4 // 3 + 4)] | None = None


class Added(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The entry is in the log: its bytes, and its proof under a cosigned checkpoint."""

    entry: Annotated[str, Meta(max_length=MAX_ENTRY_BYTES)]
    proof: Annotated[str, Meta(max_length=MAX_PROOF_BYTES)]


class Refused(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cause, as docs/witnesses.md lists them, and the lines of the trail's last entry."""

    cause: Token
    size: Count = 0


class Newest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trail's last entry: its checkpoint, with the proof in it, and whether the trail waits for a person.

    `entries` counts the trail's entries, `ak_sha256` names the machine that attested the key.
    """

    note: NoteText
    previous: Count
    consistency: Path
    frozen: bool
    entries: Count
    ak_sha256: Hex64


def read_message(data: bytes, kind: type[_T]) -> _T:
    """Read one of these. Raises LeafError."""
    try:
        return decode(data, kind, limit=MAX_SUBMISSION_BYTES)
    except StrictError as error:
        raise LeafError("form", str(error)) from None


def evidence_of(text: str) -> bytes:
    """The bytes of `evidence`. Raises LeafError."""
    try:
        return b64_decode(text)
    except StrictError:
        raise LeafError("form", "the evidence is not base64") from None


def read_token(path: FilePath) -> str:
    """The bearer token in a file: one line of 32 to 1024 printable characters. Raises StartupError."""
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN + 2).decode("ascii").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"The token file {path} cannot be read", "Name a file with one line.") from error
    if not _MIN_TOKEN <= len(token) <= _MAX_TOKEN or not token.isprintable() or " " in token:
        raise StartupError(f"{path} has no token", "Write 32 to 1024 random characters: openssl rand -hex 32.")
    return token


def bears(header: str | None, token: str) -> bool:
    """Whether an Authorization header has this token; compared in constant time."""
    given = (header or "").removeprefix("Bearer ")
    one, other = (hashlib.sha256(each.encode("utf-8", "replace")).digest() for each in (given, token))
    return (header or "").startswith("Bearer ") and hmac.compare_digest(one, other)
