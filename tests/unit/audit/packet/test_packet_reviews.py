"""Reviews in a packet: each forgery is refused by its name, and the status follows from it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.checks import CHECKS, Result
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import files_of
from cji_audit.packet.keys import by_thumbprint
from cji_audit.packet.reviews import again, read_reviews
from cji_audit.packet.verify import verify
from cji_audit.review import Settings, decode, encode, render
from cji_audit.review.model import Finding
from cji_audit.review.signed import read
from tests.support.packet_period import (
    PERIOD,
    REVIEWER,
    Reviewing,
    Scene,
    content,
    digest,
    lines_of,
    review,
    sound,
    tools,
)
from tests.unit.audit.packet.test_packet_verify import material_of, with_material

FIRST, SECOND, THIRD = PERIOD.weeks
KEYS = by_thumbprint([REVIEWER.public_key()])


def judged(scene: Scene, folder: Path) -> Result:
    return CHECKS["reviews"](content(scene, folder).material)


def test_sound_reviews_hold(tmp_path: Path) -> None:
    found = judged(sound(), tmp_path)
    assert (found.status, found.why) == (
        "holds",
        "All 3 weeks of the period have a review, signed and recorded within 7 days after it.",
    )


def stated(**changes: Any) -> Callable[[Scene], None]:
    def forge(scene: Scene) -> None:
        scene.stated[SECOND] = changes

    return forge


def recorded(week: str, delay: timedelta) -> Callable[[Scene], None]:
    def forge(scene: Scene) -> None:
        for place, (moment, each) in enumerate(scene.items):
            if isinstance(each, Reviewing) and each.week == week:
                scene.items[place] = moment, Reviewing(week=week, delay=delay)

    return forge


FORGED: dict[str, tuple[Callable[[Scene], None], str, str]] = {
    "before its week ended": (stated(time="2026-10-18T23:59:59.99Z"), "fails", "review-too-early: "),
    "five weeks late": (stated(time="2026-11-23T09:00:00.00Z"), "fails", "review-order: "),
    "no such day": (stated(time="2026-13-19T09:00:00.00Z"), "fails", "review-time-invalid: "),
    "a digest of zeros": (stated(report_sha384="0" * 96), "fails", "review-report-differs: "),
    "another page": (stated(page_sha384="0" * 96), "fails", "review-page-differs: "),
    "a broken chain": (stated(previous_sha384="0" * 96), "fails", "review-chain-broken: "),
    "of another week": (stated(week="2026-W30"), "fails", "review-week-differs: "),
    "not recorded": (lambda scene: scene.unrecorded.add(SECOND), "missing", "review-not-recorded: "),
    "recorded a week later": (recorded(THIRD, timedelta(days=7)), "fails", "review-recorded-late: "),
    "recorded before": (recorded(THIRD, -timedelta(minutes=6)), "fails", "review-dated-forward: "),
    "not witnessed": (lambda scene: setattr(scene, "checkpoint_at", 20), "missing", "review-not-witnessed: "),
    "a week left out": (lambda scene: scene.weeks.remove(SECOND), "fails", "review-chain-broken: "),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_review_is_refused_by_name(name: str, tmp_path: Path) -> None:
    forge, status, why = FORGED[name]
    scene = sound()
    forge(scene)
    found = judged(scene, tmp_path)
    assert (found.status, why in found.why) == (status, True), found.why


def test_a_last_review_that_is_late(tmp_path: Path) -> None:
    scene = sound()
    scene.stated[THIRD] = {"time": "2026-11-30T09:00:00.00Z"}
    found = judged(scene, tmp_path)
    assert "review-too-late: signed at 2026-11-30T09:00:00.00Z, more than 7 days" in found.why


def test_a_time_of_another_form_is_unreadable() -> None:
    """The file of a review with such a time is not one: it cannot even be read."""
    scene = sound()
    lines_of(scene)
    name = f"{SECOND}-review.signed.json"
    statement = msgspec.structs.replace(_statement(scene, SECOND), time="last year sometime")
    forged = scene.reviews | {name: review(statement, REVIEWER, REVIEWER.public_key())}
    with pytest.raises(PacketError, match="not a signed review"):
        read_reviews(forged, KEYS)


def _statement(scene: Scene, week: str) -> Any:
    return read(scene.reviews[f"{week}-review.signed.json"]).statement


def faults_with(scene: Scene, more: dict[str, bytes]) -> dict[str, str]:
    return {each.file.name: each.fault for each in read_reviews(scene.reviews | more, KEYS) if each.fault}


def test_two_reviews_of_one_week_contradict() -> None:
    scene = sound()
    lines_of(scene)
    other = msgspec.structs.replace(_statement(scene, SECOND), comment="All was well.")
    stem, again_ = f"{SECOND}-review", f"{SECOND}-again"
    more = {
        f"{again_}.signed.json": review(other, REVIEWER, REVIEWER.public_key()),
        f"{again_}.json": scene.reviews[f"{stem}.json"],
        f"{again_}.html": scene.reviews[f"{stem}.html"],
    }
    more = {name.replace("-again", "-other-review"): data for name, data in more.items()}
    found = faults_with(scene, more)
    assert {each for name, each in found.items() if SECOND in name} == {"review-given-twice: given twice"}
    assert len([name for name in found if SECOND in name]) == 2


def signed_report(scene: Scene, week: str, **changes: Any) -> dict[str, bytes]:
    """A report that says something else, signed by the reviewer."""
    stem = f"{week}-review"
    report = msgspec.structs.replace(decode(scene.reviews[f"{stem}.json"]), **changes)
    data, page = encode(report), render(report)
    said = {"report_sha384": digest(data), "page_sha384": digest(page)}
    statement = msgspec.structs.replace(_statement(scene, week), **said)
    return {
        f"{stem}.signed.json": review(statement, REVIEWER, REVIEWER.public_key()),
        f"{stem}.json": data,
        f"{stem}.html": page,
    }


def test_a_report_about_part_of_its_week() -> None:
    scene = sound()
    lines_of(scene)
    for changes in (
        {"ends": "2026-10-25T00:00:00.00Z"},
        {"complete": False},
        {"settings": Settings(time_zone="Asia/Tokyo")},
    ):
        found = faults_with(scene, signed_report(scene, THIRD, **changes))
        assert found[f"{THIRD}-review.signed.json"].startswith("review-week-open: "), changes


def test_an_alert_without_a_comment() -> None:
    scene = sound()
    lines_of(scene)
    finding = {"id": "F1", "rule": "head_differs", "severity": "alert", "subject": "w", "detail": "d", "count": 1}
    alert = msgspec.convert({**finding, "first": None, "last": None, "places": ()}, Finding)
    found = faults_with(scene, signed_report(scene, THIRD, findings=(alert,)))
    assert found[f"{THIRD}-review.signed.json"] == "review-alert-open: no comment on F1"


def test_a_review_of_other_trails(tmp_path: Path) -> None:
    """Its report is sound, and about a trail that has other lines."""
    scene = sound()
    made = content(scene, tmp_path)
    reviews = tuple(made.material.reviews or ())
    other = msgspec.structs.replace(reviews[0].heads[0], root="0a" * 32)
    lied = msgspec.structs.replace(reviews[0], heads=(other,))
    found = CHECKS["reviews"](msgspec.structs.replace(made.material, reviews=(lied, *reviews[1:])))
    assert (found.status, "review-of-other-trails" in found.why) == ("fails", True)
    second = msgspec.structs.replace(made.material.trails[0], worker="worker-2", file="other.log")
    left = CHECKS["reviews"](msgspec.structs.replace(made.material, trails=(*made.material.trails, second)))
    assert (left.status, "review-left-out-trail: other.log" in left.why) == ("fails", True)


def test_a_false_report_is_found_with_the_trail(tmp_path: Path) -> None:
    """Signed by the reviewer, consistent in itself: only the trail shows that nothing of it is so."""
    scene = sound()
    made = content(scene, tmp_path)
    trail, receipts = tmp_path / "audit.log", tmp_path / "receipts"
    receipts.mkdir()
    own = made.attachments.of("reviews")
    assert list(again(own, KEYS, [trail], receipts=receipts, confirmations=None)) == []
    forged = {**own, **signed_report(scene, THIRD, refused=77)}
    (found,) = again(forged, KEYS, [trail], receipts=receipts, confirmations=None)
    assert found == (
        f"{THIRD}-review.signed.json",
        f"review-not-from-trails: {THIRD}: the report does not follow from the trails: it differs in refused",
    )


def test_a_record_that_the_line_does_not_have(tmp_path: Path) -> None:
    files = files_of(content(sound(), tmp_path), with_docx=False)
    assert verify(files, tools()) == ()
    material = material_of(files)
    reviews = tuple(material.reviews or ())
    for changes in ({"recorded": "2026-10-12T09:00:00.00Z"}, {"line": reviews[1].line}, {"line": 1}):
        lied = msgspec.structs.replace(reviews[0], **changes)
        forged = with_material(files, msgspec.structs.replace(material, reviews=(lied, *reviews[1:])))
        found = [each.what for each in verify(forged, tools())]
        assert any("does not record the review of 2026-W41" in each for each in found), changes


def test_a_review_by_a_key_of_another_kind() -> None:
    scene = sound()
    scene.reviewer = scene.named = ec.derive_private_key(9, ec.SECP384R1())
    lines_of(scene)
    assert set(faults_with(scene, {}).values()) == {"no key for it was given"}
