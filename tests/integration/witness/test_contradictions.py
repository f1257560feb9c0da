"""A log, records and a trail that do not fit together: each contradiction is named, and nothing is overwritten."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cji_core.trail import ChainError
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.records import Position, decode_witnessed
from tests.support.tlog_site import Delivery, Machine, Site, site
from tests.support.witness_trails import Trail, new_key

ORIGIN = "cji-worker/worker-1"


class Setting(Delivery):
    """A trail of five lines, and its deliverer."""

    def __init__(self, agency: Site, folder: Path, trail: Trail) -> None:
        super().__init__(agency, folder, trail.path)
        self.lines = trail
        self.attest(trail.key)

    def record(self, size: int) -> Path:
        return self.records / name_of(size)


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, count=2, quorum=2) as found:
        yield found


@pytest.fixture
def setting(agency: Site, tmp_path: Path) -> Setting:
    (tmp_path / "worker").mkdir()
    return Setting(agency, tmp_path / "worker", Machine(folder=tmp_path / "worker").trail.write(4))


def other_tree(size: int) -> Frontier:
    tree = Frontier()
    for i in range(size):
        tree.append(leaf_hash(str(i).encode()))
    return tree


def name_of(size: int) -> str:
    return f"{size:020}.json"


def test_a_log_that_lost_the_trail(agency: Site, setting: Setting) -> None:
    """It was set up again under the same keys."""
    setting.lines.checkpoint()
    setting.advance()
    agency.start(store="another.db")
    with pytest.raises(DeliveryError, match="the log lost its checkpoint of 5 lines"):
        setting.advance()


def test_a_checkpoint_of_a_key_that_is_not_there(setting: Setting) -> None:
    """The log has a checkpoint of a start whose evidence was taken from the folder."""
    setting.lines.checkpoint()
    setting.advance()
    (setting.keys / "000.json").unlink()
    setting.record(5).unlink()
    with pytest.raises(DeliveryError, match="no key in receipt_keys signed"):
        setting.advance()


CHANGE = msgspec.structs.replace
POSITIONS: dict[str, tuple[Callable[[Position], Position], type[Exception], str]] = {
    "another size": (lambda at: CHANGE(at, seq=4, peaks=at.peaks[:1]), DeliveryError, "not that of the checkpoint"),
    "other peaks": (lambda at: CHANGE(at, peaks=("00" * 32, at.peaks[1])), DeliveryError, "not that of the checkpoint"),
    "too few peaks": (lambda at: CHANGE(at, peaks=at.peaks[1:]), DeliveryError, "has peaks of another size"),
    "another line": (lambda at: CHANGE(at, hash="00" * 48), ChainError, "audit line 5: hash"),
    "another place": (lambda at: CHANGE(at, start=at.start + 1), ChainError, "audit line 5: line"),
    "a place behind the end": (lambda at: CHANGE(at, start=1 << 40), ChainError, "audit line 5: line"),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_state_that_does_not_fit(agency: Site, setting: Setting, name: str) -> None:
    setting.lines.checkpoint()
    setting.advance()
    record = decode_witnessed(setting.record(5).read_bytes())
    change, error, text = POSITIONS[name]
    setting.record(5).write_bytes(msgspec.structs.replace(record, position=change(record.position)).encode())
    setting.lines.write(5).checkpoint()
    with pytest.raises(error, match=text):
        setting.advance()
    assert agency.log.store.size == 1


def test_a_torn_record_is_made_again(setting: Setting) -> None:
    """A crash while the record was written: the log has the checkpoint, the state a part of a file."""
    setting.lines.checkpoint()
    setting.advance()
    whole = setting.record(5).read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        setting.record(5).write_bytes(whole[:size])
        assert setting.advance() == 5
        again = decode_witnessed(setting.record(5).read_bytes())
        LogWitness(setting.table()).verify(again.offer, again.receipt)


def test_two_starts_of_a_worker_in_one_trail(setting: Setting) -> None:
    """Each start has its own key; a checkpoint of the second continues one of the first."""
    trail, destination = setting.lines, setting.destination()
    trail.checkpoint()
    assert setting.advance(destination) == 5
    trail.key = new_key()
    setting.attest(trail.key)
    trail.write(5).checkpoint()
    assert setting.advance(destination) == 11


@pytest.mark.parametrize("fault", ["root", "signature", "origin", "size", "text"])
def test_a_false_checkpoint_in_the_trail(agency: Site, setting: Setting, fault: str) -> None:
    """Somebody who can write the file, but has no key, adds a line with a checkpoint: nothing is handed over."""
    trail = setting.lines
    good = sign_checkpoint(trail.tree, origin=ORIGIN, key=trail.key).decode()
    other = sign_checkpoint(other_tree(5), origin=ORIGIN, key=trail.key).decode()
    note, detail = {
        "root": (other, "its checkpoint has another root"),
        "signature": (
            good.split("\n\n")[0] + "\n\n" + other.split("\n\n")[1],
            "the signature of its checkpoint is wrong",
        ),
        "origin": (good.replace("worker-1", "worker-2"), "its checkpoint is of another trail"),
        "size": (good.replace("\n5\n", "\n4\n"), "its checkpoint is of 4 lines"),
        "text": ("no checkpoint", "its checkpoint cannot be read"),
    }[fault]
    trail.checkpoint(note)
    with pytest.raises(ChainError, match=f"audit line 6: event: {detail}"):
        setting.advance()
    assert agency.log.store.size == 0
