"""FLOE streams: authenticated encryption in segments, with position and finality inside the authentication.

Source: C2SP FLOE specification; Fast Lightweight Online Encryption, ePrint 2025/2275; parameter set GCM256_IV256.

    P      = u8(0) ‖ u8(0) ‖ u32be(E) ‖ u32be(32)            AEAD id, KDF id, segment length E, IV length
    F(k, purpose, n) = HKDF-Expand-SHA384(prk=k, info = P ‖ iv ‖ purpose ‖ aad, n)
    header = P ‖ iv(32) ‖ F(key, "HEADER_TAG:", 32)           74 bytes
    mk     = F(key, "MESSAGE_KEY:", 48)
    dek_i  = F(mk, "DEK:" ‖ u64be(i, low 20 bits cleared), 32)
    segment i, not last = FFFFFFFF ‖ iv(12) ‖ GCM(dek_i, iv, pt, u64be(i) ‖ 00)            exactly E bytes
    segment i, last     = u32be(length) ‖ iv(12) ‖ GCM(dek_i, iv, pt, u64be(i) ‖ 01)       32 to E bytes

Only the online form exists. A `Sealer` and an `Unsealer` count their own segments; a caller cannot choose a segment's
position. A failed segment ends the stream for good.

`AESGCM.decrypt_into` leaves unverified plaintext in the buffer on a bad tag. `_open_into` is the only place in
this project that calls it, and it wipes the buffer before it raises.
"""

import hmac
import os
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from cji_core.errors import Reason, Refusal, Stage

SEGMENT_BYTES: Final = 1 << 20
"""Bytes of one sealed segment on the wire, header of the stream apart."""

FLOE_HEADER_BYTES: Final = 74
OVERHEAD_BYTES: Final = 32
"""Bytes that a segment is longer than its plaintext: length word 4, IV 12, GCM tag 16."""

_IV, _SEGMENT_IV = 32, 12
_NOT_LAST: Final = b"\xff\xff\xff\xff"
_ROTATION_BITS: Final = 20
_MAX_SEGMENTS: Final = 1 << 40


class _Keys:
    """The key schedule of one stream: F of the specification, and the segment key of the current epoch."""

    __slots__ = ("_aad", "_cipher", "_epoch", "_mask", "_mk", "_prefix")

    def __init__(self, key: bytes | memoryview, iv: bytes, aad: bytes, *, segment: int, rotation_bits: int) -> None:
        self._prefix = struct.pack(">BBII", 0, 0, segment, _IV) + iv
        self._aad = aad
        self._mk = self._expand(key, b"MESSAGE_KEY:", 48)
        self._mask = ~((1 << rotation_bits) - 1)
        self._epoch = -1
        self._cipher: AESGCM | None = None

    def _expand(self, key: bytes | memoryview, purpose: bytes, n: int) -> bytes:
        info = self._prefix + purpose + self._aad
        return HKDFExpand(algorithm=hashes.SHA384(), length=n, info=info).derive(key)

    def header(self, key: bytes | memoryview) -> bytes:
        """The 74 bytes that commit to key, IV and AAD."""
        return self._prefix + self._expand(key, b"HEADER_TAG:", 32)

    def cipher(self, index: int) -> AESGCM:
        """AES-256-GCM under dek_i."""
        epoch = index & self._mask
        if self._cipher is None or epoch != self._epoch:
            self._cipher = AESGCM(self._expand(self._mk, b"DEK:" + struct.pack(">Q", epoch), 32))
            self._epoch = epoch
        return self._cipher


class Sealer:
    """Encrypts one stream, segment by segment.

    `header` goes first on the wire. Every `seal_into` but the last takes exactly `payload` bytes.
    """

    __slots__ = ("_index", "_keys", "_segment", "header", "payload")

    def __init__(
        self, key: bytes | memoryview, aad: bytes, *, segment: int = SEGMENT_BYTES, rotation_bits: int = _ROTATION_BITS
    ) -> None:
        self._keys = _Keys(key, os.urandom(_IV), aad, segment=segment, rotation_bits=rotation_bits)
        self._segment = segment
        self._index: int | None = 0
        self.header = self._keys.header(key)
        self.payload = segment - OVERHEAD_BYTES

    def seal_into(self, out: memoryview, plaintext: bytes | memoryview, *, last: bool) -> int:
        """Write one sealed segment to the start of `out`; returns its length in bytes.

        Raises ValueError if a segment before the last is not exactly `payload` bytes, if the last one is longer, or
        after the last one.
        """
        n = len(plaintext)
        if self._index is None or n > self.payload or (not last and n != self.payload):
            raise ValueError("a FLOE stream takes full segments and then one last segment")
        length = n + OVERHEAD_BYTES
        iv = os.urandom(_SEGMENT_IV)
        out[:4] = struct.pack(">I", length) if last else _NOT_LAST
        out[4:16] = iv
        aad = struct.pack(">QB", self._index, last)
        self._keys.cipher(self._index).encrypt_into(iv, plaintext, aad, out[16:length])
        self._index = None if last else self._index + 1
        return length

    def seal(self, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """One sealed segment as bytes."""
        out = bytearray(len(plaintext) + OVERHEAD_BYTES)
        self.seal_into(memoryview(out), plaintext, last=last)
        return bytes(out)


class Unsealer:
    """Decrypts one stream, segment by segment, in order, to its end.

    Every failure, whatever its cause, is the same Refusal SEGMENT_INVALID and ends the stream. `complete` becomes true
    only when the last segment has been verified.
    """

    __slots__ = ("_index", "_keys", "_segment", "complete")

    def __init__(
        self,
        key: bytes | memoryview,
        aad: bytes,
        header: bytes | memoryview,
        *,
        segment: int = SEGMENT_BYTES,
        rotation_bits: int = _ROTATION_BITS,
    ) -> None:
        sent = bytes(header)
        self._segment = segment
        self._keys = _Keys(key, sent[10:42], aad, segment=segment, rotation_bits=rotation_bits)
        self._index: int | None = 0
        self.complete = False
        if not hmac.compare_digest(self._keys.header(key), sent):
            raise _invalid()

    def unseal_into(self, out: memoryview, segment: memoryview) -> int:
        """Verify and decrypt the next segment to the start of `out`; returns the bytes of plaintext.

        `out` must have room for `len(segment) - 32` bytes. On failure those bytes of `out` are zero.
        """
        index, self._index = self._index, None
        length = len(segment)
        if index is None or not OVERHEAD_BYTES <= length <= self._segment or index >= _MAX_SEGMENTS:
            raise _invalid()
        mark = bytes(segment[:4])
        last = mark != _NOT_LAST
        if length != (int.from_bytes(mark, "big") if last else self._segment):
            raise _invalid()
        n = length - OVERHEAD_BYTES
        aad = struct.pack(">QB", index, last)
        _open_into(self._keys.cipher(index), segment[4:16], segment[16:], aad, out[:n])
        self._index, self.complete = (None, True) if last else (index + 1, False)
        return n


def _open_into(cipher: AESGCM, iv: memoryview, sealed: memoryview, aad: bytes, out: memoryview) -> None:
    """AES-GCM into the caller's buffer; zeroes it when the tag is wrong."""
    try:
        cipher.decrypt_into(iv, sealed, aad, out)
    except InvalidTag:
        out[:] = bytes(len(out))
        raise _invalid() from None


def _invalid() -> Refusal:
    return Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
