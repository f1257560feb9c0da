"""A witness gets checkpoints across rotations and prunings, each with the proof that it continues the one before."""

from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from cji_core.trail import read
from cji_core.trail.delivered import Standing, line_at_of, standing
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.merkle import verify_consistency
from cji_core.trail.segments import segment_path
from cji_core.trail.witnesses.destination import WitnessDestination
from cji_core.trail.witnesses.file_copy import FileWitness
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.records import Offer, decode_offer
from cji_core.trail.witnesses.settings import FileTable
from tests.support.rotated import ends_of, prune, split, two_years
from tests.support.witness_services import NOW
from tests.support.witness_trails import keys_folder

TRAIL = two_years(jobs=12)
ENDS = ends_of(TRAIL)


class Scene:
    """A file witness of one trail; `hand_over` is what a deliverer that was just started does."""

    def __init__(self, folder: Path) -> None:
        self.path, self.copies, self.records = folder / "audit.log", folder / "copies", folder / "records"
        self.copies.mkdir()
        self._keys = keys_folder(folder / "keys", [TRAIL.key])

    def standing(self) -> Standing:
        return standing(self.path.parent, "mount", line_at_of(self.path))

    def hand_over(self) -> int:
        destination = WitnessDestination(
            FileWitness(FileTable(name="mount", folder=str(self.copies)), clock=lambda: NOW),
            name="mount",
            trail=self.path,
            records=self.records,
            keys=partial(read_keys, self._keys),
            interval=60,
            state=self.path.parent,
        )
        return destination.advance().seq

    def offers(self) -> list[Offer]:
        return [decode_offer(path.read_bytes()) for path in sorted(self.copies.glob("*.json"))]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


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


def test_witnesses_go_on_and_begin_after_pruned_lines(scene: Scene, tmp_path: Path) -> None:
    split(TRAIL.lines[: ENDS[1] + 12], scene.path, *ENDS)
    assert scene.hand_over() > ENDS[1]
    prune(scene.path)
    assert scene.hand_over() > ENDS[1]
    other = tmp_path / "other"
    other.mkdir()
    fresh = Scene(other)
    fresh.path = scene.path
    assert fresh.hand_over() > ENDS[1]
    (offer,) = fresh.offers()
    assert (offer.previous, offer.consistency) == (0, ())


def test_a_witness_that_was_behind_what_was_pruned_says_so(scene: Scene) -> None:
    split(TRAIL.lines[: ENDS[0] - 3], scene.path)
    seen = scene.hand_over()
    split(TRAIL.lines, scene.path, *ENDS)
    prune(scene.path)
    with pytest.raises(DeliveryError, match=f"the lines until line {ENDS[0]} were pruned before it had a checkpoint"):
        scene.hand_over()
    for record in scene.records.iterdir():
        record.unlink()
    with pytest.raises(DeliveryError, match=f"the witness has a checkpoint of {seen} lines, which were pruned"):
        scene.hand_over()


def test_a_segment_that_was_changed_is_named(scene: Scene) -> None:
    split(TRAIL.lines, scene.path, *ENDS)
    segment = segment_path(scene.path, ENDS[0] + 1, ENDS[1])
    segment.write_bytes(segment.read_bytes().replace(b"op-17", b"op-18", 1))
    with pytest.raises(Exception, match=r"audit line \d+: hash"):
        scene.hand_over()


def test_the_state_of_a_witness_is_what_a_worker_can_require(scene: Scene) -> None:
    """No line waits once the last checkpoint was handed over: what follows it in an idle trail is no event."""
    split(TRAIL.lines[: ENDS[0] - 3], scene.path)
    assert scene.standing().seq == 0
    split(TRAIL.lines, scene.path, *ENDS)
    seen = scene.hand_over()
    assert seen == len(TRAIL.lines) - 2  # a checkpoint and an anchor follow
    assert (scene.standing().seq, scene.standing().waiting_since, scene.standing().cause) == (seen, None, None)
    (scene.path.parent / "mount.delivered").unlink()
    scene.hand_over()
    assert scene.standing().seq == seen
    writer = TRAIL.copy()
    writer.job(900)
    split(writer.lines, scene.path, *ENDS)
    waiting = datetime.fromisoformat(read(writer.lines[len(TRAIL.lines)]).time).timestamp()
    assert scene.standing().waiting_since == int(waiting)
