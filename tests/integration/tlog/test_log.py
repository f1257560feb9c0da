"""The agency's log, its witnesses and its monitor, as servers on loopback."""

import base64
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cji_audit.tlog.cosigning import CosigningError, LogBehindError
from cji_audit.tlog.http_server import Request
from cji_audit.tlog.log import AgencyLog
from cji_audit.tlog.store import LogStore, StoreError
from cji_audit.tlog.witness import Witness, WitnessStateError
from cji_core.https import Client
from cji_core.tlog.keys import WITNESS_TYPES, new_signers
from cji_core.tlog.leaves import LeafError, TrailDecision, decode_leaf, encode_leaf
from cji_core.tlog.policy import Policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.submissions import Added, Submission
from cji_core.tlog.tiles import Tile
from cji_core.trail.checkpoint import parse_cosigned
from cji_core.trail.merkle import leaf_hash
from tests.support.tlog_site import ORIGIN, READER, SUBMITTER, Machine, Site, origin_hash, signed, site
from tests.support.witness_trails import TIME


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "machine").mkdir()
    return Machine(folder=tmp_path / "machine")


def submission(agency: Site, machine: Machine, previous: int = 0, *, key: bool | None = None) -> Submission:
    leaf = machine.leaf(previous, key=key, first=(key if key is not None else previous == 0))
    evidence = None
    if leaf.key is not None:
        file = msgspec.json.encode(leaf.key)
        agency.attested[file] = leaf.key
        evidence = base64.b64encode(file).decode()
    return Submission(
        trail=leaf.trail,
        previous=leaf.previous,
        consistency=leaf.consistency,
        note=leaf.note,
        first=leaf.first,
        evidence=evidence,
    )


def get(url: str, token: str | None = None) -> tuple[int, bytes]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = Client(None, plain=True).exchange("GET", url, headers=headers)
    return answer.status, answer.body


def test_an_entry_has_a_cosigned_proof(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    added = agency.log.add(submission(agency, machine))
    machine.trail.write(2)
    second = agency.log.add(submission(agency, machine, 5))
    for each, size in ((added, 1), (second, 2)):
        proof = parse_proof(each.proof.encode())
        proof.verify(leaf_hash(each.entry.encode()))
        found = agency.policy.accept(proof.note, now=int(time.time()))
        assert (proof.note.size, len(found.seen)) == (size, 4)
    report = agency.monitor()
    assert (report.size, report.findings, len(report.cosigned)) == (2, [], 4)


def test_a_refused_entry_leaves_nothing(agency: Site, machine: Machine, tmp_path: Path) -> None:
    """Not even its evidence: one that is refused again and again would fill the disk."""
    machine.trail.write(4)
    given = submission(agency, machine)
    (tmp_path / "other").mkdir()
    other = Machine(folder=tmp_path / "other", nonce="08" * 32)
    other.trail.write(4)
    for wrong in (
        msgspec.structs.replace(given, note=other.note()),
        msgspec.structs.replace(given, first=other.first(5)),
    ):
        with pytest.raises(LeafError):
            agency.log.add(wrong)
    assert list(agency.log.store.evidence()) == []
    agency.log.add(given)
    assert len(list(agency.log.store.evidence())) == 1


def test_a_lost_answer_repeats_the_entry(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    sent = submission(agency, machine)
    first, again = agency.log.add(sent), agency.log.add(sent)
    assert (first.entry, agency.log.store.size) == (again.entry, 1)


def test_a_restart_keeps_everything(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    agency.log.store.close()
    agency.start()
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 5))
    assert agency.log.store.size == 2
    assert agency.monitor().findings == []


@pytest.mark.parametrize("away", [1, 2])
def test_a_quorum_is_enough(agency: Site, machine: Machine, away: int) -> None:
    for host in agency.witnesses[:away]:
        host.logs.clear()
        host.start()
    machine.trail.write(4)
    sent = submission(agency, machine)
    if away == 1:
        agency.log.add(sent)
        return
    with pytest.raises(CosigningError):
        agency.log.add(sent)
    assert agency.log.published() is None
    agency.witnesses[0].logs[ORIGIN] = [each.key for each in agency.signers]
    agency.witnesses[0].start()
    assert agency.log.add(sent).entry  # the entry was there
    assert agency.log.store.size == 1


def test_a_store_of_another_log_is_refused(agency: Site, tmp_path: Path) -> None:
    agency.log.store.set_meta("origin", b"other")
    agency.log.store.close()
    with pytest.raises(StoreError):
        agency.start()


def test_a_damaged_store_is_refused(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    with agency.log.store.writing():
        agency.log.store._run("DELETE FROM hash WHERE level = 0")
        agency.log.store._run("INSERT INTO hash VALUES (0, 3, x'00')")
    agency.log.store.close()
    with pytest.raises(StoreError):
        agency.start()


def test_another_agency_sees_a_fork_of_the_log(agency: Site, machine: Machine, tmp_path: Path) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    agency.log.store.close()
    shutil.copy(tmp_path / "log.db", tmp_path / "fork.db")
    agency.start()
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 5))
    agency.log.store.close()
    forked = agency.start(store="fork.db")  # signs with the log's keys, without the entry that the witnesses saw
    machine.trail = machine.trail.restore(6).write(7, mark=500)
    with pytest.raises(LogBehindError):
        forked.add(submission(agency, machine, 5))
    assert forked.stopped is not None
    other = agency.witnesses[1]
    (conflict,) = other.state.conflicts()
    had, got = parse_cosigned(conflict.had), parse_cosigned(conflict.got)
    assert (had.size, got.size) == (2, 2)
    assert had.root != got.root
    for each in (had, got):
        agency.policy.signed_by_log(each)
    with pytest.raises(LogBehindError):
        forked.refresh()  # it signs nothing more


def decision(machine: Machine, log: AgencyLog) -> TrailDecision:
    """To go on from a trail's last entry, on its machine."""
    slot = log.store.slot(machine.identity)
    assert slot is not None
    return TrailDecision(
        origin=ORIGIN,
        trail=machine.identity,
        entries=slot.entries,
        note=slot.note,
        ak_sha256=slot.key.ak_sha256,
        operator="jdoe",
        explanation="ticket 4711",
        time=TIME,
    )


def test_an_older_store_stops_the_log(agency: Site, machine: Machine, tmp_path: Path) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    agency.log.store.close()
    shutil.copy(tmp_path / "log.db", tmp_path / "older.db")
    agency.start()
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 5))
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 8))
    agency.log.store.close()
    older = agency.start(store="older.db")
    older.store.set_witnessed("w0", " ".join(each.key.key_id.hex() for each in agency.witnesses[0].signers), 1)
    machine.trail.write(2)
    with pytest.raises(LogBehindError):
        older.add(submission(agency, machine, 5))
    size = older.store.size
    with pytest.raises(LogBehindError):  # nor does it take a person's statement
        older.state(signed(decision(machine, older), agency.operator))
    assert older.store.size == size


def test_a_lying_witness_stops_nothing(agency: Site, machine: Machine) -> None:
    from cji_audit.tlog.http_server import Answer
    from cji_core.tlog.requests import SIZE_TYPE

    agency.witnesses[3].handler.handle = lambda _: Answer(status=409, body=b"999\n", kind=SIZE_TYPE)
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    for size, answer in (
        (5, Answer(status=422)),
        (10, Answer(status=409)),
        (15, Answer(status=409, body=b"0\n", kind=SIZE_TYPE)),
        (20, Answer(status=409, body=b"3\n", kind=SIZE_TYPE)),
        (25, Answer(status=200, body=b"\xe2\x80\x94 w3.example AAAAAAAA\n")),
        (30, Answer(status=200, body=b"x" * 60_000)),
        (35, Answer(status=302, headers={"Location": "http://127.0.0.1:1/"})),
    ):
        agency.witnesses[3].handler.handle = lambda _, answer=answer: answer  # type: ignore[misc]
        machine.trail.write(4)
        agency.log.add(submission(agency, machine, size))
    assert agency.log.stopped is None


@pytest.mark.parametrize("of_others", [b"", b"2\n"], ids=["by the specification", "with the size"])
def test_a_fork_of_equal_size_stops_the_log(agency: Site, machine: Machine, tmp_path: Path, of_others: bytes) -> None:
    """Other witnesses answer 409 to another root of the size that they have, with or without that size."""
    from cji_audit.tlog.http_server import Answer
    from cji_core.tlog.requests import SIZE_TYPE

    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    agency.log.store.close()
    shutil.copy(tmp_path / "log.db", tmp_path / "fork.db")
    agency.start()
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 5))
    agency.log.store.close()
    forked = agency.start(store="fork.db")
    machine.trail = machine.trail.restore(6).write(7, mark=500)
    host = agency.witnesses[3]
    mine, kind = host.handler.handle, SIZE_TYPE if of_others else "text/plain"
    for each in agency.witnesses[:3]:
        each.handler.handle = lambda _: Answer(status=503)

    def other(request: Request) -> Answer:
        return mine(request) if request.method == "GET" else Answer(status=409, body=of_others, kind=kind)

    host.handler.handle = other
    with pytest.raises(LogBehindError):
        forked.add(submission(agency, machine, 5))


def test_a_witness_that_signs_often_stops_nothing(agency: Site, machine: Machine) -> None:
    """It answers with as many cosignatures as an answer takes, each true, so that a note has no place for others."""
    from cji_audit.tlog.http_server import Answer
    from cji_core.tlog.requests import parse_body

    host = agency.witnesses[3]

    def flood(request: Request) -> Answer:
        note = parse_body(request.body).note
        lines = [each.sign(note, at=int(time.time()) - back).line() for each in host.signers for back in range(16)]
        return Answer(status=200, body="".join(lines).encode())

    host.handler.handle = flood
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    note = agency.log.published()
    assert note is not None
    assert set(agency.policy.cosigners(note)) == {"w0", "w1", "w2", "w3"}


def test_a_restored_witness_needs_a_new_key(agency: Site, machine: Machine, tmp_path: Path) -> None:
    from cji_audit.tlog.witness import WitnessState

    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    host = agency.witnesses[2]
    note = agency.log.published()
    assert note is not None
    host.state.close()
    host.state = WitnessState(tmp_path / "restored.db")
    host.start()
    machine.trail.write(2)
    agency.log.add(submission(agency, machine, 5))  # the three others are a quorum
    found = agency.log.published()
    assert found is not None
    assert "w2" not in agency.policy.cosigners(found)
    body = b"old 0\n\n" + note.encode()  # it carries the cosignature that the restored witness forgot
    answer = Client(None, plain=True).exchange("POST", f"http://127.0.0.1:{host.server.port}/add-checkpoint", body=body)
    assert answer.status == 503
    with pytest.raises(WitnessStateError):
        host.start()
    Witness(host.state, new_signers("w2.example/2", WITNESS_TYPES), host.logs)


def test_a_fork_of_a_trail_is_an_entry(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    machine.trail = machine.trail.restore(1).write(4, mark=900)
    with pytest.raises(LeafError, match="fork"):
        agency.log.add(submission(agency, machine, key=True))
    agency.log.refresh()
    (finding,) = agency.monitor().findings
    assert (finding.kind, finding.trail) == ("frozen", machine.identity)
    agency.log.state(signed(decision(machine, agency.log), agency.operator))
    assert agency.monitor().findings == []


def test_a_monitor_finds_what_a_log_hides(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    machine.trail = machine.trail.restore(1).write(7, mark=900)
    false = machine.leaf(5)
    with agency.log.store.writing():  # the holder of the log's keys adds a second history
        agency.log.store.append(encode_leaf(false))
    agency.log.refresh()
    for _ in range(2):  # it is found again at each run
        (finding,) = agency.monitor().findings
        assert (finding.kind, finding.index, finding.trail) == ("entry", 1, machine.identity)
    outside = agency.monitor("outside.db", token=None)
    assert (outside.size, outside.with_entries, outside.findings) == (2, False, [])


def test_a_monitor_finds_two_histories_of_the_log(agency: Site, machine: Machine, tmp_path: Path) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    assert agency.monitor("outside.db", token=None).findings == []
    agency.log.store.close()
    for host in agency.witnesses:  # every witness is evil, or restored: they cosign another history
        host.state._all("DELETE FROM log")
        host.start()
    log = agency.start(store="second.db")
    for _ in range(2):
        with log.store.writing():
            log.store.append_hash(b"x" * 32)
    log.refresh()
    kinds = {each.kind for each in agency.monitor("outside.db", token=None).findings}
    assert kinds == {"leaves"}


def test_a_witness_shows_the_other_history(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    agency.log.store.close()
    host = agency.witnesses[3]
    host.state._all("DELETE FROM log")
    log = agency.start(store="second.db")
    with log.store.writing():
        log.store.append_hash(b"x" * 32)
    with pytest.raises(CosigningError):
        log.refresh()  # the three others do not cosign it
    agency.log.store.close()
    agency.start()
    findings = [each.kind for each in agency.monitor().findings]
    assert findings == ["view"]


def test_a_stale_checkpoint_is_a_finding(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    later = time.time() + agency.policy.file.max_age_seconds + 60
    report = agency.monitor(clock=lambda: later)
    assert [each.kind for each in report.findings] == ["checkpoint"]


def test_a_copy_has_a_checkpoint_that_a_quorum_signed(agency: Site, machine: Machine, tmp_path: Path) -> None:
    from cji_audit.tlog.monitor import Monitor, MonitorError

    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    store = LogStore(tmp_path / "copy.db", origin=ORIGIN)
    try:
        late = Monitor(store, agency.policy, Client(None, plain=True), token=None, clock=lambda: time.time() + 90_000)
        assert [each.kind for each in late.run().findings] == ["checkpoint"]
        with pytest.raises(MonitorError):
            late.export(tmp_path / "copy")
        fresh = Monitor(store, agency.policy, Client(None, plain=True), token=None)
        assert fresh.run().findings == []
        assert fresh.export(tmp_path / "copy") == 1
    finally:
        store.close()


def test_entries_go_to_readers_alone(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    url = agency.policy.file.url
    bundle = f"{url}/{Tile(level=None, index=0, width=1).path}"
    assert [get(bundle, each)[0] for each in (None, SUBMITTER, READER)] == [403, 403, 200]
    assert get(f"{url}/trails/{machine.identity}")[0] == 403
    assert get(f"{url}/trails/{machine.identity}", SUBMITTER)[0] == 200
    public = [get(f"{url}/{path}") for path in ("checkpoint", "tile/0/000.p/1")]
    assert [status for status, _ in public] == [200, 200]
    for secret in (machine.identity, "worker-1", "cji-worker"):
        assert all(secret.encode() not in body for _, body in public)
    assert [get(f"{url}/{path}")[0] for path in ("tile/0/000.p/2", "tile/0/000", "tile/1/000", "x")] == [404] * 4
    assert get(f"{url}/tile/0/000.p/1")[1] == leaf_hash(agency.log.store.entries(0, 1)[0])


def test_two_equal_checkpoints_have_other_leaves(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    one, other = machine.leaf(), machine.leaf()
    assert one.salt != other.salt
    assert (
        len({leaf_hash(encode_leaf(msgspec.structs.replace(one, salt=each))) for each in (one.salt, other.salt)}) == 2
    )


def test_a_policy_follows_by_the_old_quorum(agency: Site, machine: Machine) -> None:
    from cji_core.tlog.leaves import PolicyDecision, StatementLeaf, verify_decision
    from cji_core.tlog.policy import decode_policy, encode_policy

    new = new_signers(ORIGIN, (1, 6))
    file = msgspec.structs.replace(agency.policy.file, keys=tuple(each.key.vkey for each in new))
    stated = PolicyDecision(
        origin=ORIGIN,
        previous_sha384=agency.policy.digest,
        policy=encode_policy(file).decode(),
        operator="jdoe",
        explanation="rotation",
        time=TIME,
    )
    added: Added = agency.log.state(signed(stated, agency.operator))
    leaf = decode_leaf(added.entry.encode())
    assert isinstance(leaf, StatementLeaf)
    verify_decision(leaf, agency.policy.operators)
    agency.policy.accept(parse_proof(added.proof.encode()).note, now=int(time.time()))
    size = agency.log.store.size
    for copy in (leaf, signed(stated, agency.operator)):  # of a reader, who has the token for statements
        with pytest.raises(LeafError, match="before"):
            agency.log.state(copy)
    assert agency.log.store.size == size
    again = msgspec.structs.replace(stated, previous_sha384="0" * 96)
    with pytest.raises(LeafError, match="another policy"):
        agency.log.state(signed(again, agency.operator))
    agency.policy = decode_policy(encode_policy(file))
    for host in agency.witnesses:
        host.logs[ORIGIN] = [each.key for each in new]
        host.start()
    agency.log.store.close()
    agency.start(signers=new)
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    assert agency.monitor().findings == []
    assert isinstance(agency.policy, Policy)


def test_a_witness_shows_its_last_checkpoint(agency: Site, machine: Machine) -> None:
    machine.trail.write(4)
    agency.log.add(submission(agency, machine))
    host = agency.witnesses[1]
    status, body = get(f"http://127.0.0.1:{host.server.port}/{origin_hash()}/checkpoint")
    note = parse_cosigned(body)
    assert status == 200
    agency.policy.signed_by_log(note)
    assert all(each.key.signature_on(note) for each in host.signers)
    assert get(f"http://127.0.0.1:{host.server.port}/{'0' * 64}/checkpoint")[0] == 404
