"""Take a later bundle without a restart: write the files that differ, then have the worker read them.

    1. the serial number is kept, so that no earlier bundle comes back
    2. policy, client authorities, revocation lists and files of reference values that differ are replaced, each as a
       whole
    3. the door reads its authorities again, if those differ
    4. the head of the bundle is replaced
    5. the worker reads all of it, once (`cji_worker.keyholder.bundle_in_force`)

After a crash between two of these the next attempt does them again: until step 4 the head in the folder is the earlier
one, and the worker takes no files that are not those of the head beside them. The door admits nobody whom the worker
does not: a removed authority loses its callers with step 5 alone.

Nothing is measured into PCR 15, which root could do as well: fresh quotes commit to the bundle once it is in use.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.hot import changed_files
from cji_attestation.bundle.names import HEAD, access_of
from cji_core.durable import replace_file
from cji_worker.bundle.apply import applied_head, group_id, keep, kept

DOOR_FILES: Final = frozenset({"tls/client-roots.pem"})
"""The files of these that nginx reads itself."""


def take(
    bundle: Bundle,
    *,
    folder: Path,
    state: Path,
    reload_door: Callable[[], None],
    values: Iterable[str] = (),
    gid: Callable[[str], int] = group_id,
) -> frozenset[str]:
    """Steps 1 to 4 for a bundle that `signatures.verify` and `contents.check_contents` passed; the names that differed.

    `values` are the files that its reference values name. Raises BundleRefused if it needs a restart, or where no
    bundle was applied.
    """
    before = applied_head(folder)
    if before is None:
        raise BundleRefused(f"No bundle is in force in {folder}", "Run `cji bundle apply` first.")
    changed = changed_files(before, bundle, values)
    if before.sha384 == bundle.sha384:
        return changed
    try:
        keep(state, bundle, kept(state, bundle.manifest.pool).log)  # its files need a restart
        for name in sorted(changed):
            access = access_of(name)
            group = -1 if access is None or access.group is None else gid(access.group)
            mode = 0o600 if access is None else access.mode
            replace_file(folder / name, bundle.files[name], mode=mode, group=group)
        if changed & DOOR_FILES:
            reload_door()
        replace_file(folder / HEAD, bundle.to_head(), mode=0o644)
    except OSError as error:
        raise BundleRefused(f"{folder} cannot be written: {error.strerror}", "Run this as root.") from error
    return changed
