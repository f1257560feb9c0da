r"""The entries of a job in the pool ledger: its attempts and its end, each with the proof of who made it.

    {"claims":{...},"proof":"<96 hex>"}        compact JSON, members in the order of their definition
    proof = HMAC-SHA384(ledger key of kek_id, "cji-attempt/1\0" or "cji-end/1\0" ‖ claims as they stand there)

    {job}/attempts/{number}    from 0, without gaps; created before anything of the attempt can crash
    {job}/end                  the one end of the job; {job}/end.1 and on only behind blobs that are not ends

A blob that is not such an entry, or whose proof is not valid, is foreign: it takes its name and counts nothing. So who
can only create blobs costs a reader a request for each, and makes neither an attempt nor an end. An entry under a key
that is not held here, because it was retired or is another worker's, cannot be checked, and then nothing is decided:
else an id that was used under it could be used again under another.
"""

import enum
import hmac
from typing import Annotated, Final, Literal, Protocol, TypeVar, cast

import msgspec
from msgspec import Meta

from cji_core.digests import Hex32, Hex96
from cji_core.documents import OneForm
from cji_core.strict import StrictError
from cji_core.trail.fields import Jws, KeyId, Token, Url
from cji_core.trail.receipts import receipt_sha384

ATTEMPT_BYTES: Final = 4096
END_BYTES: Final = 96 << 10
MAX_ATTEMPTS: Final = 1000
MAX_FOREIGN: Final = 64
"""Foreign blobs of one job; with more, nothing is decided."""
Number = Annotated[int, Meta(ge=0, lt=MAX_ATTEMPTS + MAX_FOREIGN)]
_ATTEMPT: Final = b"cji-attempt/1\0"
_END: Final = b"cji-end/1\0"


class Kind(enum.StrEnum):
    """The meaning of an attempt entry."""

    WHOLE = "whole"
    """An attempt at the job in one cell."""
    PARTS = "parts"
    """All tasks of the job, and their end: they are tried again by their engine, and count once."""
    NONE = "none"
    """No attempt: the job is given up before one began."""

    @property
    def counts(self) -> bool:
        """Whether it is one of the attempts that a job may have."""
        return self is not Kind.NONE


class Outcome(enum.StrEnum):
    """The kinds of ends."""

    RECEIPT = "receipt"
    FAILURE = "failure"


class _Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    job: Hex32
    header_sha384: Hex96
    submitter: Token
    kek_id: Url
    """The key that the header names, whose ledger key proves this entry."""
    trail: Hex96
    """The trail of the worker that made it, by the hash of its first line."""
    receipt_key: KeyId
    """The thumbprint of the attested key with which that worker signs receipts."""


class Attempt(_Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attempt at a job; `name` is random, and under it are the outputs of an attempt by reference."""

    number: Number
    kind: Kind
    name: Hex32


class End(_Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a job: its receipt or failure receipt, with its digest, and the number of an attempt entry.

    The document is here as a whole, so that any worker can publish it if the one that made it is gone; `name` is that
    of the outputs in Blob Storage, and of no use for a failure or a direct job.
    """

    outcome: Outcome
    sha384: Hex96
    attempt: Number
    name: Hex32
    document: Jws


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    claims: msgspec.Raw
    proof: Hex96


class Keys(Protocol):
    """The ledger keys of a worker."""

    def key(self, kek_id: str) -> bytes | None:
        """The key, if its version was released to this process."""


class NoEntry(enum.Enum):
    """A blob that is not the entry of its name."""

    FOREIGN = enum.auto()
    UNDECIDED = enum.auto()


C = TypeVar("C", Attempt, End)
_entries: Final = OneForm(_Entry, limit=END_BYTES)
_attempts: Final = OneForm(Attempt, limit=ATTEMPT_BYTES)
_ends: Final = OneForm(End, limit=END_BYTES)
_DOMAINS: Final[dict[type[Attempt] | type[End], bytes]] = {Attempt: _ATTEMPT, End: _END}


def encode(claims: Attempt | End, key: bytes) -> bytes:
    """The entry with these claims. Raises ValueError if one does not fit its type."""
    data = _attempts.encode(claims) if isinstance(claims, Attempt) else _ends.encode(claims)
    proof = hmac.digest(key, _DOMAINS[type(claims)] + data, "sha384").hex()
    return _entries.encode(_Entry(claims=msgspec.Raw(data), proof=proof))


def read_entry(data: bytes, kind: type[C], keys: Keys, *, job: str, number: int | None = None) -> C | NoEntry:
    """The claims of the entry of this job, and of this number if it is an attempt."""
    try:
        entry = _entries.decode(data)
        raw = bytes(entry.claims)
        claims: Attempt | End = _attempts.decode(raw) if kind is Attempt else _ends.decode(raw)
    except StrictError:
        return NoEntry.FOREIGN
    if claims.job != job or (isinstance(claims, Attempt) and claims.number != number):
        return NoEntry.FOREIGN
    if isinstance(claims, End) and receipt_sha384(claims.document) != claims.sha384:
        return NoEntry.FOREIGN
    key = keys.key(claims.kek_id)
    if key is None:
        return NoEntry.UNDECIDED
    proof = hmac.digest(key, _DOMAINS[kind] + raw, "sha384").hex()
    return cast("C", claims) if hmac.compare_digest(proof, entry.proof) else NoEntry.FOREIGN
