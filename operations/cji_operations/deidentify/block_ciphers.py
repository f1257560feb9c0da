"""Pseudonyms that the project key turns back: AES blocks, and format-preserving encryption.

    block token = AES-256(block key, length in one byte | value | zeros), in 32 lower-case hexadecimal digits
    FF1         = FF1 of NIST SP 800-38G with AES-256 under the FF1 key, without a tweak; the domain is in the key

Both are deterministic, so they show which values are equal and nothing else. A value that does not fit (longer than 15
bytes; not of the alphabet, or of no length that `ff1.lengths` takes) is null in the result and listed with its code.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import fixed, items, pack, read
from cji_core.operations.deidentify.declaration import Code
from cji_operations.deidentify.outcome import Outcome
from cji_operations.deidentify.tokens import ecb
from cji_operations.kernels.ff1 import Ff1, lengths

BLOCK_VALUE_BYTES: Final = 15
RADIXES: Final = (10, 36)
_BLOCK: Final = 16
_HEX_BYTE: Final = np.frombuffer(bytes(range(256)).hex().encode(), "S2")
_HEX: Final = np.stack([np.tile(_HEX_BYTE, 256), np.repeat(_HEX_BYTE, 256)], axis=1).view(np.uint32).reshape(-1)
"""uint32[2^16]: the four hexadecimal digits of a little-endian uint16, in the order of its bytes."""
_ALPHABET: Final = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
_NO_DIGIT: Final = np.uint8(255)
_DIGIT: Final = np.full(256, _NO_DIGIT)
_DIGIT[_ALPHABET] = np.arange(36)


def block_tokens(array: pa.Array, *, key: bytes) -> Outcome:
    """The block token of every value of at most 15 bytes."""
    text = read(array)
    fits = text.filled & (text.lengths <= BLOCK_VALUE_BYTES)
    rows = np.flatnonzero(fits)
    sizes = text.lengths[rows]
    blocks = np.zeros((len(rows), _BLOCK), np.uint8)
    blocks[:, 0] = sizes
    for width in np.flatnonzero(np.bincount(sizes)).tolist():
        chosen = np.flatnonzero(sizes == width)
        # the value's slot in every block as one item: numpy moves items whole, and rows byte by byte
        slot = np.ndarray((len(rows),), f"V{width}", blocks, offset=1, strides=(_BLOCK,))
        if len(chosen) == len(rows):
            slot[:] = items(fixed(text, rows, width))
        else:
            slot[chosen] = items(fixed(text, rows[chosen], width))
    sealed = ecb(key)(blocks.reshape(-1)).view(np.uint16)
    digits = np.take(_HEX, sealed, mode="clip").view(np.uint8).reshape(-1, 2 * _BLOCK)  # no index is out of range
    faults = ((Code.TOO_LONG_FOR_A_BLOCK, np.flatnonzero(text.filled & ~fits)),)
    return Outcome(array=arrow.from_bytes(digits, fits * 2 * _BLOCK, array.type), faults=faults)


def encrypt_ff1(array: pa.Array, *, key: bytes, radix: int) -> Outcome:
    """Each value as another one of its length, of digits (radix 10) or digits and upper-case letters (36)."""
    text = read(array)
    known = lengths(radix)
    of_length = (text.lengths >= known.start) & (text.lengths < known.stop)
    widths = np.flatnonzero(np.bincount(text.lengths[of_length], minlength=known.stop)).tolist()
    out = np.zeros((len(text.lengths), max(widths, default=1)), np.uint8)
    fits = np.zeros(len(text.lengths), np.bool_)
    cipher = ecb(key)
    for width in widths:
        rows = np.flatnonzero(text.lengths == width)
        digits = _DIGIT[np.ascontiguousarray(fixed(text, rows, width).T)]
        if len(rows) and digits.max() >= radix:
            good = (digits < radix).all(axis=0)
            rows, digits = rows[good], digits[:, good]
        fits[rows] = True
        values = _ALPHABET[Ff1(cipher, radix=radix, length=width).encrypt(digits)].T
        if len(rows) == len(out):
            out = np.ascontiguousarray(values)
        else:
            out[rows, :width] = values
    faults = (
        (Code.NO_LENGTH_FOR_FF1, np.flatnonzero(text.filled & ~of_length)),
        (Code.NOT_OF_THE_ALPHABET, np.flatnonzero(of_length & ~fits)),
    )
    return Outcome(array=pack(out, text.lengths * fits, array.type), faults=faults)
