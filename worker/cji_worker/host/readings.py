"""Reads the conditions of this machine, again and again, and reports a change once.

What cannot change while a process lives is asked once, at its start; the rest is read again each time. Files are opened
once and stay open: a process that later may open nothing can still read them, and nothing mounted over them is read
instead. A file that cannot be read is a condition that does not hold.
"""

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_core.log import log
from cji_worker.host.catalogue import CATALOGUE, ConditionId
from cji_worker.host.clock import STEP_SECONDS, clock_offset
from cji_worker.host.profile import PROFILE, ProfileName, permitted_calls, profile_gaps
from cji_worker.memory import secret_fd

_CAP_IPC_LOCK: Final = 14
_FILE_BYTES: Final = 64 << 10
_OVERHEAD_MIB: Final = 128
"""Secret memory of the keyholder and of key slots, beside the cells."""
_KEPT_BY_NOBODY: Final = ("|/bin/false", "|/usr/bin/false")

EVERY_S: Final = 1.0
"""Seconds between two readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The state of one condition. `found` is for operators."""

    id: ConditionId
    held: bool
    found: str


def _secret_memory() -> bool:
    try:
        os.close(secret_fd(1))
    except StartupError:
        return False
    return True


def _lockable_bytes() -> int | None:
    status = Path("/proc/self/status").read_text().splitlines()
    capabilities = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if int(capabilities, 16) >> _CAP_IPC_LOCK & 1 or limit == resource.RLIM_INFINITY:
        return None
    return limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The kernel's answers to this process's own calls; none can change while the process lives."""

    permitted: tuple[str, ...] = field(default_factory=permitted_calls)
    """Calls of the host profile that are not denied."""
    secret_memory: bool = field(default_factory=_secret_memory)
    lockable_bytes: int | None = field(default_factory=_lockable_bytes)
    """None without a limit."""


def secret_mib(config: Config) -> int:
    """The secret memory that a worker of this configuration needs, in MiB."""
    references = config.references
    resident = references.max_references * references.memory_mib if references else 0
    return config.worker.cells * config.worker.cell_memory_mib + resident + _OVERHEAD_MIB


class Host:
    """The machine under a process. `root` is the folder with /proc and /sys; files in it stay open until `close`."""

    def __init__(
        self,
        *,
        secret_mib: int = 0,
        root: Path = Path("/"),
        answers: Answers | None = None,
        offset: Callable[[], float] = clock_offset,
    ) -> None:
        """`secret_mib` is the secret memory that the worker needs, in MiB."""
        self._secret_mib, self._root = secret_mib, root
        self._answers = answers or Answers()
        self._offset, self._offset_at_start = offset, offset()
        self._open: dict[str, int] = {}

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self) -> tuple[Finding, ...]:
        """The findings now, of every condition that can be read in this process."""
        return (
            self._swap(),
            _finding("secret-memory", self._answers.secret_memory, "memfd_secret works", "no memfd_secret"),
            self._locked_memory(),
            self._core_pattern(),
            self._ptrace_scope(),
            self._clock_step(),
            self._profile(),
        )

    def _text(self, path: str) -> str | None:
        try:
            if path not in self._open:
                self._open[path] = os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._open[path], _FILE_BYTES, 0).decode("ascii", "replace")
        except OSError:
            return None

    def _swap(self) -> Finding:
        swaps = self._text("proc/swaps")
        if swaps is None:
            return Finding(id="swap", held=False, found="/proc/swaps cannot be read")
        return _finding("swap", len(swaps.splitlines()) <= 1, "off", "this machine swaps memory to disk")

    def _locked_memory(self) -> Finding:
        limit, needed = self._answers.lockable_bytes, self._secret_mib
        if limit is None:
            return Finding(id="locked-memory", held=True, found=f"{needed} MiB needed, no limit")
        found = f"{needed} MiB of secret memory needed, RLIMIT_MEMLOCK is {limit >> 20} MiB"
        return Finding(id="locked-memory", held=needed << 20 <= limit, found=found)

    def _core_pattern(self) -> Finding:
        pattern = self._text("proc/sys/kernel/core_pattern")
        if pattern is None:
            return Finding(id="core-pattern", held=False, found="kernel.core_pattern cannot be read")
        pattern = pattern.strip()
        return Finding(
            id="core-pattern",
            held=not pattern.startswith("|") or pattern in _KEPT_BY_NOBODY,
            found=f"kernel.core_pattern is {pattern or 'empty'}",
        )

    def _ptrace_scope(self) -> Finding:
        """With 3 nobody can attach to a process, root included: Linux, Documentation/admin-guide/LSM/Yama.rst."""
        scope = (self._text("proc/sys/kernel/yama/ptrace_scope") or "absent").strip()
        return Finding(id="ptrace-scope", held=scope == "3", found=f"kernel.yama.ptrace_scope is {scope}")

    def _clock_step(self) -> Finding:
        step = self._offset() - self._offset_at_start
        held = abs(step) <= STEP_SECONDS
        return _finding("clock-step", held, "not set since the start", f"set by {step:+.0f} s since the start")

    def _profile(self) -> Finding:
        gaps = profile_gaps(
            permitted=self._answers.permitted,
            first_process=self._text("proc/1/status"),
            command_line=self._text("proc/cmdline"),
            lockdown=self._text("sys/kernel/security/lockdown"),
        )
        return _finding("host-profile", not gaps, PROFILE, f"not held: {'; '.join(gaps)}")


def _finding(name: ConditionId, held: bool, good: str, bad: str) -> Finding:
    return Finding(id=name, held=held, found=good if held else bad)


class HostReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conditions that do not hold, required or not, and the profile that does."""

    not_held: tuple[ConditionId, ...]
    profile: ProfileName


NOTHING_HELD: Final = HostReport(not_held=tuple(CATALOGUE), profile="none")
"""The report of a machine that nobody has read."""


class HostWatch:
    """Keeps the last report. Every change of a condition is logged with what was found and the remedy."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._not_held: set[ConditionId] = set()
        self.report = self._read()

    def changed(self) -> HostReport | None:
        """The report if it differs from the last one; None also if the last reading is younger than EVERY_S."""
        if time.monotonic() < self._next:
            return None
        before, self.report = self.report, self._read()
        return None if self.report == before else self.report

    def _read(self) -> HostReport:
        self._next = time.monotonic() + EVERY_S
        findings = self._host.read()
        for finding in findings:
            self._log(finding)
        not_held = tuple(finding.id for finding in findings if not finding.held)
        return HostReport(not_held=not_held, profile="none" if "host-profile" in not_held else PROFILE)

    def _log(self, finding: Finding) -> None:
        if finding.held and finding.id in self._not_held:
            self._not_held.discard(finding.id)
            log("host condition met", check=finding.id, what=finding.found)
        elif not finding.held and finding.id not in self._not_held:
            self._not_held.add(finding.id)
            log("host condition not met", check=finding.id, what=finding.found, remedy=CATALOGUE[finding.id].remedy)
