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
