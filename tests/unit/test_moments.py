"""One reader of times: what programs of other languages write, and nothing that two of them would read differently."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation.evidence_file import decode_evidence
from cji_core.errors import SpecError
from cji_core.moments import moment
from tests.support.evidence_files import evidence_file


def shown(text: str) -> bytes:
    """A file of evidence with this time."""
    return json.dumps(json.loads(evidence_file()) | {"attested_at": text}).encode()


AT = datetime(2026, 11, 30, 8, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-11-30T08:00:05Z", 0),
        ("2026-11-30T08:00:05.123Z", 123_000),  # JavaScript
        ("2026-11-30T08:00:05.000Z", 0),
        ("2026-11-30T08:00:05.123456+00:00", 123_456),  # Python
        ("2026-11-30T08:00:05.123456789Z", 123_456),  # Go, Java
        ("2026-11-30T02:00:05.1-06:00", 100_000),
        ("2026-11-30T13:30:05+05:30", 0),
    ],
)
def test_times_of_other_languages_are_read(text: str, microseconds: int) -> None:
    assert moment(text) == AT + timedelta(microseconds=microseconds)
    assert moment(text).tzinfo is UTC
    assert decode_evidence(shown(text)).attested_at == moment(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-11-30", "2026-11-30T08:00Z", "2026-11-30T08:00:05", "2026-11-30 08:00:05Z", "20261130T080005Z"),
        *("2026-11-30t08:00:05Z", "2026-11-30T08:00:05z", "2026-11-30T08:00:05,1Z", "2026-11-30T08:00:05.Z"),
        *("2026-11-30T08:00:05.1234567890Z", "2026-11-30T08:00:60Z", "2026-11-30T24:00:00Z", "2026-02-29T08:00:05Z"),
        *("2026-11-30T08:00:05-00:00", "2026-11-30T08:00:05+0000", "2026-11-30T08:00:05+24:00", "2026-W49-1T08:00:05Z"),
        *("2026-11-30T08:00:05Z\n", " 2026-11-30T08:00:05Z", "+2026-11-30T08:00:05Z", "0000-01-01T00:00:00Z"),
        *(
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "\u0662026-11-30T08:00:05Z",
            "2026-11-30T08:00:05Z[UTC]",
        ),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|day|month|year|hour"):
        moment(text)
    with pytest.raises(SpecError):
        decode_evidence(shown(text))


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-1439, 1439))
def test_what_python_writes_comes_back(at: datetime, minutes: int) -> None:
    aware = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert moment(aware.isoformat()) == aware
