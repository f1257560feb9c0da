"""Confirmations of counts in the weekly review: by whom and when, what differs, and what is refused."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_audit.review import Context, Report, Settings, Sources, Week, encode, render, review
from cji_audit.review import confirmations as room
from cji_core.command import build
from cji_core.format.job import Policy
from cji_core.format.keys import new_signing_key, save_private_key
from cji_core.jose import key_id, public_jwk
from cji_core.suites import Suite
from cji_core.trail import Volumes, receipt_sha384
from cji_core.trail.confirmations import ConfirmationClaims, CountedOutput, sign_confirmation
from cji_core.trail.rules import RULES
from tests.support.policies import agency, policy_file, purpose, rule, submitter
from tests.support.review_trails import KEY, MONDAY, WEEK, Trail

CONFIRM, OTHER = new_signing_key(), new_signing_key()
NAMED = {
    "recipient": KEY,
    "key": public_jwk(CONFIRM.public_key()),
    "from": date(2025, 11, 1),
    "until": date(2025, 12, 31),
}
OURS = agency("WI0130000", purpose("C", rule([KEY], confirmations=[NAMED])))
FILE = policy_file(submitter("metro-pd", new_signing_key().public_key(), OURS))
POLICY = Policy.load(FILE)
ROWS = Volumes(rows_in=10, rows_out=8, bytes_in=1000, bytes_out=900, chri_rows_out=0, subjects_out=8)
AT = MONDAY + timedelta(days=15, hours=16)
ME = key_id(CONFIRM.public_key())


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trail with two completed jobs in the week, and a folder of confirmations."""

    trail: Trail
    file: Path
    folder: Path

    def confirmation(self, job: int = 0, *, key: Any = CONFIRM, **changes: Any) -> str:
        claims = ConfirmationClaims(
            version=1,
            receipt_sha384=receipt_sha384(self.trail.receipts[job]),
            suite=Suite.CLASSICAL_1,
            recipient=KEY,
            outputs=(CountedOutput(name="result", schema="person/1", rows=changes.pop("rows", 8)),),
            confirmed="2025-12-01T09:00:00.00Z",
        )
        return sign_confirmation(msgspec.structs.replace(claims, **changes), key)

    def put(self, *texts: str) -> None:
        for number, text in enumerate(texts):
            (self.folder / f"{number}.jws").write_text(text + "\n")

    def report(self, *policies: Policy) -> Report:
        context = Context(week=Week.parse(WEEK), settings=Settings(), software="cji 1", complete=True)
        return review([self.file], context, confirmations=Sources(folder=self.folder, policies=policies or (POLICY,)))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    trail = Trail()
    trail.start(policy_sha384=POLICY.sha384.hex())
    for minutes in (0, 1):
        trail.job(at=AT + timedelta(minutes=minutes), volumes=ROWS)
    trail.stop()
    folder = tmp_path / "confirmations"
    folder.mkdir()
    return Case(trail=trail, file=trail.write(tmp_path / "worker-1.log"), folder=folder)


def found(report: Report, rule: str) -> list[tuple[str, str]]:
    return [(each.subject, each.detail) for each in report.findings if each.rule == rule]


def test_a_confirmed_receipt_names_its_key_and_day(case: Case) -> None:
    case.put(case.confirmation(0))
    report = case.report()
    assert report.confirmations is not None
    (one,) = report.confirmations.confirmed
    assert (one.key, one.recipient, one.confirmed[:10], one.worker) == (ME, KEY, "2025-12-01", "worker-1")
    assert case.trail.lines[one.place.line - 1].count(b'"job_completed"') == 1
    shown = render(report).decode()
    assert "confirmed by " in shown
    assert ME in shown
    assert " on 2025-12-01" in shown
    assert not found(report, "confirmation_differs")
    assert not found(report, "confirmation_refused")


def test_a_difference_is_an_alert_at_its_line(case: Case) -> None:
    """Red before: nobody knew what a recipient had counted."""
    case.put(case.confirmation(1, rows=9))
    report = case.report()
    ((subject, detail),) = found(report, "confirmation_differs")
    assert subject.startswith("job ")
    assert detail == f"counted otherwise by {ME} on 2025-12-01: rows_out is 8, counted 9, subjects_out is 8, counted 9"
    (finding,) = (each for each in report.findings if each.rule == "confirmation_differs")
    assert (finding.severity, len(finding.places)) == ("alert", 1)
    assert report.confirmations is not None
    assert (report.confirmations.confirmed, report.confirmations.differing) == ((), 1)


def test_what_proves_nothing_is_a_finding_by_its_name(case: Case) -> None:
    own, text = case.confirmation(0), case.confirmation(1)
    tampered = text[:-8] + ("AAAAAAAA" if not text.endswith("AAAAAAAA") else "BBBBBBBB")
    case.put(
        own,
        own,
        tampered,
        case.confirmation(1, key=OTHER),
        case.confirmation(1, recipient="B" * 43),
        case.confirmation(1, confirmed="2026-01-01T00:00:00.00Z"),
        case.confirmation(1, confirmed="2025-11-20T00:00:00.00Z"),
        case.confirmation(1, receipt_sha384="ab" * 48),
        "not.a.confirmation",
    )
    report = case.report()
    assert found(report, "confirmation_refused") == [
        ("1.jws", "doubled"),
        ("2.jws", "signature"),
        ("3.jws", "key"),
        ("4.jws", "recipient"),
        ("5.jws", "date"),
        ("6.jws", "date"),
        ("8.jws", "form"),
    ]
    state = report.confirmations
    assert state is not None
    assert (len(state.confirmed), state.refused, state.others) == (1, 7, 1)
    other = Policy.load(FILE + b"\n")
    assert found(case.report(other), "confirmation_refused")[0] == ("0.jws", "policy")


def test_a_policy_without_such_a_key_confirms_nothing(tmp_path: Path, case: Case) -> None:
    ours = agency("WI0130000", purpose("C", rule([KEY])))
    policy = Policy.load(policy_file(submitter("metro-pd", new_signing_key().public_key(), ours)))
    trail = Trail()
    trail.start(policy_sha384=policy.sha384.hex())
    trail.job(at=AT, volumes=ROWS)
    bare = Case(trail=trail, file=trail.write(tmp_path / "bare.log"), folder=case.folder)
    bare.put(bare.confirmation())
    assert found(bare.report(policy), "confirmation_refused") == [("0.jws", "key")]


def test_confirmations_are_bounded(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.put(case.confirmation(0), case.confirmation(1))
    monkeypatch.setattr(room, "MOST_LISTED", 1)
    state = case.report().confirmations
    assert state is not None
    assert (len(state.confirmed), state.more) == (1, 1)
    monkeypatch.setattr(room, "MOST_CONFIRMATIONS", 1)
    with pytest.raises(ValueError, match="more than 1 confirmations"):
        case.report()


def test_without_a_folder_the_rules_are_not_applied(case: Case) -> None:
    context = Context(week=Week.parse(WEEK), settings=Settings(), software="cji 1", complete=True)
    report = review([case.file], context)
    for check in report.checks:
        if check.rule.startswith("confirmation_"):
            assert check.not_checked == "no folder of confirmations was given"
    assert "All counts are stated by the cells: no confirmations were given." in render(report).decode()
    assert report.confirmations is None
    assert {"confirmation_differs", "confirmation_refused"} <= RULES.keys()


def test_the_command_takes_confirmations_with_their_policies(case: Case, tmp_path: Path) -> None:
    case.put(case.confirmation(0), case.confirmation(1, rows=9))
    policy = tmp_path / "policy.toml"
    policy.write_bytes(FILE)

    def cji(*more: object) -> Result:
        given = ["audit", "review", "--trail", case.file, "--week", WEEK, "--out", tmp_path / "reviews", *more]
        return CliRunner().invoke(build(), [str(each) for each in given], catch_exceptions=False)

    shown = cji("--confirmations", case.folder, "--policy", policy)
    assert shown.exit_code == 0, shown.output
    assert f"{RULES['confirmation_differs'].title}: job " in shown.output
    assert (tmp_path / "reviews" / WEEK / "review.json").read_bytes().count(ME.encode()) == 2
    for half in (("--confirmations", case.folder), ("--policy", policy)):
        assert cji(*half).exit_code == 2
    broken = tmp_path / "broken.toml"
    broken.write_text("version = 2\n")
    assert cji("--confirmations", case.folder, "--policy", broken).exit_code == 2
    assert encode(case.report()) == encode(case.report())


def test_a_signed_review_is_made_again_with_its_confirmations(case: Case, tmp_path: Path) -> None:
    case.put(case.confirmation(0))
    policy, key, reviews = tmp_path / "policy.toml", tmp_path / "reviewer.key", tmp_path / "reviews"
    policy.write_bytes(FILE)
    private = new_signing_key()
    save_private_key(private, key, passphrase=None)
    public = tmp_path / "reviewer.jwk"
    public.write_text(public_jwk(private.public_key()))
    sources = ("--confirmations", case.folder, "--policy", policy)

    def cji(*given: object) -> Result:
        command = ["audit", "review", *map(str, given)]
        return CliRunner().invoke(build(), command, catch_exceptions=False)

    assert cji("--trail", case.file, "--week", WEEK, "--out", reviews, *sources).exit_code == 0
    signing = ("--key", key, "--reviewer", "Jane Doe", "--comment", "No objection.", "--begin")
    signed = cji("sign", reviews / WEEK, *signing)
    assert signed.exit_code == 0, signed.output
    verify = ("verify", reviews, "--reviewer", public, "--trail", case.file)
    assert cji(*verify, *sources).exit_code == 0
    assert cji(*verify).exit_code == 2
    (case.folder / WEEK).mkdir()
    assert cji(*verify, *sources).exit_code == 3  # the folder of this week has none
    (case.folder / "0.jws").rename(case.folder / WEEK / "0.jws")
    assert cji(*verify, *sources).exit_code == 0
