"""What a cell may ask of the kernel once it is in its sandbox; each question is put by a process of its own.

As a cell is, the process is forked from one that has imported everything and holds nothing. As the zygote does, the
parent learns from the kernel which call was refused, and kills the process.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

Ask = Callable[[str], str]

ZYGOTE = """
import ctypes, errno, json, mmap, os, select, signal, socket, sys, time
import numpy as np, pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cji_worker.cell.sandbox import CONTROL, DATA, REPORT, cell_filter, enter_sandbox, keep_descriptors
from cji_worker.memory import harden
from cji_worker.rights import address_space, reported_call
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
AESGCM(bytes(32)).encrypt(bytes(12), b"x", None)
np.sort(np.arange(10)); pa.array([1]).to_pylist()
zygote, rules, nothing, output = os.getpid(), cell_filter(), os.open("/dev/null", os.O_RDONLY), os.dup(1)


def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def answer(question, report):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keep_descriptors(control=left.detach(), data=right.detach(), report=report.detach(), nothing=nothing)
    left, right, report = (socket.socket(fileno=fd) for fd in (CONTROL, DATA, REPORT))
    page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
    code = compile(question, "question", "exec")
    harden(parent=zygote)
    listener = enter_sandbox(rules, address_space=address_space())
    socket.send_fds(report, [b"x"], [listener])
    report.close()
    os.close(listener)
    try:
        exec(code, globals() | locals())
    except OSError as error:
        os._exit(error.errno)
    except MemoryError:
        os._exit(errno.ENOMEM)
    os._exit(0)


def outcome(question):
    report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if not child:
        try:
            answer(question, theirs)
        finally:
            os._exit(255)
    theirs.close()
    _, (listener,), _, _ = socket.recv_fds(report, 1, 1)
    pidfd, poll = os.pidfd_open(child), select.poll()
    for fd in (listener, pidfd):
        poll.register(fd, select.POLLIN)
    refused = None
    if poll.poll()[0][0] == listener and (refused := reported_call(listener)):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(listener), os.close(pidfd)
    if refused:
        return refused.name
    code = os.waitstatus_to_exitcode(status)
    return "allowed" if code == 0 else errno.errorcode.get(code, str(code))


for line in sys.stdin:
    os.write(output, outcome(json.loads(line)).encode() + b"\\n")
"""

REFUSED = {
    "open": ('os.open("/etc/hostname", os.O_RDONLY)', "openat"),
    "create": ('os.open("/tmp/cji-cell", os.O_CREAT | os.O_WRONLY)', "openat"),
    "openat2": ("call(437, -100, b'/etc/hostname', bytes(24), 24)", "openat2"),
    "socket": ("socket.socket(socket.AF_INET, socket.SOCK_STREAM)", "socket"),
    "socketpair": ("socket.socketpair()", "socketpair"),
    "connect": ("left.connect('/tmp/x')", "connect"),
    "bind": ("left.bind('/tmp/cji-cell.sock')", "bind"),
    "accept": ("left.accept()", "accept4"),
    "fork": ("os.fork()", "clone"),
    "vfork": ("call(58)", "vfork"),
    "clone3": ("call(435, bytes(88), 88)", "clone3"),
    "exec": ('os.execv("/bin/true", ["true"])', "execve"),
    "execveat": ("call(322, -100, b'/bin/true', 0, 0, 0)", "execveat"),
    "kill": ("os.kill(1, 0)", "kill"),
    "owner of a descriptor": ("__import__('fcntl').fcntl(left, 8, 1)", "fcntl"),
    "signal of a descriptor": ("__import__('fcntl').fcntl(left, 10, 19)", "fcntl"),
    "another descriptor": ("call(32, 3)", "dup"),
    "pass a descriptor": ("socket.send_fds(left, [b'x'], [4])", "sendmsg"),
    "ptrace": ("call(101, 0, 0, 0, 0)", "ptrace"),
    "read another's memory": ("call(310, 1, 0, 0, 0, 0, 0)", "process_vm_readv"),
    "prctl": ("call(157, 4, 1, 0, 0, 0)", "prctl"),
    "io_uring": ("call(425, 8, bytes(120))", "io_uring_setup"),
    "memfd": ("os.memfd_create('x')", "memfd_create"),
    "userfaultfd": ("call(323, 0)", "userfaultfd"),
    "bpf": ("call(321, 0, 0, 0)", "bpf"),
    "mount": ("call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", "mount"),
    "namespaces": ("call(272, 0x10000000)", "unshare"),
    "unlink": ("os.unlink('/tmp/nothing')", "unlink"),
    "stat": ("os.stat('/etc/hostname')", "newfstatat"),
    "ioctl": ("__import__('fcntl').ioctl(1, 0x5401, bytes(64))", "ioctl"),
    "raise a limit": ("__import__('resource').setrlimit(0, (1, 1))", "prlimit64"),
    "read a descriptor": ("os.pread(0, 1, 0)", "pread64"),
    "map more of a file": ("call(25, ctypes.c_void_p(page), 4096, 8192, 1)", "mremap"),
    "open closed memory": ("call(10, ctypes.c_void_p(page), 4096, 3)", "mprotect"),
    "a signal handler": ("signal.signal(signal.SIGALRM, print)", "rt_sigaction"),
}
ALLOWED = {
    "send and receive": "left.send(b'x'); right.recvmsg(1)",
    "poll": "poll = select.poll(); poll.register(3); poll.poll(0)",
    "memory": "mmap.mmap(-1, 1 << 20)",
    "memory that can only be read": "call(10, ctypes.c_void_p(page), ctypes.c_size_t(4096), 1)",
    "arrays": "np.sort(np.random.rand(1 << 16)); pa.array(['a'] * 1000).to_pylist()",
    "cipher": "AESGCM(os.urandom(32)).encrypt(os.urandom(12), bytes(1 << 20), None)",
    "clock": "time.monotonic(); time.time()",
    "close": "left.close()",
}


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """The answer to a question: the refused call, the name of the kernel's error, or that it is allowed."""
    command = [sys.executable, "-c", ZYGOTE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        to, answers = zygote.stdin, zygote.stdout
        assert to is not None
        assert answers is not None

        def put(what: str) -> str:
            print(json.dumps(what), file=to, flush=True)
            return answers.readline().rstrip("\n")

        yield put
        to.close()


@pytest.mark.parametrize(("what", "call"), REFUSED.values(), ids=REFUSED.keys())
def test_x04_a_refused_call_is_reported_by_its_name(ask: Ask, what: str, call: str) -> None:
    assert ask(what) == call


@pytest.mark.parametrize("what", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed(ask: Ask, what: str) -> None:
    assert ask(what) == "allowed"


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("call(9, 0, ctypes.c_size_t(4096), 7, 0x22, -1, 0)", "mmap"),
        ("call(10, ctypes.c_void_p(page), ctypes.c_size_t(4096), 5)", "mprotect"),
    ],
    ids=["mmap", "mprotect"],
)
def test_no_memory_becomes_executable(ask: Ask, what: str, call: str) -> None:
    assert ask(what) == call


def test_a_call_of_another_architecture_ends_the_process(ask: Ask) -> None:
    x32_getpid = 0x40000000 + 39
    assert ask(f"call({x32_getpid})") == "-31"  # SIGSYS


def test_x06_last_words_of_a_library_go_nowhere(ask: Ask) -> None:
    assert ask("os.write(2, b'x')") == "EBADF"
    assert ask("libc.dprintf(2, b'x') == -1 or os._exit(1)") == "allowed"


def test_x04_address_space_is_bounded(ask: Ask) -> None:
    assert ask("mmap.mmap(-1, 64 << 20)") == "ENOMEM"


def test_x04_a_cell_cannot_have_more_descriptors(ask: Ask) -> None:
    """A number as high as that of the closed report, on which alone it could pass descriptors on."""
    assert ask("libc.sendmsg(63, bytes(56), 0) == -1 or os._exit(1)") == "allowed"


KEPT = """
import os
from cji_worker.cell.sandbox import CONTROL, DATA, REPORT, keep_descriptors


def is_open(number):
    try:
        return os.fstat(number) is not None
    except OSError:
        return False


def kept(numbers):
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 100, inheritable=False)
    for at, name in enumerate(("control", "data", "report")):
        os.dup2(os.memfd_create(name, os.MFD_CLOEXEC), 101 + at, inheritable=False)
    for number, source in zip(numbers, (100, 101, 102, 103)):
        os.dup2(source, number, inheritable=False)
    nothing, control, data, report = numbers
    keep_descriptors(control=control, data=data, report=report, nothing=nothing)
    names = {number: os.readlink(f"/proc/self/fd/{number}") for number in range(256) if is_open(number)}
    files = {number: name.split(":")[-1].split(" ")[0] for number, name in names.items()}
    channels = {CONTROL: "control", DATA: "data", REPORT: "report"}
    assert files == {0: "/dev/null", 1: "/dev/null", 2: "/dev/null", **channels}
    assert not any(map(os.get_inheritable, files))


for first in range(96):
    for numbers in (range(first, first + 4), range(first + 3, first - 1, -1)):
        child = os.fork()
        if not child:
            status = 1
            try:
                kept(numbers)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, list(numbers)
"""


def test_a_cell_keeps_its_descriptors_whatever_they_were() -> None:
    """Red before: with 16 cells the end of one's report had the number that it should get, and the worker ended."""
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
