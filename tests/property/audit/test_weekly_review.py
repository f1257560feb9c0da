"""The review's sums equal a slow count; hours, weeks, signatures and pages have their properties."""

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_audit.review import (
    Context,
    Report,
    ReportError,
    Settings,
    SignedReviewError,
    Statement,
    Week,
    decode,
    encode,
    render,
    review,
)
from cji_audit.review.hours import DAYS, LocalClock, OpeningHours, open_minutes
from cji_audit.review.model import Volume
from cji_audit.review.settings import Thresholds
from cji_audit.review.signed import FIRST_PREVIOUS, sign, verify
from cji_audit.review.week import BEFORE, Window
from cji_core.errors import Reason, Stage
from cji_core.page.plots import columns, short, week_of_hours
from cji_core.trail import Attributed, CallsRefused, JobAdmitted, JobRefused, Volumes, WorkerStopped
from tests.reference import review as slow
from tests.support.review_trails import KEY, Trail, job_admitted

ZONES = ("UTC", "America/Chicago", "Asia/Kathmandu", "Pacific/Auckland")
WEEK = Week.parse("2025-W44")  # daylight saving time ends in it or near it
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table>",
    "op\u202e99",
    "&lt;b&gt;",
    "]]>",
)
LIMITS = Thresholds(growth_rows=0, growth=1.0, refusals=1, failures=1, job_rows=0)
oris = st.sampled_from(["WI0130000", "IL0160000"])
texts = st.sampled_from(["op-1", "op-2", "Ünal", "<b>op</b>"])
counts = st.integers(0, 20)
volumes = st.builds(
    Volumes, rows_in=counts, rows_out=counts, bytes_in=counts, bytes_out=counts, chri_rows_out=counts,
    subjects_out=counts,
)  # fmt: skip
who = st.none() | st.builds(
    Attributed, operator_id=texts, requestor=texts, secondary_recipient=st.sampled_from(["", "DA", "court"])
)
jobs = st.fixed_dictionaries(
    {
        "requesting_ori": oris,
        "attribution": who,
        "submitter": st.sampled_from(["metro-pd", "harbor-pd"]),
        "purpose_code": st.sampled_from(["C", "F"]),
        "operations": st.sampled_from([("screen",), ("validate", "deidentify")]),
        "recipients": st.sampled_from([(KEY,), ("B" * 43, KEY)]),
    }
)
refused = st.builds(
    JobRefused, source=st.just("ipv4:10.0.0.1:1"), stage=st.just(Stage.ADMIT), correlation_id=st.just("c"),
    reason=st.sampled_from(Reason), submitter=st.none() | st.sampled_from(["metro-pd", "harbor-pd"]),
) | st.builds(
    CallsRefused, source=st.just("ipv4:10.0.0.1:1"), reason=st.sampled_from(Reason), count=counts, seconds=counts,
    submitter=st.none() | st.just("metro-pd"),
)  # fmt: skip
steps = st.tuples(st.integers(0, 40 * 60), st.sampled_from(["end", "complete", "fail", "open"]), jobs, volumes) | (
    st.tuples(st.integers(0, 40 * 60), refused)
)


def trail_of(worker: str, found: Sequence[tuple[Any, ...]]) -> Trail:
    """A trail of these steps; `end` completes the oldest open job."""
    trail, waiting = Trail(worker=worker, at=datetime(2025, 10, 25, tzinfo=UTC)), list[JobAdmitted]()
    trail.add(WorkerStopped(jobs_completed=0))
    for minutes, what, *more in found:
        at = trail.at + timedelta(minutes=minutes)
        if not more:
            trail.add(what, at=at)
        elif what == "fail":
            trail.fail(at=at, **more[0])
        elif what == "end":
            trail.at = at
            if waiting:
                trail.complete(waiting.pop(0), volumes=more[1])
        else:
            job = job_admitted(f"{trail.head.seq:032x}", **more[0])
            trail.add(job, at=at)
            if what == "complete":
                trail.complete(job, volumes=more[1])
            else:
                waiting.append(job)
    return trail


def report_of(trails: Sequence[Trail], zone: str, limits: Thresholds = LIMITS) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        paths = [trail.write(Path(folder, trail.worker)) for trail in trails]
        about = Settings(time_zone=zone, thresholds=limits)
        return review(paths, Context(week=WEEK, settings=about, software="cji 1", complete=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=25), st.lists(steps, max_size=8), st.sampled_from(ZONES))
def test_sums_equal_a_slow_count(first: list[Any], second: list[Any], zone: str) -> None:
    trails = trail_of("worker-1", first), trail_of("worker-2", second)
    report = report_of(trails, zone)
    lines = slow.lines_of(b"".join(trail.lines) for trail in trails)
    begins = datetime.combine(date(2025, 10, 27), datetime.min.time(), ZoneInfo(zone))
    ends = datetime.combine(date(2025, 11, 3), datetime.min.time(), ZoneInfo(zone))
    wanted = slow.sums(lines, begins, ends)
    for name in ("agencies", "operators", "purposes", "submitters", "operations"):
        table = getattr(report, name)
        assert (table.more, table.others) == (0, Volume())
        found = {group.key: msgspec.structs.asdict(group.volume) for group in table.groups}
        assert found == {key: {"off_hours": 0, **sums} for key, sums in wanted[name].items()}
        rows = [group.volume.rows_out for group in table.groups]
        assert rows == sorted(rows, reverse=True)
    assert ([slot.jobs for slot in report.slots], [slot.rows_out for slot in report.slots]) == slow.slots(
        lines, begins, ends, zone
    )
    refusals = {(each.submitter, each.reason): each.count for each in report.refusals if each.count}
    assert refusals == slow.refusals(lines, begins, ends)
    assert report.refused == sum(refusals.values())
    new = {kind: {*names} for kind, names in report.new.items() if names}
    assert new == {kind: names for kind, names in slow.new_names(lines, begins, ends).items() if names}
    kinds = [json.dumps(line["event"]["kind"]) for trail in lines for line in trail if slow.is_in(line, begins, ends)]
    assert sum(sum(trail.events.values()) for trail in report.trails) == len(kinds)
    assert decode(encode(report)) == report


times = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
spans = st.builds(
    lambda days, start, end: f"{days} {start}-{end}",
    st.sampled_from(DAYS) | st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map("-".join),
    times,
    times | st.just("24:00"),
).filter(lambda text: text[-11:-6] != text[-5:])


@settings(max_examples=60, deadline=None)
@given(st.lists(spans, max_size=3))
def test_opening_hours_equal_a_slow_count(found: list[str]) -> None:
    assert {minute for minute, is_open in enumerate(open_minutes(found)) if is_open} == slow.open_minutes(found)


@given(st.text(max_size=30))
def test_any_text_is_a_span_or_a_value_error(text: str) -> None:
    try:
        open_minutes([text])
    except ValueError:
        return
    assert slow.open_minutes([text])


def test_a_holiday_is_closed_and_local_time_is_used() -> None:
    hours = OpeningHours(["Mon-Fri 07:00-18:00"], LocalClock(ZoneInfo("America/Chicago")), [date(2025, 11, 27)])
    assert hours.open_at("2025-11-26T13:00:00.00Z")
    assert not hours.open_at("2025-11-26T12:59:59.99Z")
    assert not hours.open_at("2025-11-27T18:00:00.00Z")
    assert not hours.open_at("2025-11-29T18:00:00.00Z")


@given(st.datetimes(datetime(2000, 1, 3), datetime(2090, 1, 1)), st.sampled_from(ZONES))
def test_every_moment_is_in_the_week_of_its_name(moment: datetime, zone: str) -> None:
    at, place = moment.replace(tzinfo=UTC), ZoneInfo(zone)
    week = Week.of(at, place)
    assert Week.parse(str(week)) == week
    begins, ends = (datetime.fromisoformat(each.begins(place)) for each in (week, week.shifted(1)))
    assert begins <= at < ends
    window = Window(week, zone, 2)
    assert window.has(week.begins(place))
    assert not window.has(week.shifted(1).begins(place))
    assert [window.baseline_week(week.shifted(i).begins(place)) for i in (-3, -2, -1)] == [BEFORE, 0, 1]
    minute, day = LocalClock(place).minute(f"{at:%Y-%m-%dT%H:%M}:00.00Z")
    assert divmod(minute, 1440)[0] == day.weekday()
    assert week.until(week.shifted(3)) == [week.shifted(i) for i in range(4)]
    assert week.until(week.shifted(-1)) == []


KEY_PAIR = ec.generate_private_key(ec.SECP384R1())
STATEMENT = Statement(
    version=1, week="2025-W44", report_sha384="01" * 48, page_sha384="02" * 48, reviewer="Jane Doe",
    time="2025-11-04T10:00:00.00Z", comment="No objection.", findings={"F1": "Explained."},
    previous_sha384=FIRST_PREVIOUS,
)  # fmt: skip


def test_every_byte_flipped_in_a_signed_review_is_refused() -> None:
    data = sign(STATEMENT, KEY_PAIR)
    assert verify(data, [KEY_PAIR.public_key()]).statement == STATEMENT
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises(SignedReviewError):
            verify(bytes(changed), [KEY_PAIR.public_key()])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_no_review_and_no_report(data: bytes) -> None:
    with pytest.raises(SignedReviewError):
        verify(data, [KEY_PAIR.public_key()])
    with pytest.raises(ReportError):
        decode(data)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_comments_are_signed_as_they_are_or_refused(text: str) -> None:
    statement = msgspec.structs.replace(STATEMENT, comment=text, findings={text: text})
    try:
        data = sign(statement, KEY_PAIR)
    except ValueError:
        assert not text or any("\ud800" <= c <= "\udfff" for c in text)
        return
    assert verify(data, [KEY_PAIR.public_key()]).statement == statement


class Tags(HTMLParser):
    """The tags of a page, with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(name for name, _ in attrs)))


def page_with(text: str) -> str:
    trail = trail_of("worker-1", [])
    at = datetime(2025, 10, 29, 12, tzinfo=UTC)
    shown = text.replace("\u202e", "")  # a header with such a character is refused
    trail.job(at=at, attribution=Attributed(operator_id=shown, requestor=shown, secondary_recipient=shown))
    report = report_of([trail], "UTC")
    finding = msgspec.structs.replace(report.findings[0], subject=text, detail=text)
    return render(msgspec.structs.replace(report, findings=(finding, *report.findings[1:]))).decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_do_not_become_markup(text: str) -> None:
    page = page_with(text)
    assert Tags(page).found == Tags(page_with("harmless")).found
    assert "\u202e" not in page
    assert "<script" not in page


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1 << 62), min_size=1, max_size=30))
def test_columns_lie_within_their_plot(amounts: list[int]) -> None:
    made = columns(amounts, [str(i) for i in range(len(amounts))], "rows")
    _, _, width, height = map(float, made.attrib["viewBox"].split())
    bars = made.findall("rect")
    assert len(bars) == len(amounts)
    for bar, amount in zip(bars, amounts, strict=True):
        x, y, wide, high = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + wide <= width + 0.1
        assert y >= 0
        assert y + high <= height
        assert (high > 0) >= (amount == max(amounts) > 0)
    assert all(f": {amount}" in (bar.findtext("title") or "") for bar, amount in zip(bars, amounts, strict=True))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=168, max_size=168))
def test_a_week_of_hours_has_a_square_for_each(amounts: list[int]) -> None:
    made = week_of_hours(amounts, DAYS, "jobs")
    squares = made.findall("rect")
    assert [int((each.findtext("title") or "").rpartition(" ")[2]) for each in squares] == amounts
    strengths = [float(each.attrib["fill-opacity"]) * (each.attrib["class"] == "for") for each in squares]
    order = sorted(range(168), key=amounts.__getitem__)
    assert [strengths[i] for i in order] == sorted(strengths)


@given(st.integers(0, (1 << 63) - 1))
def test_short_amounts_have_five_characters_at_most(amount: int) -> None:
    assert len(short(amount)) <= 5
