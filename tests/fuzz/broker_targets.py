"""The request that a user of the machine sends to the broker."""

import io
from functools import partial
from typing import Final

from cji_core.metadata import HEADERS, TD_QUOTE, token_target
from cji_worker.broker.request import MAX_BODY_BYTES, MAX_HEAD_BYTES, MalformedError, Request, read_request
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, TEXT

__all__ = ["BROKER"]

_CHUNK: Final = 1000


def _requests() -> tuple[bytes, ...]:
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    body = '{"report":"AAAA"}'
    return (
        f"GET {token_target('https://vault.azure.net', None)} HTTP/1.1\r\n{lines}\r\n".encode(),
        f"POST {TD_QUOTE} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode(),
    )


def _is_one_request(data: bytes, found: object) -> bool:
    """Accepted is a line that the bytes begin with, and the body behind the head, within bounds.

    Nothing is behind the body but what no read has returned: the broker closes after one answer.
    """
    assert isinstance(found, Request)
    line = found.line.encode("ascii")
    head, end, rest = data.partition(b"\r\n\r\n")
    read = len(head + end + found.body)
    whole = head.startswith(line + b" HTTP/1.1") and rest.startswith(found.body)
    whole = whole and (read == len(data) or read % _CHUNK == 0)
    return whole and line.count(b" ") == 1 and len(line) <= MAX_HEAD_BYTES and len(found.body) <= MAX_BODY_BYTES


BROKER: Final = (
    target(
        "broker-request",
        _requests,
        lambda data: read_request(partial(io.BytesIO(data).read, _CHUNK)),
        refusals=(MalformedError,),
        fair=_is_one_request,
        mutators=(*BYTES, *TEXT),
        weight=10,
    ),
)
