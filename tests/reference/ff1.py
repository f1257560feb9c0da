"""FF1 as SP 800-38G, algorithm 7, writes it: one value, step by step, in Python's whole numbers."""

from math import ceil, log2

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def aes(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def prf(key: bytes, data: bytes) -> bytes:
    y = bytes(16)
    for i in range(0, len(data), 16):
        y = aes(key, bytes(a ^ b for a, b in zip(y, data[i : i + 16], strict=True)))
    return y


def number(digits: list[int], radix: int) -> int:
    x = 0
    for digit in digits:
        x = x * radix + digit
    return x


def string(x: int, radix: int, m: int) -> list[int]:
    digits = [0] * m
    for i in range(m):
        digits[m - 1 - i], x = x % radix, x // radix
    return digits


def encrypt(key: bytes, tweak: bytes, radix: int, plain: list[int]) -> list[int]:
    n, t = len(plain), len(tweak)
    u = n // 2
    v = n - u
    a, b = plain[:u], plain[u:]
    width = ceil(ceil(v * log2(radix)) / 8)
    d = 4 * ceil(width / 4) + 4
    p = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([10, u % 256]) + n.to_bytes(4, "big") + t.to_bytes(4, "big")
    for i in range(10):
        q = tweak + bytes((-t - width - 1) % 16) + bytes([i]) + number(b, radix).to_bytes(width, "big")
        r = prf(key, p + q)
        s = r
        for j in range(1, ceil(d / 16)):
            s += aes(key, bytes(x ^ y for x, y in zip(r, j.to_bytes(16, "big"), strict=True)))
        y = int.from_bytes(s[:d], "big")
        m = u if i % 2 == 0 else v
        a, b = b, string((number(a, radix) + y) % radix**m, radix, m)
    return a + b
