"""`cji bundle floor`: put every earlier bundle behind a pool, once a machine shows that it runs the new one."""

import contextlib
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.signatures import KEYS_FOLDER, accepted_in
from cji_attestation.verbs.bundles import bundle_at, refusals
from cji_attestation.verbs.evidence_file import appraise_file, read_file
from cji_attestation.verbs.evidence_options import CLOUD
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_answer

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


class RaisedFloor(msgspec.Struct, frozen=True, kw_only=True):
    """`cji bundle floor`: the floor of the pool."""

    pool: Annotated[str, member("the pool")]
    serial: Annotated[int, member("serial number of the bundle; no machine admits a job under an earlier one")]
    entry: Annotated[int, member("number of the entry that has it")]


@click.command()
@click.argument("file", type=FILE)
@click.option("--account", required=True, metavar="URL", help="Blob Storage of the pool ledger, as in [ledger].")
@click.option("--container", default="floors", show_default=True, help="`floors` of [ledger].")
@click.option(
    "--evidence", type=FILE, required=True, help="evidence.json of a job that a machine ran under this bundle."
)
@click.option("--keys", type=_FOLDER, default=KEYS_FOLDER, show_default=True, help="Folder of the accepted keys.")
@click.option("--ca-file", type=FILE, help="PEM of the authorities of this service; else the system's.")
@PROFILE
@CLOUD
@answers(RaisedFloor)
@click.pass_context
@refusals
def floor(
    context: click.Context,
    file: Path,
    *,
    account: str,
    container: str,
    evidence: Path,
    keys: Path,
    ca_file: Path | None,
    profile: Path | None,
    cloud: str,
    as_json: bool,
) -> None:
    """Make the bundle in FILE the floor of its pool: no machine admits a job under an earlier one from now on.

    First the bundle in its source, then one machine that runs it, then the floor: otherwise no machine of the pool
    might be able to start. So the evidence of a machine must show exactly this bundle in force. An entry is for good.
    With your sign-in of the Azure CLI, which needs to create and read blobs in the container.

    \b
    Example:
      cji bundle floor pool.bundle --account https://cjipool.blob.core.windows.net --evidence out/evidence.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from cji_core.pool.store import Blobs  # noqa: PLC0415 - Microsoft's clients take long to import
    from cji_deploy.floors import raise_floor  # noqa: PLC0415
    from cji_deploy.vault_signer import own_sign_in  # noqa: PLC0415

    bundle, accepted, shown = bundle_at(file), accepted_in(keys), read_file(evidence)
    if shown.wrapper is None:
        raise Failure(f"{evidence.name} is a bare bundle", remedy="Give the evidence.json of `cji job run`.", status=2)
    found = appraise_file(
        shown, trust=trust_named(context, shown.cloud(cloud)), reference=reference_values(profile, None), expected=bytes
    )
    in_force = None if found.verdict.boot is None else found.verdict.boot.in_force
    if in_force != bundle.name:
        raise BundleRefused(
            f"The machine of this evidence has {in_force or 'no bundle'} in force, not {bundle.name}",
            "Put the bundle into its source, wait until a machine runs it, and use the evidence of a job there.",
            status=3,
        )
    blobs = Blobs(account, container, credential=own_sign_in(), ca_file=None if ca_file is None else str(ca_file))
    with contextlib.closing(blobs):
        entry = raise_floor(blobs, bundle, accepted)
    manifest = bundle.manifest
    print_answer(
        RaisedFloor(pool=manifest.pool, serial=manifest.serial, entry=entry),
        f"bundle {manifest.serial} is the floor of pool {manifest.pool}, entry {entry}",
        as_json=as_json,
    )
