"""A clean Debian 13 in a folder, as mmdebstrap makes it, in which commands run as on a machine of their own.

Packages, certificates and pip's settings come from where this machine has them. A command has an empty environment, its
own processes and mounts, and the network. /sys and /proc/sys are read-only: the kernel is this machine's. Needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SOURCE: Final = "/usr/src/cji-worker"
"""The folder of the clone of this repository, in which commands run."""
_PACKAGES: Final = "ca-certificates,systemd"  # what every machine has
_COPIED: Final = (
    "/etc/apt/apt.conf.d",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/share/ca-certificates",
)
_PASSED: Final = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# $1 is the folder, $2 the script
_ENTER: Final = r"""
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,bind,ro "$1/proc/sys"
mount --rbind /sys "$1/sys"
mount -o remount,bind,ro "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
exec chroot "$1" /bin/bash -euo pipefail -c "cd $3 2>/dev/null || cd /; $2"
"""


def make(folder: Path, clone: Path | None, *, base: Path | None = None) -> None:
    """Make the machine, with the files that git lists in `clone`; `base` is a tar file to make it from, or to write."""
    folder.mkdir(parents=True, exist_ok=True)
    if base is None or not base.exists():
        target = folder if base is None else base
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(target)]
        subprocess.run(command, check=True)
    if base is not None:
        subprocess.run(["tar", "-xf", str(base), "-C", str(folder), "--exclude=./dev/*"], check=True)
    for name in (*_COPIED, *(value for value in _passed().values() if value.startswith("/") and Path(value).is_file())):
        _copy(Path(name), folder / name.lstrip("/"))
    # no package starts a service while an image is built
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    if clone is not None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=clone, check=True, capture_output=True).stdout
        for name in listed.decode().split("\0")[:-1]:
            if (clone / name).is_file():
                target = folder / SOURCE.lstrip("/") / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(clone / name, target)


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)


def _passed() -> dict[str, str]:
    """The settings of this machine's environment that reach packages."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(_PASSED)}


def run(
    folder: Path, script: str, *, environment: Sequence[str] = (), cwd: str = SOURCE
) -> subprocess.CompletedProcess[str]:
    """Execute a script of bash there, which ends at the first failure; the two streams of its output are one."""
    passed = [f"{name}={value}" for name, value in _passed().items()]
    clean = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
    clean += ["DEBIAN_FRONTEND=noninteractive", *passed, *environment]
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", _ENTER, "sh"]
    command = ["env", "-i", *clean, *enter, str(folder), script, cwd]
    return subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
