"""The log gets checkpoints across rotations and prunings, each with the proof that it continues the one before."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from cji_audit.tlog.http_server import Answer
from cji_core.trail import read
from cji_core.trail.delivered import Standing, line_at_of, standing
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.merkle import verify_consistency
from cji_core.trail.segments import segment_path
from cji_core.trail.witnesses.records import Offer, Records, Witnessed
from tests.support.rotated import ends_of, prune, split, two_years
from tests.support.tlog_site import Delivery, Site, site

TRAIL = two_years(jobs=12, identified=True)
ENDS = ends_of(TRAIL)


class Scene:
    """The log of one trail; `hand_over` is what a deliverer that was just started does."""

    def __init__(self, agency: Site, folder: Path) -> None:
        self.path = folder / "audit.log"
        self.delivery = Delivery(agency, folder, self.path)
        self.delivery.attest(TRAIL.key)
        self.records = self.delivery.records

    def standing(self) -> Standing:
        return standing(self.delivery.state, "log", line_at_of(self.path))

    def hand_over(self) -> int:
        return self.delivery.advance()

    def offers(self) -> list[Offer]:
        return [each.offer for _, each in Records(self.records) if isinstance(each, Witnessed)]


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, count=2, quorum=2) as found:
        yield found


@pytest.fixture
def scene(agency: Site, tmp_path: Path) -> Scene:
    return Scene(agency, tmp_path)


def test_checkpoints_are_handed_over_across_segments(scene: Scene) -> None:
    sizes = []
    for line, ends in ((ENDS[0] - 4, ()), (ENDS[0] + 9, ENDS[:1]), (ENDS[1] - 3, ENDS[:1]), (len(TRAIL.lines), ENDS)):
        split(TRAIL.lines[:line], scene.path, *ends)
        sizes.append(scene.hand_over())
    assert sizes == sorted(set(sizes))
    offers = scene.offers()
    assert [offer.checkpoint().size for offer in offers] == sizes
    for before, after in pairwise(offers):
        earlier, later = before.checkpoint(), after.checkpoint()
        assert after.previous == earlier.size
        verify_consistency(
            earlier=earlier.size,
            earlier_root=earlier.root,
            size=later.size,
            root=later.root,
            proof=[bytes.fromhex(each) for each in after.consistency],
        )


def test_a_pruned_trail_goes_on_also_with_a_lost_record(scene: Scene) -> None:
    split(TRAIL.lines[: ENDS[1] + 12], scene.path, *ENDS)
    seen = scene.hand_over()
    assert seen > ENDS[1]
    prune(scene.path)
    assert scene.hand_over() >= seen
    for record in scene.records.iterdir():
        record.unlink()
    assert scene.hand_over() >= seen


def test_a_pruned_trail_begins_in_no_log(scene: Scene) -> None:
    split(TRAIL.lines[: ENDS[1] + 12], scene.path, *ENDS)
    prune(scene.path)
    with pytest.raises(DeliveryError, match="needs this trail's first line, which was pruned"):
        scene.hand_over()


def test_a_log_that_was_behind_what_was_pruned_says_so(scene: Scene) -> None:
    split(TRAIL.lines[: ENDS[0] - 3], scene.path)
    seen = scene.hand_over()
    split(TRAIL.lines, scene.path, *ENDS)
    prune(scene.path)
    with pytest.raises(DeliveryError, match=f"the lines until line {ENDS[0]} were pruned before it had a checkpoint"):
        scene.hand_over()
    for record in scene.records.iterdir():
        record.unlink()
    with pytest.raises(DeliveryError, match=f"the log has a checkpoint of {seen} lines, which were pruned"):
        scene.hand_over()


def test_a_segment_that_was_changed_is_named(scene: Scene) -> None:
    split(TRAIL.lines, scene.path, *ENDS)
    segment = segment_path(scene.path, ENDS[0] + 1, ENDS[1])
    segment.write_bytes(segment.read_bytes().replace(b"op-17", b"op-18", 1))
    with pytest.raises(Exception, match=r"audit line \d+: hash"):
        scene.hand_over()


def test_the_state_of_the_log_is_what_a_worker_can_require(scene: Scene) -> None:
    """No line waits once the last checkpoint was handed over: what follows it in an idle trail is no event."""
    split(TRAIL.lines[: ENDS[0] - 3], scene.path)
    assert scene.standing().seq == 0
    split(TRAIL.lines, scene.path, *ENDS)
    seen = scene.hand_over()
    assert seen == len(TRAIL.lines) - 2  # a checkpoint and an anchor follow
    assert (scene.standing().seq, scene.standing().waiting_since, scene.standing().cause) == (seen, None, None)
    (scene.delivery.state / "log.delivered").unlink()
    scene.hand_over()
    assert scene.standing().seq == seen
    writer = TRAIL.copy()
    writer.job(900)
    split(writer.lines, scene.path, *ENDS)
    waiting = datetime.fromisoformat(read(writer.lines[len(TRAIL.lines)]).time).timestamp()
    assert scene.standing().waiting_since == int(waiting)


def test_a_lost_quorum_makes_the_log_overdue(agency: Site, scene: Scene) -> None:
    """With `on_failure = "stop"`, no job is admitted then: an entry that nobody cosigned confirms nothing."""
    split(TRAIL.lines, scene.path, *ENDS)
    later = datetime(2026, 12, 31, tzinfo=UTC)
    agency.witnesses[1].handler.handle = lambda _: Answer(status=503)
    with pytest.raises(DeliveryError, match="has no quorum of witnesses yet, and keeps the entry"):
        scene.hand_over()
    assert scene.standing().overdue(later, most_seconds=900) == "late"
    agency.witnesses[1].start()
    scene.hand_over()
    assert scene.standing().overdue(later, most_seconds=900) is None
    assert agency.log.store.size == 1
