"""One quote for the nonces of several callers: a Merkle tree whose root the quote binds, and each caller's path in it.

A TPM makes a few quotes a second, so a verifier that asks often must not keep others waiting. SHA-384 throughout:

    leaf = SHA-384(00 ‖ "cji-nonce/1" NUL ‖ nonce, 32 bytes)        node = SHA-384(01 ‖ left ‖ right)

A node without a partner moves up unchanged, as in RFC 9162 §2.1. A path has one step for each partner, from the leaf
up: a byte, 0 where the partner is on the left and 1 where it is on the right, then the partner's 48 bytes. A root
binds at most `MAX_NONCES` nonces. A path does not reveal other callers' nonces: they are random, and hashed.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from cji_attestation.errors import AttestationError, Fault, invalid

NONCE_BYTES: Final = 32
MAX_NONCES: Final = 64
MAX_PATH_BYTES: Final = 6 * 49  # log2 of MAX_NONCES steps

_LEAF: Final = b"\x00cji-nonce/1\0"
_NODE: Final = b"\x01"
_DIGEST_BYTES: Final = 48
_STEP_BYTES: Final = 1 + _DIGEST_BYTES
_LEFT, _RIGHT = 0, 1


def gather(nonces: Sequence[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    """The root of these nonces (1 to `MAX_NONCES`, 32 bytes each) and the path of each one, in their order."""
    if not 1 <= len(nonces) <= MAX_NONCES:
        raise AttestationError(Fault.CONFIG_INVALID, check="nonce-count")
    level = [(_leaf(nonce), [number]) for number, nonce in enumerate(nonces)]
    paths = [bytearray() for _ in nonces]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [pair[0] if len(pair) == 1 else _join(pair[0], pair[1], paths) for pair in pairs]
    return level[0][0], tuple(map(bytes, paths))


def root_of(nonce: bytes, path: bytes = b"") -> bytes:
    """The root, 48 bytes, that this path leads to from this nonce. EVIDENCE_INVALID "nonce-path" for other bytes."""
    digest = _leaf(nonce)
    if len(path) % _STEP_BYTES or len(path) > MAX_PATH_BYTES:
        raise invalid("nonce-path")
    for at in range(0, len(path), _STEP_BYTES):
        side, partner = path[at], path[at + 1 : at + _STEP_BYTES]
        if side not in (_LEFT, _RIGHT):
            raise invalid("nonce-path")
        digest = _node(partner, digest) if side == _LEFT else _node(digest, partner)
    return digest


_Subtree = tuple[bytes, list[int]]
"""A digest, and the positions of the nonces below it."""


def _join(left: _Subtree, right: _Subtree, paths: list[bytearray]) -> _Subtree:
    for number in left[1]:
        paths[number] += bytes([_RIGHT]) + right[0]
    for number in right[1]:
        paths[number] += bytes([_LEFT]) + left[0]
    return _node(left[0], right[0]), left[1] + right[1]


def _leaf(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise AttestationError(Fault.CONFIG_INVALID, check="nonce-length")
    return hashlib.sha384(_LEAF + nonce).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha384(_NODE + left + right).digest()
