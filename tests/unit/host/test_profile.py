"""The live probes of the host profile, with and without a filter."""

import re
import subprocess
import sys

import pytest

from cji_worker.host import DENIED_CALLS, permitted_calls
from tests.support.host_profile import SOURCE
from tests.support.paths import ROOT

_FILTERED = """
import errno, sys
import pyseccomp as seccomp
from cji_worker.host import DENIED_CALLS, permitted_calls
rules = seccomp.SyscallFilter(seccomp.ALLOW)
for name in set(DENIED_CALLS) - set(sys.argv[1:]):
    rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
rules.load()
print(*permitted_calls())
"""


def filtered(*without: str) -> set[str]:
    """What is still permitted in a process with a filter for all calls but these."""
    done = subprocess.run(
        [sys.executable, "-c", _FILTERED, *without], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_an_ordinary_process_is_not_denied() -> None:
    """These two need no privilege and are in every kernel that the worker runs on."""
    assert {"kcmp", "process_vm_readv"} <= set(permitted_calls())


def test_a_filter_for_every_call_is_found() -> None:
    assert filtered() == set()


@pytest.mark.parametrize("name", ["kcmp", "process_vm_readv", "process_vm_writev", "userfaultfd"])
def test_one_call_that_the_filter_forgets_is_found(name: str) -> None:
    assert filtered(name) == {name}


def test_the_probes_change_nothing() -> None:
    assert permitted_calls() == permitted_calls()


def test_the_init_program_denies_exactly_the_probed_calls() -> None:
    assert tuple(re.findall(r"DENY\((\w+)\)[,\n]", SOURCE.read_text())) == DENIED_CALLS


@pytest.mark.parametrize("name", DENIED_CALLS)
def test_the_numbers_are_those_of_the_kernel(name: str) -> None:
    import pyseccomp

    from cji_worker.host.profile import _CALLS

    assert _CALLS[name][0] == pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, name)
