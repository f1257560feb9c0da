"""Spans of OpenTelemetry: what they say, how they end, and that a program without it has nothing of it."""

import subprocess
import sys
from collections.abc import Generator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from cji_client.errors import ColumnError, WorkerRefused
from cji_client.spans import span
from cji_core.errors import Reason
from tests.support.spans import Recorded, recorded

JOB = bytes(range(16))


@pytest.fixture
def spans() -> Iterator[Recorded]:
    with recorded() as found:
        yield found


def only(found: Recorded) -> ReadableSpan:
    (one,) = found.ended()
    return one


def test_a_span_has_the_job_and_counts(spans: Recorded) -> None:
    with span("cji.send", JOB) as sending:
        sending.end(bytes=7, rows=0)
        sending.end(bytes=8)
    assert only(spans).name == "cji.send"
    assert only(spans).attributes == {"cji.job_id": JOB.hex(), "cji.bytes": 7, "cji.rows": 0}
    assert only(spans).status.status_code is StatusCode.UNSET


def test_a_span_lies_in_that_of_the_program(spans: Recorded) -> None:
    with trace.get_tracer("program").start_as_current_span("request") as request, span("cji.wait", JOB):
        assert trace.get_current_span() is request
    inner, outer = spans.ended()
    assert inner.parent is not None
    assert (inner.name, inner.parent.span_id) == ("cji.wait", outer.context.span_id)


def test_a_refusal_is_recorded_by_its_reason(spans: Recorded) -> None:
    refused = WorkerRefused(Reason.EXPIRED, stage=None, correlation_id="", retryable=False, retry_after=None)
    with pytest.raises(WorkerRefused), span("cji.send", JOB):
        raise refused
    found = only(spans)
    assert found.attributes == {"cji.job_id": JOB.hex(), "error.type": "WorkerRefused", "cji.reason": "EXPIRED"}
    assert (found.status.status_code, found.status.description, found.events) == (StatusCode.ERROR, None, ())


@pytest.mark.parametrize(
    "error", [ColumnError("canary", columns=["canary"]), ValueError("canary"), OSError(2, "canary")]
)
def test_no_text_of_an_error_is_recorded(spans: Recorded, error: Exception) -> None:
    with pytest.raises(type(error)), span("cji.seal"):
        raise error
    assert only(spans).attributes == {"error.type": type(error).__name__}
    assert "canary" not in only(spans).to_json()


def test_a_reader_who_stops_early_is_no_error(spans: Recorded) -> None:
    def rows() -> Generator[int, None, None]:
        with span("cji.open", JOB):
            yield from range(3)

    reader = rows()
    next(reader)
    reader.close()
    assert only(spans).status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(("before", "there"), [("", False), ("import opentelemetry.trace; ", True)])
def test_nothing_is_imported_that_the_program_has_not(before: str, there: bool) -> None:
    code = (
        f"{before}import sys, cji_client.connection, cji_client.job_folder\n"
        "from cji_client.spans import span\n"
        "with span('cji.wait', b'1') as made: made.end(rows=1)\n"
        "print(any(name.partition('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == [str(there)]
