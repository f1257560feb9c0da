"""Keyed pseudonyms: the keys of all of them, HMAC and CMAC tokens, and the days by which the dates of a subject move.

Keys. The project key (32 random bytes, from the submitter) is never used on a value. With HMAC-SHA-256:

    token key  = HMAC(project key, "cji-token/1" 00 project 00 domain)
    CMAC key   = HMAC(project key, "cji-cmac/1" 00 project 00 domain)
    block key  = HMAC(project key, "cji-block/1" 00 project 00 domain)        for `block_ciphers`
    FF1 key    = HMAC(project key, "cji-ff1/1" 00 project 00 domain)
    shift key  = HMAC(project key, "cji-shift/1" 00 project)

Project and domain have no NUL, so no two of them give the same key. Tokens of one domain join within a project,
and across nothing else.

    token      = the first `bits` bits of HMAC(token key, value), base32hex (RFC 4648), lower case, no padding
    CMAC token = the same of AES-CMAC(CMAC key, value)
    shift      = AES-CMAC(shift key, subject) as two big-endian 64-bit words; the first word below the largest
                 multiple of 2 max_days, modulo 2 max_days, gives one of -max_days..-1, 1..max_days

A value is its bytes exactly: no case folding, no trimming, and the same for `utf8` and `binary`. A missing
value (null, empty) has no token. HMACs are computed of distinct values only, and those that came before are remembered;
the rest is a gather. AES-CMAC (NIST SP 800-38B) goes over a whole column at once.
"""

from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints, Text, items, pack, read
from cji_operations.deidentify.outcome import Outcome
from cji_operations.kernels import cmac
from cji_operations.kernels.ff1 import Ecb
from cji_operations.kernels.project_keys import derived

PROJECT_KEY_BYTES: Final = 32
TOKEN_BITS: Final = (80, 128, 160)  # 2^40, 2^64, 2^80 distinct values before two are expected to share a token
_DIGEST_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
_LONG_BYTES: Final = 1024  # from here on a value by itself is faster than a column of which few values are left
_REMEMBERED: Final = 16_384  # values; the first ones of a column are mostly its frequent ones
KeyUse = Literal["cji-token/1", "cji-cmac/1", "cji-block/1", "cji-ff1/1"]
_BASE32HEX: Final = np.frombuffer(b"0123456789abcdefghijklmnopqrstuv", np.uint8)
_PAIRS: Final = np.stack((np.repeat(_BASE32HEX, 32), np.tile(_BASE32HEX, 32)), axis=1).view(np.uint16)[:, 0]
"""Two characters for every ten bits."""


def token_key(project_key: bytes, *, project: str, domain: str, use: KeyUse = "cji-token/1") -> bytes:
    """The key of one token domain of one project for one kind of token, 32 bytes."""
    return derived(project_key, use, project, domain)


def shift_key(project_key: bytes, *, project: str) -> bytes:
    """The key of the date shifts of one project, 32 bytes."""
    return derived(project_key, "cji-shift/1", project)


def ecb(key: bytes) -> Ecb:
    """AES-256 in ECB mode under this key; what it returns is overwritten by its next call."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - a permutation of single blocks
    buffer = np.empty(0, np.uint8)

    def encrypt(blocks: Bytes) -> Bytes:
        nonlocal buffer
        if len(buffer) < len(blocks) + _BLOCK_BYTES:  # update_into wants room for one block more
            buffer = np.empty(len(blocks) + _BLOCK_BYTES, np.uint8)
        encryptor.update_into(blocks.data, buffer.data)
        return buffer[: len(blocks)]

    return encrypt


class Macs:
    """HMACs under one key of value after value; it remembers the first `_REMEMBERED` of them, about 4 MiB."""

    def __init__(self, key: bytes) -> None:
        self._start = hmac.HMAC(key, hashes.SHA256()).copy
        self._known: dict[bytes, bytes] = {}

    def of(self, array: pa.Array) -> tuple[Bytes, Ints, Bools]:
        """HMACs of the distinct values uint8[k, 32] (k >= 1), the distinct value of each row, which rows have one."""
        filled = read(array).filled
        encoded = pc.dictionary_encode(array)
        joined = b"".join(map(self._mac, encoded.dictionary.view(pa.binary()).to_pylist())) or bytes(_DIGEST_BYTES)
        return (
            np.frombuffer(joined, np.uint8).reshape(-1, _DIGEST_BYTES),
            np.where(filled, arrow.numbers(encoded.indices), 0),
            filled,
        )

    def _mac(self, value: bytes) -> bytes:
        known = self._known.get(value)
        if known is not None:
            return known
        mac = self._start()
        mac.update(value)
        digest: bytes = mac.finalize()
        if len(self._known) < _REMEMBERED:
            self._known[value] = digest
        return digest


def tokens(array: pa.Array, *, macs: Macs, bits: int) -> Outcome:
    """The token of every value; every value that is there has one."""
    digests, index, filled = macs.of(array)
    table = _base32hex(digests[:, : bits // 8])
    width = table.shape[1]
    rows = items(table)[index].view(np.uint8).reshape(-1, width)
    return Outcome(array=pack(rows, filled * width, array.type))


class Cmacs:
    """AES-CMACs under one key of column after column."""

    def __init__(self, key: bytes) -> None:
        self._encrypt = ecb(key)
        self._start = CMAC(algorithms.AES(key)).copy

    def of(self, text: Text) -> Bytes:
        """uint8[n, 16]: the MAC of every value, of the empty message where there is none."""
        long = np.flatnonzero(text.lengths > _LONG_BYTES)
        lengths = text.lengths
        if len(long):
            lengths = lengths.copy()
            lengths[long] = 0
        found = cmac.macs(Text(data=text.data, starts=text.starts, lengths=lengths), encrypt=self._encrypt)
        for row in long.tolist():
            mac = self._start()
            mac.update(text.data[text.starts[row] :][: text.lengths[row]].tobytes())
            found[row] = np.frombuffer(mac.finalize(), np.uint8)
        return found


def cmac_tokens(array: pa.Array, *, macs: Cmacs, bits: int) -> Outcome:
    """The CMAC token of every value; every value that is there has one."""
    text = read(array)
    matrix = _base32hex(macs.of(text)[:, : bits // 8])
    return Outcome(array=pack(matrix, text.filled * matrix.shape[1], array.type))


def shift_days(subjects: pa.Array, *, macs: Cmacs, max_days: int) -> tuple[Ints, Bools]:
    """Days int64[n] in -max_days..-1, 1..max_days for each row's subject, and bool[n] where there is a subject.

    `macs` are those under the shift key.
    """
    text = read(subjects)
    return _days(macs.of(text), max_days), text.filled


def _days(digests: Bytes, max_days: int) -> Ints:
    choices = 2 * max_days
    words = digests.view(">u8").astype(np.uint64)
    # a word of the incomplete last cycle would favour small results; that both are there has odds below 2^-100
    first = (words <= np.uint64(2**64 // choices * choices - 1)).argmax(axis=1)
    choice = (words[np.arange(len(words)), first] % np.uint64(choices)).astype(np.int64)
    days: Ints = choice - max_days + (choice >= max_days)
    return days


def _base32hex(values: Bytes) -> Bytes:
    """Each row in base32hex: uint8[k, ceil(8 b / 5)] of uint8[k, b], where that is even."""
    k, width = values.shape
    columns = np.zeros((width + 1, k), np.uint16)
    columns[:width] = values.T
    sixteen = (columns[:-1] << 8) | columns[1:]  # bits 8 i .. 8 i + 15 of a row
    pairs = np.empty((-(-8 * width // 10), k), np.uint16)
    for position in range(len(pairs)):
        first, skipped = divmod(10 * position, 8)
        np.take(_PAIRS, (sixteen[first] >> (6 - skipped)) & 1023, out=pairs[position], mode="clip")
    return np.ascontiguousarray(pairs.T).view(np.uint8)
