r"""Shuffle streams: the sealed streams between the tasks of a job in parts, and the keys that belong to them.

    shuffle key   = HKDF-Expand-SHA384(data key, "cji-shuffle-key/1\0" ‖ header_sha384 ‖ plan_sha384, 32)
    statement key = HKDF-Expand-SHA384(data key, "cji-statement-key/1\0" ‖ header_sha384, 48)
    bucket key    = HKDF-Expand-SHA384(data key, "cji-bucket-key/1\0" ‖ header_sha384, 32)
    AAD           = "cji-shuffle/1\0" ‖ plan_sha384 ‖ u32be(edge) ‖ u32be(producer) ‖ u32be(consumer)

A stream is FLOE (`cji_core.format.envelope.floe`) in segments of 64 KiB. Its plaintext is an Arrow stream, then zeros
that make the length of the whole sealed stream a power of two, 4 KiB at least: anyone who sees it learns little about
how many rows went where, and without the bucket key cannot tell which. 48 zero bytes stand for the plan in the streams
of tasks that ran before it was made. docs/format.md §10.
"""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from cji_core.format.envelope.floe import FLOE_HEADER_BYTES, OVERHEAD_BYTES
from cji_core.format.envelope.keywrap import open_box, seal_box

SHUFFLE_SEGMENT_BYTES: Final = 64 << 10
SHUFFLE_MIN_BYTES: Final = 4 << 10
"""Of a whole sealed stream."""
NO_PLAN: Final = bytes(48)
STATEMENT_KEY_BYTES: Final = 48
BUCKET_KEY_BYTES: Final = 32


def shuffle_key(dek: bytes, header_sha384: bytes, plan_sha384: bytes) -> bytes:
    """The key of all shuffle streams of a job whose producers ran under this plan."""
    return _expand(dek, b"cji-shuffle-key/1\0" + header_sha384 + plan_sha384, 32)


def bucket_key(dek: bytes, header_sha384: bytes) -> bytes:
    """The key by which values are divided among the tasks of a job: one before and after the plan, on every node."""
    return _expand(dek, b"cji-bucket-key/1\0" + header_sha384, BUCKET_KEY_BYTES)


def shuffle_aad(plan_sha384: bytes, *, edge: int, producer: int, consumer: int) -> bytes:
    """The AAD of one stream; `consumer` is 0xFFFFFFFF for one that all tasks of the stages that read it get whole."""
    return b"cji-shuffle/1\0" + plan_sha384 + b"".join(n.to_bytes(4, "big") for n in (edge, producer, consumer))


def padding(plain_bytes: int) -> int:
    """Zeros after so many bytes of plaintext (one at least) that make the sealed stream a power of two."""
    payload = SHUFFLE_SEGMENT_BYTES - OVERHEAD_BYTES
    segments = -(-plain_bytes // payload)
    sealed = FLOE_HEADER_BYTES + plain_bytes + OVERHEAD_BYTES * segments
    size = max(1 << (sealed - 1).bit_length(), SHUFFLE_MIN_BYTES)
    segments = -(-(size - FLOE_HEADER_BYTES) // SHUFFLE_SEGMENT_BYTES)
    return size - FLOE_HEADER_BYTES - OVERHEAD_BYTES * segments - plain_bytes


def statement_key(dek: bytes, header_sha384: bytes) -> bytes:
    """The key of the proofs in task statements: anyone who has the data key of the job has it."""
    return _expand(dek, b"cji-statement-key/1\0" + header_sha384, STATEMENT_KEY_BYTES)


def statement_proof(key: bytes, facts: bytes) -> bytes:
    """HMAC-SHA384 of a statement's facts under its `statement_key`."""
    return hmac.digest(key, facts, "sha384")


def seal_result_key(dek: bytes, facts: bytes, result_key: bytes) -> bytes:
    """The result key in a box that opens with exactly these facts of a plan: so nobody without the data key made it."""
    return seal_box(dek, _plan_purpose(facts), result_key)


def open_result_key(dek: bytes, facts: bytes, sealed: bytes) -> bytes:
    """The result key of a plan. Raises DEK_UNWRAP_FAILED if these facts are not those that it was sealed with."""
    return open_box(dek, _plan_purpose(facts), sealed)


def _plan_purpose(facts: bytes) -> bytes:
    return b"plan\0" + hashlib.sha384(facts).digest()


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA384(), length=length, info=info).derive(key)
