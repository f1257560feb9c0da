"""Entries of the agency's log: canonical JSON, at most 65 535 bytes, each with a salt of 32 random bytes.

    checkpoint  a checkpoint of a trail that continues the trail's last entry. The first entry of a trail, and of each
                later receipt key, says in `key` which machine attested that key.
    conflict    two histories of one trail, or two machines with one trail: no entry of it is taken until a person
                decided
    statement   such a decision, or another policy of the log, signed by an operator's key that the policy names

A log of releases (`cji_core.tlog.releases`) has statements alone: a release, a withdrawal of one, signed by a
publisher's key that the policy names, or another policy.

Outsiders of a log of trails get hash tiles alone. Because of the salt, the hash of an entry does not confirm a guess.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from cji_core.digests import Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.jose import es384_verify
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
UKI_PCRS: Final = frozenset({4, 9, 11})
"""Together they cover every byte of a unified kernel image; others depend on the machine's firmware too."""
MAX_PCR: Final = 14
"""The highest that an image can predict: PCR 15 is extended by each machine in its own way."""
SEMVER: Final = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?\Z"
)
"""A version of Semantic Versioning 2.0.0, without build metadata."""


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


class Artefact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a release, by its path below the release's folder."""

    name: Annotated[str, Meta(pattern=r"^([a-z-]{1,32}/)?[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")]
    sha256: Hex64


class PcrValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predicted value of a PCR, SHA-256 bank, of every machine that boots the image."""

    pcr: Annotated[int, Meta(ge=0, le=MAX_PCR)]
    sha256: Hex64


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The image of a release: the dm-verity root, the boot, and the keys whose bundles it takes.

    `bundle_keys_sha384` is of the file `image/bundle-keys.sha256`: the keys in it decide for whom the image is.
    """

    flavour: Literal["production", "debug", "engine"]
    platform: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
    root_sha256: Hex64
    pcrs: Annotated[tuple[PcrValue, ...], Meta(max_length=15)]
    bundle_keys_sha384: Hex96

    def __post_init__(self) -> None:
        """Raises ValueError."""
        numbers = [each.pcr for each in self.pcrs]
        if numbers != sorted(set(numbers)) or not set(numbers) >= UKI_PCRS:
            raise ValueError("the PCRs of an image are in order, and 4, 9 and 11 are among them")


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="release"):
    """One version of a product, with every file of it; `image` is null in a release of packages alone."""

    origin: Origin
    product: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z")]
    version: Annotated[str, Meta(pattern=SEMVER, max_length=64)]
    commit: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
    time: Utc
    artefacts: Annotated[tuple[Artefact, ...], Meta(min_length=1, max_length=128)]
    image: Image | None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        names = [each.name for each in self.artefacts]
        if names != sorted(set(names)):
            raise ValueError("the artefacts of a release are in the order of their names, each once")

    @property
    def name(self) -> str:
        """Product, version, flavour and platform: at most one release has them."""
        of_image = () if self.image is None else (self.image.flavour, self.image.platform)
        return " ".join((self.product, self.version, *of_image))


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="withdrawal"):
    """A release counts no more. `release_sha384` is of its one form."""

    origin: Origin
    release_sha384: Hex96
    explanation: Text
    time: Utc


Decision = TrailDecision | PolicyDecision | Release | Withdrawal


class StatementLeaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="statement"):
    """A decision, a release or a withdrawal, and the ES384 signature over it (base64)."""

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


def sign_decision(decision: Decision, es384: Callable[[bytes], bytes]) -> StatementLeaf:
    """The statement, signed by a key wherever it is. Raises LeafError for one that is too long."""
    signature = es384(_signed(decision))
    leaf = StatementLeaf(salt=new_salt(), decision=decision, signature=base64.b64encode(signature).decode())
    encode_leaf(leaf)
    return leaf


def decision_sha384(decision: Decision) -> str:
    """The name of a decision: hexadecimal SHA-384 of its one form. Raises LeafError."""
    return sha384(_signed(decision).removeprefix(_DOMAIN))


def verify_decision(leaf: StatementLeaf, keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
    """Return if one of these keys, of operators or publishers, signed the statement. Raises LeafError."""
    try:
        signature = b64_decode(leaf.signature)
    except StrictError:
        raise LeafError("signature", "not base64") from None
    for key in keys:
        try:
            es384_verify(key, signature, _signed(leaf.decision))
        except InvalidSignature:
            continue
        return
    raise LeafError("signature", "no key that the policy names for it signed this statement")


def sha384(data: bytes) -> str:
    """Hexadecimal SHA-384."""
    return hashlib.sha384(data).hexdigest()


def _signed(decision: Decision) -> bytes:
    try:
        return _DOMAIN + _DECISION.encode(decision)
    except StrictError as error:
        raise LeafError("form", str(error)) from error
