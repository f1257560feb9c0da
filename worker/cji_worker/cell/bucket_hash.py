"""The keyed hash by which the values of one job are divided among its tasks.

    bucket_hash(h) = the first 8 bytes of AES-256(bucket key, u64le(h) ‖ 8 zero bytes), as u64le

AES is a pseudorandom permutation of blocks, and half of each output block is as good as a random function: n hashes
give an attacker an advantage of about n / 2^96 (S. Gilboa, S. Gueron, "How many queries are needed to distinguish a
truncated random permutation from a random function?", Journal of Cryptology 31, 2018). So without the key nobody can
compute the bucket of a value, even from the buckets of all others. Mixing as in `kernels.hashing` has no such property,
nor would it with secret multipliers.
"""

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cji_operations.kernels.hashing import BucketHash, Hashes

_BLOCK_BYTES: Final = 16
_AT_ONCE: Final = 1 << 16
"""Hashes; their blocks take 2 MiB."""


def bucket_hash(key: bytes) -> BucketHash:
    """The hash under this key of 32 bytes: uint64[n] to uint64[n]."""
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305 - a permutation of single blocks

    def hashed(hashes: Hashes) -> Hashes:
        found = np.empty(len(hashes), np.uint64)
        for start in range(0, len(hashes), _AT_ONCE):
            some = hashes[start : start + _AT_ONCE]
            blocks = np.zeros((len(some), 2), "<u8")
            blocks[:, 0] = some
            encrypted = np.empty((len(some) + 1, 2), "<u8")  # update_into wants room for one block more
            encryptor.update_into(blocks.view(np.uint8).reshape(-1).data, encrypted.view(np.uint8).reshape(-1).data)
            found[start : start + _AT_ONCE] = encrypted[:-1, 0]
        return found

    return hashed
