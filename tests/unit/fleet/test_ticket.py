import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.pool.ticket import MAX_BYTES, Ticket, TicketError, decode

HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)
DIGEST = st.binary(min_size=48, max_size=48).map(bytes.hex)
GOOD = {"v": 1, "job": "ab" * 16, "header_sha384": "cd" * 48}


@given(HEX, DIGEST)
def test_a_ticket_is_read_as_it_was_written(job: str, digest: str) -> None:
    ticket = Ticket(job=job, header_sha384=digest)
    assert decode(ticket.encode()) == ticket
    assert json.loads(ticket.encode()) == {"v": 1, "job": job, "header_sha384": digest}


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://evil.example"},
        {"container": "other"},
        {"kek_id": "https://evil.vault.azure.net/keys/k/1"},
        {"v": 2},
        {"job": "AB" * 16},
        {"job": "ab" * 15},
        {"job": "../" + "ab" * 14},
        {"job": "ab" * 16 + "\n"},
        {"header_sha384": "cd" * 32},
        {"header_sha384": None},
    ],
)
def test_a_ticket_with_anything_else_is_none(change: dict[str, object]) -> None:
    with pytest.raises(TicketError):
        decode(json.dumps({**GOOD, **change}, separators=(",", ":")))


def test_a_ticket_has_one_text() -> None:
    text = json.dumps(GOOD, separators=(",", ":"))
    decode(text)
    for other in (json.dumps(GOOD), text + " ", "\ufeff" + text, text.replace("ab", "\\u0061b", 1), "[" * 500):
        with pytest.raises(TicketError):
            decode(other)
    with pytest.raises(TicketError):
        decode(text + " " * MAX_BYTES)


@given(st.text(max_size=600))
def test_no_text_is_worse_than_refused(text: str) -> None:
    try:
        found = decode(text)
    except TicketError:
        return
    assert found.encode() == text
