"""`cji audit sign-packet`: the agency signs an auditor's packet, with a key in a file, a vault or a PKCS#11 token."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_client.columns.master_keys import signer_in
from cji_client.errors import SpecError
from cji_client.signers import PairedSigner, Signer
from cji_core.command.common import FILE, explained, prompt
from cji_core.command.json_output import answers, member, print_answer
from cji_core.format.keys import load_signing_key, write_public
from cji_core.format.passphrases import passphrase_of
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import SigningPair, VerifyingPair
from cji_core.suites import Suite
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.packets import SIGNATURE, PacketClaims, sign_packet

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW: Final = click.Path(dir_okay=False, path_type=Path)
_INDEX: Final = "packet.json"
_MAX_BYTES: Final = 64 << 20


class SignedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit sign-packet`: a packet with the signature of its agency."""

    file: Annotated[str, member("the file with the signature")]
    key: Annotated[str, member("thumbprint of the signer's pair, which the reader pins")]
    packet_sha384: Annotated[str, member("SHA-384 of packet.json, hexadecimal, which a worker records")]


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--key", type=FILE, required=True, help="The agency's pair in a PEM file, or TOML of a vault or token.")
@click.option("--pair", type=FILE, help="With TOML: the PEM file of a pair, whose ML-DSA-87 half signs beside it.")
@click.option("--public", type=_NEW, help="Write the public pair into this new file, for the packet's readers.")
@answers(SignedPacket)
@explained
def sign(folder: Path, *, key: Path, pair: Path | None, public: Path | None, as_json: bool) -> None:
    """Sign the packet in FOLDER with ES384 and ML-DSA-87: FOLDER/packet.jws, which its ZIP gets too.

    Verify the packet first. Its readers pin the public pair: `cji key new-signing --hybrid` wrote it as KEY.pub, and
    --public writes that of a key in a vault or token. Such a key is P-384; the ML-DSA-87 half is that of --pair.

    \b
    Examples:
      cji audit sign-packet q4 --key agency.key
      cji audit sign-packet q4 --key vault.toml --pair agency.key --public agency.pub
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    signer = _signer(key, pair)
    found = signer.public_key()
    if not isinstance(found, VerifyingPair):
        remedy = "Make a pair with `cji key new-signing --hybrid`. A key in a vault or token needs --pair beside it."
        raise SpecError(f"{key.name} is not a pair of an ML-DSA-87 and a P-384 key", remedy=remedy)
    digest = _digest(folder / _INDEX)
    claims = PacketClaims(packet_sha384=digest, signed=utc_hundredths(datetime.now(UTC)))
    try:
        document = sign_packet(claims, found, lambda message: signer.sign(message, Suite.HYBRID_1))
    except ValueError as error:
        raise SpecError(str(error), remedy="Name the key and the pair that belong together.") from error
    data, target = document.encode() + b"\n", folder / SIGNATURE
    write_public(target, data)
    _into_archive(folder.with_name(f"{folder.name}.zip"), data)
    if public is not None:
        write_public(public, public_jwk(found).encode() + b"\n")
    text = f"{target}: signed with {key_id(found)}\nSHA-384 of {_INDEX}, for `cji record packet`: {digest}"
    print_answer(SignedPacket(file=str(target), key=key_id(found), packet_sha384=digest), text, as_json=as_json)


def _signer(key: Path, pair: Path | None) -> Signer:
    device = signer_in(key, prompt)
    if pair is None:
        return device
    half = load_signing_key(pair, passphrase=passphrase_of(pair, prompt))
    if not isinstance(half, SigningPair) or not isinstance(device.public_key(), ec.EllipticCurvePublicKey):
        remedy = "Give the TOML of a vault or token as --key, and a pair as --pair."
        raise SpecError(f"{pair.name} has no ML-DSA-87 half for {key.name}", remedy=remedy)
    return PairedSigner(half.ml_dsa, device)


def _digest(index: Path) -> str:
    try:
        with index.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"{index} cannot be read ({error.strerror})", remedy="Name the folder of a packet.") from None
    if len(data) > _MAX_BYTES:
        raise SpecError(f"{index} is too large", remedy="Name the folder of a packet.")
    return hashlib.sha384(data).hexdigest()


def _into_archive(archive: Path, data: bytes) -> None:
    """Add the signature to the ZIP beside the folder, if it is there. SpecError if it is none."""
    with suppress(FileNotFoundError):
        info = ZipInfo(SIGNATURE, (1980, 1, 1, 0, 0, 0))
        info.external_attr, info.create_system = 0o100644 << 16, 3
        try:
            with archive.open("r+b") as stream, ZipFile(stream, "a") as file:
                file.writestr(info, data)
        except (OSError, BadZipFile) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise SpecError(f"{archive} cannot be written", remedy="Make the packet again.") from error
