"""Admissions of jobs by connections: the nonces that this worker gives out, and the signatures over them.

A nonce is given with every evidence. An admission carries a signature over it, this worker's receipt key, the header
and the number of the attempt, so recorded bytes admit nothing: not here again, because the attempt was counted
(`replay`), not on another worker and not after a restart, because the receipt key is another one, and not later,
because the nonce is too old. A nonce admits each attempt of a header once; several jobs of one caller may share it.

Nonces are not kept: each has its time and a MAC under a key of this process. So their number costs nothing, and nobody
can displace another caller's.

    nonce = seconds since the start, u32be ‖ first 12 bytes of SHA-384(token) ‖ first 16 bytes of HMAC-SHA-256(both)
"""

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.format.job import Header
from cji_core.jose import VerifyingKey
from cji_worker.ipc.messages import AdmissionProof

NONCE_SECONDS: Final = 600
"""How long a nonce admits jobs. A captured message that was held back is worth as much, once."""

_TIME, _TOKEN, _MAC = 4, 12, 16  # bytes


class Admissions:
    """For one start of a worker; `receipt_key` is the thumbprint of its receipt key."""

    def __init__(self, receipt_key: bytes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._receipt_key, self._clock = receipt_key, clock
        self._key, self._start = os.urandom(32), clock()

    def nonce(self, token_sha384: bytes) -> bytes:
        """The nonce to give now, with evidence that shows this token."""
        facts = self._now().to_bytes(_TIME, "big") + token_sha384[:_TOKEN]
        return facts + self._mac(facts)

    def shows(self, nonce: bytes, token_sha384: bytes) -> bool:
        """Whether a nonce of this worker's was given with this token."""
        return nonce[_TIME : _TIME + _TOKEN] == token_sha384[:_TOKEN]

    def check(
        self, proof: AdmissionProof | None, header: Header, submitter: VerifyingKey, *, verified: bool = False
    ) -> None:
        """Return if the proof is of this attempt at this job, for this worker, now; else raise its Reason.

        `submitter` is the key that signed the header. `verified`: this proof's signature was checked before.
        """
        if proof is None:
            raise Refusal(Reason.ADMISSION_SIGNATURE, stage=Stage.ADMIT)
        if proof.receipt_key != self._receipt_key:
            raise Refusal(Reason.ADMISSION_WORKER, stage=Stage.ADMIT)
        if not self._given(proof.nonce):
            raise Refusal(Reason.ADMISSION_NONCE, stage=Stage.ADMIT)
        if verified:
            return
        message = admission_message(
            nonce=proof.nonce, receipt_key=self._receipt_key, header_sha384=header.sha384, attempt=proof.attempt
        )
        verify_admission(admission_key(header, submitter, proof.send_jwk), header.suite, message, proof.signature)

    def _given(self, nonce: bytes) -> bool:
        facts, mac = nonce[: _TIME + _TOKEN], nonce[_TIME + _TOKEN :]
        age = self._now() - int.from_bytes(facts[:_TIME], "big")
        return hmac.compare_digest(mac, self._mac(facts)) and age <= NONCE_SECONDS

    def _now(self) -> int:
        return int(self._clock() - self._start)

    def _mac(self, facts: bytes) -> bytes:
        return hmac.digest(self._key, facts, hashlib.sha256)[:_MAC]
