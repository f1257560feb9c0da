"""A service that may not be ready yet: asked again while it says so, and no longer, from a real server on loopback."""

import time
from collections.abc import Iterator

import pytest

from cji_attestation import Fault
from cji_attestation.evidence import service
from cji_attestation.trust import endpoint
from cji_core.https import Response
from tests.support.answers import Answers, serving
from tests.support.refusals import rejected


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    monkeypatch.setattr(service, "PAUSE_SECONDS", 0.001)
    with serving(Answers({"/x": ({}, b"yes")})) as state:
        yield state


def ask(served: Answers, *, seconds: float = 30.0, also: frozenset[int] = frozenset()) -> Response:
    at = endpoint(served.base, (served.base,), resource="", check="x")
    until = time.monotonic() + seconds
    return service.request_until(at, path="/x", until=until, check="x", headers={}, also_retried=also)


def refused(served: Answers, *, seconds: float = 30.0) -> float | None:
    with rejected("x", fault=Fault.EVIDENCE_UNAVAILABLE) as caught:
        ask(served, seconds=seconds)
    return caught.value.retry_after


@pytest.mark.parametrize("busy", [429, 500, 502, 503, 504])
def test_asked_again_while_it_is_busy(served: Answers, busy: int) -> None:
    served.first = [busy, busy]
    assert ask(served).body == b"yes"
    assert served.paths == ["/x"] * 3


@pytest.mark.parametrize("status", [201, 204, 301, 400, 403, 404, 410, 501])
def test_any_other_status_is_an_answer(served: Answers, status: int) -> None:
    served.status = status
    assert refused(served) is None
    assert served.paths == ["/x"]


def test_what_else_is_asked_again_is_the_callers(served: Answers) -> None:
    served.first = [404, 410]
    assert ask(served, also=frozenset({404, 410})).status == 200
    assert len(served.asked) == 3


def test_not_asked_again_when_the_time_is_over(served: Answers) -> None:
    served.status = 503
    assert refused(served, seconds=0.0) is None
    assert len(served.asked) == 1


def test_not_asked_again_before_it_wishes(served: Answers) -> None:
    served.answers["/x"] = ({"Retry-After": "31"}, b"")
    served.status = 503
    assert refused(served) == 31.0
    assert len(served.asked) == 1


def test_a_body_makes_it_a_post(served: Answers) -> None:
    at = endpoint(served.base, (served.base,), resource="", check="x")
    until = time.monotonic() + 30
    service.request_until(at, path="/x", until=until, check="x", headers={"Content-Length": "2"}, body=b"ab")
    assert served.asked == [("POST", "/x", b"ab")]
