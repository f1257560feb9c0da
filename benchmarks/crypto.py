"""The least cryptography that a sealed job needs: AES-256-GCM and SHA-256 over every byte in and out, once.

In segments of the size that the job's streams have, in this process, in as much memory as the window of a job. Keys,
nonces and copies cost nothing here.
"""

import hashlib
import os
import time
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_core.format.envelope import OVERHEAD_BYTES, SEGMENT_BYTES
from cji_worker.ipc.limits import SLOTS

__all__ = ["crypto_cpu"]

_TAG_BYTES: Final = 16
_PAYLOAD_BYTES: Final = SEGMENT_BYTES - OVERHEAD_BYTES
_NONCE: Final = bytes(12)


def crypto_cpu(*, received: int, sent: int) -> float:
    """CPU seconds to hash and decrypt `received` sealed bytes, and to encrypt and hash `sent` sealed bytes."""
    cipher = AESGCM(bytes(32))
    sealed = [cipher.encrypt(_NONCE, os.urandom(_PAYLOAD_BYTES), None) for _ in range(SLOTS)]
    plain = memoryview(bytearray(_PAYLOAD_BYTES))
    out = memoryview(bytearray(_PAYLOAD_BYTES + _TAG_BYTES))
    digest_in, digest_out = hashlib.sha256(), hashlib.sha256()
    began = time.process_time()
    for number in range(segments(received)):
        digest_in.update(sealed[number % SLOTS])
        cipher.decrypt_into(_NONCE, sealed[number % SLOTS], None, plain)
    for _ in range(segments(sent)):
        cipher.encrypt_into(_NONCE, plain, None, out)
        digest_out.update(out)
    return time.process_time() - began


def segments(sealed: int) -> int:
    """Segments in a stream of this many bytes, the last one as a whole."""
    return -(-sealed // SEGMENT_BYTES)
