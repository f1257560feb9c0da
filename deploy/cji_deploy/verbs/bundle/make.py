"""`cji bundle make`: an unsigned bundle from a folder, after every check that the machine will make."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import click

from cji_attestation.bundle.archive import make as make_bundle
from cji_attestation.bundle.engine_contents import check_files
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_BYTES, MAX_FILES, MAX_LIFETIME, MAX_SERIAL
from cji_attestation.bundle.names import LISTED, access_of
from cji_attestation.verbs.bundles import Summary, refusals, summary, write_bundle
from cji_attestation.verbs.trusts import trusts_of
from cji_core.command.json_output import answers, member, print_document
from cji_deploy.verbs.bundle.show import MAX_USER_DATA

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


class MadeBundle(Summary, frozen=True, kw_only=True):
    """`cji bundle make`: an unsigned bundle."""

    notes: Annotated[tuple[str, ...], member("what to know about it, in words")]


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--serial", type=click.IntRange(1, MAX_SERIAL), required=True, help="Higher than that of any bundle before."
)
@click.option(
    "--days",
    type=click.IntRange(1, MAX_LIFETIME.days),
    default=90,
    show_default=True,
    help="Days in which machines take it.",
)
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The bundle to write."
)
@answers(MadeBundle)
@click.pass_context
@refusals
def make(context: click.Context, folder: Path, *, serial: int, days: int, out: Path, as_json: bool) -> None:
    """Make a bundle of the files in FOLDER, unsigned.

    Everything in FOLDER is taken, and checked first as the worker will: worker.toml, policy, its signatures,
    authorities, audit.toml, console.toml. A file that no bundle can have, a private key, or a path in worker.toml that
    leads to no file of the bundle is refused. With engine.toml in place of worker.toml it is a bundle of an engine.

    \b
    Example:
      config/worker.toml  config/policy.toml  config/tls/client-roots.pem  config/tls/est-roots.pem
      cji bundle make config/ --serial 8 -o pool.bundle
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    files = files_in(folder)
    contents = check_files(files, clouds=list(trusts_of(context)))
    now = datetime.now(UTC)
    pool = contents.pool
    bundle = make_bundle(files, pool=pool, serial=serial, created=now, expires=now + timedelta(days=days))
    write_bundle(out, bundle)
    notes = [*contents.notes]
    if len(bundle.to_bytes()) > MAX_USER_DATA:
        notes.append("it is larger than the 64 KiB of user data: deploy it as a blob")
    if as_json:
        print_document({**summary(bundle), "notes": notes}, indent=2)
        return
    click.echo(f"{out}: serial {serial} of pool {pool}, {len(files)} files, until {bundle.manifest.expires}, unsigned")
    click.echo(f"SHA-384 {bundle.sha384.hex()}")
    for note in notes:
        click.echo(f"{click.style('note', fg='yellow')}  {note}")


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their names in a bundle. Raises BundleRefused for one that no bundle can have."""
    files: dict[str, bytes] = {}
    left = MAX_BYTES
    try:
        for path in sorted(folder.rglob("*")):
            mode, name = path.lstat().st_mode, path.relative_to(folder).as_posix()
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode) or access_of(name) is None:
                raise BundleRefused(f"{name!a} is not a file of a bundle", f"A bundle can have these alone: {LISTED}.")
            with path.open("rb") as file:
                files[name] = file.read(left + 1)
            left -= len(files[name])
            if left < 0 or len(files) > MAX_FILES:
                raise BundleRefused(
                    f"{folder} has more than {MAX_BYTES >> 20} MiB or {MAX_FILES} files",
                    "Leave out what is not needed.",
                )
    except OSError as error:
        raise BundleRefused(f"{folder} cannot be read: {error.strerror}", "Name a readable folder.") from error
    return files
