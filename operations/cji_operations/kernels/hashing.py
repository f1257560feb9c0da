"""Numbers that only depend on what they are made of: hashes of byte strings, and draws without a generator's order.

Neither is secret or meant to withstand an attacker: after a collision, a comparison finds that two rows differ.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints

Hashes = npt.NDArray[np.uint64]
BucketHash = Callable[[Hashes], Hashes]
"""A keyed function from uint64[n] to uint64[n]: equal hashes give equal numbers, which decide about buckets."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_TO_UNIT: Final = 2.0**-53


def mixed(x: Hashes) -> Hashes:
    """uint64[n]: the finaliser of SplitMix64, a bijection in which every bit depends on every bit.

    G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Hashes = x ^ (x >> np.uint64(31))
    return found


def of_bytes(rows: Bytes) -> Hashes:
    """uint64[n]: a hash of each row of uint8[n, w], the same whatever zero bytes follow."""
    total = np.zeros(len(rows), np.uint64)
    factors = mixed(np.arange(1, rows.shape[1] + 1, dtype=np.uint64) * _GOLDEN) | np.uint64(1)
    for column, factor in zip(rows.T, factors, strict=True):
        total += column.astype(np.uint64) * factor
    return mixed(total + _GOLDEN)


def joined(hashes: Hashes, more: Hashes) -> Hashes:
    """uint64[n]: the hash of a pair of hashes; the order matters."""
    return mixed(hashes * _GOLDEN + more)


def draws(seed: int, *numbers: npt.NDArray[Any] | int) -> Hashes:
    """uint64: a random number for each combination of numbers from 0 on (broadcast), the same in any order of calls."""
    state: Hashes = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], np.uint64)  # numpy warns where a scalar overflows
    for number in numbers:
        state = joined(state, np.atleast_1d(number).astype(np.uint64))
    return state


def unit(found: Hashes) -> npt.NDArray[np.float64]:
    """float64: draws as numbers from 0 to below 1, of 53 bits."""
    return (found >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def below(found: Hashes, bound: npt.NDArray[Any] | int) -> Ints:
    """int64: draws as whole numbers from 0 to below `bound`, at most 2**32.

    The upper half of a product (D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019),
    whose bias is below bound / 2**32.
    """
    high = (found >> np.uint64(32)) * np.asarray(bound, np.uint64)
    return (high >> np.uint64(32)).astype(np.int64)
