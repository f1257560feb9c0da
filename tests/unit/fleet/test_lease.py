"""A lease is renewed until it is released; whatever ends it first is told once."""

import threading
from typing import Any

import pytest

from cji_core.pool.errors import LeaseLostError, StoreAwayError
from cji_core.pool.queue import Message
from cji_worker.fleet.lease import End, Lease

MESSAGE = Message(id="1", pop_receipt="0", text="t", tries=1)


class Queue:
    """Answers renewals in turn: a message, or an exception; the last one for ever."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)
        self.renewals = 0
        self.renewed = threading.Event()

    def renew(self, message: Message, *, lease: float) -> Message:
        self.renewals += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.renewed.set()
        if answer is not None:
            raise answer
        return Message(id="1", pop_receipt=str(self.renewals), text="t", tries=1)


class Jobs:
    def __init__(self, *, cancelled: bool = False) -> None:
        self.cancelled = cancelled

    def exists(self, name: str) -> bool:
        assert name == "job/cancel"
        return self.cancelled


def lease(queue: Any, jobs: Any, ended: threading.Event, *, seconds: float = 0.03) -> Lease:
    return Lease(MESSAGE, job="job", queue=queue, jobs=jobs, seconds=seconds, ended=ended.set)  # type: ignore[arg-type]


def test_it_is_renewed_and_has_the_newest_receipt() -> None:
    queue, ended = Queue(None), threading.Event()
    with lease(queue, Jobs(), ended) as held:
        while queue.renewals < 3:
            queue.renewed.clear()
            assert queue.renewed.wait(60)
    assert held.end is None
    assert held.message.pop_receipt == str(queue.renewals)
    assert not ended.is_set()


@pytest.mark.parametrize(
    ("queue", "jobs", "end"),
    [
        (Queue(None, LeaseLostError("x")), Jobs(), End.LOST),
        (Queue(StoreAwayError("x")), Jobs(), End.LOST),
        (Queue(None), Jobs(cancelled=True), End.CANCELLED),
    ],
    ids=["lost", "away until its end", "cancelled"],
)
def test_an_attempt_that_has_to_stop_is_told(queue: Queue, jobs: Jobs, end: End) -> None:
    ended = threading.Event()
    with lease(queue, jobs, ended) as held:
        assert ended.wait(60)
        held.stop(End.STOPPED)
    assert held.end is end
