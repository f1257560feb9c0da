"""The base of all messages, and what messages of several channels carry: counts of sealed parts, callers, tasks."""

from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

_MAX_PARTS: Final = 16
_MAX_SEALED_COLUMNS: Final = 64
"""As `cji_core.format.job.limits`, which not every process loads."""
CHUNK: Final = 256
"""Streams of a task in one message: a task has more than fit."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Sha256: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Sha384: TypeAlias = Annotated[bytes, Meta(min_length=48, max_length=48)]


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A member of a closed tagged union; the tag is the class name."""

    descriptors: ClassVar[int] = 0
    """How many descriptors come with each message of this class; with any other number it is not a message."""


Condition: TypeAlias = Literal[
    "starting",
    "trail",
    "anchor",
    "delivery",
    "host",
    "evidence",
    "keys",
    "cells",
    "ledger",
    "bundle",
    "revocation-lists",
    "zygote-silent",
    "keyholder-silent",
    "front-silent",
    "supervisor-silent",
]
"""Why no job is admitted, more closely than a Reason; docs/operation.md has each in words."""


class Beat(Message, frozen=True):
    """The sender's main loop runs. Sent every `cji_worker.ipc.beats.BEAT_S` seconds."""


class CountedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Segments and bytes of one part as ciphertext, and SHA-256 over the AEAD tags of its segments, in order."""

    segments: Count
    bytes: Count
    tags_sha256: Sha256


class SealedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SHA-256 of a whole part as ciphertext, from the process that all of it passed through."""

    sha256: Sha256
    counted: CountedPart


MAX_PLAN: Final = 48 << 10
MAX_CERTIFICATE: Final = 16 << 10
MAX_AUTHORIZATION: Final = (16 << 10) + 64
"""Characters: an access token of 16 KiB, a scheme before it, and one more."""
MAX_SIGNATURE: Final = 8192
"""Bytes: more than any has."""
MAX_JWK: Final = 4096
"""Characters: a pair of public keys has 3640."""
MAX_PRESENTED: Final = 2
"""Values: one more than a caller may send."""


class Presented(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proof of a caller's identity: its certificate in PEM, and the values of its `authorization`, a secret.

    The front reports the certificate, as the door does to it: neither proves that the caller has its private key.
    """

    certificate: Annotated[bytes, Meta(max_length=MAX_CERTIFICATE)] = b""
    authorization: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_AUTHORIZATION)], ...], Meta(max_length=MAX_PRESENTED)
    ] = ()

    def __repr__(self) -> str:
        return "Presented(...)"


class AdmissionProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A caller's signature for one attempt, and what it is over.

    Members may be longer than allowed, which is enough to refuse them.
    """

    nonce: Annotated[bytes, Meta(max_length=33)]
    receipt_key: Annotated[bytes, Meta(max_length=33)]
    attempt: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
    signature: Annotated[bytes, Meta(max_length=MAX_SIGNATURE)]
    send_jwk: Annotated[str, Meta(max_length=MAX_JWK + 1)]


class Transport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TLS connection of a caller, as the door reports it: protocol, cipher suite, bits of its key."""

    protocol: Name
    cipher: Name
    bits: Count


class TaskOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task of a job in parts, as its caller names it; `streams` is the number of its input streams.

    Plan and stage may be one longer than allowed, which is enough to refuse them.
    """

    plan: Annotated[bytes, Meta(max_length=MAX_PLAN + 1)]
    stage: Annotated[str, Meta(max_length=33)]
    task: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
    streams: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class FinishOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a job in parts, under this plan."""

    plan: Annotated[bytes, Meta(max_length=MAX_PLAN + 1)]


CountedChunk: TypeAlias = Annotated[tuple[CountedPart, ...], Meta(max_length=CHUNK)]
SealedChunk: TypeAlias = Annotated[tuple[SealedPart, ...], Meta(max_length=CHUNK)]


class CellPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cells of a sealed column at fault, in numbers alone: no text from a cell's process goes to a caller.

    `part` is that of the header's parts, `column` a position in its sealed columns, and `row` the first faulty row of
    that part, from 0. Without a part, `column` is a position in the header's sealed outputs.
    """

    part: Annotated[int, Meta(ge=0, le=(1 << 16) - 1)] | None = None
    column: Annotated[int, Meta(ge=0, lt=_MAX_SEALED_COLUMNS)]
    row: Count | None = None


class FaultyColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sealed column with faulty cells, by the names in its header; `part` for one of several shards."""

    table: Name
    column: Name
    part: Count | None = None
    row: Count | None = None


BY_REFERENCE: Final = Transport(protocol="reference", cipher="none", bits=0)
"""A job that came by no connection of its submitter's: sealed, in Blob Storage."""

CountedParts: TypeAlias = Annotated[tuple[CountedPart, ...], Meta(max_length=_MAX_PARTS)]
SealedParts: TypeAlias = Annotated[tuple[SealedPart, ...], Meta(max_length=_MAX_PARTS)]
RowCounts: TypeAlias = Annotated[tuple[Count, ...], Meta(max_length=_MAX_PARTS)]
