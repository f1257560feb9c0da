"""`cji bundle sign` and `key`: signatures by a key in a file or in Key Vault, and the public half for the image."""

from pathlib import Path
from typing import Annotated

import click
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation.bundle.signatures import sign as sign_bundle
from cji_attestation.verbs.bundles import bundle_at, refusals, write_bundle
from cji_core.command.common import FILE
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.jose import key_id
from cji_core.strict import b64url
from cji_deploy.verbs.signers import VAULT, signer


class BundleKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji bundle key`: the public half of a signer's key."""

    pem: Annotated[str, member("the key, PEM, as the image holds it")]
    thumbprint: Annotated[str, member("RFC 7638, SHA-256")]


class BundleSignatures(msgspec.Struct, frozen=True, kw_only=True):
    """`cji bundle sign`: the signatures on a bundle."""

    sha384: Annotated[str, member("SHA-384 that names the bundle, hexadecimal")]
    key: Annotated[str, member("thumbprint of your key")]
    signatures: Annotated[tuple[str, ...], member("thumbprints of the keys that its signatures name")]


@click.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", type=FILE, help="P-384 key of the signer, `cji key new-signing`.")
@VAULT
@answers(BundleSignatures)
@refusals
def sign(file: Path, *, key_file: Path | None, vault_key: str | None, as_json: bool) -> None:
    """Sign the bundle in FILE, beside the signatures that it has.

    Read what you sign first: `cji bundle show FILE`. An image may demand signatures of several keys.

    \b
    Examples:
      cji bundle sign pool.bundle --key bundle.key
      cji bundle sign pool.bundle --vault-key https://agency.vault.azure.net/keys/bundles/0123456789abcdef0123456789abcdef
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    signed = sign_bundle(bundle_at(file), own := signer(key_file, vault_key))
    write_bundle(file, signed)
    kid, count = key_id(own.public_key()), len(signed.signatures)
    if as_json:
        kids = [b64url(each.thumbprint) for each in signed.signatures]
        print_document({"sha384": signed.sha384.hex(), "key": kid, "signatures": kids}, indent=2)
        return
    click.echo(f"{file}: {count} signature{'' if count == 1 else 's'} on SHA-384 {signed.sha384.hex()}, yours is {kid}")


@click.command()
@click.argument("key_file", type=FILE, metavar="[KEY]", required=False)
@VAULT
@answers(BundleKey)
@refusals
def key(key_file: Path | None, *, vault_key: str | None, as_json: bool) -> None:
    """Print the public half of KEY in PEM, as the image holds it in /usr/share/cji/bundle-keys.

    \b
    Example:
      cji bundle key bundle.key > bundle-keys/me.pem
    """  # noqa: D301 - as above
    public = signer(key_file, vault_key).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    print_answer(BundleKey(pem=pem, thumbprint=key_id(public)), pem.removesuffix("\n"), as_json=as_json)
