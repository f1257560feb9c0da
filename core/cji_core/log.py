"""Structured logging to stderr: one JSON line per event, with an event name and allow-listed fields.

Message texts, exception texts and objects cannot be logged: only the fields below, with values of their type. This
keeps records, keys and headers out of logs. `events_only` holds Python's own reports, and those of libraries, to the
same rule.
"""

import json
import logging
import os
import sys
import threading
import time
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
    "count": int,
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
    """From now on what Python or a library would print in its own words is an event: its class and its place.

    Threads, finalizers and warnings print by hooks of their own. All loggers come to one place, whatever handlers and
    levels their libraries have given them: of asyncio, which reports exceptions of callbacks and of tasks that nobody
    awaits, and of others alike. Call it first: a process that has not is a process that may print a peer's bytes.
    """
    sys.excepthook = _fault
    sys.unraisablehook = lambda found: _fault(found.exc_type, found.exc_value, found.exc_traceback)
    threading.excepthook = lambda found: _fault(found.exc_type, found.exc_value, found.exc_traceback)
    warnings.showwarning = _warning
    logging.disable(logging.NOTSET)
    libraries = _Libraries(logging.WARNING)
    logging.Logger.callHandlers = lambda _, record: libraries.take(record)  # type: ignore[method-assign, assignment]


def _fault(kind: type[BaseException], _value: BaseException | None, trace: TracebackType | None) -> None:
    log("fault", error=kind.__name__, what=_place(trace))


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _warning(  # noqa: PLR0917 - the parameters of warnings.showwarning
    message: Warning | str,  # noqa: ARG001 - its text is not logged
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    log("warning", error=category.__name__, what=f"{filename}:{lineno}")


_LIBRARIES: Final = frozenset({"asyncio", "azure", "concurrent", "grpc", "opentelemetry", "requests", "urllib3"})
"""Whose reports are named; all others are those of "other"."""
_OURS: Final = "asyncio"  # what it reports with an exception is a fault of our own tasks
_EVERY_S: Final = 60.0
_MOST_PLACES: Final = 64


class _Libraries(logging.Handler):
    """Counts what libraries report, by its place: no text, no argument, no name that is not in the list above.

    A place is logged at once the first time, then with its count at most every `_EVERY_S`, and at the end: a peer that
    makes a library complain a million times fills no disk. It is a handler for its lock, which survives a fork.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._counts: dict[tuple[str, str, str], int] = {}
        self._next: dict[tuple[str, str, str], float] = {}

    def take(self, record: logging.LogRecord) -> None:
        """Take one record of any logger."""
        if record.levelno >= self.level:
            self.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        key, now = _origin(record), time.monotonic()
        if key not in self._next and len(self._next) >= _MOST_PLACES:
            key = "library", "", "other"
        self._counts[key] = self._counts.get(key, 0) + 1
        for each in [each for each in self._counts if self._next.get(each, now) <= now]:
            self._next[each] = now + _EVERY_S
            self._log(each)

    def close(self) -> None:
        """Log what was counted and not logged; `logging` calls it at the end of the process."""
        for each in list(self._counts):
            self._log(each)
        super().close()

    def _log(self, key: tuple[str, str, str]) -> None:
        event, error, place = key
        log(event, what=place, count=self._counts.pop(key), **({"error": error} if error else {}))


def _origin(record: logging.LogRecord) -> tuple[str, str, str]:
    """The event, the class of its exception and the place of a record."""
    kind, _, trace = record.exc_info if record.exc_info else (None, None, None)
    error = "" if kind is None else kind.__name__
    library = record.name.partition(".")[0]
    if library == _OURS and error:
        return "fault", error, _place(trace)
    if library not in _LIBRARIES:
        library = "other"
    return "library", error, f"{library}: {record.module}:{record.lineno}"
