"""Who is served: the token, the cookie, Host, Origin and the idle time."""

from dataclasses import replace
from typing import Any

import pytest

from cji_client.desk.access import IDLE_SECONDS, TOKEN_SECONDS, Access, Asked, Denied

HOST = "127.0.0.1:4711"


def entered() -> tuple[Access, Asked]:
    """A desk that somebody entered at the time 10, and a request of that browser."""
    access = Access(host=HOST, now=0)
    assert access.token is not None
    cookie = access.redeem(access.token, now=10)
    assert cookie is not None
    return access, Asked(method="GET", path=f"{access.folder}/files", host=HOST, site="same-origin", cookie=cookie)


def test_the_browser_with_the_cookie_is_served() -> None:
    access, asked = entered()
    assert access.denied(asked, now=11) is None
    assert access.denied(replace(asked, method="POST", origin=f"http://{HOST}"), now=11) is None
    assert access.denied(replace(asked, site="none"), now=11) is None


@pytest.mark.parametrize(
    ("changes", "denied"),
    [
        ({"host": "desk.example:4711"}, Denied.HOST),
        ({"host": "127.0.0.1"}, Denied.HOST),
        ({"host": "localhost:4711"}, Denied.HOST),
        ({"host": ""}, Denied.HOST),
        ({"path": "/files"}, Denied.PATH),
        ({"path": "/"}, Denied.PATH),
        ({"method": "POST"}, Denied.SITE),
        ({"method": "POST", "origin": "null"}, Denied.SITE),
        ({"method": "POST", "origin": "http://127.0.0.1:4712"}, Denied.SITE),
        ({"method": "POST", "origin": f"https://{HOST}"}, Denied.SITE),
        ({"method": "DELETE"}, Denied.SITE),
        ({"site": "cross-site"}, Denied.SITE),
        ({"site": "same-site"}, Denied.SITE),
        ({"cookie": ""}, Denied.COOKIE),
        ({"cookie": "x" * 43}, Denied.COOKIE),
        ({"cookie": "\udcff"}, Denied.COOKIE),
    ],
)
def test_any_other_request_is_denied(changes: dict[str, Any], denied: Denied) -> None:
    access, asked = entered()
    assert access.denied(replace(asked, **changes), now=11) is denied


def test_the_token_works_once_and_for_two_minutes() -> None:
    access = Access(host=HOST, now=0)
    token = access.token
    assert token is not None
    assert access.redeem("x" * 43, now=1) is None
    assert access.redeem(token, now=TOKEN_SECONDS + 1) is None
    assert access.redeem(token, now=TOKEN_SECONDS) is not None
    assert access.redeem(token, now=TOKEN_SECONDS) is None
    other = Access(host=HOST, now=0)
    assert len({token, other.token, access.folder, other.folder}) == 4


def test_the_door_takes_the_file_alone() -> None:
    access = Access(host=HOST, now=0)
    asked = Asked(method="POST", path=access.door, host=HOST, origin="null", site="cross-site")
    assert access.denied(asked, now=1) is None
    assert access.denied(replace(asked, origin="https://example.org"), now=1) is Denied.SITE
    assert access.denied(replace(asked, origin=access.origin), now=1) is Denied.SITE
    assert access.denied(replace(asked, host="example.org"), now=1) is Denied.HOST


def test_nobody_is_served_before_the_token_was_shown() -> None:
    access = Access(host=HOST, now=0)
    asked = Asked(method="GET", path=f"{access.folder}/", host=HOST, cookie=access._cookie)
    assert access.denied(asked, now=1) is Denied.COOKIE


def test_an_idle_desk_serves_nobody() -> None:
    access, asked = entered()
    assert access.denied(asked, now=10 + IDLE_SECONDS) is None
    assert access.denied(asked, now=10 + 2 * IDLE_SECONDS) is None  # from the last request on
    assert not access.is_over(10 + 3 * IDLE_SECONDS)
    assert access.denied(asked, now=11 + 3 * IDLE_SECONDS) is Denied.COOKIE
    assert access.is_over(11 + 3 * IDLE_SECONDS)
    access.keep(20 + 3 * IDLE_SECONDS)  # a job runs
    assert access.denied(asked, now=20 + 4 * IDLE_SECONDS) is None


def test_a_desk_that_nobody_enters_is_over() -> None:
    access = Access(host=HOST, now=0)
    assert not access.is_over(TOKEN_SECONDS)
    assert access.is_over(TOKEN_SECONDS + 1)
