"""What runs as root inside the booted image in tests, beside `cji_simulator.machine.inside`.

`python attack.py report` attacks the machine and sends everything found as one JSON object, and another after the
drain; or it kills the worker, and sends when it serves in this boot and in the next. `refused` asks the vault for a key
of another image before the worker starts. Nothing of this is in the image.
"""

import ctypes
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DISK = Path(__file__).parent
FACTS: dict[str, Any] = json.loads((DISK / "facts.json").read_text())
CONFIG = Path("/run/cji/config")
PYTHON = "/opt/cji/bin/python"
_REFUSED = Path("/run/cji-refused.json")
_CRASHED = Path("/var/lib/cji-test-crashed")
HOST: str = FACTS["outside"]
PROBE = 9465
_READY_S = 60
_CLONE_NEWNET = 0x40000000
_LIST_RULES = ("/usr/sbin/nft", "list", "ruleset")
_IMDS = bytes((169, 254, 169, 254))
_WIRE_SERVER = bytes((168, 63, 129, 16))
libc = ctypes.CDLL(None, use_errno=True)


def refused() -> None:
    """What the vault says to a key of another image; nothing is asked before a crash."""
    if FACTS["crash"]:
        return
    done = _run(PYTHON, str(DISK / "refused_inside.py"), env=_environment())
    _REFUSED.write_text(done.stdout or json.dumps({"error": done.stderr[-2000:]}))


def report() -> None:
    """Wait for the worker, then look and attack; the answer goes to the port that the test listens on."""
    found: dict[str, Any] = {"served": _served()}
    for name, look in (
        ("refused", lambda: json.loads(_REFUSED.read_text())),
        ("log", lambda: Path("/sys/kernel/security/tpm0/binary_bios_measurements").read_bytes().hex()),
        ("ready", ready),
        ("units", units),
        ("timers", lambda: _run("/usr/bin/systemctl", "show", "cji-door-enroll.timer").stdout),
        ("rules", rules),
        ("journal", journal),
        ("doctor", doctor),
        ("attacks", attacks),
        ("root", guest_root),
        ("metadata", lambda: answers(_IMDS, "/metadata/instance/compute?x")),
        ("wire server", lambda: answers(_WIRE_SERVER, "/machine/?comp=goalstate")),
        ("futile", futile),
        ("brokered", brokered),
        ("mounts", lambda: Path("/proc/self/mounts").read_text()),
        ("modules", lambda: Path("/proc/modules").read_text()),
        ("swaps", lambda: Path("/proc/swaps").read_text()),
        ("lockdown", lambda: Path("/sys/kernel/security/lockdown").read_text()),
        ("pid1", lambda: Path("/proc/1/status").read_text()),
        ("shells", lambda: [one for one in FACTS["absent"] if Path(one).exists()]),
        ("passwd", lambda: Path("/etc/passwd").read_text()),
        ("simulator", simulator_of_the_image),
        ("writes", writes),
    ):
        try:
            found[name] = look()
        except Exception as error:  # noqa: BLE001 - the test outside judges what is missing
            found[name] = f"{type(error).__name__}: {error}"
    _send(found)
    _send(drained())


def crash() -> None:
    """Kill the worker once it serves; in the boot after that, say that it serves again."""
    again = _CRASHED.exists()
    _CRASHED.touch()
    served = _served()
    _send({"served": served, "again": again, "uptime_s": time.clock_gettime(time.CLOCK_BOOTTIME), "journal": journal()})
    if served and not again:
        _run("/usr/bin/systemctl", "kill", "--signal=KILL", "cji-worker.service")


def drained() -> dict[str, str]:
    """The states of the units that a notice of the end stops and starts, once the drain is over."""
    units = ("cji-drain.path", "cji-drain.service", "cji-worker.service", "cji-probe.service", "cji-door.service")
    found: dict[str, str] = {}
    until = time.monotonic() + FACTS["patience"]
    while found.get("cji-drain.service") not in {"active", "failed"} and time.monotonic() < until:
        time.sleep(1)
        found = {unit: _run("/usr/bin/systemctl", "is-active", unit).stdout.strip() for unit in units}
    return {**found, "ready": _ready(), "journal": journal()[-6000:]}


def _send(found: dict[str, Any]) -> None:
    with socket.create_connection((HOST, FACTS["report_port"]), timeout=60) as connection:
        connection.sendall(json.dumps(found).encode())


def _served() -> bool:
    until = time.monotonic() + FACTS["patience"]
    while time.monotonic() < until:
        done = _run("/usr/bin/systemctl", "is-active", "cji-worker.service")
        if done.stdout.strip() == "active":
            return True
        if "failed" in (
            done.stdout.strip(),
            _run("/usr/bin/systemctl", "is-active", "cji-bundle.service").stdout.strip(),
        ):
            return False
        time.sleep(1)
    return False


def _run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def units() -> Any:
    return json.loads(_run("/usr/bin/systemctl", "list-units", "--all", "--output=json").stdout)


def ready() -> str:
    """The probe's answer to a load balancer, once it knows that the worker serves; its last one after a minute."""
    until = time.monotonic() + _READY_S
    while " 200 " not in (answer := _ready()) and time.monotonic() < until:
        time.sleep(1)
    return answer


def _ready() -> str:
    try:
        with socket.create_connection(("127.0.0.1", PROBE), timeout=10) as connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: probe\r\n\r\n")
            return connection.makefile().readline().strip()
    except OSError as error:
        return type(error).__name__


def rules() -> dict[str, str]:
    """Rule sets as nft prints them: the one that the kernel has, and the file's, loaded into a network of its own."""
    alone = _run(PYTHON, __file__, "rules", preexec_fn=_network_of_its_own)
    return {"loaded": _run(*_LIST_RULES).stdout, "file": alone.stdout, "error": alone.stderr}


def _network_of_its_own() -> None:
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def rules_of_the_file() -> None:
    subprocess.run(["/usr/sbin/nft", "-f", "/etc/nftables.conf"], check=True)
    subprocess.run(_LIST_RULES, check=True)


def _users() -> dict[str, int]:
    """All of the image, and those that front, supervisor, zygote and cells become."""
    lines = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    own = {"front": 0x7FFF0080, "supervisor": 0x7FFF0081, "zygote": 0x7FFF0000, "cell": 0x7FFF0001}
    return {**{line[0]: int(line[2]) for line in lines}, **own}


def _as_each(look: Callable[[], str]) -> dict[str, str]:
    """What `look` returns as each user, in processes at the same time."""
    found = {}
    for name, uid in _users().items():
        ours, theirs = os.pipe()
        if not os.fork():
            try:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                answer = look()
            except Exception as error:  # noqa: BLE001 - it is the answer
                answer = type(error).__name__
            os.write(theirs, answer.encode())
            os._exit(0)
        os.close(theirs)
        found[name] = ours
    return {name: os.read(fd, 200).decode() for name, fd in found.items()}


def answers(address: bytes, target: str) -> dict[str, str]:
    """What one of Azure's own addresses answers to each user."""
    headers = "Metadata: true\r\nx-ms-version: 2012-11-30\r\n"

    def look() -> str:
        with socket.create_connection((socket.inet_ntoa(address), 80), timeout=3) as connection:
            connection.sendall(f"GET {target} HTTP/1.0\r\n{headers}\r\n".encode())
            return connection.makefile().readline().strip()

    return _as_each(look)


def futile() -> dict[str, Any]:
    """Whether another start of the worker would be in vain, and how long that takes to find out."""
    program, value = "/usr/lib/cji/futile-start", "/run/cji-start/pcr15"
    start = time.monotonic()
    done = _run(program, "/dev/tpmrm0", value)
    return {
        "status": done.returncode,
        "ms": (time.monotonic() - start) * 1000,
        "without the value": _run(program, "/dev/tpmrm0", "/run/cji-start/none").returncode,
        "without a TPM": _run(program, "/dev/none", value).returncode,
    }


def brokered() -> dict[str, str]:
    """The status of the broker's answer to each user's request for the vault's token."""
    from cji_core.metadata import BROKER, HEADERS, base_of, client, token_target

    target = token_target(FACTS["vault_resource"], None)

    def look() -> str:
        with client(BROKER, seconds=10, limit=1 << 20) as asked:
            return str(asked.exchange("GET", base_of(BROKER) + target, headers=HEADERS).status)

    return _as_each(look)


def journal() -> str:
    return _run("/usr/bin/journalctl", "--boot", "--no-pager", "-n", "3000", "-o", "short-monotonic").stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{DISK / 'tree'}:{DISK / 'site'}", "PYTHONDONTWRITEBYTECODE": "1"}


def doctor() -> Any:
    """`cji doctor` under the simulation's trust, which is all that differs from the image's own command."""
    done = _run(
        PYTHON,
        str(DISK / "worker_inside.py"),
        str(DISK / "trust.json"),
        *("doctor", "--json", "--config", str(CONFIG / "worker.toml")),
        env=_environment(),
    )
    return json.loads(done.stdout) if done.stdout.startswith("[") else done.stdout + done.stderr


def guest_root() -> Any:
    done = _run(PYTHON, "-m", "tests.support.guest_root", env=_environment(), cwd=DISK / "tree")
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def attacks() -> dict[str, str]:
    """System calls by number on x86-64, as root: each says "done" or the name of an errno."""
    calls = {
        "bpf": (321, 0, 0, 0),
        "perf_event_open": (298, 0, 0, -1, -1, 0),
        "init_module": (175, 0, 0, 0),
        "finit_module": (313, -1, 0, 0),
        "kexec_load": (246, 0, 0, 0, 0),
        "kexec_file_load": (320, -1, -1, 0, 0, 0),
        "ptrace": (101, 0x4206, os.getppid(), 0, 0),
        "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
        "swapon": (167, 0, 0),
    }
    found = {name: _errno(libc.syscall(*numbers)) for name, numbers in calls.items()}
    for path in ("/dev/mem", "/proc/kcore", "/proc/1/mem", "/sys/kernel/tracing/kprobe_events"):
        found[path] = _errno(libc.open(path.encode(), os.O_RDONLY))
    return found


def _errno(result: int) -> str:
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def writes() -> dict[str, str]:
    """Whether root can change what runs."""
    found = {}
    for path in ("/usr/lib/cji/new", "/opt/cji/new", "/etc/new", "/var/lib/cji/new"):
        try:
            Path(path).write_text("x")
            found[path] = "written"
        except OSError as error:
            found[path] = errno.errorcode[error.errno or 0]
    copy = Path("/var/lib/cji/program")
    try:
        shutil.copyfile("/usr/bin/true", copy)
        copy.chmod(0o755)
        found["execution of state"] = "done" if _run(str(copy)).returncode == 0 else "failed"
    except OSError as error:
        found["execution of state"] = errno.errorcode[error.errno or 0]
    for one in (copy, Path("/var/lib/cji/new")):
        one.unlink(missing_ok=True)
    return found


def simulator_of_the_image() -> str:
    """Whether the image's own Python knows a simulator."""
    code = "import importlib.util as u; print([u.find_spec(n) for n in ('cji_simulator', 'tests', 'aiohttp')])"
    return _run(PYTHON, "-I", "-c", code).stdout.strip()


if __name__ == "__main__":
    match sys.argv[1]:
        case "refused":
            refused()
        case "report":
            (crash if FACTS["crash"] else report)()
        case "rules":
            rules_of_the_file()
