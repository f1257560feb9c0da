"""FLOE against a slow, obvious twin that is written from docs/format.md §3 and shares no code with the worker."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Refusal
from cji_core.format.envelope import FLOE_HEADER_BYTES, Sealer, Unsealer
from tests.support.refusals import refused

SEGMENTS = st.sampled_from([33, 40, 64, 4096])
KEYS = st.binary(min_size=32, max_size=32)


def expand(prk: bytes, info: bytes, n: int) -> bytes:
    """HKDF-Expand with SHA-384 (RFC 5869 §2.3)."""
    out, block = b"", b""
    for i in range(1, 256):
        if len(out) >= n:
            break
        block = hmac.digest(prk, block + info + bytes([i]), hashlib.sha384)
        out += block
    return out[:n]


def twin_open(key: bytes, aad: bytes, data: bytes, segment: int, rotation_bits: int) -> bytes | None:
    """The plaintext of a whole stream, or None when any rule of §3 is broken."""
    p, iv, tag = data[:10], data[10:42], data[42:74]
    if p != struct.pack(">BBII", 0, 0, segment, 32) or tag != expand(key, p + iv + b"HEADER_TAG:" + aad, 32):
        return None
    mk = expand(key, p + iv + b"MESSAGE_KEY:" + aad, 48)
    plain, at, i = b"", 74, 0
    while True:
        mark = data[at : at + 4]
        if len(mark) < 4:
            return None
        last = mark != b"\xff\xff\xff\xff"
        size = struct.unpack(">I", mark)[0] if last else segment
        body = data[at : at + size]
        if len(body) != size or not 32 <= size <= segment:
            return None
        dek = expand(mk, p + iv + b"DEK:" + struct.pack(">Q", i >> rotation_bits << rotation_bits) + aad, 32)
        try:
            plain += AESGCM(dek).decrypt(body[4:16], body[16:], struct.pack(">QB", i, last))
        except InvalidTag:
            return None
        at, i = at + size, i + 1
        if last:
            return plain if at == len(data) else None


def ours_seal(key: bytes, aad: bytes, plain: bytes, segment: int, rotation_bits: int, *, empty_end: bool) -> bytes:
    sealer = Sealer(key, aad, segment=segment, rotation_bits=rotation_bits)
    pieces = [plain[i : i + sealer.payload] for i in range(0, len(plain), sealer.payload)] or [b""]
    if empty_end and len(pieces[-1]) == sealer.payload:
        pieces.append(b"")
    return sealer.header + b"".join(sealer.seal(x, last=i == len(pieces) - 1) for i, x in enumerate(pieces))


def ours_open(key: bytes, aad: bytes, data: bytes, segment: int, rotation_bits: int) -> bytes | None:
    try:
        stream = Unsealer(key, aad, data[:FLOE_HEADER_BYTES], segment=segment, rotation_bits=rotation_bits)
        out, plain, at = memoryview(bytearray(segment)), b"", FLOE_HEADER_BYTES
        while at < len(data) or not stream.complete:
            size = segment if data[at : at + 4] == b"\xff\xff\xff\xff" else int.from_bytes(data[at : at + 4], "big")
            n = stream.unseal_into(out, memoryview(data)[at : at + size])
            plain, at = plain + bytes(out[:n]), at + size
    except Refusal:
        return None
    return plain


@given(
    key=KEYS,
    aad=st.binary(max_size=80),
    plain=st.binary(max_size=300),
    segment=SEGMENTS,
    bits=st.integers(0, 3),
    empty=st.booleans(),
)
def test_what_we_seal_the_twin_opens(
    key: bytes, aad: bytes, plain: bytes, segment: int, bits: int, *, empty: bool
) -> None:
    sealed = ours_seal(key, aad, plain, segment, bits, empty_end=empty)
    assert twin_open(key, aad, sealed, segment, bits) == plain
    assert ours_open(key, aad, sealed, segment, bits) == plain


@given(
    plain=st.binary(max_size=120),
    bits=st.integers(0, 2),
    cut=st.tuples(st.integers(0, 400), st.integers(0, 400)),
    insert=st.binary(max_size=40),
    other=st.binary(max_size=60),
)
def test_altered_streams_open_for_neither(
    plain: bytes, bits: int, cut: tuple[int, int], insert: bytes, other: bytes
) -> None:
    """Cut a piece out, put another in: both refuse unless the bytes are those of the original."""
    key = bytes(32)
    sealed = ours_seal(key, b"", plain, 40, bits, empty_end=False)
    donor = ours_seal(key, b"", other, 40, bits, empty_end=False)
    low, high = sorted(min(c, len(sealed)) for c in cut)
    for piece in (b"", insert, donor[low:high]):
        altered = sealed[:low] + piece + sealed[high:]
        expected = twin_open(key, b"", altered, 40, bits)
        assert ours_open(key, b"", altered, 40, bits) == expected
        if altered not in (sealed, donor):
            assert expected is None


@given(data=st.binary(max_size=400), segment=SEGMENTS)
def test_any_bytes_open_or_are_refused(data: bytes, segment: int) -> None:
    assert ours_open(bytes(32), b"", data, segment, 20) is None


@given(mark=st.binary(min_size=4, max_size=4), body=st.binary(max_size=80))
def test_any_segment_is_refused_and_leaves_nothing(mark: bytes, body: bytes) -> None:
    sealer = Sealer(bytes(32), b"", segment=64)
    out = memoryview(bytearray(b"\x5a" * 64))
    with refused():
        Unsealer(bytes(32), b"", sealer.header, segment=64).unseal_into(out, memoryview(mark + body))
    assert set(bytes(out)) <= {0, 0x5A}
