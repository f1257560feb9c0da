"""Each kind of witness against a local service that speaks its protocol."""

import itertools
import shutil

import pytest

from cji_core.trail import ChainError
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.witnesses.records import Records, Witnessed
from tests.support.witness_kinds import KINDS, NETWORK, Setting


def records(setting: Setting, kind: str) -> list[Witnessed]:
    found = [record for _, record in Records(setting.state / "witnesses" / kind.replace("_", "-"))]
    assert all(isinstance(each, Witnessed) for each in found)
    return [each for each in found if isinstance(each, Witnessed)]


def held(setting: Setting, kind: str) -> int:
    """How many checkpoints the witness itself has."""
    services = setting.services
    return {
        "file": len(list((setting.folder / "copies").glob("*.json"))),
        "blob": len(services.blobs.blobs),
        "confidential_ledger": len(services.ledger.entries),
        "scitt": len(services.transparency.statements),
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_growing_trail_is_witnessed(setting: Setting, kind: str) -> None:
    trail, destination = setting.trail.write(), setting.destination(kind)
    assert destination.advance().seq == 0  # no checkpoint in it yet
    for size in (3, 8, 9):
        trail.write(size - len(trail.lines))
        at = trail.head
        trail.checkpoint()
        got = destination.advance()
        assert (got.seq, got.hash) == (at.seq, at.hash)
        assert destination.advance() == got
        setting.clock[0] += 60
        destination = setting.destination(kind)  # a restart continues
        assert destination.advance() == got
    kept = records(setting, kind)
    assert [each.offer.checkpoint().size for each in kept] == [3, 8, 9]
    assert [each.offer.previous for each in kept] == [0, 3, 8]
    assert held(setting, kind) == 3
    requests = len(setting.services.requests)
    for one, other in itertools.pairwise(kept):
        other.offer.continues(one.offer)
    witness = setting.witness(kind)
    for each in kept:
        witness.verify(each.offer, each.receipt)
        with pytest.raises(DeliveryError):
            witness.verify(kept[0].offer if each is not kept[0] else kept[1].offer, each.receipt)
    assert len(setting.services.requests) == requests  # offline


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_back_and_the_newest_checkpoint_goes(setting: Setting, kind: str) -> None:
    trail, destination = setting.trail.write(2), setting.destination(kind)
    trail.checkpoint()
    assert destination.advance().seq == 2
    for _ in range(5):
        trail.write(2).checkpoint()
        assert destination.advance().seq == 2
    setting.clock[0] += 60
    assert destination.advance().seq == len(trail.lines) - 1
    assert held(setting, kind) == 2


@pytest.mark.parametrize("kind", ["file", "blob", "confidential_ledger"])
def test_lost_state_is_taken_from_the_witness(setting: Setting, kind: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.destination(kind).advance()
    setting.trail.write(5).checkpoint()
    shutil.rmtree(setting.state)
    assert setting.destination(kind).advance().seq == 11
    assert [each.offer.previous for each in records(setting, kind)] == [0, 5]


@pytest.mark.parametrize("kind", ["file", "blob", "confidential_ledger"])
def test_a_trail_that_was_set_back_with_its_state_is_found(setting: Setting, kind: str) -> None:
    trail = setting.trail.write(5)
    trail.checkpoint()
    setting.destination(kind).advance()
    backup = setting.folder / "backup"
    shutil.copytree(setting.state, backup)
    trail.write(5).checkpoint()
    setting.destination(kind).advance()
    shutil.rmtree(setting.state)
    shutil.copytree(backup, setting.state)
    older = trail.restore(6)
    with pytest.raises(ChainError, match=r"audit line 7: line: the witness has a checkpoint of 11 lines"):
        setting.destination(kind).advance()
    older.write(9, mark=1000).checkpoint()  # and it went on
    with pytest.raises(ChainError, match=r"audit line 11: root: the witness has another root of this size"):
        setting.destination(kind).advance()
    assert held(setting, kind) == 2


@pytest.mark.parametrize("kind", ["file", "blob", "confidential_ledger"])
def test_a_witness_that_lost_its_checkpoints_is_found(setting: Setting, kind: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.destination(kind).advance()
    setting.services.blobs.blobs.clear()
    setting.services.ledger.entries.clear()
    for each in (setting.folder / "copies").glob("*.json") if kind == "file" else ():
        each.unlink()
    with pytest.raises(DeliveryError, match="the witness lost its checkpoint of 5 lines"):
        setting.destination(kind).advance()


@pytest.mark.parametrize("kind", KINDS)
def test_a_trail_that_changes_under_a_running_deliverer_is_found(setting: Setting, kind: str) -> None:
    trail = setting.trail.write(5)
    trail.checkpoint()
    destination = setting.destination(kind)
    destination.advance()
    older = trail.restore(4)
    with pytest.raises(ChainError, match="audit line 6: line: the trail is shorter"):
        destination.advance()
    older.write(20, mark=1000).checkpoint()
    setting.clock[0] += 60
    with pytest.raises(ChainError, match="audit line 5: "):
        destination.advance()
    with pytest.raises(ChainError, match="audit line 5: "):  # and after a restart
        setting.destination(kind).advance()
    assert held(setting, kind) == 1


def test_the_file_witness_never_overwrites(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    destination = setting.destination("file")
    taken = setting.folder / "copies" / f"{5:020}.json"
    taken.write_bytes(b"something else, torn")
    with pytest.raises(DeliveryError, match=r"has another 0+5\.json"):
        destination.advance()
    assert taken.read_bytes() == b"something else, torn"


def test_a_container_that_protects_nothing_is_refused(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    blobs = setting.services.blobs
    blobs.immutable = False
    destination = setting.destination("blob")
    with pytest.raises(DeliveryError, match="neither an immutability policy nor a legal hold"):
        destination.advance()
    assert not blobs.blobs
    blobs.legal_hold = True
    assert destination.advance().seq == 5


def test_another_blob_of_this_size_is_refused(setting: Setting) -> None:
    setting.trail.write(5).checkpoint()
    setting.destination("blob").advance()
    [name] = setting.services.blobs.blobs
    setting.services.blobs.blobs[name] = b"{}\n"
    shutil.rmtree(setting.state)
    with pytest.raises(DeliveryError, match="not a record"):
        setting.destination("blob").advance()


def test_a_challenge_gets_no_token_for_another_audience(setting: Setting) -> None:
    """Blob Storage's client follows a challenge to the audience that it names; the credential does not."""
    setting.trail.write(5).checkpoint()
    setting.services.challenge = "Bearer authorization_uri=https://login.example/t/ resource_id=https://vault.azure.net"
    setting.services.faults = ["401"]
    with pytest.raises(DeliveryError, match="this machine's identity obtains no token"):
        setting.destination("blob").advance()
    assert set(setting.credential.scopes) == {"https://storage.azure.com/.default"}


@pytest.mark.parametrize("kind", NETWORK)
def test_a_service_under_another_authority_is_not_trusted(setting: Setting, kind: str) -> None:
    from tests.support.witness_services import Authority

    setting.trail.write(5).checkpoint()
    setting.ca_file.write_text(Authority(name="stranger").pem)
    with pytest.raises(DeliveryError, match="cannot be reached"):
        setting.destination(kind).advance()
    assert not setting.services.requests


@pytest.mark.parametrize("running", [1, 3])
def test_a_registration_that_takes_time(setting: Setting, running: int) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.transparency.running = running
    assert setting.destination("scitt").advance().seq == 5
    assert setting.services.requests == ["POST /ts/entries", *(["GET /ts/entries/0"] * (running + 1))]


@pytest.mark.parametrize("location", ["https://other.example/entries/0", "/ts/entries/0"])
def test_only_the_id_of_a_location_is_used(setting: Setting, location: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.transparency.running, setting.services.transparency.location = 1, location
    assert setting.destination("scitt").advance().seq == 5


@pytest.mark.parametrize("location", ["", "/ts/entries/..", "https://127.0.0.1/entries/a/b?c", "/ts/entries/%2e"])
def test_a_location_without_an_id_is_refused(setting: Setting, location: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.transparency.running, setting.services.transparency.location = 1, location
    with pytest.raises(DeliveryError, match="names no entry"):
        setting.destination("scitt").advance()


@pytest.mark.parametrize("kind", ["confidential_ledger", "scitt"])
def test_what_is_not_ready_in_time_is_not_written_twice(setting: Setting, kind: str) -> None:
    setting.trail.write(5).checkpoint()
    setting.services.ledger.waits = setting.services.transparency.running = 3
    destination = setting.destination(kind, wait=0.1)
    with pytest.raises(DeliveryError, match="in time"):
        destination.advance()
    setting.services.ledger.waits = setting.services.transparency.running = 0
    assert destination.advance().seq == 5
    assert held(setting, kind) == 1


def test_a_start_of_the_worker_with_an_unknown_key_is_named(setting: Setting) -> None:
    from tests.support.witness_trails import keys_folder, new_key

    trail = setting.trail.write(3)
    trail.checkpoint()
    destination = setting.destination("file")
    assert destination.advance().seq == 3
    first, trail.key = trail.key, new_key()
    trail.write(3).checkpoint()
    setting.clock[0] += 60
    with pytest.raises(DeliveryError, match="the checkpoint of 7 lines is signed by a key that is not in receipt_keys"):
        destination.advance()
    trail.write(1)
    keys_folder(setting.folder / "keys", [first, trail.key])
    trail.checkpoint()
    assert destination.advance().seq == 9
