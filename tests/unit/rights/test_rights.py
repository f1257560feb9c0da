"""Rights that a process gives away do not come back. Each case runs in a process of its own."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_worker.rights import forbid_files_and_network

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id")
WATCHING = """
import fcntl, mmap, os, select, signal, socket, time
from cji_worker.memory import forbid_new_privileges, harden
from cji_worker.rights import PIDFDS, watch_only
def idle():
    parent, child = os.getpid(), os.fork()
    if not child:
        harden(parent=parent)
        signal.pause()
        os._exit(0)
    return child
child, bystander = idle(), idle()
pidfds = [fcntl.fcntl(os.pidfd_open(pid), fcntl.F_DUPFD, PIDFDS) for pid in (child, bystander)]
ours, theirs = socket.socketpair()
forbid_new_privileges()
watch_only(pidfds[:1])
"""
SERVICE = """
import os, sys
from pathlib import Path
from cji_core.errors import StartupError
from cji_worker.rights import become, can_become_users, drop_capabilities, enter_namespaces, require_users
become(12001, keep=(5, 6, 7))
"""
"""As the unit starts the supervisor: a user with CAP_KILL, CAP_SETGID and CAP_SETUID."""
BOUND = "from cji_worker.rights import bound_resources; bound_resources(descriptors=8, address_space=4 << 30)\n"
LANDLOCK = """
import os, signal, socket, sys
from cji_worker.memory import harden
from cji_worker.rights import forbid_files_and_network
outside = os.getppid()
harden(parent=None)
forbid_files_and_network()
"""
DENIED = """
import os, resource, signal, socket, threading
from cji_worker.libc import check, libc
from cji_worker.memory import harden
from cji_worker.rights import LISTENING, SOCKETS, deny, deny_powers
early, go = threading.Event(), threading.Event()
harden(parent=None)
"""
NAMESPACES = """
import os, signal, socket, sys
from cji_worker.rights import become, can_become_users, drop_capabilities, enter_namespaces, fork
several = can_become_users()
enter_namespaces(users=several)
"""


def run(script: str) -> str:
    """The last line that it prints."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_a_bound_process_writes_no_byte_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    found = run(
        f"""
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY)
{BOUND}
try:
    os.write(fd, b"x")
except OSError as error:
    print(error.errno)
"""
    )
    assert int(found) == errno.EFBIG
    assert path.stat().st_size == 0


def test_a_bound_process_opens_no_more_descriptors() -> None:
    found = run(
        f"""
import os
{BOUND}
try:
    [os.pipe() for _ in range(8)]
except OSError as error:
    print(error.errno)
"""
    )
    assert int(found) == errno.EMFILE


@pytest.mark.parametrize(
    "act",
    [
        "open('/etc/hostname')",
        "os.listdir('/')",
        "os.mkdir('/tmp/cji-nothing')",
        "socket.socket().connect(('127.0.0.1', 9))",
    ],
)
def test_landlock_leaves_no_file_and_no_port(act: str) -> None:
    found = run(f"{LANDLOCK}\ntry:\n    {act}\nexcept OSError as error:\n    print(error.errno)")
    assert int(found) == errno.EACCES


def test_landlock_leaves_no_signal_to_others() -> None:
    found = run(f"{LANDLOCK}\ntry:\n    os.kill(outside, 0)\nexcept OSError as error:\n    print(error.errno)")
    assert int(found) == errno.EPERM


def test_a_child_is_process_one_of_its_own_namespace() -> None:
    child = "pid, fd = fork(own_pids=True)\nif not pid:\n    os._exit(os.getpid() + os.getppid())"
    found = run(f"{NAMESPACES}\n{child}\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), fd > 2)")
    assert found == "1 True"


def test_there_is_no_network_in_a_namespace() -> None:
    act = "socket.socket().connect(('127.0.0.1', 9))"
    found = run(f"{NAMESPACES}\ntry:\n    {act}\nexcept OSError as error:\n    print(error.errno)")
    assert int(found) == errno.ENETUNREACH


@pytest.mark.root
@root_only
def test_root_becomes_a_user_that_owns_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    for act in (f"open({str(secret)!r})", "os.chroot('/')", "become(1), os.chroot('/')"):
        found = run(f"{NAMESPACES}\ntry:\n    {act}\nexcept OSError as error:\n    print(several, error.errno)")
        assert found in (f"True {errno.EACCES}", f"True {errno.EPERM}")


@pytest.mark.parametrize(
    "act",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/nonexistent', ['nonexistent'])",
        "os.kill(os.getppid(), 0)",
        "check(libc.syscall(234, os.getppid(), os.getppid(), 0))",
        "check(libc.syscall(72, 0, 8, os.getppid()))",
        "check(libc.syscall(72, 0, 8 | 1 << 32, os.getppid()))",
        "check(libc.syscall(16, 0, 0x8901, 0))",
        "check(libc.syscall(56, 0x10000 | 1 << 30, 0, 0, 0, 0))",
        "check(libc.syscall(302, os.getppid(), 7, 0, 0))",
        "check(libc.syscall(425, 8, 0))",
    ],
)
def test_denied_powers_fail_with_eperm(act: str) -> None:
    found = run(f"{DENIED}\ndeny_powers()\ntry:\n    {act}\nexcept OSError as error:\n    print(error.errno)")
    assert int(found) == errno.EPERM


def test_a_process_without_powers_has_threads_and_limits() -> None:
    found = run(
        f"""{DENIED}
deny_powers()
thread = threading.Thread(target=resource.getrlimit, args=(resource.RLIMIT_NOFILE,))
thread.start()
thread.join()
check(libc.syscall(234, os.getpid(), os.getpid(), 0))
print(len(socket.socketpair()))
"""
    )
    assert found == "2"


def test_a_thread_that_already_runs_is_denied_too() -> None:
    found = run(
        f"""{DENIED}
def late():
    early.set()
    go.wait()
    try:
        socket.socket()
    except OSError as error:
        print(error.errno)
thread = threading.Thread(target=late)
thread.start()
early.wait()
deny(SOCKETS)
go.set()
thread.join()
"""
    )
    assert int(found) == errno.EPERM


def test_a_process_that_only_connects_does_not_listen() -> None:
    found = run(
        f"""{DENIED}
deny(LISTENING)
server = socket.socket()
server.bind(("127.0.0.1", 0))
try:
    server.listen()
except OSError as error:
    print(error.errno)
"""
    )
    assert int(found) == errno.EPERM


def test_landlock_names_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"nodir', which this process uses, cannot be opened: No such file"):
        forbid_files_and_network(write=[str(tmp_path / "nodir")])


def test_landlock_leaves_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("own")
    with tempfile.TemporaryDirectory(prefix="cji-") as folder:  # short: a socket's path has at most 107 bytes
        _leaves_what_is_named(tmp_path, folder)


def _leaves_what_is_named(tmp_path: Path, folder: str) -> None:
    named = f"network(read=[{str(tmp_path)!r}, '/dev/urandom'], sockets=[{folder!r}])"
    script = LANDLOCK.replace("network()", named)
    found = run(
        f"""{script}
done = []
for act in (
    lambda: open("{tmp_path}/file"),
    lambda: os.listdir("{tmp_path}"),
    lambda: open("/dev/urandom"),
    lambda: socket.socket(socket.AF_UNIX).bind("{folder}/s"),
    lambda: os.unlink("{folder}/s"),
    lambda: open("{tmp_path}/file", "a"),
    lambda: open("{folder}/file", "w"),
    lambda: open("/etc/hostname"),
    lambda: socket.socket(socket.AF_UNIX).bind("/tmp/cji-elsewhere"),
    lambda: socket.create_server(("127.0.0.1", 0)),
):
    try:
        act()
        done.append("done")
    except PermissionError as error:
        done.append(str(error.errno))
print(*done)
"""
    )
    assert found == " ".join(["done"] * 5 + [str(errno.EACCES)] * 5)


def test_landlock_leaves_folders_and_ports_that_are_named(tmp_path: Path) -> None:
    """Those to write are changed below, not replaced or linked to."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as named, socket.create_server(("127.0.0.1", 0)) as unnamed:
        ports = [server.getsockname()[1] for server in (named, unnamed)]
        script = LANDLOCK.replace("network()", f"network(write=[{str(own)!r}], connect=[{ports[0]}])")
        found = run(
            f"""{script}
done = []
for act in (
    lambda: open("{own}/new", "w").close(),
    lambda: open("{own}/new", "a").close(),
    lambda: os.truncate("{own}/new", 0),
    lambda: os.listdir("{own}"),
    lambda: os.unlink("{own}/new"),
    lambda: socket.socket().connect(("127.0.0.1", {ports[0]})),
    lambda: socket.socket().connect(("127.0.0.1", {ports[1]})),
    lambda: socket.create_server(("127.0.0.1", 0)),
    lambda: open("{other}/new", "w"),
    lambda: os.mkdir("{own}/folder"),
    lambda: os.symlink("x", "{own}/link"),
    lambda: os.mkfifo("{own}/fifo"),
):
    try:
        act()
        done.append("done")
    except PermissionError as error:
        done.append(str(error.errno))
print(*done)
"""
        )
    assert found.split() == ["done"] * 6 + [str(errno.EACCES)] * 6


def test_landlock_can_leave_signals() -> None:
    script = LANDLOCK.replace("network()", "network(signals=True)")
    assert run(f"{script}\nos.kill(outside, 0)\nprint('done')") == "done"


@pytest.mark.parametrize(
    "act",
    [
        "open('/etc/hostname')",
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.dup(0)",
        "os.dup2(pidfds[1], pidfds[0])",
        "os.close(pidfds[0])",
        "fcntl.fcntl(pidfds[1], fcntl.F_DUPFD, PIDFDS)",
        "os.pidfd_open(os.getppid())",
        "os.kill(child, signal.SIGKILL)",
        "os.kill(os.getpid(), 0)",
        "signal.pidfd_send_signal(pidfds[0], signal.SIGSTOP)",
        "signal.pidfd_send_signal(pidfds[1], signal.SIGKILL)",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "os.setuid(0)",
        "os.chmod('/tmp', 0o700)",
        "os.execv('/nonexistent', ['nonexistent'])",
    ],
)
def test_a_watcher_does_nothing_else(act: str) -> None:
    found = run(f"{WATCHING}\ntry:\n    {act}\nexcept OSError as error:\n    print(error.errno)")
    assert int(found) == errno.EPERM


def test_a_watcher_hears_and_ends_its_children() -> None:
    found = run(
        f"""{WATCHING}
socket.send_fds(theirs, [b"x"], [0])
poll = select.poll()
poll.register(ours, select.POLLIN)
heard, passed = socket.recv_fds(ours, 1, 1)[:2] if poll.poll(60_000) else (b"", [])
os.close(passed[0])
time.sleep(0.001)
signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
print(heard.decode(), os.waitpid(child, 0)[1])
"""
    )
    assert found == "x 9"


@pytest.mark.root
@root_only
def test_a_service_gives_its_processes_users() -> None:
    act = "require_users()\nenter_namespaces(users=True)\nbecome(3)\n"
    found = run(f"{SERVICE}{act}print(os.getresuid(), os.getgroups(), Path('/proc/self/uid_map').read_text().split())")
    assert found == "(3, 3, 3) [] ['0', '2147418112', '128']"


@pytest.mark.root
@root_only
@pytest.mark.parametrize("missing", [5, 6, 7])
def test_a_service_without_a_capability_is_refused(missing: int) -> None:
    rest = [number for number in (5, 6, 7) if number != missing]
    act = "try:\n    require_users()\nexcept StartupError as error:\n    print(error.remedy)"
    found = run(f"{SERVICE}drop_capabilities(keep={rest})\n{act}")
    assert "AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL" in found


@pytest.mark.root
@root_only
def test_a_zygote_without_the_ids_is_refused() -> None:
    """No cell ever shares a user because the machine gives no other."""
    act = "try:\n    enter_namespaces(users=True)\nexcept StartupError as error:\n    print(error.what)"
    assert run(f"{SERVICE}drop_capabilities()\n{act}") == "This machine gives the worker no namespaces"


@pytest.mark.root
@root_only
def test_nobody_comes_back_from_another_user() -> None:
    script = """
import os
from cji_worker.rights import FRONT, become
from cji_worker.libc import libc
become(FRONT, groups=(7,), keep=(10,))
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
done = [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
try:
    os.setuid(0)
except PermissionError:
    done.append("no")
print(*done, os.getgroups())
"""
    assert run(script) == f"{1 << 10:016x} {1 << 10:016x} {0:016x} {0:016x} no [7]"
