"""Noise for counts: exact samples of the discrete Laplace distribution, from bits that only a key derives.

The discrete Laplace distribution with p = exp(-s / t) has P(z) = (1 - p) / (1 + p) * p ** |z| at each whole z. Added to
counts that one person changes by b in all together, with s / t = epsilon / b, it makes them epsilon-differentially
private: a change of the counts by v moves each probability by a factor of exp(epsilon / b * |v|) at most.

The sampler is that of C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for Differential Privacy" (2020),
Algorithms 1 and 2, over whole numbers alone, because samples by floating point tell the counts. Why it is exact:

* `_below` draws words of 64 bits until one is below the largest multiple of m: its remainder is uniform.
* `_heads` is true with probability exp(-u / t), 0 <= u <= t: with A_k true with u / (t k), the first false A_K has
  P(K > k) = (u / t)^k / k!, so P(K is odd) = sum over k of (-u / t)^k / k! = exp(-u / t).
* u uniform below t that is kept with exp(-u / t), and v of heads in a row of exp(-1), make x = u + t v with
  P(x) proportional to exp(-x / t). So y = x // s has P(y) proportional to exp(-s y / t).
* A fair sign, with "minus 0" drawn again, makes each z as likely as exp(-s |z| / t).

The words are those of blocks SHAKE-256(key, number of the block), each used once: the same key and size give the same
noise, and without the key it looks like chance.
"""

from hashlib import shake_256
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints

MOST: Final = 1 << 40
"""Larger s, t are refused, so that t times the rounds of `_heads` stays far below 2 ** 63."""


def discrete_laplace(key: bytes, size: int, s: int, t: int) -> Ints:
    """int64[size]: independent samples z with P(z) proportional to exp(-s / t * |z|). 0 < s, t < MOST."""
    if not (0 < s < MOST and 0 < t < MOST):
        raise ValueError("s, t")
    bits = _Words(key)
    found, left = np.zeros(size, np.int64), np.arange(size)
    while len(left):
        u = bits.below(len(left), t)
        kept = _heads(bits, u, t)
        place, u = left[kept], u[kept]
        v = _row_of_heads(bits, len(place))
        y = (u + t * v) // s
        minus = bits.below(len(place), 2) == 1
        done = ~(minus & (y == 0))
        found[place[done]] = np.where(minus, -y, y)[done]
        left = np.concatenate((left[~kept], place[~done]))
    return found


def _row_of_heads(bits: "_Words", size: int) -> Ints:
    """How many times in a row something of probability exp(-1) is true."""
    count, at = np.zeros(size, np.int64), np.arange(size)
    while len(at):
        at = at[_heads(bits, np.ones(len(at), np.int64), 1)]
        count[at] += 1
    return count


def _heads(bits: "_Words", u: Ints, t: int) -> Bools:
    """bool[...]: true with probability exp(-u / t)."""
    odd, at, k = np.zeros(len(u), np.bool_), np.arange(len(u)), 1
    while len(at):
        true = bits.below(len(at), t * k) < u[at]
        odd[at[~true]] = k % 2 == 1
        at, k = at[true], k + 1
    return odd


class _Words:
    """Words of 64 bits, each as likely, by a key."""

    def __init__(self, key: bytes) -> None:
        self._key, self._block = key, 0

    def below(self, size: int, m: int) -> Ints:
        """int64[size]: independent whole numbers from 0 to m - 1, each as likely."""
        found, at = np.zeros(size, np.int64), np.arange(size)
        limit = np.uint64((1 << 64) // m * m - 1)
        while len(at):
            block = shake_256(self._key + self._block.to_bytes(8, "big")).digest(8 * len(at))
            self._block += 1
            word = np.frombuffer(block, "<u8")
            good = word <= limit
            found[at[good]] = (word[good] % np.uint64(m)).astype(np.int64)
            at = at[~good]
        return found
