"""Entries of the agency's log: canonical JSON, at most 65 535 bytes, each with a salt of 32 random bytes.

    checkpoint  a checkpoint of a trail that continues the trail's last entry. The first entry of a trail, and of each
                later receipt key, says in `key` which machine attested that key.
    conflict    two histories of one trail, or two machines with one trail: no entry of it is taken until a person
                decided
    statement   such a decision, or another policy of the log, signed by a key that the policy names

Outsiders get hash tiles alone. Because of the salt, the hash of an entry does not confirm a guess of it.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from cji_core.digests import Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.jose import es384_sign, es384_verify
from cji_core.strict import StrictError, b64_decode
from cji_core.tlog.policy import MAX_BYTES as MAX_POLICY_BYTES
from cji_core.tlog.policy import Origin
from cji_core.trail.checkpoint import MAX_BYTES as MAX_NOTE_BYTES
from cji_core.trail.fields import Count, Text, TpmClock, Utc
from cji_core.trail.merkle import MAX_SIZE

MAX_ENTRY_BYTES: Final = 65_535
_DOMAIN: Final = b"cji-log-statement/1\0"
_SALT_BYTES: Final = 32

Path = Annotated[tuple[Hex64, ...], Meta(max_length=MAX_SIZE.bit_length())]
NoteText = Annotated[str, Meta(max_length=MAX_NOTE_BYTES)]
Cause = Literal["fork", "rollback", "other_machine"]


class LeafError(CoreError):
    """An entry that cannot be read, or that has no place in the log; `cause` is one of a closed set."""

    code = "log-entry-refused"
    remedy = "docs/witnesses.md lists the causes."

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(f"{cause}: {text}")
        self.cause = cause


class KeyBinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine that attested a receipt key: its AK, and the clock in the quote. `evidence_sha384` names the file."""

    receipt_jwk: Annotated[str, Meta(max_length=1024)]
    ak_sha256: Hex64
    clock: TpmClock
    evidence_sha384: Hex96
    simulated: bool


class FirstLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a trail, and the proof that the checkpoint's tree begins with it."""

    line: Annotated[str, Meta(max_length=4096)]
    inclusion: Path


class CheckpointLeaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="checkpoint"):
    """A checkpoint of a trail; `previous` is the size of the trail's last entry, 0 for its first one."""

    salt: Hex64
    trail: Hex96
    previous: Count
    consistency: Path
    note: NoteText
    key: KeyBinding | None = None
    first: FirstLine | None = None


class ConflictLeaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="conflict"):
    """A contradiction to the trail's entries: a checkpoint that its worker signed, and the key if that was the new.

    `first` shows that the checkpoint is of this trail.
    """

    salt: Hex64
    trail: Hex96
    cause: Cause
    note: NoteText
    key: KeyBinding | None = None
    first: FirstLine | None = None


class TrailDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="trail"):
    """Continue a trail from this checkpoint of it, on the machine with this AK. `entries` counts its entries."""

    origin: Origin
    trail: Hex96
    entries: Count
    note: NoteText
    ak_sha256: Hex64
    operator: Text
    explanation: Text
    time: Utc


class PolicyDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="policy"):
    """Another policy follows: other keys of the log, or other witnesses. `policy` is its one form."""

    origin: Origin
    previous_sha384: Hex96
    policy: Annotated[str, Meta(max_length=MAX_POLICY_BYTES)]
    operator: Text
    explanation: Text
    time: Utc


Decision = TrailDecision | PolicyDecision


class StatementLeaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="statement"):
    """A decision, and the ES384 signature over it (base64)."""

    salt: Hex64
    decision: Decision
    signature: Annotated[str, Meta(max_length=128)]


Leaf = CheckpointLeaf | ConflictLeaf | StatementLeaf
_LEAF: Final[OneForm[Any]] = OneForm(cast("Any", Leaf), limit=MAX_ENTRY_BYTES)
_DECISION: Final[OneForm[Any]] = OneForm(cast("Any", Decision), limit=MAX_ENTRY_BYTES)


def new_salt() -> str:
    """32 random bytes, hexadecimal."""
    return secrets.token_hex(_SALT_BYTES)


def encode_leaf(leaf: Leaf) -> bytes:
    """The entry. Raises LeafError for one that is too long."""
    try:
        return _LEAF.encode(leaf)
    except StrictError as error:
        raise LeafError("form", str(error)) from error


def decode_leaf(entry: bytes) -> Leaf:
    """Read an entry. Raises LeafError."""
    try:
        leaf: Leaf = _LEAF.decode(entry)
    except StrictError as error:
        raise LeafError("form", str(error)) from error
    return leaf


def sign_decision(decision: Decision, key: ec.EllipticCurvePrivateKey) -> StatementLeaf:
    """The statement, signed by an operator's key. Raises LeafError for one that is too long."""
    signature = es384_sign(key, _signed(decision))
    leaf = StatementLeaf(salt=new_salt(), decision=decision, signature=base64.b64encode(signature).decode())
    encode_leaf(leaf)
    return leaf


def verify_decision(leaf: StatementLeaf, operators: Sequence[ec.EllipticCurvePublicKey]) -> None:
    """Return if one of these operators signed the statement. Raises LeafError."""
    try:
        signature = b64_decode(leaf.signature)
    except StrictError:
        raise LeafError("signature", "not base64") from None
    for key in operators:
        try:
            es384_verify(key, signature, _signed(leaf.decision))
        except InvalidSignature:
            continue
        return
    raise LeafError("signature", "no operator of the policy signed this statement")


def sha384(data: bytes) -> str:
    """Hexadecimal SHA-384."""
    return hashlib.sha384(data).hexdigest()


def _signed(decision: Decision) -> bytes:
    try:
        return _DOMAIN + _DECISION.encode(decision)
    except StrictError as error:
        raise LeafError("form", str(error)) from error
