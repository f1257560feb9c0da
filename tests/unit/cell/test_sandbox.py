"""What a cell may ask of the kernel once it is in its sandbox; each question is put by a process of its own.

As a cell is, the process is forked from one that has imported everything and holds nothing.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

Ask = Callable[[str], str]

ZYGOTE = """
import ctypes, errno, json, mmap, os, select, signal, socket, subprocess, sys, threading, time
import numpy as np, pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from worker.cell.sandbox import enter_sandbox
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
AESGCM(bytes(32)).encrypt(bytes(12), b"x", None)
np.sort(np.arange(10)); pa.array([1]).to_pylist()


def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def answer(question):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
    code = compile(question, "question", "exec")
    enter_sandbox()
    try:
        exec(code, globals() | locals())
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"


for line in sys.stdin:
    child = os.fork()
    if not child:
        os.write(1, answer(json.loads(line)).encode() + b"\\n")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        os.write(1, b"ended with %d\\n" % status)
"""

REFUSED = {
    "open": 'os.open("/etc/hostname", os.O_RDONLY)',
    "create": 'os.open("/tmp/cji-cell", os.O_CREAT | os.O_WRONLY)',
    "openat2": "call(437, -100, b'/etc/hostname', bytes(24), 24)",
    "socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "unix socket": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "socketpair": "socket.socketpair()",
    "connect": "left.connect('/tmp/x')",
    "bind": "left.bind('/tmp/cji-cell.sock')",
    "accept": "left.accept()",
    "fork": "os.fork()",
    "vfork": "call(58)",
    "clone3": "call(435, bytes(88), 88)",
    "exec": 'os.execv("/bin/true", ["true"])',
    "execveat": "call(322, -100, b'/bin/true', 0, 0, 0)",
    "kill": "os.kill(os.getppid(), 0)",
    "ptrace": "call(101, 0, 0, 0, 0)",
    "read another's memory": "call(310, os.getppid(), 0, 0, 0, 0, 0)",
    "prctl": "call(157, 4, 1, 0, 0, 0)",
    "io_uring": "call(425, 8, bytes(120))",
    "memfd": "os.memfd_create('x')",
    "userfaultfd": "call(323, 0)",
    "bpf": "call(321, 0, 0, 0)",
    "mount": "call(165, b'none', b'/tmp', b'tmpfs', 0, 0)",
    "unlink": "os.unlink('/tmp/nothing')",
    "stat": "os.stat('/etc/hostname')",
    "ioctl": "__import__('fcntl').ioctl(1, 0x5401, bytes(64))",
    "raise a limit": "__import__('resource').setrlimit(0, (1, 1))",
}
ALLOWED = {
    "send and receive": "left.send(b'x'); right.recv(1)",
    "poll": "select.poll().poll(0)",
    "memory": "mmap.mmap(-1, 1 << 20)",
    "arrays": "np.sort(np.random.rand(1 << 16)); pa.array(['a'] * 1000).to_pylist()",
    "cipher": "AESGCM(os.urandom(32)).encrypt(os.urandom(12), bytes(1 << 20), None)",
    "clock": "time.monotonic(); time.time(); time.sleep(0.001)",
    "close": "left.close()",
}


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """The answer to a question: what the kernel's error is called, or that it is allowed."""
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


@pytest.mark.parametrize("what", REFUSED.values(), ids=REFUSED.keys())
def test_refused(ask: Ask, what: str) -> None:
    assert ask(what) == "EPERM"


@pytest.mark.parametrize("what", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed(ask: Ask, what: str) -> None:
    assert ask(what) == "allowed"


@pytest.mark.parametrize(
    "what",
    [
        "call(9, 0, ctypes.c_size_t(4096), 7, 0x22, -1, 0)",
        "call(10, ctypes.c_void_p(page), ctypes.c_size_t(4096), 5)",
    ],
    ids=["mmap", "mprotect"],
)
def test_no_memory_becomes_executable(ask: Ask, what: str) -> None:
    assert ask(what) == "EPERM"
