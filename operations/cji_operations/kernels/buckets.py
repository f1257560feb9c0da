"""Values in buckets: equal values are in one bucket, whichever rows they are in. Which one only the key decides."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints, read
from cji_operations.kernels import hashing

_PRIME: Final = np.uint64(0x100000001B3)  # FNV-1a, of 64 bits
_BASIS: Final = np.uint64(0xCBF29CE484222325)
_LONGEST: Final = 64
"""Bytes of a value that its bucket depends on, besides its length."""


def buckets(array: pa.Array, count: int, bucket_hash: hashing.BucketHash) -> Ints:
    """int64[n] from 0 to count - 1 of a `utf8` or `binary` array; null and empty values are in one bucket.

    `bucket_hash` gets a hash of each distinct value.
    """
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    text = read(encoded.dictionary)
    state = _BASIS ^ text.lengths.astype(np.uint64)
    for position in range(min(int(text.lengths.max(initial=0)), _LONGEST)):
        rows = np.flatnonzero(text.lengths > position)
        state[rows] = (state[rows] ^ text.data[text.starts[rows] + position]) * _PRIME
    state ^= state >> np.uint64(32)
    found: Ints = hashing.below(bucket_hash(state), count)[arrow.numbers(encoded.indices)]
    return found
