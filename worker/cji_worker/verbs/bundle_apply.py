"""`cji bundle apply`: on the machine, at its start: fetch, verify, measure, write."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import click

from cji_attestation import Trust
from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.contents import Contents, check_pool
from cji_attestation.bundle.engine_contents import EngineContents, check_files, require_kind
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import DOOR, DOOR_ACCESS, ROOT_ACCESS
from cji_attestation.bundle.signatures import KEYS_FOLDER, Accepted, accepted_in, verify
from cji_attestation.bundle.witnesses import Witnesses, follow
from cji_attestation.verbs.bundles import (
    Summary,
    WitnessStep,
    bundle_at,
    lines_of_steps,
    refusals,
    shown_steps,
    summary,
)
from cji_attestation.verbs.evidence_options import CLOUD
from cji_attestation.verbs.trusts import trust_named, trusts_of
from cji_core.boot_codes import CODE_FILE
from cji_core.command.common import FILE
from cji_core.command.json_output import answers, member, print_document
from cji_core.format.configuration.engine import ENVIRONMENT
from cji_core.log import events_only
from cji_worker.bundle import persistence
from cji_worker.bundle.apply import FOLDER, STATE, Applied, Made, door_of, kept
from cji_worker.bundle.apply import apply as apply_bundle
from cji_worker.bundle.source import Fetched, fetch

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)
_CODE_FILE: Final = click.Path(dir_okay=False, path_type=Path)


class AppliedBundle(Summary, frozen=True, kw_only=True):
    """`cji bundle apply`: a bundle that is in force on this machine."""

    folder: Annotated[str, member("where its files are")]
    measured: Annotated[bool, member("whether it was measured into PCR 15 now, not before in this boot")]
    signed_by: Annotated[tuple[str, ...], member("names of the keys that signed it")]
    witness_steps: Annotated[
        tuple[WitnessStep, ...],
        member("how its policy of the log follows the one before: objects of the kind WitnessStep"),
    ]


@click.command()
@click.option("--from-file", type=FILE, help="Apply this file instead of what user data hold or name.")
@click.option("--keys", type=_FOLDER, default=KEYS_FOLDER, show_default=True, help="Folder of the accepted keys.")
@click.option("--folder", type=_FOLDER, default=FOLDER, show_default=True, help="Where the files go; in memory.")
@click.option("--state", type=_FOLDER, default=STATE, show_default=True, help="Keeps the last serial number.")
@click.option("--persist", is_flag=True, help="Try until it is in force, and show the code of the last failure.")
@click.option(
    "--code-file",
    type=_CODE_FILE,
    default=CODE_FILE,
    show_default=True,
    help="Where --persist puts this code.",
)
@CLOUD
@answers(AppliedBundle)
@click.pass_context
@refusals
def apply(
    context: click.Context,
    *,
    from_file: Path | None,
    keys: Path,
    folder: Path,
    state: Path,
    persist: bool,
    code_file: Path,
    cloud: str,
    as_json: bool,
) -> None:
    """Put the bundle of this machine in force: fetch it, verify it, measure it into PCR 15, write its files.

    The bundle is in the machine's user data, or in the blob that they name. Both are trusted for nothing: a key in the
    image must have signed. In each boot one bundle can be applied; the same one again changes nothing. Runs as root, by
    cji-bundle.service, before every unit that reads the files; with --persist, which has no last attempt: a failure is
    tried again within a minute, a bundle that is refused after about five, for the next one.

    \b
    Example:
      cji bundle apply
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    clouds, trust = trusts_of(context), trust_named(context, cloud)

    def attempt() -> _Done:
        found = found_at(from_file, trust, clouds)
        return _put_in_force(found, accepted_in(keys), clouds, folder=folder, state=state)

    if persist:
        events_only()
        done = persistence.persist(attempt, persistence.Shown(code_file))
    else:
        done = attempt()
    _report(done, as_json=as_json)


def found_at(from_file: Path | None, trust: Trust, clouds: Mapping[str, Trust]) -> Fetched:
    """The bundle in a file, or that of the machine's source. Raises BundleRefused."""
    from cji_core.azure_client import brokered_identity  # noqa: PLC0415 - not for a file at hand

    if from_file is not None:
        return Fetched(bundle_at(from_file).to_bytes(), in_user_data=False)
    return fetch(trust, clouds, identity=brokered_identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle that this machine takes."""

    bundle: Bundle
    signers: tuple[str, ...]
    contents: Contents | EngineContents
    witnesses: Witnesses | None


def verified(found: Fetched, accepted: Accepted, clouds: Mapping[str, Trust], *, state: Path) -> Verified:
    """Everything that a machine demands of a bundle before it measures or writes anything. Raises BundleRefused."""
    bundle, now = read(found.data), datetime.now(UTC)
    before = kept(state, pool := bundle.manifest.pool)
    signers = verify(bundle, accepted, now=now, least_serial=before.serial)
    contents = check_files(bundle.files, clouds=list(clouds))
    require_kind(contents)
    check_pool(bundle, contents.pool)
    _refuse_secrets(found, contents)
    witnesses = follow(bundle.files, pool=pool, lost=accepted.witnesses_lost, in_force=before.log, now=now)
    return Verified(bundle=bundle, signers=signers, contents=contents, witnesses=witnesses)


def _refuse_secrets(found: Fetched, contents: Contents | EngineContents) -> None:
    if found.in_user_data and contents.secrets:
        raise BundleRefused(
            f"The bundle has {' and '.join(contents.secrets)}, and everybody who can read the VM reads user data",
            "Deploy the bundle as a blob: set user data to its account, container and blob.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    verified: Verified
    applied: Applied


def _put_in_force(
    found: Fetched, accepted: Accepted, clouds: Mapping[str, Trust], *, folder: Path, state: Path
) -> _Done:
    taken = verified(found, accepted, clouds, state=state)
    contents, witnesses = taken.contents, taken.witnesses
    applied = apply_bundle(
        taken.bundle,
        trust=clouds[contents.config.cloud],
        folder=folder,
        state=state,
        made=_made(contents, folder),
        log=None if witnesses is None else witnesses.in_force,
    )
    return _Done(verified=taken, applied=applied)


def _made(contents: Contents | EngineContents, folder: Path) -> Made:
    """The files that the machine itself makes of these."""
    if isinstance(contents, EngineContents):
        return {ENVIRONMENT: (contents.config.environment(), ROOT_ACCESS)}
    from cji_worker.door.program import installed  # noqa: PLC0415 - only here is nginx asked for its build

    return {DOOR: (door_of(contents, folder, installed()), DOOR_ACCESS)}


def _report(done: _Done, *, as_json: bool) -> None:
    bundle, applied, signers = done.verified.bundle, done.applied, done.verified.signers
    steps = () if done.verified.witnesses is None else done.verified.witnesses.steps
    if as_json:
        more = {
            "folder": str(applied.folder),
            "measured": applied.measured,
            "signed_by": signers,
            "witness_steps": shown_steps(steps),
        }
        print_document({**summary(bundle), **more}, indent=2)
        return
    measured = "measured into PCR 15" if applied.measured else "measured before in this boot"
    click.echo(
        f"bundle {bundle.manifest.serial} of pool {bundle.manifest.pool}, SHA-384 {bundle.sha384.hex()}: {measured}, "
        f"{applied.files} files in {applied.folder}, signed by {', '.join(signers)}"
    )
    for line in lines_of_steps(steps):
        click.echo(line)
