"""Counts and digests of a part, segment by segment, against the whole part looked at once."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.envelope import DEK_BYTES, FLOE_HEADER_BYTES, OVERHEAD_BYTES, Sealer
from cji_worker.ipc import PartCounter, PartDigester
from cji_worker.ipc.messages import CountedPart, SealedPart

PAYLOAD = 40
TAG = 16


def twin(part: bytes, lengths: list[int]) -> SealedPart:
    """From the whole ciphertext and the lengths of the plaintexts of its segments."""
    tags, at = b"", FLOE_HEADER_BYTES
    for length in lengths:
        at += length + OVERHEAD_BYTES
        tags += part[at - TAG : at]
    assert at == len(part)
    counted = CountedPart(segments=len(lengths), bytes=len(part), tags_sha256=hashlib.sha256(tags).digest())
    return SealedPart(sha256=hashlib.sha256(part).digest(), counted=counted)


@given(plain=st.binary(max_size=6 * PAYLOAD))
def test_a_digester_counts_what_the_twin_counts(plain: bytes) -> None:
    sealer = Sealer(bytes(DEK_BYTES), b"aad", segment=PAYLOAD + OVERHEAD_BYTES)
    pieces = [plain[at : at + PAYLOAD] for at in range(0, len(plain), PAYLOAD)] or [b""]
    segments = [sealer.seal(piece, last=piece is pieces[-1]) for piece in pieces]
    segments[0] = sealer.header + segments[0]
    counter, digester = PartCounter(), PartDigester()
    for segment in segments:
        counter.add(memoryview(segment))
        digester.add(memoryview(segment))
    expected = twin(b"".join(segments), [len(piece) for piece in pieces])
    assert digester.sealed() == expected
    assert counter.counted() == expected.counted


@given(
    segments=st.lists(st.binary(min_size=TAG, max_size=48), min_size=2, max_size=6, unique_by=lambda s: s[-TAG:]),
    data=st.data(),
)
def test_no_other_order_or_number_of_segments_counts_alike(segments: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(segments) - 1))
    dropped = segments[:at] + segments[at + 1 :]
    repeated = segments[: at + 1] + segments[at:]
    exchanged = segments[1:] + segments[:1]
    counts = {_counted(each) for each in (tuple(segments), *map(tuple, (dropped, repeated, exchanged)))}
    assert len(counts) == 4


def _counted(segments: tuple[bytes, ...]) -> tuple[int, bytes]:
    counter = PartCounter()
    for segment in segments:
        counter.add(memoryview(segment))
    found = counter.counted()
    return found.segments, found.tags_sha256
