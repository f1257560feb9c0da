"""The state of a job on the machine that sends it, the room for its result, and what an error says about both."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cji_client.errors import JobCancelled, NotStored, SpecError, Unreachable
from cji_client.reference_standing import ReferenceStanding
from cji_client.release import JobRelease, Release
from cji_client.space import Space
from cji_client.standing import Sent, Standing

JOB = bytes(range(16))


def answering(*states: Release | None) -> Callable[[], JobRelease]:
    """A worker that answers this, one after another; None for no answer. The last for ever."""
    left = list(states)

    def ask() -> JobRelease:
        state = left.pop(0) if len(left) > 1 else left[0]
        if state is None:
            raise Unreachable("UNAVAILABLE")
        return JobRelease(job_id=JOB, state=state)

    return ask


def test_nothing_was_sent_is_said_in_one_state_only() -> None:
    known = Standing(job_id=JOB)
    assert known.facts() == "Nothing was sent."
    for move in (known.begin, known.received, known.begin):
        move()
        assert "Nothing was sent" not in known.facts()
        assert JOB.hex() in known.facts()
    assert known.sent is Sent.RECEIPT  # it only moves forward


@pytest.mark.parametrize("state", [*Release, None])
def test_an_error_after_the_first_byte_has_the_workers_answer(state: Release | None) -> None:
    known = Standing(job_id=JOB)
    known.begin()
    error = SpecError("the input changed")
    with pytest.raises(SpecError), known.explaining(answering(state)):
        raise error
    assert error.standing is known
    assert known.release is state
    assert f"Job {JOB.hex()}: sent, no receipt." in error.remedy
    assert ("`released`" in error.remedy, "`not released`" in error.remedy, "`unknown`" in error.remedy) == (
        state is Release.RELEASED, state is Release.NOT_RELEASED, state is Release.UNKNOWN,
    )  # fmt: skip
    once = error.remedy
    known.explain(error, answering(Release.RELEASED))
    assert error.remedy == once


def test_a_cancelled_job_is_asked_about_until_it_has_ended() -> None:
    known = Standing(job_id=JOB)
    known.begin()
    known.explain(JobCancelled(), answering(Release.UNKNOWN, None, Release.NOT_RELEASED))
    assert known.release is Release.NOT_RELEASED


def test_an_exception_of_the_callers_has_a_note() -> None:
    def never() -> JobRelease:
        raise AssertionError

    known = Standing(job_id=JOB)
    known.begin()
    for error in (ValueError("of the caller"), KeyboardInterrupt()):
        with pytest.raises(type(error)), known.explaining(never), known.explaining(never):
            raise error
        (note,) = error.__notes__
        assert f"Job {JOB.hex()}: sent, no receipt. Unknown whether the worker ended it" in note


def test_a_job_by_reference_knows_its_ticket() -> None:
    known = ReferenceStanding()
    known.met(JOB, Path("job"), ticket_sent=False)
    assert known.facts() == "Nothing was sent."
    known.begin()
    assert "no worker begins it" in known.facts()
    known.ticket = None
    assert "unknown" in known.facts()
    known.ticket = True
    assert "The pool has it" in known.facts()
    known.received()
    assert "stays in the pool's storage" in known.facts()
    fetched = ReferenceStanding(fetching=True)
    fetched.met(JOB, Path("job"), ticket_sent=False)
    assert fetched.facts() == ""


def test_room_is_held_and_given_away(tmp_path: Path) -> None:
    space = Space(tmp_path, 1 << 20)
    found = os.fstat(space._file.fileno())
    assert found.st_blocks * 512 >= 1 << 20
    assert not list(tmp_path.iterdir())  # it has no name that could stay
    space.give((1 << 20) - 4096)
    assert os.fstat(space._file.fileno()).st_blocks * 512 <= 8192
    space.give(1 << 30)
    space.close()


def test_no_room_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no room for the") as refused:
        Space(tmp_path, 1 << 60)
    assert "--max-result-bytes" in refused.value.remedy
    with pytest.raises(SpecError, match="No such file or directory"):
        Space(tmp_path / "gone", 1)


def test_a_limit_for_files_holds_nothing_and_refuses_nothing(tmp_path: Path) -> None:
    """One file may not be so long: whether the disk has room is compared."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        space = Space(tmp_path, 1 << 20)
        assert os.fstat(space._file.fileno()).st_size == 0
        with pytest.raises(SpecError, match="no room"):
            Space(tmp_path, 1 << 60)
        space.give(5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_fault_of_a_disk_is_named() -> None:
    assert "No space left on device" in str(NotStored("a file", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))


_HALF_MADE = """
import os, signal
from cji_client.verbs.job.ending import Signals
class HalfMade:
    def __del__(self):
        self.missing
try:
    with Signals():
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    HalfMade()
"""


def test_what_a_signal_leaves_half_made_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", _HALF_MADE], check=True, capture_output=True)
    assert done.stderr == b""
