"""The floor of a sealed job: the CPU of its bytes in a bare echo with gRPC's own TLS, in AES-GCM and in SHA-256."""

import hashlib
import os
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.stand import Usage
from cji_core.format.envelope import OVERHEAD_BYTES, SEGMENT_BYTES
from cji_worker.ipc.ring import SLOTS

__all__ = ["Costs", "crypto_cpu"]

_TAG_BYTES: Final = 16
_PAYLOAD_BYTES: Final = SEGMENT_BYTES - OVERHEAD_BYTES
_NONCE: Final = bytes(12)


def crypto_cpu(*, received: int, sent: int) -> float:
    """CPU seconds of the least cryptography that a sealed job needs: AES-256-GCM and SHA-256 over every byte, once.

    `received` sealed bytes are hashed and decrypted, `sent` sealed bytes encrypted and hashed: in segments of the size
    that the job's streams have, in this process, in as much memory as the window of a job. Keys, nonces and copies cost
    nothing here.
    """
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


@dataclass(slots=True, kw_only=True)
class Costs:
    """CPU of jobs, of echoes of the same messages without a door, and of bare cryptography on the same bytes."""

    job: Usage = field(default_factory=Usage)
    echo: Usage = field(default_factory=Usage)
    crypto: Usage = field(default_factory=Usage)
    _pairs: list[float] = field(default_factory=list)

    def add(self, job: Usage, echo: Usage, *, sealed: int) -> None:
        """A job that received `sealed` bytes, and the echo beside it; the cryptography of its bytes is done now."""
        crypto, spent = Usage(megabytes=sealed / 1e6), crypto_cpu(received=sealed, sent=job.returned)
        crypto.seconds.update({"crypto": spent})
        floor = echo.seconds["echo"] + spent
        self._pairs.append(floor / sum(seconds for name, seconds in job.seconds.items() if name != "client"))
        for total, part in ((self.job, job), (self.echo, echo), (self.crypto, crypto)):
            total.add(part)

    def ratio(self, counted: slice) -> float:
        """The floor over the CPU of all processes, the door's too: the median of the pairs that count; 1 is perfect."""
        return median(self._pairs[counted])
