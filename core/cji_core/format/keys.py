"""The submitter's keys: signing key, recipient key, 32-byte project key, and the worker's pinned key.

classical-1 takes a P-384 signing key and an RSA-3072 recipient key, hybrid-1 pairs with an ML-DSA-87 and an ML-KEM-1024
key (`cji_core.pairs`). Private keys are PKCS#8 PEM files with mode 0600, of a pair the post-quantum key first,
encrypted if a passphrase is given; a file that others may read is refused. Before the first key may stand a line
`Not-After: 2028-11-30`, its last day, as explanatory text (RFC 7468 §5.2) that other programs pass over. Thumbprints
are RFC 7638 with SHA-256, base64url without padding. The repr of a `ProjectKey` never shows its bytes.
"""

import hmac
import os
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from cji_core.documents import decode
from cji_core.errors import SpecError, Unverified
from cji_core.format.envelope import PROJECT_KEY_BYTES, SEED_BYTES, WrappingKey, wrap_project_key, wrap_seed
from cji_core.format.paths import FileName
from cji_core.jose import RSA_MIN_BITS, SigningKey, key_id, parse_ml_kem, parse_recipient, parse_rsa
from cji_core.operations.parameters import PROJECT_NAME
from cji_core.pairs import DecryptionPair, SigningPair
from cji_core.strict import b64url, b64url_decode
from cji_core.suites import Suite

RecipientPrivateKey = rsa.RSAPrivateKey | DecryptionPair
_BEGIN: Final = b"-----BEGIN "
_NOT_AFTER: Final = b"Not-After: "
_GROUP_AND_OTHERS: Final = 0o077
_OTHERS: Final = 0o037
"""All rights of others, and of a group all but to read."""


class _ProjectFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectKey:
    """The key that makes tokens of one project join across jobs. Keep the file: without it later tokens cannot join."""

    project: str
    key: bytes = field(repr=False)

    def wrap(self, dek: bytes) -> bytes:
        """The key under the data key of a job, bound to the project's name."""
        return wrap_project_key(dek, self.project, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """The worker's public key (CMK), matched against the thumbprint that the submitter received out of band.

    `ml_kem` is its ML-KEM-1024 half, if the submitter pins one as well.
    """

    kek_id: str
    thumbprint: str
    public: rsa.RSAPublicKey = field(repr=False)
    ml_kem: mlkem.MLKEM1024PublicKey | None = field(default=None, repr=False)
    ml_kem_thumbprint: str | None = None

    @property
    def wrapping(self) -> WrappingKey:
        """Both halves, as they wrap data keys."""
        return WrappingKey(self.public, self.ml_kem)

    @classmethod
    def check(
        cls, kek_id: str, jwk: str, *, expected: str, ml_kem_jwk: str = "", expected_ml_kem: str | None = None
    ) -> "PinnedKey":
        """The key in this JWK if its thumbprint is `expected`, and its ML-KEM half if one is expected.

        Raises Unverified(`kek`) or Unverified(`ml_kem`).
        """
        try:
            public = parse_rsa(jwk)
        except ValueError:
            raise Unverified("kek", "the worker's public key is not a valid RSA key of at least 3072 bits") from None
        found = key_id(public)
        if not hmac.compare_digest(found.encode(), expected.encode()):
            raise Unverified("kek", f"the worker's public key has thumbprint {found}, but the spec pins another")
        ml_kem = None if expected_ml_kem is None else _pinned_ml_kem(ml_kem_jwk, expected_ml_kem)
        return cls(kek_id=kek_id, thumbprint=found, public=public, ml_kem=ml_kem, ml_kem_thumbprint=expected_ml_kem)


def _pinned_ml_kem(jwk: str, expected: str) -> mlkem.MLKEM1024PublicKey:
    try:
        public = parse_ml_kem(jwk)
    except ValueError:
        raise Unverified("ml_kem", "the worker offers no valid ML-KEM half of its key") from None
    found = key_id(public)
    if not hmac.compare_digest(found.encode(), expected.encode()):
        raise Unverified("ml_kem", f"the worker's ML-KEM key has thumbprint {found}, but the spec pins another")
    return public


def recipient_thumbprints(jwks: Sequence[str], suite: Suite) -> list[str]:
    """Thumbprints of recipients' public JWKs; SpecError if one is not a key of this suite."""
    try:
        return [key_id(parse_recipient(jwk, suite)) for jwk in jwks]
    except ValueError:
        hybrid = suite is Suite.HYBRID_1
        what = "an MLKEM1024-P384 pair" if hybrid else "an RSA key of at least 3072 bits"
        raise SpecError(
            f"recipients: each must be the public JWK of {what} in a {suite} job",
            remedy=f"Make one with `cji key new-recipient{' --hybrid' if hybrid else ''}`.",
        ) from None


def new_signing_key() -> ec.EllipticCurvePrivateKey:
    """A P-384 key for job headers (ES384)."""
    return ec.generate_private_key(ec.SECP384R1())


def new_recipient_key() -> rsa.RSAPrivateKey:
    """An RSA-3072 key that opens results."""
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_MIN_BITS)


def new_ml_kem_seed(cmk: rsa.RSAPublicKey, kek_id: str) -> tuple[str, mlkem.MLKEM1024PublicKey]:
    """A new ML-KEM half for this CMK: its seed, wrapped for the worker's configuration, and its public key.

    The seed itself is forgotten at once. It exists again where the CMK has been released.
    """
    seed = secrets.token_bytes(SEED_BYTES)
    return b64url(wrap_seed(cmk, kek_id, seed)), mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed).public_key()


def new_project_key(project: str) -> ProjectKey:
    """32 fresh random bytes for the project with this name; SpecError if no job may use the name."""
    if PROJECT_NAME.fullmatch(project) is None:
        raise SpecError(
            "this is not a valid project name",
            remedy="Use 1 to 64 characters A-Z a-z 0-9 . _ : / -, starting with a letter or a digit.",
        )
    return ProjectKey(project=project, key=secrets.token_bytes(PROJECT_KEY_BYTES))


def save_private_key(
    key: SigningKey | RecipientPrivateKey, file: FileName, *, passphrase: bytes | None, until: date | None = None
) -> None:
    """Write PKCS#8 PEM to a new file with mode 0600; SpecError if the file exists. `until` is the key's last day."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    keys: tuple[PrivateKeyTypes, ...]
    match key:
        case SigningPair(ml_dsa, p384):
            keys = (ml_dsa, p384)
        case DecryptionPair(ml_kem, p384):
            keys = (ml_kem, p384)
        case _:
            keys = (key,)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    head = b"" if until is None else b"%b%b\n" % (_NOT_AFTER, until.isoformat().encode())
    write_private(Path(file), head + b"".join(each.private_bytes(*form) for each in keys))


def last_day_of(file: FileName) -> date | None:
    """The last day of the private key in a PEM file, None if the file states none; SpecError for an unreadable one."""
    head = read_private(path := Path(file)).partition(_BEGIN)[0]
    found = [line.removeprefix(_NOT_AFTER).strip() for line in head.splitlines() if line.startswith(_NOT_AFTER)]
    if not found:
        return None
    try:
        return date.fromisoformat(found[0].decode("ascii"))
    except ValueError:
        raise SpecError(f"{path.name} states no day after Not-After", remedy="Write it as 2028-11-30.") from None


def load_signing_key(file: FileName, *, passphrase: bytes | None = None) -> SigningKey:
    """The signing key in a PEM file: a P-384 key, or a pair with an ML-DSA-87 key before it."""
    path = Path(file)
    match _load_pem(path, passphrase):
        case [ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()) as key]:
            return key
        case [mldsa.MLDSA87PrivateKey() as ml_dsa, ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()) as p384]:
            return SigningPair(ml_dsa, p384)
    raise SpecError(
        f"{path.name} is neither a P-384 private key nor a pair", remedy="Make one with `cji key new-signing`."
    )


def load_recipient_key(file: FileName, *, passphrase: bytes | None = None) -> RecipientPrivateKey:
    """The recipient key in a PEM file: an RSA key of at least 3072 bits, or an ML-KEM-1024 and a P-384 key."""
    path = Path(file)
    match _load_pem(path, passphrase):
        case [rsa.RSAPrivateKey() as key] if key.key_size >= RSA_MIN_BITS:
            return key
        case [mlkem.MLKEM1024PrivateKey() as ml_kem, ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()) as p384]:
            return DecryptionPair(ml_kem, p384)
    raise SpecError(
        f"{path.name} is neither an RSA-3072 private key nor a pair", remedy="Make one with `cji key new-recipient`."
    )


def save_project_key(key: ProjectKey, file: FileName) -> None:
    """Write `{"project", "key"}` as JSON to a new file with mode 0600."""
    write_private(Path(file), msgspec.json.encode(_ProjectFile(project=key.project, key=b64url(key.key))) + b"\n")


def load_project_key(file: FileName) -> ProjectKey:
    """The project key in a file that `save_project_key` wrote."""
    path = Path(file)
    try:
        stored = decode(read_private(path, remedy="Make one with `cji key project`."), _ProjectFile, limit=1 << 12)
        key = b64url_decode(stored.key)
    except ValueError:
        raise SpecError(f"{path.name} is not a project key file", remedy="Make one with `cji key project`.") from None
    if len(key) != PROJECT_KEY_BYTES or not stored.project:
        raise SpecError(f"{path.name} does not hold a 32-byte project key", remedy="Make one with `cji key project`.")
    return ProjectKey(project=stored.project, key=key)


def read_private(path: Path, *, remedy: str = "Name the file of the key.") -> bytes:
    """All bytes of a file with a private key. SpecError if it cannot be read, or is not private (`is_private`)."""
    try:
        with path.open("rb") as file:
            if not is_private(os.fstat(file.fileno())):
                own = f"`chmod 600 {shlex.quote(str(path))}`"
                raise SpecError(
                    f"{path} has a private key, and others than its owner may read or write it",
                    remedy=f"Make it private: {own}. If somebody could read it, make another key.",
                )
            return file.read()
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})", remedy=remedy) from None


def is_private(found: os.stat_result) -> bool:
    """Whether nobody but the owner of a file may read or write it.

    A file of root's may be readable by a group: so systemd and container platforms hand keys to a service, which is not
    its owner and cannot change that. Windows has no such modes.
    """
    if os.name != "posix":
        return True
    others = _OTHERS if found.st_uid == 0 and os.geteuid() != 0 else _GROUP_AND_OTHERS
    return not found.st_mode & others


def write_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600; SpecError if it exists or cannot be created."""
    _write_new(path, data, mode=0o600)


def write_public(path: Path, data: bytes) -> None:
    """Write a new file with mode 0644; SpecError if it exists or cannot be created."""
    _write_new(path, data, mode=0o644)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise SpecError(f"{path} exists", remedy="Choose another file name; keys are never overwritten.") from None
    except OSError as error:
        raise SpecError(f"{path} cannot be written ({error.strerror})") from None


def _load_pem(path: Path, passphrase: bytes | None) -> list[PrivateKeyTypes]:
    """One key, or the two of a pair."""
    try:
        _, *pems = read_private(path).split(_BEGIN)
        if not 1 <= len(pems) <= 2:
            raise ValueError("neither one key nor two")
        return [serialization.load_pem_private_key(_BEGIN + pem, passphrase) for pem in pems]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SpecError(f"{path.name} is not a private key in PEM, or its passphrase is wrong or missing") from None
