"""`cji bundle update`: on a running machine: take a later bundle from the source, without a restart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import click

from cji_attestation import Trust
from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.engine_contents import EngineContents
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.hot import require_floors
from cji_attestation.bundle.signatures import KEYS_FOLDER, Accepted, accepted_in
from cji_attestation.verbs.bundles import Summary, refusals, summary
from cji_attestation.verbs.evidence_options import CLOUD
from cji_attestation.verbs.trusts import trust_named, trusts_of
from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_document
from cji_worker.bundle.apply import FOLDER, STATE, applied_head
from cji_worker.bundle.source import Fetched
from cji_worker.bundle.update import take
from cji_worker.verbs.bundle_apply import found_at, verified
from cji_worker.verbs.control import asked

_FOLDER: Final = click.Path(file_okay=False, path_type=Path)
_DOOR: Final = ("/usr/bin/systemctl", "--no-block", "try-reload-or-restart", "cji-door.service")
_SECONDS: Final = 30


class UpdatedBundle(Summary, frozen=True, kw_only=True):
    """`cji bundle update`: the bundle that is in force on this machine now."""

    changed: Annotated[tuple[str, ...], member("names of the files that were replaced; none if it was in force")]
    reloaded: Annotated[bool, member("whether a worker read them now")]


@click.command()
@click.option("--from-file", type=FILE, help="Take this file instead of what user data hold or name.")
@click.option("--keys", type=_FOLDER, default=KEYS_FOLDER, show_default=True, help="Folder of the accepted keys.")
@click.option("--folder", type=_FOLDER, default=FOLDER, show_default=True, help="Where the files are.")
@click.option("--state", type=_FOLDER, default=STATE, show_default=True, help="Keeps the last serial number.")
@click.option("--reload-door", is_flag=True, help="Have systemd reload cji-door.service where its authorities differ.")
@CLOUD
@answers(UpdatedBundle)
@click.pass_context
@refusals
def update(
    context: click.Context,
    *,
    from_file: Path | None,
    keys: Path,
    folder: Path,
    state: Path,
    reload_door: bool,
    cloud: str,
    as_json: bool,
) -> None:
    """Take a later bundle without a restart: policy, authorities, revocation lists, files of reference values.

    Everything is verified as `cji bundle apply` does. A bundle in which any other file differs is refused: it needs a
    restart. Then the worker reads the files, all or none, and its evidence shows the bundle. Jobs that were admitted go
    on, if the new policy permits them. Runs as root, by cji-bundle-update.timer; the same bundle again changes nothing.

    \b
    Example:
      cji bundle update
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    clouds, trust = trusts_of(context), trust_named(context, cloud)
    bundle, values = _later(found_at(from_file, trust, clouds), accepted_in(keys), clouds, folder=folder, state=state)
    reload = _reload_door if reload_door else lambda: None
    changed = take(bundle, folder=folder, state=state, reload_door=reload, values=values)
    reloaded = _reload(folder / "worker.toml", bundle)
    if as_json:
        print_document({**summary(bundle), "changed": sorted(changed), "reloaded": reloaded}, indent=2)
        return
    what = ", ".join(sorted(changed)) or "no file differs"
    click.echo(
        f"bundle {bundle.manifest.serial} of pool {bundle.manifest.pool}, SHA-384 {bundle.sha384.hex()}: {what}, "
        f"{'the worker read its files' if reloaded else 'the worker has it in force, or does not run'}"
    )


def _later(
    found: Fetched, accepted: Accepted, clouds: Mapping[str, Trust], *, folder: Path, state: Path
) -> tuple[Bundle, frozenset[str]]:
    """A bundle that the machine may take, with the files that its reference values name. Raises BundleRefused."""
    checked = verified(found, accepted, clouds, state=state)
    bundle, contents = checked.bundle, checked.contents
    if isinstance(contents, EngineContents):
        raise BundleRefused("An engine takes no bundle while it runs", "Restart the machine.")
    if contents.config.control_socket is None:
        remedy = "Set control_socket in worker.toml, make the bundle again, and restart the machine with it."
        raise BundleRefused("No running worker can be asked to read files: there is no control_socket", remedy)
    before = applied_head(folder)
    if before is not None and before.sha384 != bundle.sha384:
        require_floors(contents.config.ledger)  # the worker does, too, but then its files are replaced
    return bundle, frozenset(contents.config.attestation.value_files)


def _reload_door() -> None:
    import subprocess  # noqa: PLC0415 - where the door's authorities differ

    try:
        subprocess.run(_DOOR, check=True, timeout=_SECONDS, capture_output=True)  # noqa: S603 - a constant
    except (OSError, subprocess.SubprocessError) as error:
        raise BundleRefused(
            "systemd did not reload the door", "Look at the log of cji-door.service.", status=4
        ) from error


def _reload(config: Path, bundle: Bundle) -> bool:
    """Have the worker read the files, unless it has this bundle in force; False then, or if none runs."""
    try:
        in_force: dict[str, Any] | None = asked(config, "status").get("bundle")
    except Failure as error:
        if error.exit_code == 4:
            return False
        raise
    if in_force is not None and in_force.get("sha384") == bundle.sha384.hex():
        return False
    fault = asked(config, "reload").get("fault")
    if fault is not None:
        raise Failure(f"the worker does not take the bundle. {fault['what']}", remedy=fault["remedy"], status=1)
    return True
