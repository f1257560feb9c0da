"""The weekly review finds what was planted in a week, names its lines, and finds nothing in a quiet one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.review_faults import FAULTS, planted
from tests.support.review_trails import WEEK, quiet, written
from worker.audit.review.model import Report, decode, encode
from worker.audit.review.reader import Context, review
from worker.audit.review.rules import RULES
from worker.audit.review.settings import Settings
from worker.audit.review.week import Week

SETTINGS = Settings(time_zone="America/Chicago", hours=("Mon-Fri 07:00-18:00",))


def reviewed(paths: Sequence[Path], **other: Any) -> Report:
    fields: dict[str, Any] = {
        "week": Week.parse(WEEK), "settings": SETTINGS, "software": "cji 1", "complete": True,
    }  # fmt: skip
    receipts = other.pop("receipts", None)
    return review(paths, Context(**fields | other), receipts=receipts)


def rules_of(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings}


def test_a_quiet_week_has_no_finding(tmp_path: Path) -> None:
    trail = quiet()
    report = reviewed(written(tmp_path, trail), receipts=trail.write_receipts(tmp_path / "receipts"))
    assert report.findings == ()
    assert [check.findings for check in report.checks] == [0] * len(RULES)
    assert (report.total.jobs, report.total.completed, report.total.rows_out) == (84, 84, 672)
    assert report.receipts is not None
    assert report.receipts.matched == 84
    assert decode(encode(report)) == report


@pytest.mark.parametrize("name", FAULTS)
def test_what_was_planted_is_found_and_named(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    report = reviewed(written(tmp_path, planted(name)))
    assert rules_of(report) == fault.rules
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=("alert", "warning", "notice").index)
    found = [finding for finding in report.findings if fault.text in f"{finding.subject} {finding.detail}"]
    assert found
    assert [finding.id for finding in report.findings] == [f"F{i}" for i in range(1, len(report.findings) + 1)]
