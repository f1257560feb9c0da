"""What the reader of a request refuses by itself, whatever is granted."""

import io
from functools import partial

import pytest

from cji_worker.broker.request import MalformedError, Request, read_request

HEAD = b"POST /x HTTP/1.1\r\nMetadata: true\r\n"


def read(data: bytes, *, at_once: int) -> Request:
    """What is read of a connection on which so many bytes arrive at once."""
    return read_request(partial(io.BytesIO(data).read, at_once))


@pytest.mark.parametrize("at_once", [1, 7, 1 << 13])
def test_a_request_is_its_line_and_its_body(at_once: int) -> None:
    assert read(HEAD + b"content-length: 3\r\n\r\nabc", at_once=at_once) == Request(line="POST /x", body=b"abc")
    assert read(HEAD + b"\r\n", at_once=at_once) == Request(line="POST /x", body=b"")


def test_what_arrives_behind_a_request_is_not_read() -> None:
    """The connection has one answer; what comes with the end of a request is refused, below."""
    coming = io.BytesIO(HEAD + b"Content-Length: 1\r\n\r\nxy")
    assert read_request(partial(coming.read, 1)) == Request(line="POST /x", body=b"x")
    assert coming.read() == b"y"


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        (b"Content-Length: 1\r\n\r\nxy", "more than one request"),
        (b"Content-Length: 5000\r\n\r\nx", "too long"),
        (b"Content-Length: 4097\r\n\r\nx", "too long"),
        (b"Content-Length: 2\r\n\r\nx", "cut off"),
        (b"Content-Length: 1\r\ncontent-length: 1\r\n\r\nx", "no one length"),
        (b"Transfer-Encoding: chunked\r\n\r\n", "no one length"),
        (b"a: " + b"a" * 9000 + b"\r\n\r\n", "too long"),
    ],
)
def test_what_is_more_or_less_than_one_request_is_refused(rest: bytes, found: str) -> None:
    with pytest.raises(MalformedError, match=found):
        read(HEAD + rest, at_once=1 << 13)
