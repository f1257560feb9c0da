"""A log's or a witness's Ed25519 key in a PKCS#11 token, with CKM_EDDSA. Its ML-DSA-44 key stays in a file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_core.errors import SpecError, StartupError
from cji_core.pkcs11 import TokenKey, TokenTable, new_ed25519, token_explained, token_table
from cji_core.tlog.keys import COSIGNED_ML_DSA_44, NoteKey, NoteSigner, read_signers, signature_of
from cji_core.trail.checkpoint import Checkpoint, NoteSignature

_OTHER_TYPE: Final = "Name an Ed25519 key: `cji log key` and `cji witness key` make one with --pkcs11."


class TokenNoteSigner:
    """A `NoteSigner` whose key is in a token. One thread signs at a time: a session has one operation."""

    def __init__(self, table: TokenTable, *, name: str, kind: int) -> None:
        """Raises SpecError, or CheckpointError for a name that no key can have."""
        self._key = TokenKey(Path(table.pkcs11), token=table.token, label=table.label, pin=table.pin)
        self._lock = threading.Lock()
        try:
            if not isinstance(self._key.public, ed25519.Ed25519PublicKey):
                raise SpecError(f"{table.label} is not an Ed25519 key", remedy=_OTHER_TYPE)
            self._key.require("EDDSA")
            self._public = self._key.public
            public = self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            self.key = NoteKey(name=name, kind=kind, public=public)
        except BaseException:
            self.close()
            raise

    def sign(self, note: Checkpoint, *, at: int) -> NoteSignature:
        """As `NoteSigner.sign`. Raises SpecError."""
        return signature_of(self.key, note, at=at, sign=self._made)

    def close(self) -> None:
        """End the session."""
        self._key.close()

    def require_bound(self) -> None:
        """Raise SpecError unless the private key never was outside of the token, as the token states."""
        self._key.require_bound()

    def _made(self, message: bytes) -> bytes:
        import pkcs11  # noqa: PLC0415 - an extra

        with self._lock, token_explained(self._key.label):
            made = bytes(self._key.private.sign(message, mechanism=pkcs11.Mechanism.EDDSA))
        try:
            self._public.verify(made, message)
        except InvalidSignature:
            remedy = "Have the token examined; its public key and its private key may be of two pairs."
            raise SpecError(f"the token's signature is not of {self._key.label}", remedy=remedy) from None
        return made


@contextmanager
def new_in_token(pkcs11_file: Path, name: str, *, kinds: tuple[int, ...], existing: bool) -> Iterator[NoteSigner]:
    """The server's Ed25519 key in a token: a new one, or with `existing` the one that its maker's tool made.

    Raises SpecError, also for an existing key that has been outside of the token, or can be. `name` is that of the
    other key.
    """
    table = token_table(pkcs11_file)
    if not existing:
        new_ed25519(table)
    signer = TokenNoteSigner(table, name=name, kind=ed25519_of(kinds))
    try:
        signer.require_bound()
        yield signer
    finally:
        signer.close()


@contextmanager
def signers_of(key_file: Path, pkcs11_file: Path | None, *, kinds: tuple[int, ...]) -> Iterator[tuple[NoteSigner, ...]]:
    """The keys of a server: all in a file, or its Ed25519 key in a token. Raises StartupError or SpecError."""
    if pkcs11_file is None:
        yield read_signers(key_file, kinds=kinds)
        return
    in_file = read_signers(key_file, kinds=kinds)
    if [each.kind for each in in_file] != [COSIGNED_ML_DSA_44]:
        raise StartupError(
            f"The key file {key_file} has an Ed25519 key, and pkcs11_file names another",
            "With pkcs11_file, name the file that `cji log key` or `cji witness key` wrote with --pkcs11.",
        )
    in_token = TokenNoteSigner(token_table(pkcs11_file), name=in_file[0].name, kind=ed25519_of(kinds))
    try:
        yield (in_token, *in_file)
    finally:
        in_token.close()


def ed25519_of(kinds: tuple[int, ...]) -> int:
    """The type of a server's signatures by its Ed25519 key: 0x01 of a log, 0x04 of a witness."""
    return next(each for each in kinds if each != COSIGNED_ML_DSA_44)
