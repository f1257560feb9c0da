"""FLOE streams: what must not open does not open, and says nothing about why."""

import ast
import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_core.errors import Reason
from cji_core.format.envelope import (
    FLOE_HEADER_BYTES,
    OVERHEAD_BYTES,
    SEGMENT_BYTES,
    Sealer,
    Unsealer,
    input_aad,
    output_aad,
)
from tests.support.parsing import parsed
from tests.support.paths import PACKAGES
from tests.support.refusals import refused

KEY, AAD, SEGMENT = bytes(range(32)), b"aad", 64
PAYLOAD = SEGMENT - OVERHEAD_BYTES


def seal(*plaintexts: bytes, key: bytes = KEY, aad: bytes = AAD, rotation_bits: int = 20) -> tuple[bytes, list[bytes]]:
    sealer = Sealer(key, aad, segment=SEGMENT, rotation_bits=rotation_bits)
    last = len(plaintexts) - 1
    return sealer.header, [sealer.seal(plain, last=i == last) for i, plain in enumerate(plaintexts)]


def unseal(
    header: bytes, segments: list[bytes], *, key: bytes = KEY, aad: bytes = AAD, rotation_bits: int = 20
) -> bytes:
    stream = Unsealer(key, aad, header, segment=SEGMENT, rotation_bits=rotation_bits)
    out, plain = memoryview(bytearray(SEGMENT)), b""
    for segment in segments:
        n = stream.unseal_into(out, memoryview(segment))
        plain += bytes(out[:n])
    if not stream.complete:
        raise EOFError
    return plain


def invalid(header: bytes, segments: list[bytes], **options: bytes) -> None:
    with refused(Reason.SEGMENT_INVALID) as caught:
        unseal(header, segments, **options)  # type: ignore[arg-type]
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


FULL = [bytes([65 + i]) * PAYLOAD for i in range(4)]


@pytest.fixture
def stream() -> tuple[bytes, list[bytes]]:
    return seal(*FULL, b"end")


def test_opens(stream: tuple[bytes, list[bytes]]) -> None:
    assert unseal(*stream) == b"".join(FULL) + b"end"
    assert [len(s) for s in stream[1]] == [SEGMENT] * 4 + [OVERHEAD_BYTES + 3]


def test_empty_stream_is_one_empty_last_segment() -> None:
    header, segments = seal(b"")
    assert (len(header), len(segments[0])) == (FLOE_HEADER_BYTES, OVERHEAD_BYTES)
    assert unseal(header, segments) == b""


def test_last_segment_may_be_full() -> None:
    header, segments = seal(FULL[0], FULL[1])
    assert unseal(header, segments) == FULL[0] + FULL[1]


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3, 4], [0, 0, 1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 3, 4, 4], [4], [0, 1, 2, 4], [0, 1, 2, 3, 4, 0]],
    ids=["swapped", "duplicated", "dropped", "appended", "last first", "one dropped before last", "wrapped"],
)
def test_reordered_streams_are_refused(stream: tuple[bytes, list[bytes]], order: list[int]) -> None:
    header, segments = stream
    invalid(header, [segments[i] for i in order])


def test_truncated_stream_is_never_complete(stream: tuple[bytes, list[bytes]]) -> None:
    header, segments = stream
    for n in range(len(segments)):
        with pytest.raises(EOFError):
            unseal(header, segments[:n])


def test_spliced_streams_are_refused(stream: tuple[bytes, list[bytes]]) -> None:
    header, segments = stream
    _, other = seal(*FULL, b"end")
    invalid(header, [segments[0], other[1]])
    invalid(header, other)


def test_segment_after_a_refused_one_is_refused_too(stream: tuple[bytes, list[bytes]]) -> None:
    header, segments = stream
    unsealer = Unsealer(KEY, AAD, header, segment=SEGMENT)
    out = memoryview(bytearray(SEGMENT))
    for bad in (segments[1], segments[0]):
        with refused(Reason.SEGMENT_INVALID):
            unsealer.unseal_into(out, memoryview(bad))
    assert not unsealer.complete


def test_every_flipped_bit_is_refused() -> None:
    header, [segment] = seal(b"x")
    for at in range(8 * len(header)):
        invalid(_flip(header, at), [segment])
    for at in range(8 * len(segment)):
        invalid(header, [_flip(segment, at)])


def test_other_key_and_other_aad_are_refused_at_the_header(stream: tuple[bytes, list[bytes]]) -> None:
    invalid(stream[0], [], key=bytes(32))
    invalid(stream[0], [], aad=b"other")


def test_part_number_and_direction_are_in_the_aad() -> None:
    digest = bytes(48)
    aads = {input_aad(digest, 0), input_aad(digest, 1), output_aad(digest, 0), output_aad(digest, 1)}
    assert len(aads) == 4
    assert input_aad(digest, 1) == b"cji-part/1\0" + digest + b"\0\0\0\x01"


def test_e10_wrong_lengths_are_refused(stream: tuple[bytes, list[bytes]]) -> None:
    header, segments = stream
    for bad in (
        b"",
        bytes(4),
        bytes(31),
        segments[0][:-1],
        segments[0] + b"\0",
        segments[-1][:-1],
        segments[-1] + b"\0",
    ):
        invalid(header, [bad])
    for n in (0, 73, 75):
        invalid((header + b"\0")[:n], segments)


def test_e10_marks_that_contradict_the_length_are_refused(
    stream: tuple[bytes, list[bytes]],
) -> None:
    header, segments = stream
    invalid(header, [b"\xff\xff\xff\xff" + segments[-1][4:]])
    invalid(header, [struct.pack(">I", SEGMENT) + segments[0][4:]])
    invalid(header, [struct.pack(">I", SEGMENT + 1) + segments[0][4:]])


def test_e04_other_parameters_are_refused(stream: tuple[bytes, list[bytes]]) -> None:
    header, segments = stream
    for prefix in (b"\x01\0" + header[2:10], b"\0\x01" + header[2:10], struct.pack(">BBII", 0, 0, 128, 32)):
        invalid(prefix + header[10:], segments)


def test_bad_tag_leaves_no_plaintext() -> None:
    header, [segment] = seal(b"canary-canary-canary")
    bad = memoryview(bytearray(segment))
    bad[-1] ^= 1
    out = memoryview(bytearray(b"\xaa" * SEGMENT))
    with refused(Reason.SEGMENT_INVALID):
        Unsealer(KEY, AAD, header, segment=SEGMENT).unseal_into(out, bad)
    assert bytes(out[:20]) == bytes(20)
    # and the library, left alone, would have left it there: this is what the wipe is for
    keys = Unsealer(KEY, AAD, header, segment=SEGMENT)._keys
    with pytest.raises(InvalidTag):
        keys.cipher(0).decrypt_into(bad[4:16], bad[16:], struct.pack(">QB", 0, True), out[:20])
    assert b"canary" in bytes(out)


def test_only_one_function_calls_decrypt_into() -> None:
    callers = []
    for file in [file for package in PACKAGES.values() for file in package.rglob("*.py")]:
        for function in ast.walk(parsed(file.read_text(), ["decrypt_into"])):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                attributes = [n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)]
                if "decrypt_into" in attributes:
                    callers.append((file.name, getattr(function, "name", "lambda")))
    assert callers == [("floe.py", "_open_into")]


def test_keys_change_with_the_epoch() -> None:
    header, segments = seal(*FULL, b"end", rotation_bits=1)
    assert unseal(header, segments, rotation_bits=1) == b"".join(FULL) + b"end"
    keys = Unsealer(KEY, AAD, header, segment=SEGMENT, rotation_bits=1)._keys
    ciphers = [keys.cipher(i) for i in (0, 1, 2, 3)]
    assert ciphers[0] is ciphers[1] is not ciphers[2] is ciphers[3]
    with refused(Reason.SEGMENT_INVALID):
        unseal(header, segments, rotation_bits=20)


@pytest.mark.parametrize("index", [(1 << 20) - 1, (1 << 32) - 1, (1 << 40) - 2])
def test_e02_indexes_beyond_32_bits_are_not_cut(index: int) -> None:
    sealer = Sealer(KEY, AAD, segment=SEGMENT)
    sealer._index = index
    segments = [sealer.seal(FULL[0], last=False), sealer.seal(b"end", last=True)]
    out = memoryview(bytearray(SEGMENT))
    stream = Unsealer(KEY, AAD, sealer.header, segment=SEGMENT)
    stream._index = index
    assert [stream.unseal_into(out, memoryview(s)) for s in segments] == [PAYLOAD, 3]
    assert stream.complete
    for wrong in (index % (1 << 32), index % (1 << 20), index + 1):
        if wrong != index:
            stream = Unsealer(KEY, AAD, sealer.header, segment=SEGMENT)
            stream._index = wrong
            with refused(Reason.SEGMENT_INVALID):
                stream.unseal_into(out, memoryview(segments[0]))


def test_stream_ends_at_its_longest() -> None:
    sealer = Sealer(KEY, AAD, segment=SEGMENT)
    sealer._index = 1 << 40
    true = sealer.seal(FULL[0], last=False)  # of the right key, so that only its number is refused
    stream = Unsealer(KEY, AAD, sealer.header, segment=SEGMENT)
    stream._index = 1 << 40
    with refused(Reason.SEGMENT_INVALID):
        stream.unseal_into(memoryview(bytearray(SEGMENT)), memoryview(true))


def test_e10_a_true_last_segment_that_is_too_long_is_refused() -> None:
    sealer = Sealer(KEY, AAD, segment=SEGMENT)
    iv, plain, aad = bytes(12), bytes(PAYLOAD + 1), struct.pack(">QB", 0, True)
    longer = struct.pack(">I", SEGMENT + 1) + iv + sealer._keys.cipher(0).encrypt(iv, plain, aad)
    with refused(Reason.SEGMENT_INVALID):
        Unsealer(KEY, AAD, sealer.header, segment=SEGMENT).unseal_into(
            memoryview(bytearray(2 * SEGMENT)), memoryview(longer)
        )


def test_sealer_takes_full_segments_and_one_last() -> None:
    sealer = Sealer(KEY, AAD, segment=SEGMENT)
    for plain, last in ((b"short", False), (bytes(PAYLOAD + 1), True), (bytes(PAYLOAD + 1), False)):
        with pytest.raises(ValueError, match="FLOE"):
            sealer.seal(plain, last=last)
    sealer.seal(b"", last=True)
    with pytest.raises(ValueError, match="FLOE"):
        sealer.seal(b"", last=True)


def test_e05_one_ciphertext_does_not_open_under_two_keys() -> None:
    """GCM alone does not commit to its key ("invisible salamanders"); FLOE's header does."""
    other = bytes(31) + b"\x01"
    sealer = Sealer(KEY, AAD, segment=SEGMENT)
    iv, aad = bytes(12), struct.pack(">QB", 0, True)
    first = sealer._keys
    second = Sealer(other, AAD, segment=SEGMENT)._keys
    second._prefix = first._prefix
    second._mk = second._expand(other, b"MESSAGE_KEY:", 48)
    keys = [k._expand(k._mk, b"DEK:" + bytes(8), 32) for k in (first, second)]
    sealed = _collide(keys, iv, aad)
    for key in keys:
        AESGCM(key).decrypt(iv, sealed, aad)  # GCM alone accepts it under both
    segment = struct.pack(">I", 16 + len(sealed)) + iv + sealed
    assert len(unseal(sealer.header, [segment])) == len(sealed) - 16
    invalid(sealer.header, [segment], key=other)


def test_default_segment_is_one_mebibyte() -> None:
    assert SEGMENT_BYTES == 1 << 20
    sealer = Sealer(KEY, AAD)
    segment = sealer.seal(bytes(sealer.payload), last=True)
    assert len(segment) == SEGMENT_BYTES
    assert sealer.header[:10].hex() == "00000010000000000020"


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _times(x: int, y: int) -> int:
    """The product in GF(2^128) as GCM has it (NIST SP 800-38D §6.3), blocks as big-endian integers."""
    z, v = 0, x
    for i in range(127, -1, -1):
        if y >> i & 1:
            z ^= v
        v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return z


def _inverse(x: int) -> int:
    result, square = 1 << 127, x  # the block 0x80.. is the field's one
    for _ in range(127):
        square = _times(square, square)
        result = _times(result, square)
    return result


def _collide(keys: list[bytes], iv: bytes, aad: bytes) -> bytes:
    """One ciphertext block and tag that authenticate under both keys.

    GHASH of one AAD block A, one ciphertext block C and the lengths L is linear in C: tag = C·H² ⊕ A·H³ ⊕ L·H ⊕ E(J0).
    """
    a = int.from_bytes(aad.ljust(16, b"\0"), "big")
    lengths = 8 * len(aad) << 64 | 128
    squares, rests = [], []
    for key in keys:
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        h = int.from_bytes(block.update(bytes(16)), "big")
        mask = int.from_bytes(block.update(iv + b"\0\0\0\x01"), "big")
        square = _times(h, h)
        squares.append(square)
        rests.append(_times(a, _times(h, square)) ^ _times(lengths, h) ^ mask)
    c = _times(rests[0] ^ rests[1], _inverse(squares[0] ^ squares[1]))
    tag = _times(c, squares[0]) ^ rests[0]
    return c.to_bytes(16, "big") + tag.to_bytes(16, "big")
