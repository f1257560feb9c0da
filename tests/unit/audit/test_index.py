"""An auditor's index: what it finds equals what a slow reader finds, and it belongs to one trail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymerkle import InclusionProof, InmemoryTree
from pymerkle import verify_consistency as peer_consistency

from cji_audit.verbs.search import keep_indexed
from cji_core.trail import ChainError, TrailCheckpoint, read
from cji_core.trail.checkpoint import parse_checkpoint, sign_checkpoint
from cji_core.trail.index import IndexUnusableError, KeptCheckpoint, TrailIndex
from cji_core.trail.index_search import COLUMNS, Found, Query
from cji_core.trail.merkle import Frontier, ProofError, leaf_hash, verify_consistency
from cji_core.trail.proofs import (
    ConsistencyProof,
    LineProof,
    decode_proof,
    encode_proof,
    prove_continued,
    prove_line,
    prove_lines,
    verify_continued,
    verify_line,
    verify_lines,
)
from tests.support.trails import Writer, job_id, rechained, week

WEEK = week(jobs=40)  # more than one block of 256


def indexed(trail: Path) -> TrailIndex:
    index = TrailIndex(trail, trail.with_suffix(".index"))
    index.update()
    return index


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return WEEK.write(tmp_path / "audit.log")


def slow_search(lines: list[bytes], query: Query) -> list[Found]:
    """By hand, over JSON."""
    operators: dict[str, str] = {}
    found = []
    for line in lines:
        whole: dict[str, Any] = json.loads(line)
        event, job = whole["event"], whole["event"].get("job_id")
        if event["kind"] == "job_admitted":
            operators[job] = event["attribution"]["operator_id"]
        ends = event["kind"] in {"job_admitted", "job_completed", "job_ended"}
        columns = {
            "kind": event["kind"],
            "submitter": event.get("submitter"),
            "ori": event.get("requesting_ori"),
            "operator": operators[job] if ends else None,
            "purpose": event.get("purpose_code"),
            "reason": event.get("reason"),
        }
        wanted = [_fits(columns[name], text) for name, text in query.columns.items()]
        if query.job:
            wanted.append(_fits(job, query.job))
        if query.prefix:
            wanted.append(any(_fits(text, f"{query.prefix}*") for text in (*columns.values(), job)))
        wanted.append(query.since is None or whole["time"] >= query.since)
        wanted.append(query.until is None or whole["time"] < query.until)
        if all(wanted):
            texts = tuple(columns[name] for name in COLUMNS)
            found.append(Found(line=whole["seq"], time=whole["time"], columns=texts, job=job))
    return found


def _fits(value: str | None, text: str) -> bool:
    if value is None:
        return False
    return value.startswith(text[:-1]) if text.endswith("*") else value == text


QUERIES = [
    Query(),
    Query(columns={"kind": "job_refused"}),
    Query(columns={"kind": "job_*"}),
    Query(columns={"kind": "job_%"}),
    Query(columns={"kind": "job_completed", "ori": "WI0130000"}),
    Query(columns={"operator": "op-17"}),
    Query(columns={"operator": "op*", "purpose": "C"}),
    Query(columns={"submitter": "county-so", "reason": "POLICY_DENIED"}),
    Query(columns={"submitter": "nobody"}),
    Query(columns={"reason": "CELL*"}),
    Query(since="2026-11-23T08:01", until="2026-11-23T08:02"),
    Query(job=job_id(3).hex()),
    Query(job=job_id(3).hex()[:31] + "*"),
    Query(job=job_id(3).hex()[:29] + "*"),
    Query(prefix="county"),
    Query(prefix="00000"),
    Query(prefix="WI"),
    Query(prefix="C"),
    Query(prefix="'; DROP TABLE line; --"),
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_search_finds_what_a_slow_one_finds(trail: Path, query: Query) -> None:
    expected = slow_search(WEEK.lines, query)
    with indexed(trail) as index:
        count, found = index.rows.search(query)
        assert (count, found) == (len(expected), expected[: query.limit])
        newest = Query(**{**{name: getattr(query, name) for name in query.__slots__}, "newest": True, "limit": 3})
        assert index.rows.search(newest) == (len(expected), expected[::-1][:3])


@pytest.mark.parametrize("job", ["zz*", "00", "0" * 33, "0" * 31, "*" * 40])
def test_a_text_that_begins_no_job_id(trail: Path, job: str) -> None:
    with indexed(trail) as index, pytest.raises(ValueError, match="job id"):
        index.rows.search(Query(job=job))


def test_it_is_continued(tmp_path: Path) -> None:
    """In steps of every length, with the same result as in one."""
    trail = tmp_path / "audit.log"
    step = 0
    for end in (1, 2, 255, 256, 257, 300, len(WEEK.lines)):
        WEEK.write(trail, [*WEEK.lines[:end], b'{"seq":9'])
        with indexed(trail) as index:
            tree = Frontier()
            for line in WEEK.lines[:end]:
                tree.append(leaf_hash(line))
            assert (index.watcher.tree.size, index.tree.root(end)) == (end, tree.root())
            assert index.rows.search(Query(limit=0))[0] == end
            step += 1
    WEEK.write(tmp_path / "whole.log")
    with indexed(trail) as index, indexed(tmp_path / "whole.log") as whole:
        assert index.watcher.save() == whole.watcher.save()
        assert index.rows.search(Query(limit=9999)) == whole.rows.search(Query(limit=9999))


def test_an_index_is_made_before_somebody_asks(tmp_path: Path) -> None:
    """Lines that are added are indexed after the next pause, also if a search has the index meanwhile."""
    lines, path, file = WEEK.lines, tmp_path / "audit.log", tmp_path / "audit.index"
    parts = iter((lines[200:300], lines[300:]))
    path.write_bytes(b"".join(lines[:200]))
    searches = [TrailIndex(path, file)]

    def pause() -> bool:
        part = next(parts, None)
        while searches:
            searches.pop().close()
        if part is not None:
            with path.open("ab") as trail:
                trail.write(b"".join(part))
        return part is not None

    keep_indexed(path, file, pause=pause)
    assert not searches
    with TrailIndex(path, file) as index:
        assert index.size == path.stat().st_size


def test_an_index_says_once_what_it_has(trail: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = iter((True, True, False))
    keep_indexed(trail, tmp_path / "index", pause=lambda: next(rounds))
    assert capsys.readouterr().out == f"{len(trail.read_bytes().splitlines())} lines verified and indexed\n"


def test_an_index_that_stays_in_use_is_refused(trail: Path, tmp_path: Path) -> None:
    with TrailIndex(trail, tmp_path / "index"), pytest.raises(IndexUnusableError):
        keep_indexed(trail, tmp_path / "index", pause=lambda: True)


def test_another_trail_in_its_place_is_found(tmp_path: Path, trail: Path) -> None:
    indexed(trail).close()
    index = trail.with_suffix(".index")
    other = week(jobs=40)
    for lines in (WEEK.lines[:-1], WEEK.lines[:-2], other.lines, [*WEEK.lines[:-1], other.lines[-1]], []):
        WEEK.write(trail, lines)
        with pytest.raises(ChainError, match="cut off, rolled back or replaced") as caught:
            TrailIndex(trail, index)
        assert caught.value.line == len(WEEK.lines)
    TrailIndex(WEEK.write(trail), index).close()


def test_a_line_that_was_changed_since_is_found(trail: Path) -> None:
    with indexed(trail) as index:
        at = next(at for at, line in enumerate(WEEK.lines) if b"job_refused" in line)
        data = trail.read_bytes()
        trail.write_bytes(data.replace(b"county-so", b"metro-pd2", 1))
        with pytest.raises(ChainError, match="changed since it was indexed"):
            index.line(at + 1)
        assert index.line(at)[0] == WEEK.lines[at - 1]
        for seq in (0, len(WEEK.lines) + 1):
            with pytest.raises(KeyError):
                index.line(seq)


def test_a_wrong_line_is_named_and_nothing_of_it_stays(tmp_path: Path, trail: Path) -> None:
    lines = [*WEEK.lines[:300], WEEK.lines[301]]
    WEEK.write(trail, lines)
    index = TrailIndex(trail, tmp_path / "i")
    with pytest.raises(ChainError, match="audit line 301: seq"):
        index.update()
    index.close()
    WEEK.write(trail)
    with TrailIndex(trail, tmp_path / "i") as again:
        again.update()
        assert again.watcher.tree.size == len(WEEK.lines)


@pytest.mark.parametrize("content", [b"not a database, and longer than a header of one is" * 100, b"\0" * 4096])
def test_what_is_no_index(tmp_path: Path, trail: Path, content: bytes) -> None:
    path = tmp_path / "index"
    path.write_bytes(content)
    with pytest.raises(IndexUnusableError):
        TrailIndex(trail, path)
    assert path.read_bytes() == content


def test_it_is_the_auditors_alone(trail: Path) -> None:
    indexed(trail).close()
    assert trail.with_suffix(".index").stat().st_mode & 0o777 == 0o600
    with indexed(trail), pytest.raises(IndexUnusableError, match="in use"):
        TrailIndex(trail, trail.with_suffix(".index"))


# ---- proofs


@pytest.fixture(scope="module")
def peer() -> InmemoryTree:
    """The tree of pymerkle over the same lines; SHA-256 with the prefixes of RFC 9162 is its default.

    It verifies our inclusion proofs. Its consistency proofs have another form, so it judges our roots with its own.
    """
    tree = InmemoryTree(algorithm="sha256")
    for line in WEEK.lines:
        tree.append_entry(line)
    return tree


def kept_in(index: TrailIndex) -> list[KeptCheckpoint]:
    kept, seq = [], 1
    while (found := index.checkpoint_after(seq)) is not None:
        kept.append(found)
        seq = found.size + 1
    return kept


def test_lines_are_proven_and_pymerkle_agrees(trail: Path, peer: InmemoryTree) -> None:
    with indexed(trail) as index:
        last = kept_in(index)[-1]
        for seq in (*range(1, 40), 255, 256, 257, 258, last.size - 1, last.size):
            for against in (None, parse_checkpoint(last.note.encode())):
                proof = prove_line(index, seq, against)
                checkpoint = parse_checkpoint(proof.checkpoint.encode())
                if proof.receipt_key in WEEK.keys:
                    assert verify_line(proof, WEEK.keys) == (read(WEEK.lines[seq - 1]), checkpoint)
                else:  # of the first start
                    with pytest.raises(ProofError, match="not signed by a key that you gave"):
                        verify_line(proof, WEEK.keys)
                leaf, theirs = leaf_hash(WEEK.lines[seq - 1]), peer.prove_inclusion(seq, checkpoint.size)
                ours = InclusionProof("sha256", True, checkpoint.size, seq, theirs.rule, [leaf, *proof.proof])
                ours.verify(leaf, checkpoint.root, index=seq, size=checkpoint.size, algorithm="sha256")
                assert len(encode_proof(proof)) - len(proof.line) < 2048
                assert decode_proof(encode_proof(proof)) == proof


def test_continuations_are_proven_and_pymerkle_agrees(trail: Path, peer: InmemoryTree) -> None:
    with indexed(trail) as index:
        kept = kept_in(index)
        keys = {each.receipt_key: WEEK.key.public_key() for each in kept if each.receipt_key == WEEK.key_id}
        for i, earlier in enumerate(kept):
            for later in kept[i:]:
                one, two = (parse_checkpoint(each.note.encode()) for each in (earlier, later))
                proof = prove_continued(index, one, two)
                verify_consistency(
                    earlier=one.size, earlier_root=one.root, size=two.size, root=two.root, proof=proof.proof
                )
                theirs = peer.prove_consistency(one.size, two.size)
                peer_consistency(one.root, two.root, theirs, algorithm="sha256")
                assert decode_proof(encode_proof(proof)) == proof
                if earlier.receipt_key in keys:
                    assert verify_continued(proof, keys) == (one, two)


def proven(trail: Path) -> LineProof:
    with indexed(trail) as index:
        return prove_line(index, len(WEEK.lines) - 20)


def test_every_changed_bit_of_a_proof_is_refused(trail: Path) -> None:
    data = encode_proof(proven(trail))
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
        with pytest.raises(ProofError):
            verify_line(decode_proof(changed), WEEK.keys)  # type: ignore[arg-type]


def test_what_a_proof_must_not_do(trail: Path) -> None:
    proof = proven(trail)
    other = Writer()
    changes: dict[str, dict[str, Any]] = {
        "is proven as": {"index": proof.index + 1},
        "not signed by a key": {"receipt_key": other.key_id},
        "too few hashes": {"proof": proof.proof[:-1]},
        "too many hashes": {"proof": (*proof.proof, bytes(32))},
        "not a list of hashes": {"proof": (*proof.proof[:-1], b"")},
    }
    for words, change in changes.items():
        with pytest.raises(ProofError, match=words):
            verify_line(msgspec.structs.replace(proof, **change), WEEK.keys)
    rewritten = next(iter(rechained([WEEK.lines[proof.index]])))
    number = msgspec.structs.replace(proof, line=rewritten[:-1].decode(), index=0)
    with pytest.raises(ProofError, match=r"hashes|tree"):
        verify_line(number, WEEK.keys)


def test_a_worker_whose_id_was_changed_continues_its_trail(tmp_path: Path) -> None:
    writer = Writer()
    writer.start()
    writer.refuse(1)
    writer.worker = "worker-2"
    writer.start()
    writer.refuse(2)
    writer.checkpoint()
    with indexed(writer.write(tmp_path / "renamed.log")) as index:
        for seq in (5, 6, 10):  # the line before the new start has no other checkpoint
            proof = prove_line(index, seq)
            record, checkpoint = verify_line(proof, writer.keys)
            assert (record.seq, checkpoint.origin) == (seq, "cji-worker/worker-2")
        whole = prove_lines(index, 1, 10)
        assert verify_lines(whole, writer.lines[:10], writer.keys)[0].seq == 10
        with pytest.raises(ProofError, match="no checkpoint covers"):
            prove_lines(index, 1, 11)


def test_a_checkpoint_that_the_trail_does_not_have(trail: Path) -> None:
    fork, other = week(jobs=40), Writer(worker="worker-2")
    other.start()
    longer = Writer()
    longer.tree = Frontier(1 << 20, [bytes(32)])
    unrecorded = sign_checkpoint(_tree(WEEK.lines[:17]), origin="cji-worker/worker-1", key=WEEK.key)
    early = parse_checkpoint(next(iter(_notes())))
    with indexed(trail) as index:
        for note, words in (
            (fork.note(), "forked or rewritten"),
            (other.note(), "another trail"),
            (longer.note(), "it was cut, or is older|the trail has"),
            (unrecorded, "does not record"),
        ):
            with pytest.raises(ProofError, match=words):
                prove_line(index, 5, parse_checkpoint(note))
            with pytest.raises(ProofError, match=words):
                prove_continued(index, early, parse_checkpoint(note))
        with pytest.raises(ProofError, match="does not cover"):
            prove_line(index, len(WEEK.lines), early)
        with pytest.raises(ProofError, match="the earlier checkpoint is of"):
            prove_continued(index, parse_checkpoint(list(_notes())[3]), early)
        with pytest.raises(ProofError, match="no line"):
            prove_line(index, len(WEEK.lines) + 1)
        with pytest.raises(ProofError, match="no checkpoint covers line"):
            prove_line(index, len(WEEK.lines))


def _notes() -> Iterator[bytes]:
    for line in WEEK.lines:
        event = read(line).event
        if isinstance(event, TrailCheckpoint):
            yield event.note.encode()


def _tree(lines: list[bytes]) -> Frontier:
    tree = Frontier()
    for line in lines:
        tree.append(leaf_hash(line))
    return tree


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 10_000, b" " * 400_000])
def test_what_is_no_proof(data: bytes) -> None:
    with pytest.raises(ProofError):
        decode_proof(data)


def test_checkpoints_of_two_trails_prove_nothing(trail: Path) -> None:
    one, two = short_tree("worker-1"), short_tree("worker-2")
    proof = ConsistencyProof(earlier=one.note().decode(), later=two.note().decode(), proof=())
    with pytest.raises(ProofError, match="different trails"):
        verify_continued(proof, {**one.keys, **two.keys})


def short_tree(worker: str) -> Writer:
    writer = Writer(worker=worker)
    writer.start()
    return writer


def test_a_proof_has_one_form(trail: Path) -> None:
    data = encode_proof(proven(trail))
    members = json.loads(data)
    reordered = json.dumps(dict(reversed(members.items())), separators=(",", ":")).encode() + b"\n"
    for other in (data[:-1], data + b"\n", data.replace(b'":', b'": ', 1), reordered, json.dumps(members).encode()):
        assert json.loads(other) == members
        with pytest.raises(ProofError, match="one form"):
            decode_proof(other)
