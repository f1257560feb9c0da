"""CPU quotas for processes, by control groups of either version. Needs root, and a hierarchy that it may write to."""

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import click

from cji_simulator.processes import children

__all__ = ["Quotas"]

_ROOT: Final = Path("/sys/fs/cgroup")
_QUOTA_US: Final = 1000
"""The least that the kernel knows, so that a process which waits for another loses little of what it may use."""
_OLD_WEIGHT, _WEIGHT = "16384", "1600"
"""Sixteen times what a process has: it gets its quota when it asks for it, whatever else the machine does."""
_LOOK_S: Final = 0.02
_EMPTY_S: Final = 5.0


class Quotas:
    """Groups with a quota each, below one of their own. Leave the context after their processes have ended."""

    def __init__(self, *, cores: float, root: Path = _ROOT) -> None:
        """`cores` is what the processes of a group may use together. Raises ClickException where quotas are not had."""
        self._period, self._old = int(_QUOTA_US / cores), (root / "cpu" / "cpu.cfs_period_us").exists()
        self._top = (root / "cpu" if self._old else root) / f"cji-quotas-{os.getpid()}"
        self._left, self._followers = threading.Event(), list[threading.Thread]()
        try:
            if not self._old:
                (root / "cgroup.subtree_control").write_text("+cpu")
            self._top.mkdir()
            if not self._old:
                (self._top / "cgroup.subtree_control").write_text("+cpu")
        except OSError as error:
            raise click.ClickException(
                "this benchmark gives processes CPU quotas: run it as root where a cpu controller below /sys/fs/cgroup "
                f"can be written to, in either version of control groups ({error.strerror})"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        for follower in self._followers:
            follower.join()
        for group in (*(each for each in self._top.iterdir() if each.is_dir()), self._top):
            _remove(group)

    def give(self, name: str, pid: int) -> None:
        """Put this process into a group of its own; those that it starts are in the same group."""
        group = self._group(name)
        (group / "cgroup.procs").write_text(str(pid))

    def give_children(self, name: str, pid: int, count: int) -> None:
        """Put each child of a process, of which it has `count` at once, into a group of its own, and each later one."""
        groups = [self._group(f"{name}-{number}") for number in range(count)]
        self._followers.append(threading.Thread(target=self._follow, args=(pid, groups)))
        self._followers[-1].start()

    def _follow(self, pid: int, groups: list[Path]) -> None:
        placed = dict[int, Path]()
        while not self._left.wait(_LOOK_S):
            try:
                alive = children(pid)
            except OSError:
                return  # it has ended
            placed = {child: group for child, group in placed.items() if child in alive}
            free = [group for group in groups if group not in placed.values()]
            for child, group in zip([each for each in alive if each not in placed], free, strict=False):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    (group / "cgroup.procs").write_text(str(child))
                    placed[child] = group

    def _group(self, name: str) -> Path:
        group = self._top / name
        group.mkdir()
        if self._old:
            (group / "cpu.cfs_period_us").write_text(str(self._period))
            (group / "cpu.cfs_quota_us").write_text(str(_QUOTA_US))
            (group / "cpu.shares").write_text(_OLD_WEIGHT)
        else:
            (group / "cpu.max").write_text(f"{_QUOTA_US} {self._period}")
            (group / "cpu.weight").write_text(_WEIGHT)
        return group


def _remove(group: Path) -> None:
    """The kernel takes a process out of its group a moment after its end was seen."""
    end = time.monotonic() + _EMPTY_S
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_LOOK_S)
