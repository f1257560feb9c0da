"""One request to a service that may not be ready yet: repeated until it is, or until a deadline.

No proxy, no redirect (`cji_attestation.fetch.exchange`); the whole reply is bounded in size and each attempt in time.
"""

import time
from collections.abc import Mapping
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.fetch import exchange
from cji_attestation.trust import Endpoint
from cji_core.https import Response

MAX_REPLY_BYTES: Final = 64 * 1024  # the largest real reply, AMD's three certificates, has 7 KiB
REQUEST_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 30.0  # what a caller usually gives
PAUSE_SECONDS: Final = 0.5  # doubled each time
BUSY: Final = frozenset({429, 500, 502, 503, 504})


def request_until(
    target: Endpoint,
    *,
    path: str,
    until: float,
    check: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    roots: str | None = None,
    also_retried: frozenset[int] = frozenset(),
    limit: int = MAX_REPLY_BYTES,
) -> Response:
    """GET, or POST where there is a body, until the status is 200; EVIDENCE_UNAVAILABLE with `check` for the rest.

    `until` is a time of time.monotonic() after which no further attempt begins. A reply of BUSY or `also_retried` is
    asked for again, not before its Retry-After. `limit` is the most bytes of a reply.
    """
    pause = PAUSE_SECONDS
    while True:
        reply = exchange(
            target,
            method="GET" if body is None else "POST",
            path=path,
            headers=headers,
            body=body,
            roots=roots,
            limit=limit,
            seconds=REQUEST_SECONDS,
            fault=Fault.EVIDENCE_UNAVAILABLE,
            check=check,
        )
        if reply.status == 200:
            return reply
        pause = max(pause * 2, reply.retry_after or 0)
        if reply.status not in BUSY | also_retried or time.monotonic() + pause > until:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check, retry_after=reply.retry_after)
        time.sleep(pause)
