"""Any bytes into a reader of the audit room give a value or that room's own error."""

import contextlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from cji_core.jose import parse_canonical_verifying
from cji_core.trail import (
    GENESIS,
    ChainError,
    Expected,
    Head,
    ReceiptError,
    WorkerStopped,
    append_record,
    utc_hundredths,
    verify_chain,
    verify_next,
    verify_receipt,
)

PUBLIC = ec.generate_private_key(ec.SECP384R1()).public_key()


@given(st.binary(max_size=400))
@example(b"[" * 50_000 + b"\n")
@example(b'{"seq":1}\n')
def test_any_line_is_no_record(line: bytes) -> None:
    with contextlib.suppress(ChainError):
        verify_next(line, head=GENESIS, number=1)
        raise AssertionError("hardly")


@given(st.text(max_size=400) | st.binary(max_size=100).map(lambda b: b.hex() + "." + b.hex() + "." + b.hex()))
def test_any_text_is_no_receipt(text: str) -> None:
    with contextlib.suppress(ReceiptError):
        verify_receipt(text, key=PUBLIC, expected=Expected(simulated=False))
        raise AssertionError("hardly")


@given(st.text(max_size=200))
def test_any_text_is_no_receipt_key(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_canonical_verifying(text)
        raise AssertionError("hardly")


@given(counts=st.lists(st.integers(0, (1 << 63) - 1), max_size=20), drop=st.integers(0, 18))
def test_a_chain_verifies_and_misses_any_line_that_is_taken_out(counts: list[int], drop: int) -> None:
    head: Head = GENESIS
    lines: list[bytes] = []
    for count in counts:
        head, line = append_record(
            WorkerStopped(jobs_completed=count), head=head, time="2026-11-24T15:00:00.00Z", worker="w"
        )
        lines.append(line)
    assert verify_chain(lines) == head
    if drop < len(lines) - 1:
        with pytest.raises(ChainError) as caught:
            verify_chain(lines[:drop] + lines[drop + 1 :])
        assert (caught.value.line, caught.value.field) == (drop + 1, "seq")


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
def test_times_sort_as_their_texts(moment: datetime) -> None:
    text = utc_hundredths(moment)
    back = datetime.strptime(text[:-1] + "0000+0000", "%Y-%m-%dT%H:%M:%S.%f%z")
    assert 0 <= (moment - back).total_seconds() < 0.01
