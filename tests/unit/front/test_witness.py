"""What the front lets a cell pass on, and what it states afterwards."""

import hashlib
from collections.abc import Callable

import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.job import LIMITS
from cji_worker.front.witness import Witness
from cji_worker.ipc.messages import CHUNK
from tests.support.refusals import refused

HEADER = bytes(LIMITS.floe_header_bytes)
FULL = b"\xff\xff\xff\xff" + bytes(LIMITS.segment_bytes - 4)
LAST = b"\x00\x00\x00\x20" + bytes(28)
DIGEST = hashlib.sha384(b"header").digest()


def view(*pieces: bytes) -> memoryview:
    return memoryview(b"".join(pieces))


def opened() -> Witness:
    witness = Witness(inputs=1, outputs=2)
    witness.opened(DIGEST)
    return witness


def complete() -> Witness:
    witness = opened()
    witness.received(0, view(HEADER, LAST))
    witness.finished = True
    assert witness.sent(1, 0, view(HEADER, LAST))
    assert not witness.sent(0, 0, view(HEADER, FULL))
    assert witness.sent(0, 1, view(LAST))
    return witness


def test_a_statement_has_what_passed() -> None:
    statement = complete().statement(7)
    assert statement.call == 7
    assert statement.result_header_sha384 == hashlib.sha384(b"header").digest()
    (part,), (first, second) = statement.inputs, statement.outputs
    assert part == second
    assert (first.counted.segments, first.counted.bytes) == (2, len(HEADER) + len(FULL) + len(LAST))
    assert first.sha256 == hashlib.sha256(HEADER + FULL + LAST).digest()
    assert first.counted.tags_sha256 == hashlib.sha256(FULL[-16:] + LAST[-16:]).digest()


WRONG: dict[str, Callable[[Witness], object]] = {
    "a second header": lambda w: w.opened(DIGEST),
    "another part": lambda w: w.sent(2, 0, view(HEADER, LAST)),
    "not from its start": lambda w: w.sent(0, 1, view(LAST)),
    "shorter than its header": lambda w: w.sent(0, 0, view(HEADER[:-1])),
    "shorter than a segment": lambda w: w.sent(0, 0, view(HEADER, LAST[:-1])),
    "not last and not full": lambda w: w.sent(0, 0, view(HEADER, FULL[:-1])),
    "longer than a segment": lambda w: w.sent(0, 0, view(HEADER, LAST, FULL)),
    "nothing": lambda w: w.sent(0, 0, view()),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_cell_out_of_order_ends_the_job(wrong: str) -> None:
    with refused(Reason.CELL_FAILED, stage=Stage.COMPUTE):
        WRONG[wrong](opened())


@pytest.mark.parametrize("digest", [b"", bytes(47)])
def test_a_result_header_has_a_whole_digest(digest: bytes) -> None:
    with refused(Reason.CELL_FAILED):
        Witness(inputs=1, outputs=1).opened(digest)


def test_only_the_result_header_that_was_named_is_sent() -> None:
    assert opened().is_result_header(b"header")
    assert not opened().is_result_header(b"another")
    assert not Witness(inputs=1, outputs=1).is_result_header(b"header")


def test_no_segment_comes_before_the_result_header() -> None:
    with refused(Reason.CELL_FAILED):
        Witness(inputs=1, outputs=1).sent(0, 0, view(HEADER, LAST))


def test_nothing_follows_the_last_segment_of_a_part() -> None:
    with refused(Reason.CELL_FAILED):
        complete().sent(0, 2, view(LAST))


def test_no_statement_before_the_input_is_complete() -> None:
    witness = complete()
    witness.finished = False
    with refused(Reason.CELL_FAILED):
        witness.statement(1)


def test_no_statement_before_every_output_is_complete() -> None:
    witness = opened()
    witness.finished = True
    witness.sent(0, 0, view(HEADER, LAST))
    with refused(Reason.CELL_FAILED):
        witness.statement(1)


SMALL = b"\xff\xff\xff\xff" + bytes(LIMITS.shuffle_segment_bytes - 4)


def of_task(*, inputs: int = 1, outputs: int = 3, small: int = 2) -> Witness:
    witness = Witness(inputs=inputs, outputs=outputs, small_outputs=small)
    witness.opened(b"")
    return witness


def test_a_task_has_small_segments_and_no_header() -> None:
    witness = of_task()
    assert [witness.is_small(part) for part in range(3)] == [True, True, False]
    assert not witness.sent(0, 0, view(HEADER, SMALL))
    assert not witness.sent(2, 0, view(HEADER, FULL))
    with refused(Reason.CELL_FAILED):
        of_task().sent(0, 0, view(HEADER, FULL))
    with refused(Reason.CELL_FAILED):
        of_task().sent(2, 0, view(HEADER, SMALL))
    with refused(Reason.CELL_FAILED):
        Witness(inputs=1, outputs=1, small_outputs=1).opened(DIGEST)
    with refused(Reason.CELL_FAILED):
        Witness(inputs=1, outputs=1, small_outputs=1).sent(0, 0, view(HEADER, LAST))


def test_the_statement_about_a_task_comes_in_pieces() -> None:
    witness = of_task(inputs=2 * CHUNK + 1, outputs=CHUNK + 2, small=CHUNK + 2)
    for part in range(2 * CHUNK + 1):
        witness.received(part, view(HEADER, LAST, part.to_bytes(16, "big")))
    witness.finished = True
    for part in range(CHUNK + 2):
        assert witness.sent(part, 0, view(HEADER, LAST))
    pieces = witness.streams(5)
    assert [(len(piece.inputs), len(piece.outputs)) for piece in pieces] == [(CHUNK, CHUNK), (CHUNK, 2), (1, 0)]
    assert len({part.counted.tags_sha256 for piece in pieces for part in piece.inputs}) == 2 * CHUNK + 1
    last = witness.statement(5)
    assert (last.call, last.inputs, last.outputs) == (5, (), ())
    assert complete().streams(7) == []


def test_a_task_without_any_stream() -> None:
    witness = of_task(inputs=0, outputs=0, small=0)
    with refused(Reason.CELL_FAILED):
        witness.streams(1)
    witness.finished = True
    assert witness.streams(1) == []
    assert witness.statement(1).inputs == ()
