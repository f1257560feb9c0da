"""What root in the guest reaches, with the host profile and without it. docs/host.md refers to these tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest_root import ORDINARY, SECRET
from tests.support.host_profile import boot, build, host_folder, kernel, missing, under_profile
from tests.support.paths import ROOT

_NO_COMPILER = missing("gcc")
compiler = pytest.mark.skipif(bool(_NO_COMPILER), reason=f"the host profile cannot be built: no {_NO_COMPILER}")
root = pytest.mark.skipif(os.geteuid() != 0, reason="guest root is root")
_NO_MACHINE = missing("gcc", "qemu-system-x86_64") or ("" if kernel() else "kernel in /boot or CJI_KERNEL")
machine = pytest.mark.skipif(bool(_NO_MACHINE), reason=f"no machine can be booted: no {_NO_MACHINE}")
DENIED = {"bpf", "process_vm_readv", "process_vm_readv of secret memory", "ptrace"}


@pytest.fixture(scope="module")
def filter_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("filter") / "filter", filter_only=True)


def attack(*command: str) -> dict[str, Any]:
    """The outcomes of `tests.support.guest_root`, started in this way."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, Any] = json.loads(done.stdout)
    return outcomes


@pytest.fixture(scope="module")
def bare() -> dict[str, Any]:
    return attack(sys.executable, "-m", "tests.support.guest_root")


@pytest.fixture(scope="module")
def profiled(filter_program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = host_folder(tmp_path_factory.mktemp("host"))
    return attack(*under_profile(filter_program, "tests.support.guest_root", machine=folder))


# ------------------------------------------------------------------ without the profile: what LIMITATIONS states


@pytest.mark.root
@root
def test_x14_bpf_reads_secret_memory_without_the_profile(bare: dict[str, Any]) -> None:
    """A kernel without raw tracepoints says ENOENT or EINVAL, a locked-down one EPERM; nothing else is expected."""
    if bare["bpf"] in {"ENOSYS", "ENOENT", "EINVAL", "EPERM"}:
        pytest.skip(f"this kernel has no raw tracepoints for BPF: {bare['bpf']}")
    assert bare["bpf"] == SECRET


@pytest.mark.root
@root
def test_secret_memory_is_closed_to_everything_but_bpf(bare: dict[str, Any]) -> None:
    assert bare["/proc/PID/mem of secret memory"] == "EIO"
    assert bare["process_vm_readv of secret memory"] == "EFAULT"


@pytest.mark.root
@root
def test_root_reaches_ordinary_memory_without_ptrace_scope(bare: dict[str, Any]) -> None:
    """And writes to it: enough to make a process run foreign code, which then reads its secret memory."""
    if bare["found"]["ptrace-scope"].endswith(" 3"):
        pytest.skip("kernel.yama.ptrace_scope is 3 here")
    assert bare["/proc/PID/mem"] == bare["process_vm_readv"] == ORDINARY
    assert (bare["write to /proc/PID/mem"], bare["ptrace"]) == ("written", "attached")


@pytest.mark.root
@root
def test_x14_a_machine_without_the_profile_is_found(bare: dict[str, Any]) -> None:
    assert {"kcmp", "process_vm_readv"} <= set(bare["permitted"])
    assert bare["found"]["host-profile"].startswith("not held: ")


# ------------------------------------------------------------------ with it


@pytest.mark.root
@root
@compiler
def test_x14_root_is_denied_every_reader_under_the_profile(profiled: dict[str, Any]) -> None:
    assert {name: profiled[name] for name in DENIED} == dict.fromkeys(DENIED, "EPERM")
    assert profiled["permitted"] == []


@pytest.mark.root
@root
@compiler
def test_x14_a_process_under_the_profile_finds_it(profiled: dict[str, Any]) -> None:
    assert profiled["found"]["host-profile"] == "cji-host-1"


_FOREIGN = {
    # getpid by the 32-bit entry: mov eax, 20; int 0x80; ret
    "i386": "import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3'));"
    "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
    "x32": "import ctypes; ctypes.CDLL(None).syscall(0x40000000 | 39)",
}


@pytest.mark.root
@root
@compiler
@pytest.mark.parametrize("abi", _FOREIGN)
def test_x14_other_numbers_for_the_same_calls_kill(filter_program: Path, abi: str) -> None:
    def ended(*command: str | Path) -> int:
        return subprocess.run([*command, sys.executable, "-c", _FOREIGN[abi]], check=False).returncode

    assert ended() == 0
    assert ended(filter_program) == -31  # SIGSYS


@pytest.mark.root
@root
@compiler
def test_a_call_that_does_not_exist_does_not_kill(filter_program: Path) -> None:
    code = "import ctypes; assert ctypes.CDLL(None).syscall(-1) == -1"
    assert subprocess.run([filter_program, sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------ a machine that boots with it


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    image = kernel()
    assert image is not None
    folder = tmp_path_factory.mktemp("boot")
    return boot(folder, build(folder / "host-profile"), image)


@machine
@pytest.mark.slow
def test_x14_a_booted_machine_holds_the_profile(booted: dict[str, str]) -> None:
    assert booted["machine seccomp"] == "2"
    assert booted["machine lockdown"] == "none integrity [confidentiality]"
    assert (booted["shell seccomp"], booted["shell capabilities"]) == ("2", "000001ffffffffff")
    assert (booted["shell bpf"], booted["shell proc-mem"], booted["shell kcore"]) == ("EPERM", "EACCES", "EPERM")
    assert booted["shell ptrace-scope"] == "EINVAL"  # it cannot be taken back


@machine
@pytest.mark.slow
def test_x14_a_helper_of_the_kernel_has_no_capability(booted: dict[str, str]) -> None:
    """Root chooses the core dump helper, which the kernel starts without the filter."""
    assert booted["shell core-pattern"] == "done"
    assert (booted["helper seccomp"], booted["helper capabilities"]) == ("0", "0000000000000000")
    assert (booted["helper bpf"], booted["helper proc-mem"]) == ("EPERM", "EACCES")
    assert booted["machine helpers"].split() == ["0", "0"]


@machine
@pytest.mark.slow
def test_x14_the_filter_alone_leaves_the_helpers(filter_program: Path, tmp_path: Path) -> None:
    """Why the profile is more than a filter."""
    image = kernel()
    assert image is not None
    outcomes = boot(tmp_path, filter_program, image, arguments=["--", "/sbin/init"])
    assert (outcomes["shell bpf"], outcomes["helper bpf"], outcomes["helper proc-mem"]) == ("EPERM", "done", "done")
