"""What the reader of a request refuses by itself, whatever is granted."""

import io
import socket
import time
from functools import partial

import pytest

from cji_worker.broker.request import MAX_HEAD_BYTES, MalformedError, Request, read_request, receiver

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


@pytest.mark.parametrize(
    "line",
    [
        b"GET /x HTTP/1.0",
        b"GET /x HTTP/1.1 ",
        b"GET /x",
        b"GET  /x HTTP/1.1",
        b"GET /x y HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"",
    ],
)
def test_a_first_line_of_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedError, match=r"first line|HTTP/1\.1"):
        read(line + b"\r\n\r\n", at_once=1 << 13)


@pytest.mark.parametrize("length", [b"+1", b"1_0", b"", b"00001", b"\xb2", b"0x1", b"-0"])
def test_a_length_that_is_not_plain_digits_is_refused(length: bytes) -> None:
    with pytest.raises(MalformedError, match="too long"):
        read(HEAD + b"Content-Length: " + length + b"\r\n\r\nx", at_once=1 << 13)


def test_a_head_without_an_end_is_read_to_its_bound() -> None:
    given = 0

    def endless() -> bytes:
        nonlocal given
        given += 1000
        assert given <= MAX_HEAD_BYTES + 2000
        return b"a" * 1000

    with pytest.raises(MalformedError, match="head is too long"):
        read_request(endless)


def test_nothing_is_waited_for_after_the_time_of_a_request() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x")
        assert receiver(ours, until=time.monotonic() + 5)() == b"x"
        theirs.sendall(b"y")
        with pytest.raises(TimeoutError):
            receiver(ours, until=time.monotonic())()
