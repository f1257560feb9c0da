"""Secret memory: regions nobody can read, a heap inside one or none at all, wipes that leave nothing."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cji_worker.memory import Region, heap_environment, secret_fd
from cji_worker.memory.region import ALIGNMENT
from tests.support.privileges import locks_memory

MIB = 1 << 20
PAGE = 4096


def run(script: str, *fds: int, secret_heap: bool = False) -> subprocess.CompletedProcess[bytes]:
    """A fresh interpreter; descriptors are its arguments."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(heap_environment() if secret_heap else {})}
    return subprocess.run(
        [sys.executable, "-s", "-P", "-c", script, *map(str, fds)],
        env=environment,
        pass_fds=fds,
        capture_output=True,
        check=False,
        timeout=60,
    )


# ------------------------------------------------------------------ regions


@locks_memory
@pytest.mark.parametrize("size", [PAGE, 3 * PAGE, 32 * MIB, 33 * MIB])
def test_regions_are_aligned_and_as_large_as_their_file(size: int) -> None:
    region = Region(secret_fd(size))
    assert region.address % ALIGNMENT == 0
    assert (region.size, len(region.view())) == (size, size)
    assert region.holds(region.address)
    assert region.holds(region.address + size - 1)
    assert not region.holds(region.address + size)
    assert not region.holds(region.address - 1)
    assert region.kind == "memfd_secret"
    region.unmap()


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, PAGE + 1), (PAGE, 1), (1, -1), (PAGE + 1, None)])
def test_no_view_reaches_beyond_its_region(offset: int, size: int | None) -> None:
    region = Region(secret_fd(PAGE))
    with pytest.raises(ValueError, match="outside"):
        region.view(offset, size)
    region.unmap()


def test_both_mappings_of_a_region_share_memory_and_are_wiped() -> None:
    fd = secret_fd(2 * PAGE)
    one, two = Region(os.dup(fd)), Region(fd)
    one.view()[:] = b"\xaa" * (2 * PAGE)
    assert two.view()[-1] == 0xAA
    two.wipe()
    assert not any(one.view())
    for region in (one, two):
        region.unmap()


def test_other_memory_says_what_it_is() -> None:
    fd = os.memfd_create("not-secret")
    os.ftruncate(fd, PAGE)
    region = Region(fd)
    assert region.kind == "mlock"
    region.unmap()


def test_a_protected_region_can_be_read_and_not_written() -> None:
    fd = secret_fd(PAGE)
    script = (
        "import sys; from cji_worker.memory import Region; region = Region(int(sys.argv[1])); view = region.view();"
        "view[0] = 7; region.protect(); print(view[0], flush=True); view[0] = 8; print('written')"
    )
    done = run(script, fd)
    os.close(fd)
    assert (done.stdout, done.returncode) == (b"7\n", -signal.SIGSEGV)


def test_no_descriptor_of_a_mapped_region_stays() -> None:
    """Whoever could take one from this process (pidfd_getfd) could map the region as well."""
    fd = secret_fd(PAGE)
    region = Region(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    region.view()[:1] = b"x"
    region.unmap()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="reads memory as root")
def test_root_cannot_read_a_region_and_can_read_ordinary_memory() -> None:
    fd = secret_fd(PAGE)
    region = Region(os.dup(fd))
    region.view()[:6] = b"canary"
    ordinary = ctypes.create_string_buffer(b"canary")
    reader = """
import sys
pid, address = sys.argv[1:]
with open(f"/proc/{pid}/mem", "rb", 0) as memory:
    memory.seek(int(address))
    sys.stdout.buffer.write(memory.read(6))
"""

    def read(address: int) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", reader, str(os.getpid()), str(address)]
        return subprocess.run(command, capture_output=True, check=False)

    assert read(ctypes.addressof(ordinary)).stdout == b"canary"
    refused = read(region.address)
    assert refused.stdout == b""
    assert b"Input/output error" in refused.stderr
    with pytest.raises(OSError, match="Illegal seek"):
        os.pread(fd, 6, 0)  # nor by reading the file
    os.close(fd)
    region.unmap()


# ------------------------------------------------------------------ heap

HEAP = """
import sys
from cji_worker.memory import Region, SecretHeap
region = Region(int(sys.argv[1]))
heap = SecretHeap(region, size=region.size)
"""


@locks_memory
def test_python_numpy_arrow_and_openssl_allocate_in_the_region() -> None:
    fd = secret_fd(96 * MIB)
    done = run(
        """
import sys, threading, ctypes, os
import numpy as np, pyarrow as pa
"""
        + HEAP
        + """
array = np.ones(1 << 20)
buffer = pa.array([1] * 1000).buffers()[1]
found = [id(object()), array.ctypes.data, buffer.address]
def other():
    heap.enter()
    found.append(ctypes.addressof(ctypes.c_char.from_buffer(bytearray(5000))))
thread = threading.Thread(target=other)
thread.start(); thread.join()
sys.stdout.write(repr([region.holds(a) for a in found])); sys.stdout.flush()
os._exit(0)
""",
        fd,
        secret_heap=True,
    )
    os.close(fd)
    assert (done.returncode, done.stdout) == (0, b"[True, True, True, True]"), done.stderr


@locks_memory
def test_without_the_allocator_there_is_no_heap_at_all() -> None:
    fd = secret_fd(64 * MIB)
    done = run(HEAP, fd)  # nothing preloaded: malloc is another
    os.close(fd)
    assert done.returncode == 1
    assert b"The process's heap is not the secret region" in done.stderr


@locks_memory
def test_python_own_allocator_is_noticed() -> None:
    """PYTHONMALLOC missing: C allocations are secret, small Python objects would not be."""
    fd = secret_fd(64 * MIB)
    environment = {k: v for k, v in heap_environment().items() if k != "PYTHONMALLOC"}
    done = subprocess.run(
        [sys.executable, "-c", HEAP, str(fd)],
        env={"PATH": "/usr/bin:/bin", **environment},
        pass_fds=(fd,),
        capture_output=True,
        check=False,
    )
    os.close(fd)
    assert done.returncode == 1
    assert b"The process's heap is not the secret region" in done.stderr


@locks_memory
def test_a_full_region_is_a_memory_error_and_nothing_falls_back() -> None:
    fd = secret_fd(64 * MIB)
    done = run(
        HEAP
        + """
import ctypes, os
kept = []
try:
    while True:
        kept.append(bytearray(1 << 20))
except MemoryError:
    held = all(region.holds(ctypes.addressof(ctypes.c_char.from_buffer(b))) for b in kept)
    count = len(kept)
    del kept
    os.write(1, f"{held} {10 < count <= 64}".encode())
os._exit(0)
""",
        fd,
        secret_heap=True,
    )
    os.close(fd)
    assert (done.returncode, done.stdout) == (0, b"True True"), done.stderr


@locks_memory
def test_a_heap_opens_what_it_needs_and_no_more() -> None:
    """By the rights that the kernel has for the region's pages."""
    fd = secret_fd(128 * MIB)
    done = run(
        """
import os, sys
from cji_worker.memory import Region, SecretHeap
region = Region(int(sys.argv[1]))
heap = SecretHeap(region, size=region.size, ready=24 << 20)
region.close(heap.opened, region.size)
def opened():
    spans = [line.split()[:2] for line in open("/proc/self/maps")]
    ends = [[int(end, 16) for end in span.split("-")] for span, rights in spans if rights.startswith("rw")]
    return sum(end - start for start, end in ends if region.holds(start)) >> 20
few = [bytearray(1 << 20) for _ in range(16)]
first = opened()
more = bytearray(40 << 20)
second = opened()
more[:1 << 20] = few[0]
del more
more = bytearray(40 << 20)
os.write(1, f"{24 <= first < 32} {24 + 40 <= second < 80} {opened() == second}".encode())
os._exit(0)
""",
        fd,
        secret_heap=True,
    )
    os.close(fd)
    assert (done.returncode, done.stdout) == (0, b"True True True"), done.stderr


def test_too_low_a_lock_limit_is_unfit() -> None:
    done = run(
        """
import os, resource
from cji_worker.memory import Region, secret_fd
from cji_core.errors import StartupError
resource.setrlimit(resource.RLIMIT_MEMLOCK, (8192, 8192))
if os.geteuid() == 0:  # CAP_IPC_LOCK would lift the limit
    os.setgid(65534); os.setuid(65534)
try:
    Region(secret_fd(1 << 20))
except StartupError as error:
    print(error.what)
"""
    )
    assert done.stdout.strip() in (b"Secret memory cannot be locked", b"This kernel offers no memfd_secret"), (
        done.stderr
    )


# ------------------------------------------------------------------ wipe


@locks_memory
def test_a_wipe_in_turns_leaves_only_zeros() -> None:
    region = Region(secret_fd(9 * MIB))
    region.view()[:] = b"canary!!" * (9 * MIB // 8)
    turns = sum(1 for _ in region.wipe_in_turns())
    assert turns == 9
    assert not any(bytes(region.view()))
    region.unmap()


# ------------------------------------------------------------------ hardening


def test_l06_a_hardened_process_leaves_no_core_and_gains_nothing(tmp_path: Path) -> None:
    done = run(
        """
import ctypes, os, resource, signal
from cji_worker.memory import harden
harden(parent=os.getppid())
get = ctypes.CDLL(None).prctl
print(get(3, 0, 0, 0, 0), get(39, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
import os, sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGSEGV)
"""
    )
    assert done.stdout.splitlines() == [b"0 1 (0, 0)", b"True True"]
    assert done.returncode == -signal.SIGSEGV
    assert not [path for path in Path.cwd().glob("core*") if path.is_file()]


def test_a_child_dies_with_its_parent() -> None:
    done = run(
        """
import os, sys, time
from cji_worker.memory import harden
read, write = os.pipe()
middle = os.fork()
if middle == 0:
    child = os.fork()
    if child == 0:
        harden(parent=os.getppid())
        os.write(write, b"%d" % os.getpid())
        time.sleep(60)
    time.sleep(60)
pid = int(os.read(read, 16))
os.kill(middle, 9); os.waitpid(middle, 0)
for _ in range(200):
    try:
        state = open(f"/proc/{pid}/stat").read().split(")")[1].split()[0]
    except FileNotFoundError:
        state = "gone"
    if state in ("Z", "gone", "X"):
        print("ended"); break
    time.sleep(0.02)
"""
    )
    assert done.stdout.strip() == b"ended", done.stderr


def test_a_child_whose_parent_ended_before_lives_no_longer() -> None:
    done = run(
        """
import os, time
from cji_worker.memory import harden
read, write = os.pipe()
middle = os.fork()
if middle == 0:
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    os.close(read)
    while os.getppid() == parent:
        time.sleep(0.001)
    os.write(write, b"orphan")
    harden(parent=parent)
    os.write(write, b" lives")
    os._exit(0)
os.close(write); os.waitpid(middle, 0)
print(open(read).read())
"""
    )
    assert done.stdout.strip() == b"orphan", done.stderr


def test_a_secret_heap_has_no_huge_pages_elsewhere() -> None:
    """Each that ordinary memory takes again would be zeroed as a whole."""
    script = "print(*(line for line in open('/proc/self/status') if line.startswith('THP_enabled')))"
    done = run(script, secret_heap=True)
    assert done.stdout.split() == [b"THP_enabled:", b"0"]


def test_a_heap_whose_pages_are_joined_is_cheap_to_fork() -> None:
    """Its pages become huge ones; those that the process gets later do not.

    The kernel says "try again" (EAGAIN) of a page that others hold at that moment, as it may on a busy machine.
    """
    script = """
import re, time
from cji_worker.memory import join_pages
def huge():
    return sum(int(n) for n in re.findall(r"AnonHugePages: +([0-9]+)", open("/proc/self/smaps").read()))
kept = [bytes(64 << 10) for _ in range(400)]
before = huge()
for _ in range(50):
    join_pages()
    joined = huge()
    if joined >= 16 << 10:
        break
    time.sleep(0.1)
later = [bytes(64 << 10) for _ in range(400)]
print(before, joined >= 16 << 10, huge() <= joined, "THP_enabled:\\t0" in open("/proc/self/status").read())
"""
    done = run(script, secret_heap=True)
    assert done.stdout.split() == [b"0", b"True", b"True", b"True"], done.stderr
