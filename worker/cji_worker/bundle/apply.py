"""Put a verified bundle in force on this machine: measure it, then hand its files out, all at once.

The order makes the evidence true: nothing reads a file before its bundle is in PCR 15, and after that event no other
bundle can be applied before the next boot. Files are written beside the folder, which appears by one rename.

Contract and invariants
* The folder is in memory (tmpfs): it is empty after each boot, and nobody can change it from outside.
* Every file has the owner, group and mode of `names`, root's but for a seed; folders are for everybody to enter.
* Applied again in the same boot, the same bundle changes nothing; another one is refused (but see `update`).
* The serial number and the policy of the log are kept in the state folder, which outlives the boot where the machine
  has a disk of its own.
"""

import contextlib
import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from cji_attestation import Trust
from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.contents import Contents, write_files
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import Head, read_head
from cji_attestation.bundle.names import HEAD, PUBLIC, ROOT_ACCESS, Access, access_of
from cji_attestation.bundle.witnesses import InForce
from cji_attestation.evidence.collect import vm_id
from cji_attestation.evidence.measured_bundle import measure_bundle
from cji_core.boot_codes import BootCode
from cji_core.documents import decode
from cji_core.durable import replace_file
from cji_core.format.configuration.machine import MACHINE, Machine
from cji_worker.door.config import Build, door_config

FOLDER: Final = Path("/run/cji/config")
"""Target of the link /etc/cji in the image."""
STATE: Final = Path("/var/lib/cji-bundle")
_STATE_FILE: Final = "applied.json"
_MAX_STATE: Final = 4096
_MEMORY: Final = ("tmpfs", "ramfs")
Section = TypeVar("Section", bound=msgspec.Struct)
Made = Mapping[str, tuple[bytes, Access]]


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The bundle with the highest serial number that this machine has applied, and its policy of the log.

    Without a log it is the file that an image without this member reads, to which the machine may go back.
    """

    pool: str
    serial: int = 0
    log: InForce | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The outcome for a bundle."""

    folder: Path
    files: int
    measured: bool
    """False if this boot had measured it before."""


def door_of(contents: Contents, folder: Path, build: Build) -> bytes:
    """The configuration of nginx for the files of a bundle in `folder`."""

    def moved(section: Section, *keys: str) -> Section:
        files = {key: Path(path) for key in keys if isinstance(path := getattr(section, key), str)}
        brought = {key: path for key, path in files.items() if path.is_relative_to(contents.folder)}
        places = {key: str(folder / path.relative_to(contents.folder)) for key, path in brought.items()}
        return msgspec.structs.replace(section, **places)

    config = contents.config
    listen = moved(config.listen, "certificate", "private_key", "client_roots")
    fleet = None if config.fleet is None else moved(config.fleet, "engine_roots")
    return door_config(msgspec.structs.replace(config, listen=listen, fleet=fleet), build).encode()


def _unfit(what: str, remedy: str) -> BundleRefused:
    return BundleRefused(what, remedy, boot_code=BootCode.MACHINE)


def group_id(name: str) -> int:
    """The number of a group of this machine. Raises BundleRefused."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        remedy = "Create the users of cji-worker.sysusers.conf: systemd-sysusers."
        raise _unfit(f"This machine has no group {name}", remedy) from error


def user_id(name: str) -> int:
    """The number of a user of this machine. Raises BundleRefused."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        remedy = "Create the users of cji-worker.sysusers.conf: systemd-sysusers."
        raise _unfit(f"This machine has no user {name}", remedy) from error


def kept(state: Path, pool: str) -> Kept:
    """The serial number below which a bundle of this pool was rolled back, and the policy of the log in force.

    0 and none on a new machine. Raises BundleRefused.
    """
    path = state / _STATE_FILE
    try:
        with path.open("rb") as file:
            found = decode(file.read(_MAX_STATE), Kept, limit=_MAX_STATE)
    except FileNotFoundError:
        return Kept(pool=pool)
    except (OSError, ValueError) as error:
        raise _unfit(f"{path} cannot be read", "Investigate who changed it, then redeploy the machine.") from error
    if found.pool != pool:
        raise BundleRefused(
            f"This machine belongs to pool {found.pool!a}, the bundle is of {pool!a}",
            "Deploy a bundle of its pool, or redeploy the machine with a new disk.",
            status=3,
            boot_code=BootCode.POOL,
        )
    return found


def require_memory(folder: Path) -> None:
    """Raise BundleRefused unless files below this path, or its nearest folder that exists, are in memory alone."""
    at = next(each for each in (folder, *folder.parents) if each.exists()).resolve()
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mounts[Path(left.split()[4])] = right.split()[0]
    kind = next((mounts[each] for each in (at, *at.parents) if each in mounts), "")
    if kind not in _MEMORY:
        raise _unfit(f"{folder} is on {kind or 'a disk'}, not in memory", "Use a folder of a tmpfs, below /run.")


def apply(
    bundle: Bundle,
    *,
    trust: Trust,
    folder: Path = FOLDER,
    state: Path = STATE,
    made: Made = MappingProxyType({}),
    log: InForce | None = None,
    gid: Callable[[str], int] = group_id,
    uid: Callable[[str], int] = user_id,
) -> Applied:
    """Measure a bundle that `signatures.verify` and `contents.check_contents` passed, and write its files.

    `made` are files that this machine has made of them, by name; `log` is the policy of the log, which
    `witnesses.follow` passed. Raises BundleRefused, and AttestationError: "bundle-applied", "event-log", "tpm-open",
    "pcr-extend", "hcl".
    """
    require_memory(folder)
    files = _with_access(bundle, made, Machine(vm_id=vm_id(trust)))
    stage = _staged(folder, files, gid, uid)
    try:
        measured = measure_bundle(trust, bundle.name)
        keep(state, bundle, log)
        _publish(stage, folder, bundle)
    except OSError as error:
        raise _unfit(f"{folder} cannot be written: {error.strerror}", "Run this as root.") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Applied(folder=folder, files=len(files), measured=measured)


def _with_access(bundle: Bundle, made: Made, machine: Machine) -> Mapping[str, tuple[bytes, Access]]:
    files = {name: (data, access_of(name) or ROOT_ACCESS) for name, data in bundle.files.items()}
    files[HEAD] = (bundle.to_head(), PUBLIC)
    files[MACHINE] = (msgspec.json.encode(machine), PUBLIC)
    return {**files, **made}


def _staged(
    folder: Path,
    files: Mapping[str, tuple[bytes, Access]],
    gid: Callable[[str], int],
    uid: Callable[[str], int],
) -> Path:
    """A new folder beside `folder`, with everything in it as it will be."""
    owners = {access.group: 0 if access.group is None else gid(access.group) for _, access in files.values()}
    try:
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, stage, ignore_errors=True)
            write_files(stage, {name: data for name, (data, _) in files.items()})
            for name, (_, access) in files.items():
                os.chmod(stage / name, access.mode)
                os.chown(stage / name, 0 if access.owner is None else uid(access.owner), owners[access.group])
            for each in (stage, *(path for path in stage.iterdir() if path.is_dir())):
                os.chmod(each, 0o755)  # noqa: S103 - to enter; each file has its own readers
            undo.pop_all()
    except OSError as error:
        raise _unfit(f"{folder} cannot be written: {error.strerror}", "Run this as root.") from error
    return stage


def _publish(stage: Path, folder: Path, bundle: Bundle) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        applied = applied_head(folder)
        if applied is None or applied.sha384 != bundle.sha384:
            raise BundleRefused(
                f"{folder} has files that are not of this bundle",
                "Restart the machine to apply another bundle.",
                boot_code=BootCode.ANOTHER,
            )
        return
    os.rename(stage, folder)


def applied_head(folder: Path) -> Head | None:
    """The head of the bundle whose files these are, if they are a bundle's. Raises BundleRefused for another file."""
    try:
        return read_head((folder / HEAD).read_bytes())
    except FileNotFoundError:
        return None


def keep(state: Path, bundle: Head, log: InForce | None) -> None:
    """Keep the serial number, which this machine never goes back from, and the policy of the log."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = Kept(pool=bundle.manifest.pool, serial=bundle.manifest.serial, log=log)
    replace_file(state / _STATE_FILE, msgspec.json.encode(now), mode=0o600)
