"""The keys that the cell of a task derives from the data key of its job."""

from functools import cached_property
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cji_core.format.envelope import NO_PLAN, bucket_key, open_result_key, sha384, shuffle_aad, shuffle_key
from cji_core.format.job import JobPlan
from cji_core.operations.stages.streams import EdgeStream
from cji_operations.kernels.hashing import BucketHash, Hashes

_AT_ONCE: Final = 1 << 16
"""Hashes; their blocks take 2 MiB."""


class TaskKeys:
    """The data key, the keys of shuffle streams and of buckets, and the result key once there is a plan."""

    def __init__(self, dek: bytes, *, header_sha384: bytes, plan: JobPlan | None) -> None:
        self.dek, self._header_sha384, self._plan = dek, header_sha384, plan

    @cached_property
    def result_key(self) -> bytes:
        """Raises DEK_UNWRAP_FAILED for a plan that no holder of the data key made."""
        if self._plan is None:
            raise ValueError("no output is written before the plan")
        return open_result_key(self.dek, self._plan.facts, self._plan.sealed_result_key)

    @cached_property
    def bucket_hash(self) -> BucketHash:
        """The same in all tasks of the job, on every node."""
        return bucket_hash(bucket_key(self.dek, self._header_sha384))

    @property
    def result_header_sha384(self) -> bytes:
        """The digest in the AAD of outputs."""
        if self._plan is None:
            raise ValueError("no output is written before the plan")
        return sha384(self._plan.result_header)

    def of(self, stream: EdgeStream) -> tuple[bytes, bytes]:
        """(key, AAD) of a shuffle stream."""
        plan, key = self._planned if stream.planned else self._unplanned
        return key, shuffle_aad(plan, edge=stream.edge, producer=stream.producer, consumer=stream.consumer)

    @cached_property
    def _planned(self) -> tuple[bytes, bytes]:
        if self._plan is None:
            raise ValueError("no such stream exists before the plan")
        return self._plan.sha384, shuffle_key(self.dek, self._header_sha384, self._plan.sha384)

    @cached_property
    def _unplanned(self) -> tuple[bytes, bytes]:
        return NO_PLAN, shuffle_key(self.dek, self._header_sha384, NO_PLAN)


def bucket_hash(key: bytes) -> BucketHash:
    """The keyed hash by which the values of one job are divided among its tasks: uint64[n] to uint64[n].

        bucket_hash(h) = the first 8 bytes of AES-256(bucket key, u64le(h) ‖ 8 zero bytes), as u64le

    AES is a pseudorandom permutation of blocks, and half of each output block is as good as a random function: n hashes
    give an attacker an advantage of about n / 2^96 (S. Gilboa, S. Gueron, "How many queries are needed to distinguish a
    truncated random permutation from a random function?", Journal of Cryptology 31, 2018). So without the key nobody
    can compute the bucket of a value, even from the buckets of all others. Mixing as in `kernels.hashing` has no such
    property, nor would it with secret multipliers.
    """
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
