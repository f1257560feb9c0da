"""Whoever sends jobs tries to be seen in metrics, traces and the console: nothing of what they write gets there.

Canaries stand wherever a caller, a policy or a record can put a text: names of submitters and persons, job ids,
addresses, purposes, agencies, key ids, correlation ids. They pass through the keyholder's own counts and the trail.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from cji_core.errors import Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import (
    Attributed,
    CallsRefused,
    Event,
    Head,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    Volumes,
    append_record,
)
from cji_core.trail.chain import read
from cji_worker.console.exposition import exposition
from cji_worker.console.observer import read_status
from cji_worker.console.page import document
from cji_worker.console.series import SERIES
from cji_worker.console.spans import JobSpan, Spans
from cji_worker.console.telemetry import metrics_of, span_of
from cji_worker.console.view import OPERATIONS, View
from cji_worker.keyholder.tally import Tally
from tests.support.console_tools import KEYHOLDER, VIEW, encoded

CANARY: Final = "c4n4ry"
MILLION: Final = 1_000_000
REASONS: Final = tuple(Reason)


def name(number: int) -> str:
    return f"{CANARY}-{number}"


def admitted(number: int, *operations: str) -> JobAdmitted:
    return JobAdmitted(
        job_id=f"{number:032x}",
        header_sha384="ab" * 48,
        not_after="2026-11-24T16:00:00.00Z",
        submitter=name(number),
        source=f"{CANARY}.{number}",
        originating_ori="C4N4RY000",
        requesting_ori="C4N4RY001",
        attribution=Attributed(
            operator_id=f"{name(number)} Muñoz", requestor=f"Det. {CANARY}", secondary_recipient=CANARY
        ),
        suite=Suite.CLASSICAL_1,
        purpose_code="CNR",
        operations=operations or (name(number), "link"),
        recipients=(f"{CANARY}{'A' * 37}",),
        kek_id=f"https://{CANARY}.vault.azure.net/keys/k/{number:032x}",
        policy_sha384="cd" * 48,
    )


def refused(number: int) -> JobRefused:
    return JobRefused(
        source=f"{CANARY}.{number}",
        stage=Stage.ADMIT,
        reason=REASONS[number % len(REASONS)],
        correlation_id=name(number),
        submitter=name(number),
        job_id=f"{number:032x}",
        requesting_ori="C4N4RY000",
        purpose_code="CNR",
    )


def ending(number: int, *, completed: bool) -> JobCompleted | JobEnded:
    common: dict[str, Any] = {
        "job_id": f"{number:032x}",
        "header_sha384": "ab" * 48,
        "submitter": name(number),
        "requesting_ori": "C4N4RY000",
        "purpose_code": "CNR",
        "duration_ms": number % 5_000_000,
    }
    if not completed:
        reason = REASONS[number % len(REASONS)]
        return JobEnded(**common, stage=Stage.COMPUTE, reason=reason, correlation_id=name(number))
    volumes = Volumes(rows_in=1, rows_out=1, bytes_in=1, bytes_out=1, chri_rows_out=0, subjects_out=1)
    return JobCompleted(**common, volumes=volumes, receipt=f"{CANARY}.e30.e30")


def series_count(text: bytes) -> int:
    return len([line for line in text.splitlines() if line and not line.startswith(b"#")])


def otlp(view: View, spans: list[JobSpan]) -> bytes:
    """What a collector gets, with every span."""
    resource = Resource({"service.name": "cji-worker"})
    scope = ScopeMetrics(scope=InstrumentationScope("x"), metrics=metrics_of(view), schema_url="")
    data = MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])
    sent: bytes = encode_metrics(data).SerializeToString()
    return sent + bytes(encode_spans([span_of(each, resource) for each in spans]).SerializeToString())


def leaks(*outputs: bytes | str) -> list[str]:
    """Every hit, in any case and form."""
    texts = [each if isinstance(each, str) else each.decode("latin-1") for each in outputs]
    return [hit for text in texts for hit in re.findall(r"(?i).{0,20}(?:c4n4ry|muñoz|\bcnr\b).{0,20}", text)]


def view_of(tally: Tally) -> View:
    """The keyholder's counts, by way of the worker's status, as the console reads them."""
    keyholder = msgspec.structs.replace(KEYHOLDER, jobs=tally.counts())
    status, silence = read_status(encoded(keyholder=keyholder))
    assert silence is None
    return replace(VIEW, status=status)


def test_a_million_names_make_no_series_and_no_hit() -> None:
    tally, sizes = Tally(), list[int]()
    for number in range(MILLION):
        match number % 4:
            case 0:
                tally.refused(refused(number))
            case 1:
                reason = REASONS[number % len(REASONS)]
                source, who = f"{CANARY}.{number}", name(number)
                tally.refused(
                    CallsRefused(reason=reason, count=3, seconds=10, source=source, identity=who, submitter=who)
                )
            case 2:
                event = ending(number, completed=True)
                assert isinstance(event, JobCompleted)
                tally.completed((OPERATIONS[number % (len(OPERATIONS) - 1)],), event)
            case _:
                event = ending(number, completed=False)
                assert isinstance(event, JobEnded)
                tally.ended(("link", "validate")[: 1 + number % 2], event)
        if number in (MILLION // 10, MILLION - 1):
            sizes.append(series_count(exposition(view_of(tally))))
    view = view_of(tally)
    assert (
        leaks(
            exposition(view),
            otlp(view, []),
            document(view),
            encoded(keyholder=msgspec.structs.replace(KEYHOLDER, jobs=tally.counts())),
        )
        == []
    )
    assert sizes[0] == sizes[1] < 500, "nine times as many names, and not one series more"
    total = sum(each.count for each in tally.counts().refused)
    assert total == MILLION // 4 * (1 + 3), "every refusal was counted"


def lines() -> Iterator[Event]:
    for number in range(300):
        yield admitted(number, *(("deidentify",) if number % 2 else ()))
        yield ending(number, completed=number % 3 == 0)


def test_nothing_of_a_trail_gets_into_a_span() -> None:
    spans, found = Spans(), list[JobSpan]()
    for event in lines():
        line = append_record(event, head=Head(seq=6, hash="0" * 96), time="2026-11-24T15:00:00.12Z", worker=CANARY)[1]
        if (span := spans.take(read(line))) is not None:
            found.append(span)
    assert len(found) == 300
    sent = otlp(VIEW, found)
    assert leaks(sent) == []
    digests = (b"ab" * 24, b"cd" * 24, f"{299:032x}".encode())
    assert not any(each in sent for each in digests)
    assert {name_ for each in found for name_ in each.operations} == {"deidentify", "link"}


PLACES: Final = [
    "version", "worker", "reason", "state", "config_sha384", "policy_sha384",
    "host.0.condition", "keys.0.kek_id", "processes.0.name", "jobs.operations.0.operation", "jobs.refused.0.reason",
    "jobs.ended.0.reason", "until.token", "clients.crl_until", "audit.hash", "reload.fault",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_compromised_worker_cannot_write_a_label(place: str) -> None:
    """It may be shown on the page as text, where the worker's own names and keys stand; it is never a label."""
    made = json.loads(encoded())
    *inner, last = place.split(".")
    at = made
    for step in inner:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[last] = (
        {"file": "reload", "what": CANARY, "remedy": CANARY} if last == "fault" else f"{CANARY}\n{secrets.token_hex(4)}"
    )
    status, silence = read_status(json.dumps(made).encode())
    view = replace(VIEW, status=status, silence=silence)
    assert leaks(exposition(view), otlp(view, [])) == []
    assert series_count(exposition(view)) < 500


def test_every_value_of_every_label_is_of_this_software() -> None:
    """The labels that can ever be written are these few words, whatever happens."""
    words = {value for series in SERIES for values in series.labels.values() for value in values}
    assert len(words) < 140
    assert leaks(*words) == []
    assert all(re.fullmatch(r"[A-Za-z0-9_. -]{1,40}", word) for word in words)


def test_the_search_finds_what_leaks() -> None:
    """The test of the tests: a canary in a label, a number or an attribute is a hit."""
    assert leaks(exposition(VIEW) + f'cji_jobs{{operation="{name(7)}"}} 1'.encode())
    span = JobSpan(start=1, end=2, operations=(CANARY.upper(),), suite=Suite.CLASSICAL_1)
    assert leaks(otlp(VIEW, [span]))
