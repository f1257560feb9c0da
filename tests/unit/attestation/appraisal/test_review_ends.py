"""When the table of advisories and an acceptance in use end, for whoever must renew them."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cji_attestation.appraisal.advisories import SHIPPED, Acceptance, AdvisoryFinding, Review, read_review


def acceptance(name: str, until: date) -> Acceptance:
    return Acceptance(
        version=1,
        id=name,
        machines=("Genoa",),
        advisories=("AMD-SB-1",),
        since=date(2026, 1, 1),
        until=until,
        reason="r",
        decided_by="d",
    )


@pytest.fixture
def review() -> Review:
    own = (acceptance("one", date(2026, 12, 31)), acceptance("other", date(2026, 11, 30)))
    return replace(read_review(None, (), ()), acceptances=own)


def finding(accepted_by: str) -> AdvisoryFinding:
    return AdvisoryFinding("AMD-SB-1", "open", "", accepted_by)


def test_the_table_ends_after_its_last_day(review: Review) -> None:
    last = datetime(SHIPPED.expires.year, SHIPPED.expires.month, SHIPPED.expires.day, 23, 59, 59, tzinfo=UTC)
    assert review.in_time(last)
    assert not review.in_time(review.until)
    assert (review.until - last).total_seconds() == 1


def test_only_an_acceptance_in_use_counts(review: Review) -> None:
    assert review.accepted_until([]) is None
    assert review.accepted_until([finding("")]) is None
    assert review.accepted_until([finding("one")]) == datetime(2027, 1, 1, tzinfo=UTC)
    assert review.accepted_until([finding("one"), finding("other")]) == datetime(2026, 12, 1, tzinfo=UTC)
    one = review.acceptances[0]
    end = review.accepted_until([finding("one")])
    assert end is not None
    assert one.refusal("AMD-SB-1", "Genoa", end) == "one expired on 2026-12-31"
