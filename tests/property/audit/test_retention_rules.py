"""When something is due: against a twin in whole seconds, over leap days, holds, and clocks that disagree."""

from calendar import timegm
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from cji_audit.retention.rules import AREAS, End, Job, Keep, Stored, beginning, earlier, ending, judge

JOB = "01" * 16
NAMES = {
    "input": ("jobs", "parts/00000"),
    "result": ("results", f"{'ab' * 16}/parts/00000"),
    "proof": ("results", "receipt"),
}
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
days = st.integers(1, 36_500)
areas = st.sets(st.sampled_from(AREAS), min_size=1)
LEAP = datetime(2028, 2, 28, 12, tzinfo=UTC)


@st.composite
def keeps(draw: st.DrawFn) -> Keep:
    one, two = draw(days), draw(days)
    return Keep(input_days=one, result_days=two, proof_days=draw(st.integers(max(one, two), 36_500)))


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    stored = tuple(
        Stored(
            container=NAMES[area][0],
            name=f"{JOB}/{NAMES[area][1]}",
            etag="0x8D1",
            size=1,
            created=draw(moments),
            held=draw(st.sampled_from([False, False, False, True])),
        )
        for area in sorted(draw(areas))
    )
    end = draw(st.none() | moments.map(lambda at: End(at=at, by="receipt")))
    return Job(id=JOB, stored=stored, end=end, not_after=draw(st.none() | moments), unreadable=draw(st.booleans()))


def last_second(job: Job, count: int) -> int:
    """The twin: seconds since 1970 before which nothing may go."""
    stated = [timegm(each.created.timetuple()) + 1 for each in job.stored]
    if job.end is not None:
        stated.append(timegm(job.end.at.timetuple()))
    elif job.not_after is not None:
        stated.append(timegm(job.not_after.timetuple()))
    return max(stated) + count * 86_400


@given(job=jobs(), keep=keeps(), now=moments, on_hold=st.booleans())
def test_nothing_is_due_before_its_end(job: Job, keep: Keep, now: datetime, *, on_hold: bool) -> None:
    held = {JOB} if on_hold else set[str]()
    found = {each.area: each for each in judge(job, keep, on_hold=held, jobs="jobs", now=now)}
    is_free = not (on_hold or job.unreadable or any(each.held for each in job.stored))
    for area, verdict in found.items():
        over = timegm(now.timetuple()) >= last_second(job, keep.days(area))
        alone = area != "proof" or set(found) == {"proof"}
        assert (verdict.state == "due") == (is_free and over and alone)
        assert verdict.state == "held" or not (on_hold or any(each.held for each in job.stored))


@given(service=moments, local=moments, until=moments)
def test_the_earlier_of_two_clocks_counts(service: datetime, local: datetime, until: datetime) -> None:
    assert (earlier(service, local) >= until) == (service >= until and local >= until)


@given(since=moments, count=days)
@example(since=LEAP, count=1)
@example(since=datetime(2028, 2, 29, tzinfo=UTC), count=365)
@example(since=datetime(2099, 12, 31, tzinfo=UTC), count=36_500)
def test_a_day_has_as_many_seconds_every_year(since: datetime, count: int) -> None:
    assert timegm(ending(since, count).timetuple()) == timegm(since.timetuple()) + count * 86_400


def test_an_end_beyond_all_years_never_comes() -> None:
    assert ending(datetime(9999, 12, 31, tzinfo=UTC), 1) > datetime(9999, 12, 31, 23, tzinfo=UTC)


@given(job=jobs(), later=moments)
def test_a_false_statement_can_only_lengthen(job: Job, later: datetime) -> None:
    """A receipt that states an early end, or none at all, lets nothing go before the service's own times do."""
    since, _ = beginning(job)
    own = max(each.created for each in job.stored) + timedelta(seconds=1)
    assert since >= own
    with_end = Job(id=JOB, stored=job.stored, end=End(at=later, by="receipt"))
    assert beginning(with_end)[0] >= own
