"""The reasons to trust a bundle: signatures of accepted keys, its dates, and a serial number that never goes back.

The accepted keys are in a folder of the measured image, `/usr/share/cji/bundle-keys`: public keys of P-384 in PEM, each
in a file `NAME.pem`. More files are optional, a decimal number in each: `signatures`, how many of the keys must have
signed (1), `minimum-serial`, the least serial number that this image takes (1), and `NAME.epoch`, which grows with each
replacement of a key (1). The key in `witnesses-lost.pem` signs no bundle: it is for statements of `witnesses`.

Bundles compare by their `Rank`: the epoch first, so that a key of a later epoch outranks every serial number that the
holder of a stolen earlier key can choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_SERIAL, MAX_SIGNATURES, Head, Signature
from cji_attestation.trust import BUNDLE_KEYS
from cji_core.boot_codes import BootCode
from cji_core.certs import CertificateRefused, WrongKey, load_ec_public_key
from cji_core.jose import es384_sign, es384_verify, thumbprint
from cji_core.strict import b64url

KEYS_FOLDER: Final = Path(BUNDLE_KEYS)
MAX_KEYS: Final = 16
WITNESSES_LOST: Final = "witnesses-lost.pem"
"""Another key than those that sign bundles, kept offline by another person."""
MAX_EPOCH: Final = 2**31 - 1
_MAX_KEY_BYTES: Final = 4096
_SKEW: Final = timedelta(minutes=5)
_FORM: Final = "Use public keys of P-384 in PEM, as `cji bundle key` prints them, each in a file NAME.pem."


H = TypeVar("H", bound=Head)


class Rank(NamedTuple):
    """The place of a bundle among those of its pool: a later one has a higher rank."""

    epoch: int
    """The highest of which enough keys signed."""
    serial: int


class Signer(Protocol):
    """A key that signs: in a file, or one that never leaves a vault."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half, P-384."""

    def es384(self, message: bytes) -> bytes:
        """ECDSA with SHA-384 over the message: r ‖ s, 96 bytes."""


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key at hand."""

    key: ec.EllipticCurvePrivateKey

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """As in `Signer`."""
        return self.key.public_key()

    def es384(self, message: bytes) -> bytes:
        """As in `Signer`."""
        return es384_sign(self.key, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The demands of a machine: keys by their thumbprints, the signatures that it needs, the least serial number."""

    keys: Mapping[bytes, ec.EllipticCurvePublicKey]
    signatures: int = 1
    least_serial: int = 1
    epochs: Mapping[bytes, int] = field(default_factory=dict)
    """By thumbprint, of the keys with another than 1."""
    witnesses_lost: ec.EllipticCurvePublicKey | None = None


def accepted_in(folder: Path) -> Accepted:
    """The demands that the files of a folder state. Raises BundleRefused, for a folder without a key as well."""
    try:
        offline = folder / WITNESSES_LOST
        paths = sorted(each for each in folder.glob("*.pem") if each != offline)
        if not paths or len(paths) > MAX_KEYS:
            raise BundleRefused(f"{folder} has {len(paths)} keys, not 1 to {MAX_KEYS}", _FORM)
        keys = [_key(path) for path in paths]
        lost = _key(offline) if offline.exists() else None
        epochs = [_number(path.with_suffix(".epoch"), most=MAX_EPOCH) for path in paths]
        needed = _number(folder / "signatures", most=MAX_SIGNATURES)
        least = _number(folder / "minimum-serial", most=MAX_SERIAL)
    except OSError as error:
        raise BundleRefused(f"{folder} cannot be read: {error.strerror}", _FORM) from error
    found = {thumbprint(key): key for key in keys}
    if len(found) < needed:
        raise BundleRefused(f"{folder} has {len(found)} different keys, and demands {needed} signatures", _FORM)
    if lost is not None and thumbprint(lost) in found:
        raise BundleRefused(
            f"{offline} is a key that signs bundles", "Make another key for it, which somebody else keeps offline."
        )
    by_key = dict(zip(map(thumbprint, keys), epochs, strict=True))
    return Accepted(keys=found, signatures=needed, least_serial=least, epochs=by_key, witnesses_lost=lost)


def _key(path: Path) -> ec.EllipticCurvePublicKey:
    with path.open("rb") as file:
        data = file.read(_MAX_KEY_BYTES)
    try:
        return load_ec_public_key(data, ec.SECP384R1)
    except WrongKey as error:
        raise BundleRefused(f"{path} is not a key of P-384", _FORM) from error
    except CertificateRefused as error:
        raise BundleRefused(f"{path} is not a public key in PEM", _FORM) from error


def _number(path: Path, *, most: int) -> int:
    """1 if there is no such file."""
    try:
        with path.open("rb") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return 1
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise BundleRefused(f"{path} is not a number from 1 to {most}", "Correct the file in the image.")
    return int(text)


def sign(bundle: H, signer: Signer) -> H:
    """The bundle with a signature by this signer. Raises BundleRefused if the signer returns another key's."""
    key, value = signer.public_key(), signer.es384(bundle.message)
    try:
        es384_verify(key, value, bundle.message)
    except InvalidSignature as error:
        raise BundleRefused("The signature does not fit the key", "Name the key's version; then sign again.") from error
    return bundle.signed(Signature(thumbprint(key), value))


def verify(head: Head, accepted: Accepted, *, now: datetime, least_serial: int = 1) -> tuple[str, ...]:
    """The thumbprints (base64url) of the accepted keys that signed, after every check. Raises BundleRefused, status 3.

    `least_serial` is what the caller knows beside the image.
    """
    found = signers(head, accepted)
    check_dates(head, now)
    least = max(accepted.least_serial, least_serial)
    if head.manifest.serial < least:
        raise BundleRefused(
            f"The bundle has the serial number {head.manifest.serial}; {least} is the least that is accepted",
            "Deploy the current bundle. To go back to an earlier configuration, make it again with a higher number.",
            status=3,
            boot_code=BootCode.SERIAL,
        )
    return tuple(map(b64url, found))


def rank(head: Head, accepted: Accepted) -> Rank:
    """The rank of a head that enough accepted keys signed. Raises BundleRefused, status 3."""
    epochs = sorted((accepted.epochs.get(each, 1) for each in signers(head, accepted)), reverse=True)
    return Rank(epochs[accepted.signatures - 1], head.manifest.serial)


def signers(head: Head, accepted: Accepted) -> tuple[bytes, ...]:
    """The thumbprints of the accepted keys that signed, if they are enough. Raises BundleRefused, status 3.

    Signatures of other keys are not counted; a false one in the name of an accepted key is refused.
    """
    found = []
    for each in head.signatures:
        key = accepted.keys.get(each.thumbprint)
        if key is None:
            continue
        try:
            es384_verify(key, each.value, head.message)
        except InvalidSignature as error:
            raise BundleRefused(
                f"The signature of {b64url(each.thumbprint)} is false",
                "Do not use this file. Get the bundle again.",
                status=3,
                boot_code=BootCode.SIGNATURE,
            ) from error
        found.append(each.thumbprint)
    if len(found) < accepted.signatures:
        raise BundleRefused(
            f"The bundle has {len(found)} of {accepted.signatures} signatures by accepted keys",
            "Sign it with `cji bundle sign`, by a key whose public half is in the image.",
            status=3,
            boot_code=BootCode.SIGNATURE,
        )
    return tuple(found)


def check_dates(head: Head, now: datetime) -> None:
    """Raise BundleRefused, status 3, for a bundle of the future or one that has expired."""
    if now + _SKEW < head.created:
        raise BundleRefused(
            f"The bundle is of {head.manifest.created}, which is in the future",
            "Correct the machine's clock.",
            status=3,
            boot_code=BootCode.DATES,
        )
    if now > head.expires:
        raise BundleRefused(
            f"The bundle expired at {head.manifest.expires}",
            "Make it again with a higher serial number, sign and deploy it.",
            status=3,
            boot_code=BootCode.DATES,
        )
