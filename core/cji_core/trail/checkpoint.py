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
_DASH: Final = "— "
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,512}")  # printable ASCII without blanks and plus signs
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
        """The note as it was read."""
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
    """Read a checkpoint of at most 16 KiB and 16 signatures. Raises CheckpointError; nothing is verified yet."""
    if len(note) > MAX_BYTES:
        raise CheckpointError("too long")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError("not UTF-8") from None
    text, separator, below = whole.rpartition("\n\n")
    if not separator or not below.endswith("\n") or _CONTROL.search(whole):
        raise CheckpointError("not a signed note")
    first = text.split("\n")
    if len(first) != 3:  # extension lines are not ours, and nobody could audit them
        raise CheckpointError("not origin, size and root")
    origin, size, root = first
    signed = below[:-1].split("\n")
    if not _ORIGIN.fullmatch(origin) or not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise CheckpointError("origin or size")
    if len(signed) > MAX_SIGNATURES:
        raise CheckpointError("too many signatures")
    decoded = _base64(root, "root")
    if len(decoded) != HASH_BYTES:
        raise CheckpointError("root")
    return Checkpoint(
        origin=origin,
        size=int(size),
        root=decoded,
        text=f"{text}\n".encode(),
        signatures=tuple(map(_signature, signed)),
    )


def _signature(line: str) -> NoteSignature:
    name, blank, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not blank or not _ORIGIN.fullmatch(name):
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
