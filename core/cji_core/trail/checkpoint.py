"""A signed checkpoint of a trail: its size and its Merkle root, in the text form that witnesses exchange.

    cji-worker/<worker id>                                origin: the trail's name
    4711                                                  lines in the tree
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=          root, base64

    — cji-worker/<worker id> <base64(key id ‖ signature)>

The worker signs with its receipt key, which its evidence names. The signature is ECDSA with SHA-256 over the text, in
DER; its key id is the first four bytes of SHA-256 over the public key's SubjectPublicKeyInfo (signature type 0x02).
Others may add lines of their own; a reader ignores those of keys that it does not know.

Sources: C2SP tlog-checkpoint and signed-note.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_core.errors import CoreError
from cji_core.strict import StrictError, b64_decode
from cji_core.trail.merkle import HASH_BYTES, MAX_SIZE, Frontier

MAX_BYTES: Final = 16 * 1024
MAX_SIGNATURES: Final = 16
MAX_COSIGNED_BYTES: Final = 128 * 1024
"""Of a checkpoint of a log with its cosignatures: 34 of ML-DSA-44, 3.3 kB each."""
MAX_COSIGNATURES: Final = 34
"""Of a log and 16 witnesses, each with two keys."""
_DASH: Final = "— "
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,512}")  # printable ASCII without blanks and plus signs
_NAME: Final = re.compile(r"[^\s+]{1,512}")  # of anybody, as signed-note has it
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_ID_BYTES: Final = 4


class CheckpointError(CoreError):
    """A checkpoint that cannot be read, or whose signature is not that of the key; the text names the fault."""

    code = "checkpoint-invalid"
    remedy = "Compare the checkpoint with the trail and the key that signed it."


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One line of signature: who signed, and what follows the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line, with its line feed."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint as read: its content is to be used only after `verify`."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The note, with its signatures in their order."""
        return self.text + b"\n" + "".join(each.line() for each in self.signatures).encode()

    def verify(self, key: ec.EllipticCurvePublicKey, *, name: str | None = None) -> None:
        """Return if `key` signed this, under `name` (the origin by default). Raises CheckpointError."""
        wanted = self.origin if name is None else name, note_key_id(key)
        found = [each for each in self.signatures if (each.name, each.key_id) == wanted]
        if not found:
            raise CheckpointError("not signed by this key")
        for each in found:
            try:
                key.verify(each.signature, self.text, ec.ECDSA(SHA256()))
            except InvalidSignature:
                raise CheckpointError("the signature is wrong") from None


def note_key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """The four bytes that name a key in signature lines."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()[:_ID_BYTES]


def origin_of(worker: str) -> str:
    """The name of a worker's trail. Raises ValueError for an id that cannot be part of one."""
    origin = f"cji-worker/{worker}"
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("worker id")
    return origin


def sign_checkpoint(tree: Frontier, *, origin: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The checkpoint of this tree, signed. Raises ValueError for an origin with a blank or a plus sign."""
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("origin")
    text = f"{origin}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n"
    signature = key.sign(text.encode(), ec.ECDSA(SHA256()))
    signed = NoteSignature(name=origin, key_id=note_key_id(key.public_key()), signature=signature)
    return f"{text}\n{signed.line()}".encode()


def parse_checkpoint(note: bytes) -> Checkpoint:
    """Read a checkpoint of a trail: at most 16 KiB and 16 signatures. Raises CheckpointError; nothing is verified."""
    text, signatures = split_note(note, limit=MAX_BYTES)
    if len(signatures) > MAX_SIGNATURES:
        raise CheckpointError("too many signatures")
    if text.count("\n") != 3:  # extension lines are not ours, and nobody could audit them
        raise CheckpointError("not origin, size and root")
    return _checkpoint(text, signatures, names=_ORIGIN)


def parse_cosigned(note: bytes) -> Checkpoint:
    """Read a checkpoint of any log, with extension lines: at most 128 KiB and 34 signatures. Raises CheckpointError."""
    text, signatures = split_note(note, limit=MAX_COSIGNED_BYTES)
    if len(signatures) > MAX_COSIGNATURES:
        raise CheckpointError("too many signatures")
    if text.count("\n") < 3 or not all(text[:-1].split("\n")):
        raise CheckpointError("not origin, size and root")
    return _checkpoint(text, signatures, names=_NAME)


def parse_signatures(lines: bytes) -> tuple[NoteSignature, ...]:
    """Read signature lines alone, as a witness answers them. Raises CheckpointError."""
    if len(lines) > MAX_COSIGNED_BYTES:
        raise CheckpointError("too long")
    try:
        text = lines.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError("not UTF-8") from None
    if not text.endswith("\n") or _CONTROL.search(text) or text.count("\n") > MAX_COSIGNATURES:
        raise CheckpointError("not signature lines")
    return tuple(_signature(each, _NAME) for each in text[:-1].split("\n"))


def split_note(note: bytes, *, limit: int) -> tuple[str, list[str]]:
    """The text of a signed note, which ends with a line feed, and its signature lines. Raises CheckpointError."""
    if len(note) > limit:
        raise CheckpointError("too long")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError("not UTF-8") from None
    text, separator, below = whole.rpartition("\n\n")
    if not separator or not below.endswith("\n") or _CONTROL.search(whole):
        raise CheckpointError("not a signed note")
    return f"{text}\n", below[:-1].split("\n")


def _checkpoint(text: str, signatures: list[str], *, names: re.Pattern[str]) -> Checkpoint:
    origin, size, root = text.split("\n")[:3]
    if not names.fullmatch(origin) or not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise CheckpointError("origin or size")
    decoded = _base64(root, "root")
    if len(decoded) != HASH_BYTES:
        raise CheckpointError("root")
    return Checkpoint(
        origin=origin,
        size=int(size),
        root=decoded,
        text=text.encode(),
        signatures=tuple(_signature(each, names) for each in signatures),
    )


def _signature(line: str, names: re.Pattern[str]) -> NoteSignature:
    name, blank, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not blank or not names.fullmatch(name):
        raise CheckpointError("signature line")
    data = _base64(encoded, "signature line")
    if len(data) <= _ID_BYTES:
        raise CheckpointError("signature line")
    return NoteSignature(name=name, key_id=data[:_ID_BYTES], signature=data[_ID_BYTES:])


def _base64(text: str, what: str) -> bytes:
    try:
        return b64_decode(text)
    except StrictError:
        raise CheckpointError(what) from None
