"""Builds the host profile's init program, runs programs below its filter, and boots a kernel with it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

__all__ = ["boot", "build", "host_folder", "kernel", "missing", "under_profile"]

SOURCE: Final = ROOT / "deploy/host-profile/host-profile.c"
COMMAND_LINE: Final = "init=/usr/lib/cji/host-profile lockdown=confidentiality"
_GUEST: Final = ROOT / "tests/support/guest_init.c"
_BOOT_S: Final = 100


def missing(*programs: str) -> str:
    """Those of these programs that this machine does not have, for the reason of a skip."""
    return ", ".join(name for name in programs if shutil.which(name) is None)


def build(program: Path, source: Path = SOURCE, *, filter_only: bool = False) -> Path:
    """Compile a program as deploy/host-profile/Makefile does."""
    flags = ["-DFILTER_ONLY"] if filter_only else []
    subprocess.run(
        ["gcc", "-D_GNU_SOURCE", *flags, "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source],
        check=True,
    )
    return program


def under_profile(filter_program: Path, module: str, *, machine: Path) -> list[str]:
    """The command that runs a Python module below PID 1 of a new PID namespace, which has the filter.

    The command line and lockdown are those of the folder `machine`: this machine cannot be locked down for a test.
    """
    script = (
        'mount --bind "$0/sys/kernel/security" /sys/kernel/security && mount --bind "$0/proc/cmdline" /proc/cmdline && '
        'exec "$@"'
    )
    inside = [str(filter_program), "/bin/sh", "-c", f"{sys.executable} -m {module}; exit $?"]
    return ["unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", script, str(machine), *inside]


def host_folder(folder: Path, **files: str) -> Path:
    """A folder with the /proc and /sys of a machine that meets every condition but for what `files` replaces.

    Names are the last part of a path, with underscores.
    """
    paths = {
        "swaps": ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
        "core_pattern": ("proc/sys/kernel/core_pattern", "|/bin/false\n"),
        "ptrace_scope": ("proc/sys/kernel/yama/ptrace_scope", "3\n"),
        "status": ("proc/1/status", "Name:\tsystemd\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
        "cmdline": ("proc/cmdline", f"root=/dev/dm-0 {COMMAND_LINE}\n"),
        "lockdown": ("sys/kernel/security/lockdown", "none integrity [confidentiality]\n"),
    }
    for name, (path, text) in paths.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(files.get(name, text))
    return folder


def kernel() -> Path | None:
    """A kernel to boot: `CJI_KERNEL`, or this machine's."""
    named = os.environ.get("CJI_KERNEL")
    found = [Path(named)] if named else sorted(Path("/boot").glob("vmlinuz-*"))
    return found[-1] if found else None


def boot(folder: Path, first_process: Path, image: Path, *, arguments: Sequence[str] = ()) -> dict[str, str]:
    """Boot a kernel whose PID 1 is `first_process` and whose /sbin/init attacks the profile; what it reported.

    Keys are who and what, as in "shell bpf"; the machine is emulated, so this needs no privilege.
    """
    guest = build(folder / "guest", _GUEST)
    archive = folder / "initrd"
    archive.write_bytes(_initrd({"init": first_process.read_bytes(), "sbin/init": guest.read_bytes()}))
    words = ["console=ttyS0", "quiet", "panic=-1", "lockdown=confidentiality", *arguments]
    machine = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-nic", "none"]
    done = subprocess.run(
        [*machine, "-no-reboot", "-kernel", image, "-initrd", archive, "-append", " ".join(words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_BOOT_S,
        check=True,
    )
    lines = [line.split(" ", 3)[1:] for line in done.stdout.decode("ascii", "replace").splitlines() if line[:2] == "@ "]
    return {f"{who} {what}": value.strip() for who, what, value in lines}


def _initrd(programs: dict[str, bytes]) -> bytes:
    """A cpio archive in the format newc: executables, and the folders that they need."""
    folders = ["dev", "proc", "sys", "sbin"]
    entries = [(name, 0o040755, b"") for name in folders] + [(name, 0o100755, data) for name, data in programs.items()]
    archive = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4)
        archive += data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
