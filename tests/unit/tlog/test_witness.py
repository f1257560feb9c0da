"""Each answer of a witness that C2SP tlog-witness names, and what it must not do in each case."""

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cji_audit.tlog.http_server import Answer, Request
from cji_audit.tlog.witness import Witness, WitnessState
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, NoteSigner, new_signers
from cji_core.tlog.requests import SIZE_TYPE, encode_body
from cji_core.trail.checkpoint import Checkpoint, parse_signatures
from cji_core.trail.merkle import consistency_proof
from tests.support.tlog_site import ORIGIN, root_of_lines, subtree_of

LINES = [b"%d" % number for number in range(9)]
LOG, OTHER = new_signers(ORIGIN, LOG_TYPES), new_signers(ORIGIN, LOG_TYPES)
SIGNERS = new_signers("w.example/1", WITNESS_TYPES)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    state = WitnessState(tmp_path / "w.db")
    yield Witness(state, SIGNERS, {ORIGIN: [each.key for each in LOG]})
    state.close()


def note(size: int, *, lines: Sequence[bytes] = LINES, by: Sequence[NoteSigner] = LOG, origin: str = ORIGIN) -> bytes:
    root = root_of_lines(lines[:size])
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
    bare = Checkpoint(origin=origin, size=size, root=root, text=text, signatures=())
    made = "".join(each.sign(bare, at=5).line() for each in by).encode()
    return bare.text + b"\n" + made


def asked(witness: Witness, old: int, text: bytes, proof: Sequence[bytes] = ()) -> Answer:
    request = Request(method="POST", path="/add-checkpoint", body=encode_body(old, proof, text), authorization=None)
    return witness(request)


def proven(old: int, size: int) -> list[bytes]:
    return consistency_proof(old, size, subtree_of(LINES))


def test_it_cosigns_a_log_that_grows(witness: Witness) -> None:
    for old, size in ((0, 3), (3, 8), (8, 8)):
        answer = asked(witness, old, note(size), proven(old, size) if 0 < old < size else ())
        assert answer.status == 200
        assert {each.name for each in parse_signatures(answer.body)} == {"w.example/1"}


def test_it_answers_by_the_specification(witness: Witness) -> None:
    assert asked(witness, 0, note(3)).status == 200
    assert asked(witness, 3, note(8, origin="x.example"), proven(3, 8)).status == 404
    assert asked(witness, 3, note(8, by=OTHER), proven(3, 8)).status == 403
    wrong = note(8).split(b"\n\n")[0] + b"\n\n" + note(7).split(b"\n\n")[1]  # signatures on another checkpoint
    assert asked(witness, 3, wrong, proven(3, 8)).status == 403
    assert asked(witness, 9, note(8), proven(3, 8)).status == 400
    assert witness(Request(method="POST", path="/add-checkpoint", body=b"old", authorization=None)).status == 400
    for old in (0, 2, 4):
        answer = asked(witness, old, note(8), proven(3, 8))
        assert (answer.status, answer.body, answer.kind) == (409, b"3\n", SIZE_TYPE)
    assert asked(witness, 3, note(8), proven(2, 8)).status == 422
    assert asked(witness, 3, note(8)).status == 422
    other = asked(witness, 3, note(3, lines=LINES[1:]))
    assert (other.status, other.body) == (409, b"")
    assert asked(witness, 3, note(8), proven(3, 8)).status == 200  # none of it changed the record


def test_an_empty_log_has_the_empty_root(witness: Witness) -> None:
    false = note(0).replace(base64.b64encode(root_of_lines([])), base64.b64encode(bytes(32)))
    assert asked(witness, 0, false).status == 403  # another text than the signed one
    assert asked(witness, 0, note(0), [bytes(32)]).status == 422
    assert asked(witness, 0, note(0)).status == 200
    assert asked(witness, 0, note(3), [bytes(32)]).status == 422
    assert asked(witness, 0, note(3)).status == 200


def test_nobody_else_writes_while_a_witness_decides(tmp_path: Path) -> None:
    """By a name of its own, a second process would pass the lock beside the state: the file itself has one writer."""
    state = WitnessState(tmp_path / "w.db")
    (tmp_path / "other.db").symlink_to("w.db")
    other = WitnessState(tmp_path / "other.db")
    other._db.execute("PRAGMA busy_timeout = 0")
    reader = WitnessState(tmp_path / "w.db", reads=True)
    with state.deciding():
        assert reader.sizes() == []
        with pytest.raises(sqlite3.OperationalError), other.deciding():
            pass
    with pytest.raises(sqlite3.OperationalError):
        reader._all("DELETE FROM log")
    for each in (state, other, reader):
        each.close()


def test_a_reader_undoes_one_decision_at_most(witness: Witness, tmp_path: Path) -> None:
    """A backup or a shell holds the file: nothing can be written meanwhile, and nothing of it is left."""
    assert asked(witness, 0, note(3)).status == 200
    witness._state._db.execute("PRAGMA busy_timeout = 0")
    reader = WitnessState(tmp_path / "w.db", reads=True)
    with closing(reader):
        reader._db.execute("BEGIN")
        assert reader.sizes() == [(ORIGIN, 3)]
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                asked(witness, 3, note(8), proven(3, 8))
            assert witness._state.sizes() == [(ORIGIN, 3)]
    assert asked(witness, 3, note(8), proven(3, 8)).status == 200
