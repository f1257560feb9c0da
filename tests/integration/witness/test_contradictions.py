"""A witness, a state and a trail that do not fit together: each contradiction is named, and nothing is overwritten."""

import shutil
from collections.abc import Callable

import msgspec
import pytest

from cji_core.trail import ChainError
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.witnesses.records import Offer, Position, decode_witnessed
from tests.support.witness_kinds import Setting
from tests.support.witness_trails import Trail, keys_folder, new_key

ORIGIN = "cji-worker/worker-1"


def other_tree(size: int) -> Frontier:
    tree = Frontier()
    for i in range(size):
        tree.append(leaf_hash(str(i).encode()))
    return tree


def name_of(size: int) -> str:
    return f"{size:020}.json"


def test_a_witness_that_lost_its_newest_checkpoint_only(setting: Setting) -> None:
    destination = setting.destination("file")
    for _ in range(2):
        setting.trail.write(5).checkpoint()
        destination.advance()
        setting.clock[0] += 60
    (setting.folder / "copies" / name_of(11)).unlink()
    with pytest.raises(DeliveryError, match="the witness lost its checkpoint of 11 lines"):
        setting.destination("file").advance()


def test_a_checkpoint_that_the_worker_did_not_sign(setting: Setting) -> None:
    """Somebody who can write to the witness puts one there for this trail, with a key of his own."""
    trail = setting.trail.write(5)
    trail.checkpoint()
    note = sign_checkpoint(trail.tree, origin=ORIGIN, key=new_key()).decode()
    setting.services.blobs.blobs[name_of(6)] = Offer(previous=0, consistency=(), note=note).encode()
    with pytest.raises(DeliveryError, match="no key in receipt_keys signed"):
        setting.destination("blob").advance()


def test_a_witness_of_another_trail(setting: Setting) -> None:
    """Two workers share a container by mistake, and the deliverer has the keys of both."""
    other = Trail(path=setting.folder / "other.log", worker="worker-2", key=setting.trail.key).write(9)
    setting.services.blobs.blobs[name_of(9)] = Offer(
        previous=0, consistency=(), note=other.checkpoint().decode()
    ).encode()
    setting.trail.write(5).checkpoint()
    with pytest.raises(DeliveryError, match="the witness has checkpoints of another trail: 'cji-worker/worker-2'"):
        setting.destination("blob").advance()


def test_another_process_put_another_checkpoint_in_its_place(setting: Setting) -> None:
    destination = setting.destination("blob")
    setting.trail.write(5).checkpoint()
    destination.advance()
    note = sign_checkpoint(other_tree(11), origin=ORIGIN, key=setting.trail.key).decode()
    theirs = Offer(previous=0, consistency=(), note=note).encode()
    setting.services.blobs.blobs[name_of(11)] = theirs
    setting.trail.write(5).checkpoint()
    setting.clock[0] += 60
    with pytest.raises(DeliveryError, match=r"the container has another 0+11\.json"):
        destination.advance()
    assert setting.services.blobs.blobs[name_of(11)] == theirs


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
def test_a_state_that_does_not_fit(setting: Setting, name: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.destination("file").advance()
    path = setting.state / "witnesses" / "file" / name_of(5)
    record = decode_witnessed(path.read_bytes())
    change, error, text = POSITIONS[name]
    path.write_bytes(msgspec.structs.replace(record, position=change(record.position)).encode())
    setting.trail.write(5).checkpoint()
    with pytest.raises(error, match=text):
        setting.destination("file").advance()
    assert len(list((setting.folder / "copies").iterdir())) == 1


def test_a_torn_record_is_made_again(setting: Setting) -> None:
    """A crash while the record was written: the witness has the checkpoint, the state a part of a file."""
    setting.trail.write(5).checkpoint()
    setting.destination("confidential_ledger").advance()
    path = setting.state / "witnesses" / "confidential-ledger" / name_of(5)
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert setting.destination("confidential_ledger").advance().seq == 5
        setting.witness("confidential_ledger").verify(
            decode_witnessed(path.read_bytes()).offer, decode_witnessed(path.read_bytes()).receipt
        )


def test_a_torn_copy_is_completed(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    setting.destination("file").advance()
    path = setting.folder / "copies" / name_of(5)
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        shutil.rmtree(setting.state)
        path.write_bytes(whole[:size])
        assert setting.destination("file").advance().seq == 5
        assert path.read_bytes() == whole


def test_two_starts_of_a_worker_in_one_trail(setting: Setting) -> None:
    """Each start has its own key; a checkpoint of the second continues one of the first."""
    trail, destination = setting.trail, setting.destination("scitt")
    trail.write(5).checkpoint()
    assert destination.advance().seq == 5
    first, trail.key = trail.key, new_key()
    keys_folder(setting.folder / "keys", [first, trail.key])
    trail.write(5).checkpoint()
    setting.clock[0] += 60
    assert destination.advance().seq == 11


@pytest.mark.parametrize("fault", ["root", "signature", "origin", "size", "text"])
def test_a_false_checkpoint_in_the_trail(setting: Setting, fault: str) -> None:
    """Somebody who can write the file, but has no key, adds a line with a checkpoint: nothing is handed over."""
    trail = setting.trail.write(5)
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
        setting.destination("file").advance()
    assert not list((setting.folder / "copies").iterdir())
