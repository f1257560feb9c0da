"""The agency's master keys: RSA keys that open the column encryption keys of a database. None leaves its place.

A key is in a file (PEM or PFX), in a vault or in a PKCS#11 token. A TOML file names the latter two, with the members of
`signer` in client.toml. OAEP with SHA-1, which Always Encrypted and Cosmos DB prescribe, is used here and nowhere else:
its security rests on no collision of SHA-1 (RFC 8017 §B.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from cji_client.columns.rsa_keys import rsa_bytes, rsa_verified
from cji_client.columns.vault_master_key import VaultMasterKey
from cji_client.profile import DeviceKey
from cji_client.profile_keys import of_token, signer_of_device, with_extra
from cji_client.signers import KeySigner, Signer
from cji_core.certs import CertificateRefused, load_ec_public_key, load_private_key
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.format.keys import load_signing_key, read_private
from cji_core.format.passphrases import Passphrase, passphrase_of, required_passphrase
from cji_core.jose import VerifyingKey, parse_verifying

_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - the format's
_PFX: Final = frozenset((".pfx", ".p12"))
_MAX_TOML: Final = 1 << 14


class MasterKey(Protocol):
    """One master key."""

    @property
    def where(self) -> str:
        """Its name in messages."""

    @property
    def url(self) -> str | None:
        """Its id in a vault; None elsewhere."""

    @property
    def size(self) -> int:
        """Bytes of its modulus."""

    def verify(self, sha256: bytes, signature: bytes) -> bool:
        """Whether the signature, PKCS #1 v1.5 with SHA-256, is of this key over this digest."""

    def unwrap(self, ciphertext: bytes) -> bytes | None:
        """The plaintext of RSA-OAEP with SHA-1; None if it is not under this key."""

    def close(self) -> None:
        """End the connection or session."""


class FileMasterKey:
    """A master key in a file: PKCS#8 or PKCS#1 in PEM, or PKCS#12 (PFX)."""

    def __init__(self, path: Path, passphrase: Passphrase | None = None) -> None:
        key = _private_key(path, passphrase)
        self.where, self.url, self.size = path.name, None, rsa_bytes(key.public_key(), path.name)
        self._key = key

    def verify(self, sha256: bytes, signature: bytes) -> bool:
        """As `MasterKey.verify`."""
        return rsa_verified(self._key.public_key(), sha256, signature)

    def unwrap(self, ciphertext: bytes) -> bytes | None:
        """As `MasterKey.unwrap`."""
        try:
            return self._key.decrypt(ciphertext, _OAEP)
        except ValueError:
            return None

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def master_keys(files: tuple[Path, ...], passphrase: Passphrase | None = None) -> Iterator[tuple[MasterKey, ...]]:
    """The master keys that these files are or name, until the block ends."""
    opened = list[MasterKey]()
    try:
        opened.extend(_master_key(each, passphrase) for each in files)
        yield tuple(opened)
    finally:
        for key in opened:
            key.close()


def signer_in(file: Path, passphrase: Passphrase | None = None) -> Signer:
    """The signing key that a file is (PEM) or names (TOML, as `signer` in client.toml)."""
    if file.suffix == ".toml":
        return signer_of_device(_device(file))
    return KeySigner(load_signing_key(file, passphrase=passphrase_of(file, passphrase)))


def public_in(file: Path) -> VerifyingKey:
    """The public half of a signing key, PEM or JWK."""
    try:
        data = file.read_bytes()
        if data.lstrip().startswith(b"-----"):
            return load_ec_public_key(data, ec.SECP384R1)
        return parse_verifying(data.decode("ascii").strip())
    except (OSError, ValueError, CertificateRefused) as error:
        remedy = "Name the file FILE.pub that `cji key new-signing` wrote."
        raise SpecError(f"{file.name} is not the public half of a signing key", remedy=remedy) from error


def _master_key(file: Path, passphrase: Passphrase | None) -> MasterKey:
    if file.suffix != ".toml":
        return FileMasterKey(file, passphrase)
    device = _device(file)
    if device.vault is not None:
        return with_extra(lambda: VaultMasterKey(str(device.vault), ca_file=device.ca_file), "vault")
    from cji_client.columns.token_master_key import TokenMasterKey  # noqa: PLC0415 - few master keys are in a token

    return with_extra(lambda: TokenMasterKey(Path(str(device.pkcs11)), **of_token(device)), "pkcs11")


def _device(file: Path) -> DeviceKey:
    try:
        with file.open("rb") as stream:
            found = convert(msgspec.toml.decode(stream.read(_MAX_TOML)), DeviceKey, str_keys=True)
    except OSError as error:
        raise SpecError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        remedy = 'Write vault = "https://...", or pkcs11, token, label and pin_file, as under signer in client.toml.'
        raise SpecError(f"{file.name}: {error}", remedy=remedy) from None
    return found.below(file.parent)


def _private_key(path: Path, passphrase: Passphrase | None) -> rsa.RSAPrivateKey:
    load = _pfx if path.suffix.lower() in _PFX else _pem
    try:
        key = load(path, read_private(path), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SpecError(f"{path.name} is not a private key in PEM or PFX, or its passphrase is wrong") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SpecError(f"{path.name} has no RSA key", remedy="Name the column master key.")
    return key


def _pem(path: Path, data: bytes, passphrase: Passphrase | None) -> object:
    return load_private_key(data, passphrase_of(path, passphrase))


def _pfx(path: Path, data: bytes, passphrase: Passphrase | None) -> object:
    try:
        return pkcs12.load_key_and_certificates(data, None)[0]
    except ValueError:  # it has a passphrase, or is another file
        return pkcs12.load_key_and_certificates(data, required_passphrase(path, passphrase))[0]
