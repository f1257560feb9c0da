"""Spans of OpenTelemetry for the phases of a job, where the program has them: extra `otel`.

Nothing is imported for it, and no span made, unless the program imported `opentelemetry.trace` itself; its tracer
provider decides what becomes of a span. A span has the job's id, which is that in the worker's events, counts, and the
Reason or the class of an error: no name of a column or file, no text of an error, nothing of a record.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cji_client.errors import JobFailed, WorkerRefused

if TYPE_CHECKING:
    from opentelemetry.trace import Span as Traced

SpanName: TypeAlias = Literal["cji.attest", "cji.seal", "cji.send", "cji.wait", "cji.open"]

_SCOPE: Final = "cji_client"


class Span:
    """One span, which ends once: at `end`, from any thread, or with the block of `span`."""

    def __init__(self, traced: "Traced | None") -> None:
        self._traced, self._lock = traced, threading.Lock()

    def end(
        self,
        *,
        job_id: bytes | None = None,
        rows: int | None = None,
        bytes: int | None = None,  # noqa: A002 - as in Progress
        error: BaseException | None = None,
    ) -> None:
        """With what is known by now. Nothing happens at a second end."""
        with self._lock:
            traced, self._traced = self._traced, None
        if traced is None:
            return
        for name, value in (("rows", rows), ("bytes", bytes)):
            if value is not None:
                traced.set_attribute(f"cji.{name}", value)
        if job_id is not None:
            traced.set_attribute("cji.job_id", job_id.hex())
        if error is not None:
            _fail(traced, error)
        traced.end()


@contextmanager
def span(name: SpanName, job_id: bytes | None = None) -> Iterator[Span]:
    """A span around the block, within the span that is current in the program. It does not become the current one."""
    made = Span(_begun(name, job_id))
    try:
        yield made
    except GeneratorExit:  # the reader of an output wants no more
        made.end()
        raise
    except BaseException as error:
        made.end(error=error)
        raise
    made.end()


def _begun(name: SpanName, job_id: bytes | None) -> "Traced | None":
    if sys.modules.get("opentelemetry.trace") is None:
        return None
    from opentelemetry.trace import get_tracer  # noqa: PLC0415 - the program has it

    attributes = {} if job_id is None else {"cji.job_id": job_id.hex()}
    return get_tracer(_SCOPE).start_span(name, attributes=attributes)


def _fail(traced: "Traced", error: BaseException) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - the program has it

    traced.set_status(StatusCode.ERROR)
    traced.set_attribute("error.type", type(error).__name__)
    if isinstance(error, WorkerRefused):
        traced.set_attribute("cji.reason", error.reason.value)
    elif isinstance(error, JobFailed):
        traced.set_attribute("cji.reason", error.failure.claims.reason.value)
