"""New keys of a submitter, each as two files: the private one with mode 0600, and its public half for the operator."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_client.errors import SpecError
from cji_client.expiry import USUAL, today
from cji_core.format.keys import new_recipient_key, new_signing_key, save_private_key, write_public
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import DecryptionPair, SigningPair, VerifyingPair, supported


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiles:
    """The two files of a new key."""

    private: Path
    public: Path
    thumbprint: str
    until: date


def make_signing_key(file: Path, *, hybrid: bool, passphrase: bytes | None = None, days: int = USUAL.days) -> NewFiles:
    """A key for job headers in FILE and FILE.pub (PEM, of a pair JWK). SpecError if one exists."""
    require_support(hybrid=hybrid)
    private = SigningPair.generate() if hybrid else new_signing_key()
    until = today() + timedelta(days=days)
    save_private_key(private, file, passphrase=passphrase, until=until)
    public = private.public_key()
    if isinstance(public, VerifyingPair):
        data = public_jwk(public).encode() + b"\n"
    else:
        data = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _with_public(file, ".pub", data, key_id(public), until)


def make_recipient_key(
    file: Path, *, hybrid: bool, passphrase: bytes | None = None, days: int = USUAL.days
) -> NewFiles:
    """A key that opens results in FILE and FILE.jwk. SpecError if one exists."""
    require_support(hybrid=hybrid)
    private = DecryptionPair.generate() if hybrid else new_recipient_key()
    until = today() + timedelta(days=days)
    save_private_key(private, file, passphrase=passphrase, until=until)
    public = private.public_key()
    return _with_public(file, ".jwk", public_jwk(public).encode() + b"\n", key_id(public), until)


def require_support(*, hybrid: bool) -> None:
    """SpecError for keys of hybrid-1 where OpenSSL cannot make them."""
    if hybrid and not supported():
        raise SpecError(
            "the OpenSSL of this program has neither ML-KEM nor ML-DSA",
            remedy="Use a build of cryptography with OpenSSL 3.5 or later.",
        )


def _with_public(file: Path, suffix: str, public: bytes, thumbprint: str, until: date) -> NewFiles:
    other = file.with_name(file.name + suffix)
    write_public(other, public)
    return NewFiles(private=file, public=other, thumbprint=thumbprint, until=until)
