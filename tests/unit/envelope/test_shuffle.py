"""Shuffle streams: known answers, padding beside a slow twin, and what belongs to a name."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.envelope import (
    NO_PLAN,
    OVERHEAD_BYTES,
    SHUFFLE_MIN_BYTES,
    SHUFFLE_SEGMENT_BYTES,
    Sealer,
    Unsealer,
    bucket_key,
    open_box,
    open_result_key,
    padding,
    seal_result_key,
    shuffle_aad,
    shuffle_key,
    statement_key,
    statement_proof,
)

DEK = bytes(range(32))
HEADER, PLAN = hashlib.sha384(b"header").digest(), hashlib.sha384(b"plan").digest()


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 section 2.3, by hand."""
    found, block, counter = b"", b"", 0
    while len(found) < length:
        counter += 1
        block = hmac.new(key, block + info + bytes([counter]), "sha384").digest()
        found += block
    return found[:length]


def test_keys_are_those_of_the_document() -> None:
    assert shuffle_key(DEK, HEADER, PLAN) == expand(DEK, b"cji-shuffle-key/1\0" + HEADER + PLAN, 32)
    assert bucket_key(DEK, HEADER) == expand(DEK, b"cji-bucket-key/1\0" + HEADER, 32)
    assert statement_key(DEK, HEADER) == expand(DEK, b"cji-statement-key/1\0" + HEADER, 48)
    assert statement_proof(b"k" * 48, b"facts") == hmac.new(b"k" * 48, b"facts", "sha384").digest()


def test_known_answers() -> None:
    assert shuffle_key(DEK, HEADER, NO_PLAN).hex() == "bd54bec6472863b5cd0df1575408b38065bf0402fe6e16a35047031e2415449b"
    assert bucket_key(DEK, HEADER).hex() == "1ccfc18c17f7df82194de5b973fec833ef6dd50758d2c885503d557889be4392"
    assert shuffle_aad(PLAN, edge=1, producer=2, consumer=0xFFFFFFFF) == (
        b"cji-shuffle/1\0" + PLAN + bytes.fromhex("0000000100000002ffffffff")
    )


def sealed_bytes(plain: int) -> int:
    """The length of a sealed stream, segment by segment."""
    length, left = 74, plain
    while True:
        own = min(left, SHUFFLE_SEGMENT_BYTES - OVERHEAD_BYTES)
        length, left = length + own + OVERHEAD_BYTES, left - own
        if not left:
            return length


@given(st.integers(1, 1 << 21))
def test_padding_makes_a_power_of_two(plain: int) -> None:
    whole = sealed_bytes(plain + padding(plain))
    assert whole.bit_count() == 1
    assert whole >= SHUFFLE_MIN_BYTES
    least = max(SHUFFLE_MIN_BYTES, 1 << (sealed_bytes(plain) - 1).bit_length())
    assert whole == least


@pytest.mark.parametrize("whole", [1 << n for n in range(12, 20)])
def test_padding_at_its_edges(whole: int) -> None:
    most = whole - 74 - OVERHEAD_BYTES * -(-(whole - 74) // SHUFFLE_SEGMENT_BYTES)
    assert padding(most) == 0
    assert sealed_bytes(most) == whole
    assert sealed_bytes(most + 1 + padding(most + 1)) == 2 * whole


NAMES = st.tuples(*(st.integers(0, 0xFFFFFFFF),) * 3)


@given(NAMES, NAMES, st.booleans())
def test_a_stream_opens_under_its_own_name_only(
    own: tuple[int, int, int], other: tuple[int, int, int], other_plan: bool
) -> None:
    plans = (PLAN, NO_PLAN if other_plan else PLAN)
    aads = [
        shuffle_aad(plan, edge=edge, producer=producer, consumer=consumer)
        for plan, (edge, producer, consumer) in zip(plans, (own, other), strict=True)
    ]
    key = shuffle_key(DEK, HEADER, PLAN)
    sealer = Sealer(key, aads[0], segment=SHUFFLE_SEGMENT_BYTES)
    if own == other and not other_plan:
        Unsealer(key, aads[1], sealer.header, segment=SHUFFLE_SEGMENT_BYTES)
        return
    with pytest.raises(Refusal) as caught:
        Unsealer(key, aads[1], sealer.header, segment=SHUFFLE_SEGMENT_BYTES)
    assert caught.value.reason is Reason.SEGMENT_INVALID


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_result_key_opens_with_its_plan_only(facts: bytes, others: bytes) -> None:
    sealed = seal_result_key(DEK, facts, b"r" * 32)
    assert len(sealed) == 60
    assert open_result_key(DEK, facts, sealed) == b"r" * 32
    assert open_box(DEK, b"plan\0" + hashlib.sha384(facts).digest(), sealed) == b"r" * 32
    if facts != others:
        with pytest.raises(Refusal):
            open_result_key(DEK, others, sealed)
    with pytest.raises(Refusal):
        open_result_key(bytes(32), facts, sealed)
