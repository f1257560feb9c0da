"""The checks of `cji doctor --client`: what a submitter's machine, its profile and its way to the worker lack."""

import ctypes
import errno
import os
import platform
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Final

import click

from cji_attestation.verbs.trusts import trust_named
from cji_client.errors import ClientError
from cji_client.expiry import ROTATE, described, ends_of_certificates, is_due, today
from cji_client.profile import ClientProfile, load_profile
from cji_client.verbs.desk_network import asked, network_findings
from cji_core.command.findings import Finding, NotOk, run_check
from cji_core.fips import module_in_force, require_usable
from cji_core.format.keys import last_day_of, read_private
from cji_core.pairs import supported

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

OLDEST: Final = (3, 11)
BEYOND: Final = (3, 15)
"""The first version of Python that runs the client, and the first that does not."""
_SHOWN: Final = ("cryptography", "grpcio", "pyarrow")
_TIME_ERROR: Final = 5
_TIMEX: Final = 512  # bytes, more than struct timex has
_MAX_ERROR_AT: Final = 3 * ctypes.sizeof(ctypes.c_long)
_SKEW_S: Final = 60
_SWAPS: Final = Path("/proc/swaps")


def checked(context: click.Context, file: Path | None) -> list[Finding]:
    """Findings on this machine and, if there is one, on a profile and the way to its worker."""
    found = [
        run_check("Python", _python),
        run_check("versions", _versions),
        run_check("OpenSSL", _openssl),
        run_check("clock", _clock),
        run_check("memory", _memory),
    ]
    if file is None:
        remedy = "Give --profile client.toml: its keys, certificates and worker are checked then."
        return [*found, Finding(name="profile", state="not run", found="no --profile given", remedy=remedy)]
    try:
        profile = load_profile(file)
    except ClientError as error:
        return [*found, Finding(name="profile", state="failed", found=str(error), remedy=error.remedy)]
    found.append(Finding(name="profile", state="ok", found=f"{file}, for {profile.target}", remedy=""))
    try:
        trust = trust_named(context, profile.cloud)
    except click.ClickException as error:
        remedy = getattr(error, "remedy", "")
        found.append(Finding(name="roots", state="failed", found=getattr(error, "what", error.message), remedy=remedy))
        trust = None
    else:
        found.append(asked("roots", partial(_roots, profile)))
    return [*found, *_files(profile), *network_findings(profile, trust)]


def _python() -> str:
    found = (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    if not OLDEST <= sys.version_info[:2] < BEYOND:
        raise NotOk(found, "Install Python 3.11, 3.12, 3.13 or 3.14.")
    return found


def _versions() -> str:
    ours = {each.name: each.version for each in distributions() if each.name.startswith("cji-")}
    if len(set(ours.values())) > 1:
        listed = ", ".join(f"{name} {number}" for name, number in sorted(ours.items()))
        raise NotOk(listed, "Install all distributions from one release: the wheels of one folder.")
    return ", ".join([*(f"{name} {number}" for name, number in sorted(ours.items())), *_others()])


def _others() -> Iterator[str]:
    for name in _SHOWN:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            raise NotOk(f"{name} is not installed", f"Install it: pip install {name}.") from None


def _openssl() -> str:
    """In this process: a provider that is configured and does not work is found by use."""
    module = module_in_force()
    require_usable(module, require_fips=False)
    if not supported():
        raise NotOk(
            f"{module}; no ML-KEM and no ML-DSA",
            "For jobs of hybrid-1, use a build of cryptography with OpenSSL 3.5 or later. classical-1 needs neither.",
            state="warning",
        )
    return f"{module}; for both suites"


def _clock() -> str:
    """By the kernel, which knows whether something sets its clock (adjtimex(2))."""
    if sys.platform != "linux":
        raise NotOk("only Linux has this reading", "Let the system set its clock by NTP.", state="not run")
    buffer = ctypes.create_string_buffer(_TIMEX)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    remedy = f"Have chrony or systemd-timesyncd set it: a job that is sealed more than {_SKEW_S} s ahead is refused."
    if state < 0:
        raise NotOk(f"the kernel gives no answer ({errno.errorcode[ctypes.get_errno()]})", remedy, state="not run")
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if state == _TIME_ERROR:
        raise NotOk(f"{now}, and nothing synchronises it", remedy, state="warning")
    error_us = ctypes.c_long.from_buffer(buffer, _MAX_ERROR_AT).value
    return f"{now}, synchronised, at most {error_us / 1000:.0f} ms off"


def _memory() -> str:
    """Ways of records and keys from memory to a disk. The client itself locks no memory."""
    if resource is None:
        raise NotOk("Windows has no such limits", "Encrypt the disk, page file included.", state="not run")
    locked, core = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], resource.getrlimit(resource.RLIMIT_CORE)[0]
    shown = "unlimited" if locked == resource.RLIM_INFINITY else f"{locked >> 10} KiB"
    found = f"up to {shown} can be locked, the client locks none"
    swaps = [line.split()[0] for line in _SWAPS.read_text().splitlines()[1:]] if _SWAPS.exists() else []
    faults = {
        f"swap on {', '.join(swaps)}": "Turn swap off, or encrypt it." if swaps else "",
        "a crash leaves a core": "Set `ulimit -c 0` before `cji`, or LimitCORE=0 in a unit." if core else "",
    }
    if remedies := [remedy for remedy in faults.values() if remedy]:
        named = [fault for fault, remedy in faults.items() if remedy]
        raise NotOk(f"records and keys may get to a disk: {'; '.join(named)}", " ".join(remedies), state="warning")
    return f"{found}; no swap, no cores"


def _roots(profile: ClientProfile) -> str:
    """The authorities of the worker's certificate, which end like others."""
    ends = ends_of_certificates(Path(profile.ca))
    _require_time(profile.ca, ends, "Get the authorities that follow from the worker's operator.")
    return f"cloud {profile.cloud}; {profile.ca} {described(ends)}"


def _files(profile: ClientProfile) -> Iterator[Finding]:
    names = ("private_key", "signing_key", "recipient_key", "token_file")
    for name in names:
        if path := getattr(profile, name):
            yield asked(name, partial(_private, Path(path)))
    yield asked("certificate", partial(_certificate, profile))


def _private(path: Path) -> str:
    data = read_private(path)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    kind = "encrypted" if b"ENCRYPTED" in data else "not encrypted"
    last = last_day_of(path)
    if is_due(last):
        raise NotOk(f"{path} {described(last)}", ROTATE, state="warning")
    return f"{path}, mode {mode:04o}, {kind}, {described(last)}"


def _certificate(profile: ClientProfile) -> str:
    profile.tls()
    ends = ends_of_certificates(Path(profile.certificate), first=True)
    _require_time(profile.certificate, ends, "Have it renewed now: the worker's door refuses it afterwards.")
    return f"{profile.certificate}, {profile.submitter()}, {described(ends)}"


def _require_time(file: str, last: date, remedy: str) -> None:
    if is_due(last):
        raise NotOk(f"{file} {described(last)}", remedy, state="failed" if last < today() else "warning")
