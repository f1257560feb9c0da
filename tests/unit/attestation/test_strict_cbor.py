"""CBOR from strangers: one reading of every byte string, within bounds, or a refusal."""

from typing import Any

import cbor2
import pytest

from cji_attestation.appraisal.corim.cose import MAX_DEPTH, CoseError, parse_cbor

TAGS = frozenset({1, 37, 111, 501})


def parse(data: bytes, *, limit: int = 1 << 16) -> Any:
    return parse_cbor(data, limit=limit, tags=TAGS)


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**64 - 1, b"", b"x" * 300, "text", "é", [], [1, [2, [b"3"]]], {}, {1: {"a": None}}, True, False, None],
)
def test_what_is_read(value: Any) -> None:
    assert parse(cbor2.dumps(value)) == value


def test_tags_are_kept_with_their_numbers() -> None:
    for number, content in ((1, 5), (37, b"u" * 16), (111, b"\x2a"), (501, {0: cbor2.CBORTag(1, 6)})):
        found = parse(cbor2.dumps(cbor2.CBORTag(number, content)))
        assert (found.tag, found.value) == (number, content)


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "00 00",  # something behind the value
        "18 01",  # not the shortest form
        "19 00 18",
        "58 01 00",
        "98 01 00",
        "b8 01 00 00",
        "d9 00 6f 00",
        "18",  # a head without its argument
        "42 00",  # shorter than it says
        "5b ff ff ff ff ff ff ff ff 00",  # much shorter
        "9b 7f ff ff ff ff ff ff ff 00",  # an array of 2^63
        "82 00",  # an array that ends early
        "a1 00",  # a map that ends early
        "9f 00 ff",  # open length: array
        "bf 00 00 ff",  # map
        "5f 41 00 ff",  # bytes
        "7f 61 61 ff",  # text
        "1c",  # reserved
        "f9 3c 00",  # 1.0
        "fb 3f f0 00 00 00 00 00 00",
        "f7",  # undefined
        "f8 20",  # simple value 32
        "e0",  # simple value 0
        "ff",  # break
        "c0 74 32303133 2d30332d32315432303a30343a30305a",  # a tag that nobody named
        "d8 23 61 61",  # a regular expression
        "d8 1c 81 d8 1d 00",  # a value that contains itself
        "a2 01 00 01 01",  # a key twice
        "a2 01 00 18 01 01",  # twice, in two forms
        "a2 01 00 f5 01",  # true is not 1
        "a1 41 00 00",  # keys of other kinds
        "a1 f6 00",
        "a1 80 00",
        "a1 d8 6f 00 00",
        "62 c3 28",  # text that is not UTF-8
        "63 ed a0 80",  # half of a surrogate pair
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(CoseError):
        parse(bytes.fromhex(text))


def test_bounds() -> None:
    for deep in (b"\x81" * MAX_DEPTH + b"\x00", b"\xa1\x00" * MAX_DEPTH + b"\x00"):
        assert parse(deep)
    for head in (b"\x81", b"\xa1\x00", b"\xd8\x6f"):
        data = head * (MAX_DEPTH + 1) + b"\x00"
        with pytest.raises(CoseError):
            parse(data)
    assert parse(b"\x43abc", limit=4) == b"abc"
    with pytest.raises(CoseError):
        parse(b"\x43abc", limit=3)
