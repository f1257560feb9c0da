"""The clock of a process that /proc hides from the supervisor for an instant, between Popen and its own start."""

import os

import pytest

from cji_worker import supervisor
from cji_worker.ipc.beats import CpuClock


def hide(patch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Hide the next process so many times; the list has a number for each look at it."""
    looks, opened = list[int](), CpuClock.opened

    def look(pid: int) -> tuple[int, int]:
        looks.append(pid)
        if len(looks) <= times:
            raise FileNotFoundError
        return opened(pid)

    patch.setattr(CpuClock, "opened", staticmethod(look))
    return looks


def test_a_process_that_is_hidden_for_an_instant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = hide(monkeypatch, 3)
    descriptors = supervisor._clock(os.getpid())
    assert looks == [os.getpid()] * 4
    assert CpuClock(descriptors).read().ran > 0
    for fd in descriptors:
        os.close(fd)


def test_a_process_that_stays_hidden_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_HIDDEN_S", 0.05)
    hide(monkeypatch, 1 << 30)
    with pytest.raises(FileNotFoundError):
        supervisor._clock(os.getpid())
