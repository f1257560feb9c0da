"""Keys of logs and witnesses, by the name and the four bytes that stand in their signature lines.

    type   signs                                                                               used by
    0x01   Ed25519 over the text of the note                                                   logs
    0x04   Ed25519 over `cosignature/v1`, the time and the text                                witnesses
    0x06   ML-DSA-44 over the signer's name, the time, the log's origin, the size and root     logs and witnesses

    key id     SHA-256(name ‖ 0A ‖ type ‖ public key)[:4]
    vkey       name+hex(key id)+base64(type ‖ public key)
    key file   a line of each key: PRIVATE+KEY+name+hex(key id)+base64(type ‖ seed of 32 bytes)

Sources: C2SP signed-note and tlog-cosignature. The form of the key file is that of Go's sumdb/note, for every type.
"""

import base64
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_core.durable import sync_folder
from cji_core.errors import StartupError
from cji_core.strict import StrictError, b64_decode, hex_decode
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, NoteSignature

NOTE_ED25519: Final = 0x01
COSIGNED_ED25519: Final = 0x04
COSIGNED_ML_DSA_44: Final = 0x06
LOG_TYPES: Final = (NOTE_ED25519, COSIGNED_ML_DSA_44)
WITNESS_TYPES: Final = (COSIGNED_ED25519, COSIGNED_ML_DSA_44)
MAX_TIME: Final = (1 << 63) - 1
_SEED_BYTES: Final = 32
_TIME_BYTES: Final = 8
_MAX_KEY_FILE: Final = 4096
_PRIVATE: Final = "PRIVATE+KEY+"
_LABEL: Final = b"subtree/v1\n\0"
_NAME: Final = re.compile(r"[!-*,-~]{1,255}")  # one byte states its length in what ML-DSA signs


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """A public key under its name. `kind` is the signature type."""

    name: str
    kind: int
    public: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises CheckpointError for a name, a type or a key that cannot be."""
        require_name(self.name)
        _loaded(self.kind, self.public)

    @property
    def key_id(self) -> bytes:
        """The four bytes in signature lines."""
        return _key_id(self.name, self.kind, self.public)

    @property
    def vkey(self) -> str:
        """The key as people give it to one another."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def signature_on(self, note: Checkpoint) -> int | None:
        """The time that this key's signature on a checkpoint states, 0 for one without; None without a signature.

        Raises CheckpointError for a wrong one: then nothing in the note is to be used.
        """
        newest: int | None = None
        for each in note.signatures:
            if (each.name, each.key_id) == (self.name, self.key_id):
                newest = max(newest or 0, self._verified(each.signature, note))
        return newest

    def _verified(self, signature: bytes, note: Checkpoint) -> int:
        at = 0
        if self.kind != NOTE_ED25519:
            at, signature = int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]
            if not 0 < at <= MAX_TIME:
                raise CheckpointError("a cosignature without a time")
        try:
            _loaded(self.kind, self.public).verify(signature, _message(self.name, self.kind, note, at))
        except (InvalidSignature, ValueError):
            raise CheckpointError("the signature is wrong") from None
        return at


class NoteSigner(Protocol):
    """A private key under its name: a seed in memory, or a key in a token (`token_keys`)."""

    @property
    def key(self) -> NoteKey:
        """The public key."""

    def sign(self, note: Checkpoint, *, at: int) -> NoteSignature:
        """The signature on a checkpoint; `at` is the time in POSIX seconds, which type 0x01 does not state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSigner:
    """A `NoteSigner` made of a seed of 32 bytes."""

    name: str
    kind: int
    seed: bytes = field(repr=False)

    @property
    def key(self) -> NoteKey:
        """As `NoteSigner.key`."""
        public = _private(self.kind, self.seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return NoteKey(name=self.name, kind=self.kind, public=public)

    def sign(self, note: Checkpoint, *, at: int) -> NoteSignature:
        """As `NoteSigner.sign`."""
        return signature_of(self.key, note, at=at, sign=_private(self.kind, self.seed).sign)

    def line(self) -> str:
        """The line of a key file."""
        encoded = base64.b64encode(bytes([self.kind]) + self.seed).decode()
        return f"{_PRIVATE}{self.name}+{self.key.key_id.hex()}+{encoded}\n"


def signature_of(key: NoteKey, note: Checkpoint, *, at: int, sign: Callable[[bytes], bytes]) -> NoteSignature:
    """The signature line of a checkpoint, by the private key of `key`, which `sign` uses."""
    stated = b"" if key.kind == NOTE_ED25519 else at.to_bytes(_TIME_BYTES, "big")
    made = sign(_message(key.name, key.kind, note, at))
    return NoteSignature(name=key.name, key_id=key.key_id, signature=stated + made)


def parse_vkey(text: str) -> NoteKey:
    """The key of a vkey. Raises CheckpointError."""
    name, digits, encoded = _parts(text)
    key = NoteKey(name=name, kind=encoded[0], public=encoded[1:])
    if digits != key.key_id:
        raise CheckpointError("a vkey whose key id is another one")
    return key


def require_name(name: str) -> None:
    """Raise CheckpointError for a name that no key can have."""
    if not _NAME.fullmatch(name):
        raise CheckpointError("the name of a key")


def new_signers(name: str, kinds: Sequence[int]) -> tuple[SeedSigner, ...]:
    """New private keys, one for each type. Raises CheckpointError for a name that no key can have."""
    require_name(name)
    return tuple(SeedSigner(name=name, kind=kind, seed=os.urandom(_SEED_BYTES)) for kind in kinds)


def write_signers(path: Path, signers: Sequence[SeedSigner]) -> None:
    """Write a new key file that only its owner reads; it is on disk when this returns. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        file.write("".join(each.line() for each in signers))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def read_signers(path: Path, *, kinds: Sequence[int]) -> tuple[SeedSigner, ...]:
    """The keys in a file, of one name and of these types. Raises StartupError."""
    remedy = "Name the key file that `cji log key` or `cji witness key` wrote."
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise StartupError(f"Others can read the key file {path}", "Set its mode to 0600.")
            text = file.read(_MAX_KEY_FILE + 1).decode("ascii")
        lines = text.removesuffix("\n").split("\n")
        found = tuple(map(_signer, lines)) if len(text) <= _MAX_KEY_FILE else ()
    except (OSError, UnicodeDecodeError, CheckpointError) as error:
        raise StartupError(f"The key file {path} cannot be used: {error}", remedy) from error
    if not found or len({each.name for each in found}) != 1 or not {each.kind for each in found} <= set(kinds):
        raise StartupError(f"The key file {path} has other keys than this server's", remedy)
    return found


def _signer(line: str) -> SeedSigner:
    name, digits, encoded = _parts(line.removeprefix(_PRIVATE))
    if not line.startswith(_PRIVATE) or len(encoded) != 1 + _SEED_BYTES:
        raise CheckpointError("not a private key")
    signer = SeedSigner(name=name, kind=encoded[0], seed=encoded[1:])
    if digits != signer.key.key_id:
        raise CheckpointError("a private key whose key id is another one")
    return signer


def _parts(text: str) -> tuple[str, bytes, bytes]:
    name, plus, rest = text.partition("+")
    digits, second, encoded = rest.partition("+")
    try:
        if not plus or not second or len(digits) != 8:
            raise StrictError("parts")
        key = b64_decode(encoded)
        if not key:
            raise StrictError("key")
        return name, hex_decode(digits), key
    except StrictError:
        raise CheckpointError("not a vkey") from None


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _message(name: str, kind: int, note: Checkpoint, at: int) -> bytes:
    if kind == NOTE_ED25519:
        return note.text
    if kind == COSIGNED_ED25519:
        return f"cosignature/v1\ntime {at}\n".encode() + note.text
    origin = note.origin.encode()
    if len(origin) > 255:
        raise CheckpointError("an origin of more than 255 bytes")
    sizes = bytes(8) + note.size.to_bytes(8, "big")
    signer = name.encode()
    return b"".join(
        (
            _LABEL,
            bytes([len(signer)]),
            signer,
            at.to_bytes(8, "big"),
            bytes([len(origin)]),
            origin,
            sizes,
            note.root,
        )
    )


def _loaded(kind: int, public: bytes) -> ed25519.Ed25519PublicKey | mldsa.MLDSA44PublicKey:
    try:
        if kind in (NOTE_ED25519, COSIGNED_ED25519):
            return ed25519.Ed25519PublicKey.from_public_bytes(public)
        if kind == COSIGNED_ML_DSA_44:
            return mldsa.MLDSA44PublicKey.from_public_bytes(public)
    except ValueError:
        raise CheckpointError("a public key that cannot be") from None
    raise CheckpointError("a type of key that is not supported")


def _private(kind: int, seed: bytes) -> ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey:
    if kind == COSIGNED_ML_DSA_44:
        return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
    if kind in (NOTE_ED25519, COSIGNED_ED25519):
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    raise CheckpointError("a type of key that is not supported")
