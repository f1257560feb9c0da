"""FF1 of NIST SP 800-38G over whole columns: ten rounds, each of them one AES call for all values of one length.

Values stay numbers from the first round to the last: with u and v the halves of a value, NUM and STR of the
specification are needed only at its edges. A round's last block holds the round and NUM(B) in its last 8 bytes, and all
blocks before it are the same for all values, so their CBC-MAC is computed once. That bounds a half by 2^56; longer
values and domains of less than 10^6 values (SP 800-38G Rev. 1, appendix A) are refused by `lengths`.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes

Ecb = Callable[[Bytes], Bytes]
"""AES in ECB mode: uint8[16 n] contiguous to as many bytes, in memory that the next call may use again."""

Words = npt.NDArray[np.uint64]

_ROUNDS: Final = 10
_CHUNK: Final = 16_384  # values at once: their blocks stay in the L2 cache
_HALF_BITS: Final = 56
_DOMAIN: Final = 1_000_000


def lengths(radix: int) -> range:
    """The lengths of values that FF1 takes here: 6 to 32 digits, 4 to 20 of radix 36."""
    shortest = next(n for n in range(2, 64) if radix**n >= _DOMAIN)
    longest = next(n for n in range(64, 1, -1) if radix ** (n - n // 2) < 1 << _HALF_BITS)
    return range(shortest, longest + 1)


class Ff1:
    """The cipher for values of one length."""

    def __init__(self, ecb: Ecb, *, radix: int, length: int, tweak: bytes = b"") -> None:
        """`ecb` holds the key; ValueError for a length that is not among `lengths(radix)`."""
        if length not in lengths(radix):
            raise ValueError("no length for this radix")
        self._ecb, self._radix = ecb, radix
        self._u = length // 2
        self._v = length - self._u
        self._modulus = (np.uint64(radix**self._u), np.uint64(radix**self._v))
        number_bytes = math.ceil(math.ceil(self._v * math.log2(radix)) / 8)
        self._wide = number_bytes > 4  # S is then 12 bytes instead of 8
        self._round_shift = 8 * number_bytes
        p = bytes((1, 2, 1, *radix.to_bytes(3, "big"), _ROUNDS, self._u % 256))
        p += length.to_bytes(4, "big") + len(tweak).to_bytes(4, "big")
        fixed = tweak + bytes((-len(tweak) - number_bytes - 1) % 16) + bytes(1 + number_bytes)
        state = bytes(16)
        for block in (p, *(fixed[i : i + 16] for i in range(0, len(fixed) - 16, 16))):
            mixed = bytes(a ^ b for a, b in zip(state, block, strict=True))
            state = bytes(ecb(np.frombuffer(mixed, np.uint8)))
        last = bytes(a ^ b for a, b in zip(state, fixed[-16:], strict=True))
        self._high, self._low = int.from_bytes(last[:8], "big"), int.from_bytes(last[8:], "big")

    def encrypt(self, digits: Bytes) -> Bytes:
        """uint8[length, n] of digits below the radix, a value in each column, to the same."""
        return self._all(digits, self._forward)

    def decrypt(self, digits: Bytes) -> Bytes:
        """The inverse of `encrypt`."""
        return self._all(digits, self._backward)

    def _all(self, digits: Bytes, way: Callable[[Words, Words], tuple[Words, Words]]) -> Bytes:
        out = np.empty_like(digits)
        for first in range(0, digits.shape[1], _CHUNK):
            part, to = digits[:, first : first + _CHUNK], out[:, first : first + _CHUNK]
            a, b = way(self._number(part[: self._u]), self._number(part[self._u :]))
            self._string(a, to[: self._u])
            self._string(b, to[self._u :])
        return out

    def _forward(self, a: Words, b: Words) -> tuple[Words, Words]:
        blocks = np.empty((len(a), 2), np.uint64)
        for i in range(_ROUNDS):
            modulus = self._modulus[i % 2]
            c = a + self._y(i, b, modulus, blocks)
            c -= modulus * (c >= modulus)
            a, b = b, c
        return a, b

    def _backward(self, a: Words, b: Words) -> tuple[Words, Words]:
        blocks = np.empty((len(a), 2), np.uint64)
        for i in reversed(range(_ROUNDS)):
            modulus = self._modulus[i % 2]
            c = b - self._y(i, a, modulus, blocks)
            c += modulus * (c >= modulus)  # it wrapped around 2^64
            a, b = c, a
        return a, b

    def _y(self, i: int, b: Words, modulus: np.uint64, blocks: Words) -> Words:
        """S as a number, modulo the modulus of the round."""
        blocks[:, 0] = np.uint64(self._high).byteswap()
        blocks[:, 1] = (b ^ np.uint64(self._low ^ i << self._round_shift)).byteswap()
        s = self._ecb(blocks.view(np.uint8).reshape(-1)).view(np.uint64).reshape(-1, 2)
        y = _modulo(s[:, 0].byteswap(), modulus)
        if self._wide:
            rest = s[:, 1].byteswap() >> np.uint64(32)
            for shift in (24, 16, 8, 0):
                y = _modulo((y << np.uint64(8)) | ((rest >> np.uint64(shift)) & np.uint64(255)), modulus)
        return y

    def _number(self, digits: Bytes) -> Words:
        number: Words = digits[0].astype(np.uint64)
        for digit in digits[1:]:
            number *= np.uint64(self._radix)
            number += digit
        return number

    def _string(self, number: Words, digits: Bytes) -> None:
        radix = np.uint64(self._radix)
        for digit in digits[::-1]:
            rest = number // radix
            digit[:] = number - rest * radix
            number = rest


def _modulo(value: Words, modulus: np.uint64) -> Words:
    # division by one number is vectorised, the remainder is not
    rest: Words = value - value // modulus * modulus
    return rest
