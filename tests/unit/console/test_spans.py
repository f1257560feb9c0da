"""Spans from a trail: pairs of lines, closed attributes, random ids; and the tail that finds the lines."""

import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from cji_core.errors import Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import ChainError, Event, Head, JobAdmitted, Record, append_record
from cji_core.trail.chain import read
from cji_worker.console.process import Tail
from cji_worker.console.spans import MAX_OPEN, Spans
from cji_worker.console.telemetry import span_of
from cji_worker.trail.file import AuditFile
from tests.support import audit_events
from tests.support.audit_events import TIME

START = 1_795_532_400_120_000_000
"""TIME, as hundredths of a second in nanoseconds."""


def record(event: Event, time: str = "2026-11-24T15:00:00.12Z") -> Record:
    return read(append_record(event, head=Head(seq=0, hash="0" * 96), time=time, worker="worker-1")[1])


def admitted(number: int, *operations: str) -> JobAdmitted:
    event = audit_events.admitted(number.to_bytes(16), bytes(48))
    return msgspec.structs.replace(event, operations=operations or event.operations)


def completed(number: int) -> Event:
    return audit_events.completed(number.to_bytes(16), bytes(48))


def ended(number: int) -> Event:
    return audit_events.ended(number.to_bytes(16), bytes(48))


def test_a_job_becomes_a_span() -> None:
    spans = Spans()
    assert spans.take(record(admitted(1, "validate", "deidentify"))) is None
    found = spans.take(record(completed(1), "2026-11-24T15:00:02.50Z"))
    assert found is not None
    assert (found.start, found.end) == (START, START + 2_380_000_000)
    assert (found.operations, found.suite) == (("validate", "deidentify"), Suite.CLASSICAL_1)
    assert (found.reason, found.stage) == (None, None)


def test_an_end_without_a_receipt_has_its_reason() -> None:
    spans = Spans()
    spans.take(record(admitted(1)))
    found = spans.take(record(ended(1)))
    assert found is not None
    assert (found.reason, found.stage) == (Reason.CELL_FAILED, Stage.COMPUTE)


@given(st.lists(st.tuples(st.sampled_from("ace"), st.integers(0, 5)), max_size=60))
def test_pairs_equal_those_of_a_count(steps: list[tuple[str, int]]) -> None:
    """Twin: an end has a span if the last line of its job was its admission."""
    spans, last = Spans(), dict[int, str]()
    expected, found = Counter[str](), Counter[str]()
    for kind, number in steps:
        event = {"a": admitted, "c": completed, "e": ended}[kind](number)
        span = spans.take(record(event))
        if kind != "a" and last.get(number) == "a":
            expected[kind] += 1
        last[number] = kind
        if span is not None:
            found["c" if span.reason is None else "e"] += 1
    assert found == expected


def test_a_crowd_of_open_jobs_is_forgotten_oldest_first() -> None:
    spans = Spans()
    for number in range(MAX_OPEN + 1):
        spans.take(record(admitted(number)))
    assert spans.take(record(completed(0))) is None
    assert spans.take(record(completed(1))) is not None
    assert len(spans._open) == MAX_OPEN - 1


def test_a_clock_that_went_back_makes_no_negative_span() -> None:
    spans = Spans()
    spans.take(record(admitted(1), "2026-11-24T15:00:02.50Z"))
    found = spans.take(record(completed(1)))
    assert found is not None
    assert found.end == found.start


def test_nothing_of_the_line_is_in_a_span_but_closed_sets() -> None:
    spans = Spans()
    spans.take(record(admitted(0xABCD, "deidentify", "op-17", "WI0130000")))
    job = spans.take(record(ended(0xABCD)))
    assert job is not None
    one, other = span_of(job, Resource({})), span_of(job, Resource({}))
    assert dict(one.attributes or {}) == {
        "cji.operations": ("deidentify",),
        "cji.suite": "classical-1",
        "cji.outcome": "ended",
        "cji.reason": "CELL_FAILED",
        "cji.stage": "compute",
    }
    assert one.name == "job"
    assert not one.events
    assert not one.links
    ids = {(each.context.trace_id, each.context.span_id) for each in (one, other) if each.context}
    assert len(ids) == 2, "ids are random, so the same job has others each time"


# ------------------------------------------------------------------ the tail


def write(trail: AuditFile, *numbers: int) -> None:
    for number in numbers:
        trail.append(admitted(number))


def numbers(records: list[Record]) -> list[int]:
    return [each.seq for each in records]


def test_only_lines_after_the_first_look_are_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with audit_events.opened(path) as trail:
        write(trail, 1, 2, 3)
        tail = Tail(path)
        assert tail.read() == []
        write(trail, 4, 5)
        assert numbers(tail.read()) == [4, 5]
        assert tail.read() == []


def test_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path, whole = tmp_path / "audit.log", tmp_path / "whole"
    with audit_events.opened(whole) as trail:
        write(trail, 1, 2)
    first, second = whole.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:40])
    tail = Tail(path)
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(second[40:-1])
        file.flush()
        assert tail.read() == []
        file.write(second[-1:])
    assert numbers(tail.read()) == [2]


def test_a_trail_that_was_rotated_goes_on(tmp_path: Path) -> None:
    path, whole = tmp_path / "audit.log", tmp_path / "whole"
    with audit_events.opened(whole) as trail:
        write(trail, 1, 2, 3, 4)
    lines = whole.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    tail = Tail(path)
    tail.read()
    with path.open("ab") as file:
        file.write(lines[1])
    path.rename(tmp_path / "audit.log.1-2")
    path.write_bytes(b"".join(lines[2:]))
    assert numbers(tail.read() + tail.read()) == [2, 3, 4]


@pytest.mark.parametrize("damage", ["cut", "flip", "swap", "long", "gone"])
def test_a_trail_that_was_changed_is_named_then_followed_again(tmp_path: Path, damage: str) -> None:
    path, whole = tmp_path / "audit.log", tmp_path / "whole"
    with audit_events.opened(whole) as trail:
        write(trail, 1, 2, 3, 4, 5)
    lines = whole.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    tail = Tail(path)
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(lines[1])
    assert numbers(tail.read()) == [2]
    match damage:
        case "cut":
            os.truncate(path, len(lines[0]))
        case "flip":
            path.open("ab").write(lines[2].replace(b"metro-pd", b"metro-pb"))
        case "swap":
            path.open("ab").write(lines[3])
        case "long":
            path.open("ab").write(b"x" * 90_000)
        case "gone":
            path.unlink()
    with pytest.raises((ChainError, OSError)):
        tail.read()
    path.write_bytes(b"".join(lines[:3]))
    assert tail.read() == []
    with path.open("ab") as file:
        file.writelines(lines[3:])
    assert numbers(tail.read()) == [4, 5]
    assert TIME.year == 2026
