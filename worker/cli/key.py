"""`cji key`: make the keys that a submitter needs, and verify where the key of a vault was made."""

from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attestation import AttestationError, Fault
from attestation.checks import requirement
from worker.cli.common import FILE, Failure, explained
from worker.client.keys import (
    new_project_key,
    new_recipient_key,
    new_signing_key,
    save_private_key,
    save_project_key,
    write_public,
)
from worker.jose import key_id, public_jwk

_NEW = click.Path(dir_okay=False, path_type=Path)
_PASSPHRASE = click.option("--passphrase", is_flag=True, help="Prompt for a passphrase and encrypt the private key.")


@click.group()
def key() -> None:
    """Make a submitter's keys, or verify an HSM's attestation of one.

    Private files have mode 0600; no file is ever overwritten.
    """


@key.command("new-signing")
@click.argument("file", type=_NEW)
@_PASSPHRASE
@explained
def new_signing(file: Path, *, passphrase: bool) -> None:
    """Make a P-384 key that signs job headers.

    Writes FILE (private, PKCS#8 PEM) and FILE.pub (public, PEM). The operator adds the public key to the worker's
    policy, next to your certificate's URI.

    \b
    Example:
      cji key new-signing signing.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    private = new_signing_key()
    save_private_key(private, file, passphrase=_ask(passphrase))
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_public_half(file, ".pub", pem, key_id(private.public_key()))


@key.command("new-recipient")
@click.argument("file", type=_NEW)
@_PASSPHRASE
@explained
def new_recipient(file: Path, *, passphrase: bool) -> None:
    """Make an RSA-3072 key that opens results.

    Writes FILE (private, PKCS#8 PEM) and FILE.jwk (public, JWK). Name the public key in the job spec; the operator
    allows its thumbprint for your agency in the worker's policy.

    \b
    Example:
      cji key new-recipient recipient.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    private = new_recipient_key()
    save_private_key(private, file, passphrase=_ask(passphrase))
    _write_public_half(file, ".jwk", public_jwk(private.public_key()).encode() + b"\n", key_id(private.public_key()))


@key.command()
@click.argument("name")
@click.argument("file", type=_NEW)
@explained
def project(name: str, file: Path) -> None:
    """Make the key of project NAME, so that tokens from different jobs can be joined.

    Keep FILE for the lifetime of the project and no longer: anyone who has it can compute the tokens of known values.
    Each job carries the key sealed to the worker's key, never in the clear.

    \b
    Example:
      cji key project study-17 study-17.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    save_project_key(new_project_key(name), file)
    click.echo(f"{file}  key of project {name}; set `project_key` to this file in the job spec")


def _ask(wanted: bool) -> bytes | None:
    if not wanted:
        return None
    text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return text.encode()


def _write_public_half(file: Path, suffix: str, public: bytes, print_: str) -> None:
    other = file.with_name(file.name + suffix)
    write_public(other, public)
    click.echo(f"{file}  private, keep it secret\n{other}  public\nthumbprint {print_}")


@key.command("verify-attestation")
@click.argument("file", type=FILE)
@click.option("--kek-id", required=True, help="The key's full id, with version.")
@click.option("--thumbprint", required=True, help="RFC 7638, SHA-256, base64url, of the key that data are sealed to.")
@click.option(
    "--maker-roots", type=FILE, required=True, help="PEM: the root certificates that the HSM's maker publishes."
)
@explained
def verify_attestation(file: Path, *, kek_id: str, thumbprint: str, maker_roots: Path) -> None:
    """Verify FILE, a Managed HSM's attestation of a key: the key was made in the HSM. Uses no network.

    FILE is what `az keyvault key get-attestation` writes. Nothing shows that the HSM is Microsoft's.

    \b
    Example:
      cji key verify-attestation cmk.json --kek-id https://NAME.managedhsm.azure.net/keys/KEY/VERSION \\
        --thumbprint THUMBPRINT --maker-roots marvell-roots.pem
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from attestation.release import verify_key_attestation  # noqa: PLC0415 - loads the TPM's libraries

    try:
        found = verify_key_attestation(
            file.read_bytes(),
            kek_id=kek_id,
            public_thumbprint=thumbprint,
            maker=maker_roots.read_bytes(),
            now=datetime.now(UTC),
        )
    except AttestationError as error:
        status = 2 if error.fault is Fault.CONFIG_INVALID else 3
        raise Failure(
            f"refused at {error.check}: {requirement(error.check)}", remedy=error.remedy, status=status
        ) from error
    for check in found.checks:
        click.echo(f"{check.id}  {check.finding}")
    click.echo("not checked: whose HSM it is; whether the key was exported since, under its release policy")
