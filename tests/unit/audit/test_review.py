"""The weekly review finds what was planted in a week, names its lines, and finds nothing in a quiet one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.review import (
    Context,
    Report,
    ReviewError,
    Settings,
    Week,
    decode,
    encode,
    findings,
    groups,
    render,
    review,
)
from cji_audit.review.groups import total
from cji_audit.review.model import ReceiptState
from cji_audit.review.settings import Thresholds
from cji_audit.review.trail import TrailReview
from cji_audit.review.week import Window
from cji_core.trail import GENESIS, Attributed, Event, HostChanged, TrailCheckpoint, append_record, read
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.rules import RULES, Watcher, has_rule, watcher
from tests.support.review_faults import FAULTS, NOON, planted
from tests.support.review_trails import KEY, WEEK, Trail, quiet, written

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


def test_counts_are_called_stated_by_the_cells(tmp_path: Path) -> None:
    shown = render(reviewed(written(tmp_path, quiet()))).decode()
    for what in ("rows released, ", "of them with CHRI, ", "subjects released, ", "Rows, CHRI rows and subjects are "):
        assert f"{what}stated by the cells" in shown


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


def found_by(report: Report, rule: str) -> list[str]:
    return [f"{each.subject}: {each.detail}" for each in report.findings if each.rule == rule]


def not_checked(report: Report) -> dict[str, str]:
    return {check.rule: check.not_checked for check in report.checks if check.not_checked is not None}


def without(trail: Trail, start: datetime, end: datetime) -> Trail:
    """The events of a trail outside of these times, in a chain of their own."""
    made = Trail(worker=trail.worker)
    for record in map(read, trail.lines):
        at = datetime.fromisoformat(record.time)
        if not start <= at < end:
            made.add(record.event, at=at)
    return made


def test_silence_of_a_running_worker_is_found(tmp_path: Path) -> None:
    report = reviewed(written(tmp_path, without(quiet(), NOON, NOON + timedelta(hours=3))))
    (silence,) = found_by(report, "silence")
    assert silence == "worker-1: 198 minutes from 2025-11-26T17:52:00.00Z"
    ends_early = without(quiet(), NOON, NOON + timedelta(weeks=9))
    (silence,) = found_by(reviewed(written(tmp_path, ends_early)), "silence")
    assert "minutes from 2025-11-26T1" in silence
    assert found_by(reviewed(written(tmp_path, ends_early), complete=False), "silence") == []


def test_a_stopped_worker_is_not_silent(tmp_path: Path) -> None:
    trail = without(quiet(), NOON, NOON + timedelta(weeks=9))
    trail.stop()
    report = reviewed(written(tmp_path, trail))
    assert rules_of(report) == {"down", "not_anchored"}


def test_a_condition_of_the_host_lasts_until_it_holds_again(tmp_path: Path) -> None:
    trail = without(quiet(), NOON, NOON + timedelta(weeks=9))
    trail.add(HostChanged(unmet=("lockdown", "seccomp")), at=NOON)
    trail.add(HostChanged(unmet=("seccomp",)), at=NOON + timedelta(minutes=7))
    trail.add(HostChanged(unmet=("seccomp", "lockdown")), at=NOON + timedelta(minutes=9))
    report = reviewed(written(tmp_path, trail), complete=False)
    found = {each.subject: (each.count, each.last) for each in report.findings if each.rule == "host_conditions"}
    assert found["worker-1, lockdown"] == (3, "2025-11-26T18:19:00.00Z")
    assert found["worker-1, seccomp"] == (3, "2025-11-26T18:19:00.00Z")


def test_a_trail_without_lines_in_the_week(tmp_path: Path) -> None:
    trail = without(quiet(), NOON - timedelta(weeks=1), NOON + timedelta(weeks=9))
    report = reviewed(written(tmp_path, quiet(worker="worker-2"), trail))
    assert found_by(report, "no_lines") == [f"worker-1: the last line is from {report.trails[0].last}"]


def test_several_workers_make_one_report(tmp_path: Path) -> None:
    trails = quiet(), planted("witnesses")
    trails[0].worker = "worker-2"
    second = quiet(worker="worker-2")
    paths = written(tmp_path, second, trails[1])
    report = reviewed(paths)
    assert [trail.worker for trail in report.trails] == ["worker-1", "worker-2"]
    assert report.total.jobs == 2 * 84
    assert {place.trail for finding in report.findings for place in finding.places} == {0}
    assert encode(reviewed([*reversed(paths)])) == encode(report)
    with pytest.raises(ReviewError, match="same trail"):
        reviewed([paths[0], paths[0]])


def test_names_count_as_new_only_if_no_trail_had_them_before(tmp_path: Path) -> None:
    first = planted("operator")
    second = quiet(worker="worker-2")
    assert found_by(reviewed(written(tmp_path, first, second)), "new_operator") == ["WI0130000 op-99: "]
    early = Trail(worker="worker-3", at=NOON - timedelta(weeks=2))
    early.job(attribution=Attributed(operator_id="op-99", requestor="x", secondary_recipient=""))
    assert found_by(reviewed(written(tmp_path, first, second, early)), "new_operator") == []


def test_without_earlier_weeks_nothing_is_called_new(tmp_path: Path) -> None:
    trail = without(quiet(), NOON - timedelta(weeks=9), NOON - timedelta(days=2, hours=12))
    report = reviewed(written(tmp_path, trail))
    left = not_checked(report)
    assert {"new_operator", "new_recipient", "growth", "new_submitter"} <= left.keys()
    assert "no earlier job" in left["new_operator"]
    assert not {rule for rule in rules_of(report) if rule.startswith("new_")}


def test_amounts_below_a_threshold_are_shown(tmp_path: Path) -> None:
    checks = {check.rule: check for check in reviewed(written(tmp_path, quiet())).checks}
    assert (checks["mass_release_rows"].threshold, checks["mass_release_rows"].below) == (100_000, 8)
    assert (checks["silence"].threshold, checks["silence"].below) == (60, 50)
    assert "fewer than 1000 rows; the most rows were 336" in str(checks["growth"].not_checked)
    settings = Settings(thresholds=Thresholds(job_rows=8))
    rows = found_by(reviewed(written(tmp_path, quiet()), settings=settings), "mass_release_rows")
    assert len(rows) == 84
    assert not_checked(reviewed(written(tmp_path, quiet()), settings=settings))["off_hours"].startswith("review.toml")


def test_findings_beyond_their_number_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MOST_SUBJECTS", 10)
    monkeypatch.setattr(groups, "MOST_NAMES", 5)
    trail = planted("operator")
    for number in range(20):
        attribution = Attributed(operator_id=f"op-{number}", requestor="x", secondary_recipient=f"to {number}")
        trail.job(at=NOON + timedelta(days=1, seconds=number), attribution=attribution)
    report = reviewed(written(tmp_path, trail), settings=Settings(thresholds=Thresholds(job_rows=1)))
    (check,) = [each for each in report.checks if each.rule == "mass_release_rows"]
    assert (check.findings, check.more) == (10, report.total.completed - 10)
    assert {each.partition(":")[0] for each in found_by(report, "too_many_names")} == {
        "operator",
        "secondary_recipient",
    }
    shown = total([*(group.volume for group in report.operators.groups), report.operators.others])
    assert shown == report.total


def test_a_kind_without_a_rule_is_counted_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {kind: rules for kind, rules in watcher._registered.items() if kind is not HostChanged}
    monkeypatch.setattr(watcher, "_registered", others)
    report = reviewed(written(tmp_path, planted("host")))
    assert rules_of(report) == {"unknown_kind"}
    assert found_by(report, "unknown_kind") == ["host_changed: "]
    assert report.trails[0].events["host_changed"] == 1


def test_every_kind_of_event_has_a_rule_or_a_count() -> None:
    assert all(has_rule(kind) for kind in get_args(Event))


def test_receipts_and_events_are_compared(tmp_path: Path) -> None:
    trail = planted("lost receipt")
    folder = trail.write_receipts(tmp_path / "receipts")
    number = len(trail.receipts) - 30  # of the week
    (folder / f"{number}.jws").unlink()
    head, payload, signature = trail.receipts[number].split(".")
    (folder / "copy").mkdir()
    (folder / "copy/other.jws").write_text(f"{head}.{payload}.{signature[::-1]}\n")
    (folder / "broken.jws").write_text("no.receipt.at-all")
    (folder / "link.jws").symlink_to(folder / "broken.jws")
    (folder / "all-of-worker-9.jws").write_text("\n".join(quiet(worker="worker-9").receipts))
    report = reviewed(written(tmp_path, trail), receipts=folder)
    (orphan,) = found_by(report, "receipt_without_event")
    assert orphan.startswith("worker-1, job " + "dd" * 16)
    assert found_by(report, "unreadable_receipt") == ["broken.jws: header: "]
    assert len(found_by(report, "receipt_copy")) == 1
    assert found_by(report, "event_without_receipt") == ["metro-pd: "]
    assert [each.count for each in report.findings if each.rule == "other_workers"] == [84]
    assert report.receipts == ReceiptState(
        matched=83, without_event=1, events_without_receipt=1, others=84, unreadable=1
    )


def test_checkpoints_in_the_trail_are_compared() -> None:
    """Line 3 is another one than the worker signed at line 12; line 15 has no note; line 18 is before the week."""
    key = ec.generate_private_key(ec.SECP384R1())
    window, seen = Window(Week.parse(WEEK), "UTC", 8), findings.Findings()
    seen.limit("silence", 60)
    state, head, other = TrailReview(0, window, seen, Watcher()), GENESIS, Frontier()
    for number, line in enumerate(quiet().lines[:20], 1):
        record = read(line)
        event = record.event
        if number in {5, 9, 12, 15, 18}:
            tree = {5: state.watcher.tree, 9: Frontier(), 12: other}.get(number)
            note = "no note" if tree is None else sign_checkpoint(tree, origin="cji-worker/worker-1", key=key).decode()
            event = TrailCheckpoint(note=note, receipt_key=KEY)
        head, written_again = append_record(event, head=head, time=record.time, worker=record.worker)
        state.line(written_again, read(written_again), in_week=number != 18)
        other.append(leaf_hash(written_again if number != 3 else b"another\n"))
    (found,) = [each for each in seen.findings() if each.rule == "checkpoint_differs"]
    assert [place.line for place in found.places] == [9, 12, 15]
    assert state.finish(complete=True).checkpoints.compared == 1
