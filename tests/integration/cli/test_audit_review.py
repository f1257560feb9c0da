"""`cji audit review`: a report, its signature, the chain of weeks, and weeks without one."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_audit.review import SIGNED, Report, decode
from cji_audit.verbs.review_answers import SignedReview
from cji_audit.verbs.review_check import check_reviews
from cji_core.command import build
from cji_core.command.findings import run_check
from cji_core.format.configuration.worker import load
from cji_core.format.keys import load_signing_key, new_signing_key, save_private_key, write_public
from cji_core.jose import public_jwk
from cji_core.trail import TrailAnchored
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from tests.support.json_answers import answered
from tests.support.review_faults import planted
from tests.support.review_trails import WEEK, Trail, quiet
from tests.support.worker_configs import WORKER_CONFIG

WEEKS = ("2025-W45", "2025-W46", "2025-W47", "2025-W48")
ZONE = "America/Chicago"
SETTINGS = f'time_zone = "{ZONE}"\nhours = ["Mon-Fri 07:00-18:00"]\n'


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["audit", "review", *[str(a) for a in arguments]], catch_exceptions=False)


class Desk:
    """A reviewer with a key, the trail of a worker, and a folder of reviews."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reviews = folder, folder / "reviews"
        self.trail, self.settings, self.key = folder / "worker-1.log", folder / "review.toml", folder / "reviewer.key"

    @classmethod
    def new(cls, folder: Path, trail: Trail) -> "Desk":
        desk = cls(folder)
        trail.write(desk.trail)
        desk.settings.write_text(SETTINGS)
        desk.new_key("reviewer.key")
        return desk

    def new_key(self, name: str) -> Path:

        private = new_signing_key()
        save_private_key(private, self.folder / name, passphrase=None)
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_public(self.folder / f"{name}.pub", pem)
        return self.folder / name

    def review(self, week: str = WEEK, *more: object) -> Result:
        return cji("--trail", self.trail, "--week", week, "--settings", self.settings, "--out", self.reviews, *more)

    def sign(self, week: str = WEEK, *more: object, key: Path | None = None) -> Result:
        given = ("--key", key or self.key, "--reviewer", "Jane Doe", "--comment", "No objection.")
        return cji("sign", self.reviews / week, *given, *more, "--json")

    def verify(self, *more: object) -> Result:
        return cji("verify", self.reviews, "--reviewer", f"{self.key}.pub", *more)

    def sign_all(self, weeks: tuple[str, ...] = WEEKS) -> None:
        for week in weeks:
            assert self.review(week).exit_code == 0
            signed = self.sign(week)
            told = answered(signed, SignedReview)
            assert told.file == str((self.reviews / week / "review.signed.json").resolve())
            assert signed.exit_code == 0, signed.output


@pytest.fixture(scope="module")
def calm() -> Trail:
    return quiet()


@pytest.fixture
def desk(tmp_path: Path, calm: Trail) -> Desk:
    return Desk.new(tmp_path, calm)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, calm: Trail) -> Desk:
    desk = Desk.new(tmp_path_factory.mktemp("desk"), calm)
    desk.sign_all()
    return desk


@pytest.fixture
def done(finished: Desk, tmp_path: Path) -> Desk:
    """A desk with all weeks signed."""
    return Desk(Path(shutil.copytree(finished.folder, tmp_path / "desk")))


def test_weeks_are_reviewed_signed_and_verified_again(done: Desk, calm: Trail) -> None:
    with done.trail.open("ab") as file:  # the trail goes on; reports are about the lines that they had
        later = Trail(head=calm.head, at=datetime(2025, 12, 2, 2, tzinfo=UTC))
        later.add(TrailAnchored(counter=10_000))
        file.write(later.lines[0])
    shown = done.verify("--trail", done.trail)
    assert shown.exit_code == 0, shown.output
    assert "verified: 4 weeks in one chain from the first review (the trails begin in it)" in shown.stdout
    found = json.loads(done.verify("--json").stdout)
    assert [each["week"] for each in found] == [*WEEKS]
    assert decode((done.reviews / WEEK / "review.json").read_bytes()).findings == ()


@pytest.mark.parametrize("name", ["review.json", "review.html", SIGNED])
def test_a_changed_file_of_a_review_is_named(done: Desk, name: str) -> None:
    path = done.reviews / "2025-W47" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    shown = done.verify()
    assert shown.exit_code == 3
    assert "2025-W47" in shown.output
    assert name in shown.output


def test_a_report_that_does_not_follow_from_the_trail(done: Desk, tmp_path: Path) -> None:
    other = planted("night").write(tmp_path / "other.log")
    shown = done.verify("--trail", other)
    assert shown.exit_code == 3
    assert "2025-W45: the report does not follow from the trails: it differs in trails" in shown.output
    stranger = quiet(worker="worker-2").write(tmp_path / "stranger.log")
    shown = done.verify("--trail", stranger)
    assert shown.exit_code == 3
    assert "worker-2 that is not in the report" in shown.output


def test_a_removed_week_and_a_foreign_key_are_named(done: Desk) -> None:
    other = done.new_key("other.key")
    shown = cji("verify", done.reviews, "--reviewer", f"{other}.pub")
    assert shown.exit_code == 3
    assert "not a known reviewer's" in shown.output
    (done.reviews / "2025-W46" / SIGNED).unlink()
    shown = done.verify()
    assert shown.exit_code == 3
    assert "2025-W47: no signed review of 2025-W46" in shown.output
    (done.reviews / "2025-W45" / SIGNED).unlink()
    (done.reviews / "2025-W47" / SIGNED).unlink()
    shown = cji("status", done.reviews, "--reviewer", f"{done.key}.pub")
    assert shown.exit_code == 3
    assert "2025-W48: an earlier review, which it names, is missing" in shown.output


def test_a_week_that_was_signed_again_is_named(done: Desk) -> None:
    later = [done.reviews / week / SIGNED for week in WEEKS[2:]]
    for path in later:
        path.rename(path.with_suffix(".aside"))
    (done.reviews / "2025-W46" / SIGNED).unlink()
    assert done.sign("2025-W46").exit_code == 0
    for path in later:
        path.with_suffix(".aside").rename(path)
    shown = done.verify()
    assert shown.exit_code == 3
    assert "2025-W47: its signature names another review before it than that of 2025-W46" in shown.output


def configured(desk: Desk, reviewer: str) -> Path:
    text = WORKER_CONFIG.replace("/var/lib/cji/audit.jsonl", str(desk.trail))
    path = desk.folder / "worker.toml"
    path.write_text(f"{text}[review]\nfolder = 'reviews'\nreviewers = ['{reviewer}']\nallowed_days = 3\n")
    return path


def test_doctor_and_status_name_overdue_weeks(done: Desk) -> None:
    jwk = public_jwk(load_signing_key(done.key).public_key())
    path = configured(done, jwk)
    config = load(path)
    assert config.review is not None
    overdue = run_check("reviews", partial(check_reviews, config, config.review))
    assert overdue.state == "failed"
    assert overdue.found.startswith("overdue: 2025-W49")
    assert "cji audit review sign" in overdue.remedy
    shown = cji("status", "--config", path)
    assert shown.exit_code == 1
    assert "2025-W48  reviewed" in shown.stdout
    later = msgspec.structs.replace(config.review, allowed_days=366 * 9)
    assert run_check("reviews", partial(check_reviews, config, later)).found == "2025-W48 is the last reviewed week"
    (done.reviews / WEEK / "review.json").write_text("{}")
    broken = run_check("reviews", partial(check_reviews, config, config.review))
    assert (broken.state, broken.found.partition(":")[0]) == ("failed", WEEK)
    shutil.rmtree(done.reviews)
    assert "cannot be read" in run_check("reviews", partial(check_reviews, config, config.review)).found
    wrong = msgspec.structs.replace(config.review, reviewers=("{}",))
    assert "not a JWK" in run_check("reviews", partial(check_reviews, config, wrong)).found


def test_weeks_are_signed_in_their_order_and_once(desk: Desk) -> None:
    desk.review()
    shown = desk.sign()
    assert shown.exit_code == 1
    assert "no signed review of 2025-W45, 2025-W46, 2025-W47" in shown.output
    desk.sign_all(("2025-W45",))
    shown = desk.sign()
    assert shown.exit_code == 1
    assert "no signed review of 2025-W46, 2025-W47" in shown.output
    assert "already signed" in desk.sign("2025-W45").output
    assert "already signed" in desk.review("2025-W45").output
    desk.sign_all(("2025-W46", "2025-W47", "2025-W48"))
    assert desk.verify().exit_code == 0


def test_a_chain_can_begin_late_and_this_is_shown(desk: Desk) -> None:
    desk.review()
    assert desk.sign(WEEK, "--begin").exit_code == 0
    assert "not reviewed: 2025-W45, 2025-W46, 2025-W47" in desk.verify().stdout
    desk.review("2025-W47")
    assert "2025-W48 is already signed" in desk.sign("2025-W47").output


def test_a_second_reviewer_continues_the_chain(desk: Desk) -> None:
    desk.sign_all(("2025-W45",))
    other = desk.new_key("other.key")
    desk.review("2025-W46")
    assert desk.sign("2025-W46", key=other).exit_code == 3
    assert desk.sign("2025-W46", "--known", f"{desk.key}.pub", key=other).exit_code == 0
    assert desk.verify("--reviewer", f"{other}.pub").exit_code == 0


def test_alerts_need_comments_and_comments_need_findings(tmp_path: Path) -> None:
    desk = Desk.new(tmp_path, planted("witnesses"))
    shown = desk.review()
    assert "1 alert, 0 warnings, 0 notices" in shown.stdout
    shown = desk.sign(WEEK, "--begin")
    assert shown.exit_code == 1
    assert "no comment on F1" in shown.output
    assert "no finding F9" in desk.sign(WEEK, "--begin", "--finding", "F9=x", "--finding", "F1=y").output
    assert desk.sign(WEEK, "--begin", "--finding", "F1=Cell replaced, ticket 4711").exit_code == 0
    (found,) = json.loads(desk.verify("--json").stdout)
    assert found["findings"] == {"F1": "Cell replaced, ticket 4711"}


def test_reports_that_cannot_be_signed(desk: Desk) -> None:
    desk.review()
    page = desk.reviews / WEEK / "review.html"
    page.write_bytes(page.read_bytes().replace(b"Findings", b"Fundings"))
    assert "not the page of this report" in desk.sign(WEEK, "--begin").output
    today = datetime.now(ZoneInfo(ZONE))  # whose week begins hours after that of UTC
    year, week, _ = today.isocalendar()
    shown = desk.review(f"{year}-W{week:02}")
    assert (shown.exit_code, "cannot be signed" in shown.output, "then sign" in shown.output) == (0, True, False)
    assert "had not ended" in desk.sign(f"{year}-W{week:02}", "--begin").output
    later = (today + timedelta(weeks=2)).isocalendar()
    shown = desk.review(f"{later[0]}-W{later[1]:02}")
    assert shown.exit_code == 2
    assert "has not begun" in shown.output


def test_status_names_overdue_weeks(done: Desk) -> None:
    common = ("status", done.reviews, "--reviewer", f"{done.key}.pub", "--trail", done.trail)
    found = json.loads(cji(*common, "--json").stdout)
    reviewed = [each for each in found["weeks"] if each["state"] == "reviewed"]
    assert [each["week"] for each in reviewed] == [*WEEKS]
    assert {each["reviewer"] for each in reviewed} == {"Jane Doe"}
    assert found["overdue"][0] == "2025-W49"
    shutil.rmtree(done.reviews)
    done.reviews.mkdir()
    shown = cji(*common, "--days", 0)
    assert shown.exit_code == 1
    assert re.search(r"^overdue: 2025-W45, 2025-W46, 2025-W47", shown.stdout, re.MULTILINE)


def test_a_broken_trail_is_refused_at_its_line(desk: Desk) -> None:
    lines = desk.trail.read_bytes().splitlines(keepends=True)
    lines[99] = lines[99].replace(b"worker-1", b"worker-7")
    desk.trail.write_bytes(b"".join(lines))
    shown = desk.review()
    assert shown.exit_code == 3
    assert "audit line 100: hash" in shown.output
    assert not desk.reviews.exists()


def test_an_earlier_review_is_a_witness(done: Desk) -> None:
    """Somebody who rewrites the whole trail after a review cannot hide it from the next one."""
    shutil.rmtree(done.reviews / WEEK)
    planted("night").write(done.trail)
    shown = done.review()
    assert shown.exit_code == 0
    assert "The trail differs from what was seen before: review 2025-W47" in shown.stdout


def test_states_and_checkpoints_are_compared(desk: Desk, calm: Trail) -> None:
    state = desk.folder / "state"
    log = state / "log"
    log.mkdir(parents=True)
    tree = Frontier()
    for line in calm.lines[:1000]:
        tree.append(leaf_hash(line))
    note = sign_checkpoint(tree, origin=origin_of("worker-1"), key=new_signing_key())
    record = {"version": 1, "offer": {"note": note.decode()}}
    (log / f"{1000:020}.json").write_text(json.dumps(record))
    (desk.folder / "mine.checkpoint").write_bytes(note)
    cursor = {"version": 1, "destination": "sentinel", "seq": calm.head.seq, "hash": calm.head.hash, "offset": 1}
    (state / "sentinel.delivered").write_text(json.dumps(cursor))
    more = ("--state", state, "--checkpoint", desk.folder / "mine.checkpoint")
    assert "0 alerts" in desk.review(WEEK, *more).stdout
    heads = decode((desk.reviews / WEEK / "review.json").read_bytes()).heads
    assert {(each.head.source, each.state, each.lines_behind) for each in heads} == {
        ("sentinel", "same", 0),
        ("log", "same", calm.head.seq - 1000),
        ("mine.checkpoint", "same", calm.head.seq - 1000),
    }
    cursor |= {"hash": "00" * 48}
    (state / "sentinel.delivered").write_text(json.dumps(cursor))
    assert "1 alert" in desk.review(WEEK, *more).stdout
    (state / "sentinel.delivered").write_text("{}")
    shown = desk.review(WEEK, *more)
    assert shown.exit_code == 3
    assert "not the state of a destination" in shown.output


def test_the_schema_has_every_member_of_a_report() -> None:
    schema = json.loads(cji("schema").stdout)
    assert schema["$defs"]["Report"]["properties"].keys() == set(Report.__struct_fields__)


def test_settings_with_faults_are_explained(desk: Desk) -> None:
    for text, fault in (
        ('time_zone = "Mars/Base"', "Mars/Base"),
        ('hours = ["Mon 25:00-26:00"]', "25:00"),
        ('hours = ["Monday"]', "Monday"),
        ("[thresholds]\njob_row = 1", "job_row"),
    ):
        desk.settings.write_text(text)
        shown = desk.review()
        assert shown.exit_code == 2
        assert fault in shown.output
        assert "docs/review.md" in shown.output
