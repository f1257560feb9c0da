"""Structured logging to stderr: one JSON line per event, with an event name and allow-listed fields.

Message texts, exception texts and objects cannot be logged: only the fields below, with values of their type. This
keeps records, keys and headers out of logs.
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Final

FIELDS: Final[dict[str, type]] = {
    "blame": str,
    "bytes": int,
    "call": int,
    "cell": int,
    "check": str,
    "correlation_id": str,
    "error": str,  # the name of an exception's class
    "fault": str,
    "job_id": str,
    "kek_id": str,
    "ms": int,
    "pid": int,
    "port": int,
    "reason": str,
    "remedy": str,
    "retry_ms": int,
    "rows": int,
    "seconds": int,
    "stage": str,
    "status": int,
    "syscall": int,
    "tenant": str,  # of Microsoft Entra, from the policy
    "what": str,
}


def log(event: str, **fields: str | int) -> None:
    """Write one event. A field that is not in FIELDS is a programming error and raises TypeError."""
    for name, value in fields.items():
        if type(value) is not FIELDS.get(name) and not (isinstance(value, str) and FIELDS.get(name) is str):
            raise TypeError(f"{name} is not a field of the log")
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, "pid": os.getpid(), **fields}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
