"""AES-CMAC of whole columns: NIST SP 800-38B, with AES-256.

A message is cut into blocks of 16 bytes, and each but the last is added (xor) to the encryption of the blocks before
it. The last one is added together with the subkey K1 or, if it is short, padded with 80 00 .. and added with K2. All
rows advance together, block by block.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Text, items
from cji_operations.kernels.ff1 import Ecb

MAC_BYTES: Final = 16
_NOT_LAST: Final = MAC_BYTES + 1
_R: Final = 0x87  # x^128 + x^7 + x^2 + x + 1: SP 800-38B, 5.3


def macs(text: Text, *, encrypt: Ecb) -> Bytes:
    """uint8[n, 16]: the MAC of every value, of the empty message where there is none."""
    n = len(text.lengths)
    first = int(text.starts.min()) if n else 0
    last = int((text.starts + text.lengths).max()) if n else 0
    data = np.concatenate([text.data[first:last], np.zeros(MAC_BYTES, np.uint8)])
    # every position of `data` seen as one block
    blocks = np.ndarray((len(data) - MAC_BYTES + 1,), f"V{MAC_BYTES}", data, strides=(1,))
    kept, added = _ends(encrypt)
    state = items(np.zeros((n, MAC_BYTES), np.uint8))
    rows, at, left = np.arange(n), text.starts - first, text.lengths
    while len(rows):
        of_value = np.minimum(left, _NOT_LAST)
        block = blocks[at].view(np.uint64)
        block &= kept[of_value].view(np.uint64)
        block ^= added[of_value].view(np.uint64)
        block ^= state[rows].view(np.uint64)
        state[rows] = encrypt(block.view(np.uint8)).view(state.dtype)
        more = np.flatnonzero(left > MAC_BYTES)
        rows, at, left = rows[more], at[more] + MAC_BYTES, left[more] - MAC_BYTES
    return state.view(np.uint8).reshape(-1, MAC_BYTES)


def _ends(encrypt: Ecb) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """The mask and the padding of a block, by the bytes of the value that are left: V16[18] each."""
    whole, filled = _subkeys(encrypt)
    sizes = np.arange(_NOT_LAST + 1)[:, None]
    kept = np.where(np.arange(MAC_BYTES) < sizes, np.uint8(0xFF), np.uint8(0))
    added = np.where(np.arange(MAC_BYTES) == sizes, np.uint8(0x80), np.uint8(0)) ^ filled
    added[MAC_BYTES], added[_NOT_LAST] = whole, 0
    return items(kept), items(added)


def _subkeys(encrypt: Ecb) -> tuple[Bytes, Bytes]:
    """K1 and K2: SP 800-38B, 6.1."""
    number = int.from_bytes(encrypt(np.zeros(MAC_BYTES, np.uint8)).tobytes(), "big")
    keys = list[Bytes]()
    for _ in range(2):
        number = ((number << 1) ^ (_R if number >> 127 else 0)) & ((1 << 128) - 1)
        keys.append(np.frombuffer(number.to_bytes(MAC_BYTES, "big"), np.uint8))
    return keys[0], keys[1]
