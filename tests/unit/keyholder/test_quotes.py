"""A keyholder that stood still must check the machine at once, however many callers want evidence."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cji_attestation.evidence import NONCE_BYTES, Evidence
from cji_core.errors import Reason
from cji_worker.keyholder.quotes import MakeQuote, Quoted, Quotes

LONG_S = 120.0
PROMPT_S = 60.0


def evidence(_: bytes) -> tuple[Evidence, None]:
    return cast("Evidence", SimpleNamespace(to_json=lambda: b"{}")), None


def quotes(quote: MakeQuote = evidence) -> Quotes:
    return Quotes(quote, reason_of=lambda _: Reason.NOT_READY)


@contextmanager
def served(made: Quotes) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=made.serve, args=(time.monotonic() + LONG_S,), daemon=True)
    thread.start()
    yield thread
    thread.join(PROMPT_S)
    assert not thread.is_alive()


def test_an_idle_server_is_interrupted() -> None:
    made = quotes()
    with served(made):
        made.interrupt()


def test_an_interrupt_among_requests_is_not_lost() -> None:
    """It arrives during a quote, behind a request, so one sweep of the queue takes both."""
    began, go = threading.Event(), threading.Event()
    answers: list[Any] = []

    def slow(root: bytes) -> tuple[Evidence, None]:
        began.set()
        assert go.wait(PROMPT_S)
        return evidence(root)

    made = quotes(slow)
    with served(made):
        made.ask(bytes(NONCE_BYTES), answers.append)
        assert began.wait(PROMPT_S)
        made.ask(bytes(NONCE_BYTES), answers.append)
        made.interrupt()
        made.ask(bytes(NONCE_BYTES), answers.append)
        go.set()
    made.serve(time.monotonic() + 0.5)
    assert [type(answer) for answer in answers] == [Quoted] * 3


@pytest.mark.parametrize("callers", [1, 4])
def test_a_flood_does_not_hold_an_interrupt_up(callers: int) -> None:
    """Every answer is followed by the next question, so the queue is never empty."""
    made = quotes()
    over = False

    def again(_: object) -> None:
        if not over:
            made.ask(bytes(NONCE_BYTES), again)

    with served(made):
        for _ in range(callers):
            made.ask(bytes(NONCE_BYTES), again)
        time.sleep(0.3)
        made.interrupt()
    over = True


def test_a_full_queue_does_not_hold_an_interrupt_up() -> None:
    made = quotes()
    answers: list[Any] = []
    while not answers:  # the first answer is the refusal of the nonce that found no room
        made.ask(bytes(NONCE_BYTES), answers.append)
    made.interrupt()
    before = time.monotonic()
    made.serve(before + LONG_S)
    assert time.monotonic() - before < PROMPT_S


def test_one_interrupt_ends_one_wait() -> None:
    made = quotes()
    made.interrupt()
    made.serve(time.monotonic() + LONG_S)
    before = time.monotonic()
    made.serve(before + 0.3)
    assert time.monotonic() - before >= 0.3
