"""`cji bundle show` and `verify`: what a bundle has, and whether a machine would take it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import click

from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.contents import check_pool
from cji_attestation.bundle.engine_contents import check_files
from cji_attestation.bundle.head import MAX_SERIAL
from cji_attestation.bundle.names import access_of
from cji_attestation.bundle.signatures import KEYS_FOLDER, accepted_in
from cji_attestation.bundle.signatures import verify as verify_signatures
from cji_attestation.bundle.witnesses import InForce, follow
from cji_attestation.verbs.bundles import (
    Summary,
    WitnessStep,
    bundle_at,
    lines_of_steps,
    refusals,
    shown_steps,
    summary,
)
from cji_attestation.verbs.trusts import trusts_of
from cji_core.command.common import FILE
from cji_core.command.json_output import answers, member, print_document
from cji_core.strict import b64url
from cji_core.tlog.policy import load_policy

MAX_USER_DATA: Final = 64 << 10
"""Bytes of user data that Azure takes."""


class ShownBundle(Summary, frozen=True, kw_only=True):
    """`cji bundle show`: a bundle, of which no signature was verified."""

    signatures_not_verified: Annotated[tuple[str, ...], member("thumbprints of the keys that its signatures name")]


class VerifiedBundle(Summary, frozen=True, kw_only=True):
    """`cji bundle verify`: a bundle that a machine would take."""

    verified: Annotated[bool, member("always true")]
    signed_by: Annotated[tuple[str, ...], member("names of the keys that signed it")]
    witness_steps: Annotated[
        tuple[WitnessStep, ...],
        member("how its policy of the log follows the one before: objects of the kind WitnessStep"),
    ]
    notes: Annotated[tuple[str, ...], member("what to know about it, in words")]


@click.command()
@click.argument("file", type=FILE)
@click.option("--file", "name", help="Print this file of the bundle instead, as it is.")
@answers(ShownBundle)
@refusals
def show(file: Path, *, name: str | None, as_json: bool) -> None:
    """Print what the bundle in FILE has. Verifies digests and form, no signature: that is `verify`.

    The SHA-384 is what `bundles` in reference values pins, and what evidence of a machine shows.

    \b
    Examples:
      cji bundle show pool.bundle
      cji bundle show pool.bundle --file policy.toml > policy.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    bundle = bundle_at(file)
    if name is not None:
        if name not in bundle.files:
            raise click.BadParameter(f"the bundle has {', '.join(bundle.files)}", param_hint="--file")
        click.echo(bundle.files[name], nl=False)
        return
    signers = [b64url(each.thumbprint) for each in bundle.signatures]
    if as_json:
        print_document({**summary(bundle), "signatures_not_verified": signers}, indent=2)
        return
    for line in _lines(bundle):
        click.echo(line)
    click.echo(f"signatures, not verified: {', '.join(signers) or 'none'}")


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--keys",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=KEYS_FOLDER,
    show_default=True,
    help="Folder of the accepted keys, as the image has it.",
)
@click.option("--minimum-serial", type=click.IntRange(1, MAX_SERIAL), default=1, help="The pool's last serial number.")
@click.option(
    "--log-policy", type=FILE, help="Policy of the log that the pool's machines have: verify what leads from it."
)
@answers(VerifiedBundle)
@click.pass_context
@refusals
def verify(
    context: click.Context, file: Path, *, keys: Path, minimum_serial: int, log_policy: Path | None, as_json: bool
) -> None:
    """Verify the bundle in FILE as a machine does: signatures, dates, serial number, and every file in it.

    With --log-policy as a machine that has this policy of the agency's log in force; without, as a new one.

    \b
    Examples:
      cji bundle verify pool.bundle --keys bundle-keys/ --minimum-serial 7
      cji bundle verify pool.bundle --keys bundle-keys/ --log-policy log-policy-of-bundle-7.toml
    """  # noqa: D301 - as above
    bundle, accepted, now = bundle_at(file), accepted_in(keys), datetime.now(UTC)
    signers = verify_signatures(bundle, accepted, now=now, least_serial=minimum_serial)
    contents = check_files(bundle.files, clouds=list(trusts_of(context)))
    check_pool(bundle, contents.pool)
    in_force = None if log_policy is None else InForce(policy_sha384=load_policy(log_policy).digest, time=None)
    pool = bundle.manifest.pool
    witnesses = follow(bundle.files, pool=pool, lost=accepted.witnesses_lost, in_force=in_force, now=now)
    steps = () if witnesses is None else witnesses.steps
    if as_json:
        found = {**summary(bundle), "verified": True, "signed_by": signers, "notes": contents.notes}
        found["witness_steps"] = shown_steps(steps)
        print_document(found, indent=2)
        return
    for line in _lines(bundle):
        click.echo(line)
    for note in contents.notes:
        click.echo(f"{click.style('note', fg='yellow')}  {note}")
    for line in lines_of_steps(steps):
        click.echo(line)
    click.echo(f"verified: signed by {', '.join(signers)}")


def _lines(bundle: Bundle) -> Iterator[str]:
    manifest, size = bundle.manifest, len(bundle.to_bytes())
    fits = "fits into user data" if size <= MAX_USER_DATA else "needs a blob"
    yield f"pool      {manifest.pool}"
    yield f"serial    {manifest.serial}"
    yield f"from, to  {manifest.created}, {manifest.expires}"
    yield f"size      {size} bytes, {fits}"
    yield f"SHA-384   {bundle.sha384.hex()}"
    yield ""
    width = max(len(entry.name) for entry in manifest.files)
    for entry in manifest.files:
        access = access_of(entry.name)
        readers = "everybody" if access is None or access.group is None else access.group
        yield f"{entry.name:{width}}  {entry.bytes:>8}  {readers:11}  {entry.sha384}"
    yield ""
