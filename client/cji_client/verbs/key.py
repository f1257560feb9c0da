"""`cji key`: make the keys of submitters and the ML-KEM half of a worker, and verify where a vault made its key."""

from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AttestationError, Fault
from cji_attestation.checks import requirement
from cji_client.errors import SpecError
from cji_client.expiry import USUAL, described
from cji_client.new_keys import NewFiles, make_recipient_key, make_signing_key, require_support
from cji_client.profile import load_profile
from cji_client.rehearsal import rehearse
from cji_client.signers import KeyDecrypter
from cji_client.spec import recipients_of
from cji_client.verbs.answers import AttestedKey, NewKey, NewProjectKey, NewSeed, Rehearsed, ShownKey
from cji_core.certs import CertificateRefused, load_ec_public_key
from cji_core.command.common import FILE, Failure, explained, prompt
from cji_core.command.json_output import answers, as_text, print_answer, print_json
from cji_core.format.keys import (
    PinnedKey,
    last_day_of,
    load_recipient_key,
    load_signing_key,
    new_ml_kem_seed,
    new_project_key,
    recipient_thumbprints,
    save_project_key,
    write_private,
    write_public,
)
from cji_core.format.passphrases import passphrase_of
from cji_core.jose import (
    PublicKey,
    key_id,
    parse_encryption_pair,
    parse_ml_kem,
    parse_rsa,
    parse_verifying,
    public_jwk,
)
from cji_core.pairs import VerifyingPair

_NEW = click.Path(dir_okay=False, path_type=Path)
_HYBRID = click.option("--hybrid", is_flag=True, help="Make a pair for jobs of the suite hybrid-1.")
_PASSPHRASE = click.option("--passphrase", is_flag=True, help="Prompt for a passphrase and encrypt the private key.")

_DAYS = click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=USUAL.days,
    show_default=True,
    help="Days from today until its last day, which is shown wherever the key is used, with a warning before.",
)

_LEFT_OPEN = ("whose HSM it is", "whether the key was exported since, under its release policy")


@click.group()
def key() -> None:
    """Make keys, or verify an HSM's attestation of one.

    Private files have mode 0600; no file is ever overwritten.
    """


@key.command("new-signing")
@click.argument("file", type=_NEW)
@_HYBRID
@_PASSPHRASE
@_DAYS
@answers(NewKey)
@explained
def new_signing(file: Path, *, hybrid: bool, passphrase: bool, days: int, as_json: bool) -> None:
    """Make a P-384 key that signs job headers, with --hybrid together with an ML-DSA-87 key.

    Writes FILE (private, PKCS#8 PEM) and FILE.pub (public: PEM, of a pair JWK). The operator adds the public key to the
    worker's policy, next to your certificate's URI.

    \b
    Example:
      cji key new-signing signing.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    made = make_signing_key(file, hybrid=hybrid, passphrase=_ask(passphrase), days=days)
    _print(made, as_json=as_json)


@key.command("new-recipient")
@click.argument("file", type=_NEW)
@_HYBRID
@_PASSPHRASE
@_DAYS
@answers(NewKey)
@explained
def new_recipient(file: Path, *, hybrid: bool, passphrase: bool, days: int, as_json: bool) -> None:
    """Make an RSA-3072 key that opens results, with --hybrid an ML-KEM-1024 and a P-384 key instead.

    Writes FILE (private, PKCS#8 PEM) and FILE.jwk (public, JWK). Name the public key in the job spec; the operator
    allows its thumbprint for your agency in the worker's policy.

    \b
    Example:
      cji key new-recipient recipient.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    made = make_recipient_key(file, hybrid=hybrid, passphrase=_ask(passphrase), days=days)
    _print(made, as_json=as_json)


@key.command("new-ml-kem-seed")
@click.argument("cmk", type=FILE)
@click.option("--kek-id", required=True, help="Id of the key with its version, as in worker.toml.")
@click.option("--thumbprint", required=True, help="RFC 7638 thumbprint of the key, from its owner.")
@click.option("--out", "file", type=_NEW, required=True, help="File for the wrapped seed; not overwritten.")
@answers(NewSeed)
@explained
def new_seed(cmk: Path, *, kek_id: str, thumbprint: str, file: Path, as_json: bool) -> None:
    """Make the ML-KEM half of a worker's key, for jobs of the suite hybrid-1.

    CMK is the public JWK of the worker's key. Prints two lines for [[keys]] in worker.toml. The seed is wrapped under
    the CMK, so it exists again only where the CMK has been released; this command keeps no other copy. RSA alone
    protects the wrapped seed: keep its file from everybody but the worker's user. Submitters pin the thumbprint.

    \b
    Example:
      cji key new-ml-kem-seed cmk.jwk --kek-id https://kv.vault.azure.net/keys/cji/0123456789abcdef0123456789abcdef \\
          --thumbprint NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --out seeds/cmk.seed
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    require_support(hybrid=True)
    try:
        jwk = cmk.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise SpecError(f"{cmk.name} is not a JWK") from None
    pinned = PinnedKey.check(kek_id, jwk, expected=thumbprint)
    wrapped, public = new_ml_kem_seed(pinned.public, kek_id)
    write_private(file, f"{wrapped}\n".encode())
    answer = NewSeed(ml_kem_seed_file=str(file), ml_kem_thumbprint=key_id(public))
    print_answer(answer, f'ml_kem_seed_file = "{file}"\nml_kem_thumbprint = "{key_id(public)}"', as_json=as_json)


@key.command()
@click.argument("name")
@click.argument("file", type=_NEW)
@answers(NewProjectKey)
@explained
def project(name: str, file: Path, *, as_json: bool) -> None:
    """Make the key of project NAME, so that tokens from different jobs can be joined.

    Keep FILE for the lifetime of the project and no longer: anyone who has it can compute the tokens of known values.
    Each job carries the key sealed to the worker's key, never in the clear.

    \b
    Example:
      cji key project study-17 study-17.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    save_project_key(new_project_key(name), file)
    if as_json:
        print_json(NewProjectKey(file=str(file), project=name))
        return
    click.echo(f"{file}  key of project {name}; set `project_key` to this file in the job spec")


@key.command()
@click.argument("file", type=FILE)
@answers(ShownKey)
@explained
def show(file: Path, *, as_json: bool) -> None:
    """Print the thumbprint of a key, and its public half as a JWK.

    FILE is a signing or recipient key, the public half of one, a worker's public key, or TOML that names a signing key
    in a vault or token. Nothing private is printed. In jobs of classical-1 a pair signs with its P-384 half, whose
    thumbprint is printed as well.

    \b
    Examples:
      cji key show signing.key          # for `cji columns rewrap --submitter`
      cji key show recipient.key.jwk    # for `recipients` in the worker's policy
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    public = _public_half(file)
    classical = public.p384 if isinstance(public, VerifyingPair) else public
    last = _last_day(file)
    answer = ShownKey(
        thumbprint=key_id(public),
        classical_thumbprint=key_id(classical),
        jwk=public_jwk(public),
        not_after=None if last is None else str(last),
    )
    lines = [f"thumbprint  {answer.thumbprint}", f"in use      {described(last)}"]
    if classical is not public:
        lines.append(f"classical-1 {answer.classical_thumbprint}")
    print_answer(answer, "\n".join([*lines, f"public      {answer.jwk}"]), as_json=as_json)


def _last_day(file: Path) -> date | None:
    """Of a private key's file; the public half states none."""
    return last_day_of(file) if b"PRIVATE KEY-----" in file.read_bytes() else None


def _public_half(file: Path) -> PublicKey:
    """The public key in a file, or of the private key in it."""
    if file.suffix == ".toml":
        from cji_client.columns.master_keys import signer_in  # noqa: PLC0415 - only for keys in vaults and tokens

        return signer_in(file).public_key()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SpecError(f"{file} cannot be read ({error.strerror})") from None
    if b"PRIVATE KEY-----" in data:
        passphrase = passphrase_of(file, prompt)
        try:
            return load_signing_key(file, passphrase=passphrase).public_key()
        except SpecError:
            return load_recipient_key(file, passphrase=passphrase).public_key()
    for read in (_public_pem, parse_verifying, parse_rsa, parse_encryption_pair, parse_ml_kem):
        with suppress(ValueError, CertificateRefused):
            return read(data.decode("ascii").strip())
    raise SpecError(f"{file.name} is not a key", remedy="Name a file that `cji key` or `cji worker describe` wrote.")


def _public_pem(text: str) -> ec.EllipticCurvePublicKey:
    return load_ec_public_key(text.encode(), ec.SECP384R1)


def _ask(wanted: bool) -> bytes | None:
    if not wanted:
        return None
    text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return text.encode()


def _print(made: NewFiles, *, as_json: bool) -> None:
    if as_json:
        print_json(
            NewKey(
                private=str(made.private),
                public=str(made.public),
                thumbprint=made.thumbprint,
                not_after=str(made.until),
            )
        )
    else:
        click.echo(f"{made.private}  private, keep it secret\n{made.public}  public\nthumbprint {made.thumbprint}")
        click.echo(described(made.until))


@key.command("rehearse")
@click.argument("file", type=FILE)
@click.option("--profile", "profile_file", type=FILE, required=True, help="client.toml: whose jobs the key recovers.")
@click.option("--record", type=_NEW, help="Write the dated record into this new file.")
@answers(Rehearsed)
@explained
def rehearse_key(file: Path, *, profile_file: Path, record: Path | None, as_json: bool) -> None:
    """Prove that FILE, a copy of a recipient key from the escrow, opens results of the profile's jobs.

    A made-up result is sealed to all recipients of these jobs, `escrow` included, and opened with the copy alone. No
    worker takes part. Do it after each rotation and once a year, with the copy as it comes out of the safe. Keep the
    record: it states the day, the key and the recipients.

    \b
    Example:
      cji key rehearse /media/safe/escrow.key --profile client.toml --record rehearsal-2026-12.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    recipients, suite = recipients_of(profile.job)
    copy = KeyDecrypter(load_recipient_key(file, passphrase=passphrase_of(file, prompt)))
    thumbprint = rehearse(recipients, suite, copy)
    answer = Rehearsed(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        thumbprint=thumbprint,
        recipients=tuple(recipient_thumbprints(recipients, suite)),
        suite=str(suite),
        opened=True,
    )
    if record is not None:
        write_public(record, as_text(answer).encode() + b"\n")
    text = f"{answer.date}  the copy of {thumbprint} opened a result for {len(recipients)} recipients"
    print_answer(answer, text, as_json=as_json)


@key.command("verify-attestation")
@click.argument("file", type=FILE)
@click.option("--kek-id", required=True, help="The key's full id, with version.")
@click.option("--thumbprint", required=True, help="RFC 7638, SHA-256, base64url, of the key that data are sealed to.")
@click.option(
    "--maker-roots", type=FILE, required=True, help="PEM: the root certificates that the HSM's maker publishes."
)
@answers(AttestedKey)
@explained
def verify_attestation(file: Path, *, kek_id: str, thumbprint: str, maker_roots: Path, as_json: bool) -> None:
    """Verify FILE, a Managed HSM's attestation of a key: the key was made in the HSM. Uses no network.

    FILE is what `az keyvault key get-attestation` writes. Nothing shows that the HSM is Microsoft's.

    \b
    Example:
      cji key verify-attestation cmk.json --kek-id https://NAME.managedhsm.azure.net/keys/KEY/VERSION \\
        --thumbprint THUMBPRINT --maker-roots marvell-roots.pem
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_attestation.release import verify_key_attestation  # noqa: PLC0415 - loads the TPM's libraries

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
    answer = AttestedKey(kek_id=kek_id, checks={each.id: each.finding for each in found.checks}, not_checked=_LEFT_OPEN)
    lines = [*(f"{each.id}  {each.finding}" for each in found.checks), f"not checked: {'; '.join(_LEFT_OPEN)}"]
    print_answer(answer, "\n".join(lines), as_json=as_json)
