"""Cells of AEAD_AES_256_CBC_HMAC_SHA256, a column at a time: opened, and sealed.

    cell = 01 | MAC (32) | IV (16) | AES-256-CBC of the value with PKCS#7
    MAC  = HMAC-SHA-256(MAC key, 01 | IV | ciphertext | 01)
    IV   = random, or where equal values have equal cells the first half of HMAC-SHA-256(IV key, value)

The keys are HMACs of three fixed texts under the column encryption key (Microsoft, "Always Encrypted cryptography").

Every MAC is compared as a whole, for all cells at once, before a block is decrypted; what does not verify is never
decrypted. The CBC blocks of all cells are one AES-ECB call and one exclusive or; sealing goes through all cells block
by block. HMACs are OpenSSL's, a call for each: a copied state that has the key, and for short values that call is nine
tenths of the time. Nothing here knows what a value means.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cji_core.format.records.column import Bools, Bytes, Ints, Text, fixed, items
from cji_core.operations.status_codes import CellCode

Codes = npt.NDArray[np.uint16]
"""A CellCode for each cell, 0 where there is none."""

VERSION: Final = 1
MAC_BYTES: Final = 32
BLOCK_BYTES: Final = 16
_IV_AT: Final = 1 + MAC_BYTES
_VALUE_AT: Final = _IV_AT + BLOCK_BYTES
LEAST_BYTES: Final = _VALUE_AT + BLOCK_BYTES
_LONG_BYTES: Final = 1024
"""From here on a value is encrypted faster by itself than block by block beside others."""
_ENDS: Final = bytes((VERSION,))
"""The version, which a MAC has before IV and ciphertext, and the length of that in bytes behind them."""
_FILLED: Final = np.arange(BLOCK_BYTES) < np.arange(BLOCK_BYTES + 1)[:, None]
_KEPT: Final = items(np.where(_FILLED, np.uint8(0xFF), np.uint8(0)))
_PADDING: Final = items(
    np.where(_FILLED, np.uint8(0), np.arange(BLOCK_BYTES, -1, -1, dtype=np.uint8)[:, None]).astype(np.uint8)
)
"""V16[17] each: the mask and the padding of a block that has so many bytes of a value."""


class Hmacs:
    """HMAC-SHA-256 under one key, with a fixed beginning and end around each message."""

    __slots__ = ("_end", "_start")

    def __init__(self, key: bytes, *, begin: bytes = b"", end: bytes = b"") -> None:
        state = hmac.HMAC(key, hashes.SHA256())
        state.update(begin)
        self._start, self._end = state.copy, end

    def of(self, text: Text, rows: Ints) -> Bytes:
        """uint8[len(rows), 32]: the MACs of these values."""
        first = int(text.starts[rows[0]]) if len(rows) else 0
        starts = text.starts[rows] - first
        stops = starts + text.lengths[rows]
        data: bytes | memoryview = text.data[first : first + int(stops[-1])].data if len(rows) else b""
        if len(data) <= _LONG_BYTES * len(rows):  # a view of a short value takes longer than its copy
            data = bytes(data)
        found, copy, end = list[bytes](), self._start, self._end
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            state = copy()
            state.update(data[start:stop])
            if end:
                state.update(end)
            found.append(state.finalize())
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, MAC_BYTES)


@dataclass(frozen=True, slots=True, repr=False)
class CellKeys:
    """The keys that a column encryption key becomes: that of AES, and those of the two HMACs."""

    aes: bytes
    macs: Hmacs
    ivs: Hmacs

    @classmethod
    def of(cls, cek: bytes) -> Self:
        """The keys of a column encryption key of 32 bytes."""
        aes, mac, iv = (_derived(cek, use) for use in ("encryption", "MAC", "IV"))
        return cls(aes, Hmacs(mac, begin=_ENDS, end=_ENDS), Hmacs(iv))

    def derived_ivs(self, values: Text, rows: Ints) -> Bytes:
        """uint8[len(rows), 16]: the IVs of these values where equal values have equal cells."""
        return self.ivs.of(values, rows)[:, :BLOCK_BYTES]


def _derived(cek: bytes, use: str) -> bytes:
    state = hmac.HMAC(cek, hashes.SHA256())
    name = f"Microsoft SQL Server cell {use} key with encryption algorithm:AEAD_AES_256_CBC_HMAC_SHA256"
    state.update(f"{name} and key length:256".encode("utf-16-le"))
    return state.finalize()


def open_cells(cells: Text, keys: CellKeys) -> tuple[Text, Bytes, Codes]:
    """The values, their IVs uint8[n, 16], and the codes of cells that are none; such a cell has a value of 0 bytes."""
    n = len(cells.lengths)
    codes = np.zeros(n, np.uint16)
    sized = (cells.lengths >= LEAST_BYTES) & (cells.lengths % BLOCK_BYTES == _VALUE_AT % BLOCK_BYTES)
    codes[~sized] = CellCode.CELL_LENGTH
    rows = np.flatnonzero(sized)
    rows = _kept(rows, cells.data[cells.starts[rows]] == VERSION, codes, CellCode.CELL_VERSION)
    sealed = Text(data=cells.data, starts=cells.starts + _IV_AT, lengths=cells.lengths - _IV_AT)
    differing = keys.macs.of(sealed, rows) ^ _at(cells, rows, 1, MAC_BYTES)
    rows = _kept(rows, np.bitwise_or.reduce(differing, axis=1) == 0, codes, CellCode.CELL_MAC)
    ivs = np.zeros((n, BLOCK_BYTES), np.uint8)
    items(ivs)[rows] = items(_at(cells, rows, _IV_AT, BLOCK_BYTES))
    plain, last = _decrypted(sealed, rows, keys.aes)
    padding = last[:, -1]
    inside = np.arange(BLOCK_BYTES, 0, -1) <= padding[:, None]
    padded = (padding >= 1) & (padding <= BLOCK_BYTES) & ((last == padding[:, None]) | ~inside).all(axis=1)
    starts, lengths = np.zeros(n, np.int64), np.zeros(n, np.int64)
    starts[rows] = plain.starts
    lengths[rows] = np.where(padded, plain.lengths - padding, 0)
    _kept(rows, padded, codes, CellCode.CELL_PADDING)
    return Text(data=plain.data, starts=starts, lengths=lengths), ivs, codes


def _kept(rows: Ints, fits: Bools, codes: Codes, code: CellCode) -> Ints:
    """The rows that fit; the others get the code."""
    if fits.all():
        return rows
    codes[rows[~fits]] = code
    return rows[fits]


def _at(text: Text, rows: Ints, offset: int, width: int) -> Bytes:
    """uint8[len(rows), width]: the bytes of these values at an offset that all of them have."""
    return fixed(Text(data=text.data, starts=text.starts + offset, lengths=text.lengths), rows, width)


def _decrypted(sealed: Text, rows: Ints, key: bytes) -> tuple[Text, Bytes]:
    """The values with their padding, one for each of `rows`, and the last block of each: uint8[len(rows), 16].

    Blocks of all rows lie one after another, IVs included. Those are decrypted too, and ignored: so the block before
    each block is the one that it is combined with, and the whole is one call.
    """
    blocks = sealed.lengths[rows] // BLOCK_BYTES
    first = np.cumsum(blocks) - blocks
    gathered = _gathered(sealed, rows, blocks, first)
    plain = np.empty(len(gathered) + BLOCK_BYTES, np.uint8)  # update_into wants room for one block more
    cipher = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - the chaining is done here
    cipher.update_into(gathered.data, plain.data)
    chained = plain[BLOCK_BYTES : len(gathered)].view(np.uint64)
    chained ^= gathered[: len(chained) * 8].view(np.uint64)
    values = Text(data=plain, starts=(first + 1) * BLOCK_BYTES, lengths=(blocks - 1) * BLOCK_BYTES)
    ends = Text(data=plain, starts=(first + blocks - 1) * BLOCK_BYTES, lengths=values.lengths)
    return values, fixed(ends, np.arange(len(rows)), BLOCK_BYTES)


def _gathered(sealed: Text, rows: Ints, blocks: Ints, first: Ints) -> Bytes:
    """uint8[16 * sum(blocks)]: IV and ciphertext of each row, one row after another."""
    if len(rows) and (blocks == blocks[0]).all():
        return fixed(sealed, rows, int(blocks[0]) * BLOCK_BYTES).reshape(-1)
    starts = np.repeat(sealed.starts[rows] - BLOCK_BYTES * first, blocks)
    starts += BLOCK_BYTES * np.arange(len(starts))
    return _places(sealed.data, BLOCK_BYTES)[starts].view(np.uint8) if len(rows) else np.empty(0, np.uint8)


def _places(data: Bytes, width: int) -> npt.NDArray[np.void]:
    """Every position of `data` seen as one item of `width` bytes."""
    return np.ndarray((max(0, len(data) - width + 1),), f"V{width}", data, strides=(1,))


def seal_cells(values: Text, ivs: Bytes, keys: CellKeys) -> tuple[Bytes, Ints]:
    """(the cells of these values with these IVs uint8[n, 16], one after another, and the length of each)."""
    n = len(values.lengths)
    lengths = _VALUE_AT + BLOCK_BYTES * (values.lengths // BLOCK_BYTES + 1)
    starts = np.cumsum(lengths) - lengths
    cells = np.empty(int(lengths.sum()), np.uint8)
    cells[starts] = VERSION
    _places(cells, BLOCK_BYTES)[starts + _IV_AT] = items(np.array(ivs, np.uint8))
    long = values.lengths > _LONG_BYTES
    _encrypt(values, np.flatnonzero(~long), cells, starts + _IV_AT, keys.aes)
    _encrypt_long(values, np.flatnonzero(long), cells, starts + _IV_AT, keys.aes)
    sealed = Text(data=cells, starts=starts + _IV_AT, lengths=lengths - _IV_AT)
    macs = keys.macs.of(sealed, np.arange(n))
    _places(cells, MAC_BYTES)[starts + 1] = items(macs)
    return cells, lengths


def _encrypt(values: Text, rows: Ints, cells: Bytes, before: Ints, key: bytes) -> None:
    """Write the blocks of these rows behind their IVs, which stand at `before`: all first blocks, all second ones .."""
    data = _places(np.concatenate([values.data, np.zeros(BLOCK_BYTES, np.uint8)]), BLOCK_BYTES)
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the chaining is done here
    blocks = _places(cells, BLOCK_BYTES)
    at, left, out = values.starts[rows], values.lengths[rows], before[rows]
    while len(left):
        filled = np.minimum(left, BLOCK_BYTES)
        block = data[at].view(np.uint64)
        block &= _KEPT[filled].view(np.uint64)
        block |= _PADDING[filled].view(np.uint64)
        block ^= blocks[out].view(np.uint64)
        sealed = np.empty(len(left) * BLOCK_BYTES + BLOCK_BYTES, np.uint8)
        cipher.update_into(block.view(np.uint8).data, sealed.data)
        blocks[out + BLOCK_BYTES] = items(sealed[:-BLOCK_BYTES].reshape(-1, BLOCK_BYTES))
        more = np.flatnonzero(left >= BLOCK_BYTES)
        at, left, out = at[more] + BLOCK_BYTES, left[more] - BLOCK_BYTES, out[more] + BLOCK_BYTES


def _encrypt_long(values: Text, rows: Ints, cells: Bytes, before: Ints, key: bytes) -> None:
    """Write the blocks of these rows behind their IVs, one row after another.

    Making a cipher takes as long as a value, so one goes through all rows, and what it chained is taken out again.
    """
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK_BYTES))).encryptor()
    chained = np.zeros(BLOCK_BYTES, np.uint8)
    for row in rows.tolist():
        start, length, out = int(values.starts[row]), int(values.lengths[row]), int(before[row])
        missing = BLOCK_BYTES - length % BLOCK_BYTES
        padded = np.full(length + missing, missing, np.uint8)
        padded[:length] = values.data[start : start + length]
        padded[:BLOCK_BYTES] ^= cells[out : out + BLOCK_BYTES] ^ chained
        sealed = np.frombuffer(cipher.update(padded.data), np.uint8)
        cells[out + BLOCK_BYTES : out + BLOCK_BYTES + len(sealed)] = sealed
        chained = sealed[-BLOCK_BYTES:]
