"""Tokens that the broker keeps: until shortly before their end, for their request alone, within a bound."""

import json
import threading

import pytest

from cji_core.https import Response
from cji_core.metadata import token_target
from cji_worker.broker.tokens import MAX_TOKENS, RENEW_SECONDS, Tokens

AUDIENCE = "https://vault.azure.net"
TARGET = token_target(AUDIENCE, None)


def reply(status: int = 200, **members: object) -> Response:
    body = {"access_token": "t", "token_type": "Bearer", "resource": AUDIENCE, "expires_on": "10000", **members}
    return Response(status=status, reason="", headers={}, body=json.dumps(body).encode())


class Service:
    """Answers with what it is told, and counts."""

    def __init__(self, answer: Response) -> None:
        self.answer, self.asked, self.now = answer, 0, 0.0

    def __call__(self, _target: str) -> Response:
        self.asked += 1
        return self.answer

    def tokens(self) -> Tokens:
        return Tokens(self, clock=lambda: self.now)


def test_a_token_is_asked_for_once_until_it_is_nearly_used_up() -> None:
    service = Service(reply())
    tokens = service.tokens()
    assert {tokens.reply(TARGET, seconds=1).body for _ in range(3)} == {service.answer.body}
    assert service.asked == 1
    service.now = 10_000 - RENEW_SECONDS
    tokens.reply(TARGET, seconds=1)
    assert service.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(status=400),
        reply(resource="https://storage.azure.com"),
        reply(token_type="pop"),
        reply(expires_on="soon"),
        reply(access_token=""),
        Response(status=200, reason="", headers={}, body=b"[]"),
    ],
)
def test_nothing_else_is_kept(answer: Response) -> None:
    service = Service(answer)
    tokens = service.tokens()
    for _ in range(2):
        assert tokens.reply(TARGET, seconds=1) is answer
    assert service.asked == 2


def test_one_asks_while_others_wait_and_no_longer_than_they_may() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(_target: str) -> Response:
        begun.set()
        may_end.wait(60)
        return reply()

    tokens = Tokens(slow, clock=lambda: 0.0)
    first = threading.Thread(target=tokens.reply, args=(TARGET,), kwargs={"seconds": 1})
    first.start()
    begun.wait(60)
    with pytest.raises(TimeoutError):
        tokens.reply(TARGET, seconds=0.05)
    may_end.set()
    first.join()
    assert tokens.reply(TARGET, seconds=0.05).status == 200


def test_the_number_of_tokens_is_bounded() -> None:
    service = Service(reply())
    tokens = service.tokens()
    for number in range(3 * MAX_TOKENS):
        tokens.reply(token_target(AUDIENCE, str(number)), seconds=1)
    assert len(tokens._kept) <= MAX_TOKENS
    assert len(tokens._asking) <= MAX_TOKENS


@pytest.mark.parametrize("others", [1, MAX_TOKENS - 1])
def test_others_do_not_let_a_second_ask_for_what_is_asked_for(others: int) -> None:
    """Neither another target nor as many as are remembered displace the one that somebody waits for."""
    begun, may_end, asked = threading.Event(), threading.Event(), list[str]()

    def slow(target: str) -> Response:
        asked.append(target)
        if target == TARGET:
            begun.set()
            may_end.wait(60)
        return reply()

    tokens = Tokens(slow, clock=lambda: 0.0)
    first = threading.Thread(target=tokens.reply, args=(TARGET,), kwargs={"seconds": 1})
    first.start()
    begun.wait(60)
    try:
        for number in range(others):
            tokens.reply(token_target(AUDIENCE, str(number)), seconds=1)
        with pytest.raises(TimeoutError):
            tokens.reply(TARGET, seconds=0.05)
        assert asked.count(TARGET) == 1
    finally:
        may_end.set()
        first.join()
