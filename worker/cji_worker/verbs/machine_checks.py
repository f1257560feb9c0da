"""The checks of `cji doctor` that hold for every worker on a machine: each does on a small scale what a worker does.

What changes a process for good (a secret heap, a system-call filter) is tried in a process of its own. Nothing here
changes the machine.
"""

import os
import subprocess
import sys
import time
from typing import Final

from cji_attestation import AttestationError, Trust, is_production
from cji_core.command.findings import Finding, NotOk, run_check
from cji_core.documents import decode
from cji_core.errors import StartupError
from cji_core.fips import NOT_VALIDATED, CryptoModule, Mode, require_usable
from cji_core.format.configuration.worker import Config
from cji_core.manifest import verified_code
from cji_worker.host import CATALOGUE, Host, TpmClockWatch, secret_mib, unmet
from cji_worker.launch import command
from cji_worker.memory import heap_environment
from cji_worker.rights import require_users

_PROBE_SECONDS: Final = 60
_HEAP: Final = """
import os
from cji_worker.memory import Region, SecretHeap, secret_fd
SecretHeap(Region(secret_fd(64 << 20)), size=64 << 20)
os._exit(0)
"""
_NAMESPACES: Final = """
import os
from cji_worker.rights import can_become_users, enter_namespaces, fork
enter_namespaces(users=can_become_users())
pid, _ = fork(own_pids=True)
if not pid:
    os._exit(0 if os.getpid() == 1 else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
_SANDBOX: Final = """
import os, signal, socket
from cji_worker.cell.sandbox import REPORT, cell_filter, enter_sandbox, keep_descriptors
from cji_worker.memory import harden
from cji_worker.rights import address_space, reported_call
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
rules, nothing, end = cell_filter(), os.open(os.devnull, os.O_RDONLY), theirs.fileno()
parent, child = os.getpid(), os.fork()
if not child:
    keep_descriptors(control=end, data=end, report=end, nothing=nothing)
    report = socket.socket(fileno=REPORT)
    harden(parent=parent)
    socket.send_fds(report, [b"x"], [enter_sandbox(rules, address_space=address_space())])
    socket.socket()
theirs.close()
_, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
call = reported_call(listener)
os.kill(child, signal.SIGKILL)
os._exit(0 if call and call.name == "socket" else 1)
"""
_DUMPS: Final = """
import ctypes, resource
from cji_worker.memory import harden
harden(parent=None)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) and ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
"""

_PAUSE_S: Final = 1.0
_ALLOWED_S: Final = 0.5


def machine_checks(*, production: bool) -> list[Finding]:
    """The findings on this machine. A command without production trust starts no worker that needs a manifest."""
    return [
        run_check("interpreter", _interpreter),
        run_check("manifest", lambda: _manifest(production=production)),
        run_check(
            "secret heap", lambda: _probe(_HEAP, heap_environment(), found="memfd_secret and mimalloc work together")
        ),
        run_check("users", _users),
        run_check("namespaces", lambda: _probe(_NAMESPACES, {}, found="cells have processes and network apart")),
        run_check(
            "sandbox", lambda: _probe(_SANDBOX, {}, found="Landlock and seccomp hold; a refused call is reported")
        ),
        run_check("dumps", lambda: _probe(_DUMPS, {}, found="no core, not dumpable")),
        run_check("FIPS", _fips),
    ]


def _users() -> str:
    try:
        require_users()
    except StartupError as error:
        raise NotOk(error.what, error.remedy, state="warning") from error
    return "each process can be a user of its own"


def _interpreter() -> str:
    stray = sorted(k for k in os.environ if k.startswith(("PYTHON", "LD_")) and k not in _HARMLESS)
    if stray:
        raise NotOk(f"the environment sets {', '.join(stray)}", "Unset them in the unit file.", state="warning")
    version = ".".join(map(str, sys.version_info[:3]))
    return f"Python {version}; the worker's processes start with an environment of their own"


_HARMLESS: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED"})


def _manifest(*, production: bool) -> str:
    try:
        code = verified_code()
    except StartupError as error:
        raise NotOk(error.what, error.remedy, state="failed" if production else "warning") from error
    return f"every file is listed and unchanged, SHA-384 {code.sha384.hex()[:16]}…"


def _probe(code: str, environment: dict[str, str], *, found: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and code; -I would ignore PYTHONMALLOC
        [sys.executable, "-s", "-P", "-c", code],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return found
    reason = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
    raise NotOk(
        reason[0].rpartition("StartupError: ")[2],
        "Install requirements.lock and compare the unit file with deploy/systemd.",
    )


def fips_module() -> CryptoModule:
    """The module that the worker's processes use, probed in a process that is started as they are."""
    environment = {name: os.environ[name] for name in ("OPENSSL_CONF", "OPENSSL_MODULES") if name in os.environ}
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        command("cji_core.fips"),
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
        capture_output=True,
        timeout=_PROBE_SECONDS,
        check=True,
    )
    return decode(done.stdout, CryptoModule, limit=len(done.stdout))


def _fips() -> str:
    module = fips_module()
    require_usable(module, require_fips=False)
    if module.mode is Mode.NOT_APPROVED:
        raise NotOk(
            f"{module}: not in an approved mode; receipts will record it",
            "Set OPENSSL_CONF and OPENSSL_MODULES for a validated module, both of them; see deploy/fips.",
            state="warning",
        )
    if module.certificate == NOT_VALIDATED:
        raise NotOk(f"{module}, {module.file}", "Build the validated module with deploy/fips.", state="warning")
    return f"{module}, {module.file}"


def host_checks(config: Config | None, trust: Trust | None) -> list[Finding]:
    """The findings on this machine. A condition that the trust does not require, or no trust, makes it a warning."""
    host = Host(secret_mib=secret_mib(config) if config else 0)
    readings = host.read()
    host.close()
    production = trust is not None and is_production(trust)
    failed = unmet([each.id for each in readings if not each.held], production=production)
    findings = [
        Finding(
            name=each.id,
            state="ok" if each.held else "failed" if each.id in failed else "warning",
            found=each.found,
            remedy="" if each.held else CATALOGUE[each.id].remedy,
        )
        for each in readings
    ]
    if trust is not None:
        findings.append(run_check("tpm-clock", lambda: _tpm_clock(trust)))
    return findings


def _tpm_clock(trust: Trust) -> str:
    """A second of what a running worker does from one attestation to the next."""
    watch = TpmClockWatch(allowed_s=_ALLOWED_S)
    try:
        from cji_attestation.evidence.tpm import Tpm  # noqa: PLC0415 - its C libraries may be what is missing

        for pause in (0, _PAUSE_S):
            time.sleep(pause)
            with Tpm(trust.tcti) as tpm:
                watch.note(utc=time.time(), tpm=tpm.clock())
    except (ImportError, AttestationError) as error:
        raise NotOk("not read", "Correct the vTPM first.", state="not run") from error
    if not watch.held:
        raise NotOk("the clock and the TPM's differ in speed", CATALOGUE["tpm-clock"].remedy)
    return "the clock keeps pace with the TPM's"
