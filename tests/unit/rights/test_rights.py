"""Rights that a process gives away do not come back. Each case runs in a process of its own."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

BOUND = "from worker.rights import bound_resources; bound_resources(descriptors=8, address_space=4 << 30)\n"
LANDLOCK = """
import os, signal, socket, sys
from worker.memory import harden
from worker.rights import forbid_files_and_network
outside = os.getppid()
harden(die_with_parent=False)
forbid_files_and_network()
"""
DENIED = """
import os, resource, signal, socket, threading
from worker.libc import check, libc
from worker.memory import harden
from worker.rights import LISTENING, SOCKETS, deny, deny_powers
early, go = threading.Event(), threading.Event()
harden(die_with_parent=False)
"""
NAMESPACES = """
import os, signal, socket, sys
from worker.rights import become, drop_capabilities, enter_namespaces, fork
outside = os.getuid()
several = enter_namespaces()
"""


def run(script: str) -> str:
    """The last line that it prints."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
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
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id")
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


def test_landlock_leaves_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("own")
    script = LANDLOCK.replace("network()", f"network(read=[{str(tmp_path)!r}, '/dev/urandom'], bind=0)")
    found = run(
        f"""{script}
done = []
for act in (
    lambda: open("{tmp_path}/file"),
    lambda: os.listdir("{tmp_path}"),
    lambda: open("/dev/urandom"),
    lambda: socket.create_server(("127.0.0.1", 0)),
    lambda: open("{tmp_path}/file", "a"),
    lambda: open("/etc/hostname"),
    lambda: socket.create_server(("127.0.0.1", 1)),
):
    try:
        act()
        done.append("done")
    except PermissionError as error:
        done.append(str(error.errno))
print(*done)
"""
    )
    assert found == f"done done done done {errno.EACCES} {errno.EACCES} {errno.EACCES}"
