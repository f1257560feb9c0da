"""Structured logging to stderr: one JSON line per event, with an event name and allow-listed fields.

Message texts, exception texts and objects cannot be logged: only the fields below, with values of their type. This
keeps records, keys and headers out of logs. `events_only` holds Python's own reports to the same rule.
"""

import json
import logging
import os
import sys
import threading
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TextIO

FIELDS: Final[dict[str, type]] = {
    "blame": str,
    "bytes": int,
    "call": int,
    "cell": int,
    "check": str,
    "condition": str,
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
    """Write one event. A field that is not in FIELDS is a programming error and raises TypeError.

    A cell has no stderr and writes nothing.
    """
    for name, value in fields.items():
        if type(value) is not FIELDS.get(name) and not (isinstance(value, str) and FIELDS.get(name) is str):
            raise TypeError(f"{name} is not a field of the log")
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, "pid": os.getpid(), **fields}
    if sys.stderr is not None:
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()


def events_only() -> None:
    """From now on a fault or warning that Python would print in its own words is an event: its class and its place.

    asyncio reports exceptions of callbacks and of tasks that nobody awaits to `logging`, which prints what no handler
    takes with its traceback. Threads, finalizers and warnings print by hooks of their own.
    """
    sys.excepthook = _fault
    sys.unraisablehook = lambda found: _fault(found.exc_type, found.exc_value, found.exc_traceback)
    threading.excepthook = lambda found: _fault(found.exc_type, found.exc_value, found.exc_traceback)
    warnings.showwarning = _warning
    logging.lastResort = _Events(logging.WARNING)


def _fault(kind: type[BaseException], _value: BaseException | None, trace: TracebackType | None) -> None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    log("fault", error=kind.__name__, what=place)


def _warning(  # noqa: PLR0917 - the parameters of warnings.showwarning
    message: Warning | str,  # noqa: ARG001 - its text is not logged
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    log("warning", error=category.__name__, what=f"{filename}:{lineno}")


class _Events(logging.Handler):
    """Takes what loggers of libraries report, without its text."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            _fault(*record.exc_info)
        else:
            log("warning", what=f"{record.name}: {record.module}:{record.lineno}")
