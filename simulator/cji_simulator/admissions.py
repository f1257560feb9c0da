"""Admission signatures for testers, who send bytes that the SDK would not make.

A tester's first message gets a proof of the job's next attempt when it leaves, unless it has one. The send keys of
forged jobs, and how often each job began, are remembered by the digest of its header.
"""

import hashlib
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import grpc

from cji_client.errors import WorkerRefused
from cji_core.errors import Reason
from cji_core.format.envelope.admission import MAX_ATTEMPTS, sign_admission
from cji_core.jose import SigningKey, parse_verifying, public_jwk, thumbprint
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub

__all__ = ["Admitter", "remember"]

_ATTEST_SECONDS: Final = 30
_NONCE_SECONDS: Final = 300
"""How long a nonce is used; a worker takes it for twice as long."""
_CORRECTIONS: Final = 8
"""Of the proofs of one job; an attack that a test expects to be refused is not repeated for ever."""


@dataclass(slots=True)
class _Known:
    key: SigningKey = field(repr=False)
    suite: Suite
    begun: Counter[bytes] = field(default_factory=Counter)
    """Attempts that began, by the worker's receipt key."""
    corrections: int = 0


_KNOWN: dict[bytes, _Known] = {}


def remember(header: bytes, key: SigningKey, suite: Suite) -> None:
    """The send key of a job, for every admitter of this process."""
    _KNOWN.setdefault(hashlib.sha384(header).digest(), _Known(key, suite))


class Admitter:
    """Makes the proofs for one connection; attests when it needs a nonce."""

    def __init__(self, stub: CjiWorkerStub) -> None:
        self._stub = stub
        self._nonce, self._receipt_key, self._until = b"", b"", 0.0

    def admitted(self, request: pb.RunRequest, *, attempt: int | None = None) -> pb.RunRequest:
        """The message with a proof, if it opens a known job without one and the worker gives a nonce."""
        known = _KNOWN.get(hashlib.sha384(request.open.header).digest())
        if request.WhichOneof("message") != "open" or request.open.HasField("admission") or known is None:
            return request
        if time.monotonic() >= self._until and not self._attest():
            return request
        number = known.begun[self._receipt_key] + 1 if attempt is None else attempt
        made = pb.RunRequest()
        made.CopyFrom(request)
        made.open.admission.CopyFrom(self.proof(request.open.header, known.key, known.suite, attempt=number))
        return made

    def proof(self, header: bytes, key: SigningKey, suite: Suite, *, attempt: int) -> pb.Admission:
        """The proof of this attempt, for the worker that was attested last."""
        signature = sign_admission(
            key,
            suite,
            nonce=self._nonce,
            receipt_key=self._receipt_key,
            header_sha384=hashlib.sha384(header).digest(),
            attempt=attempt,
        )
        return pb.Admission(
            nonce=self._nonce,
            receipt_key=self._receipt_key,
            attempt=attempt,
            signature=signature,
            send_jwk=public_jwk(key.public_key()),
        )

    def corrects(self, header: bytes, refused: Exception | None) -> bool:
        """Whether another proof may do: the worker is another one, or it has counted another number of attempts."""
        known = _KNOWN.get(hashlib.sha384(header).digest())
        if not isinstance(refused, WorkerRefused) or known is None or known.corrections >= _CORRECTIONS:
            return False
        if refused.reason is Reason.ADMISSION_ATTEMPT and known.begun[self._receipt_key] + 1 < MAX_ATTEMPTS:
            known.begun[self._receipt_key] += 1
        elif refused.reason in {Reason.ADMISSION_WORKER, Reason.ADMISSION_NONCE}:
            self._until = 0.0
        else:
            return False
        known.corrections += 1
        return True

    def began(self, header: bytes) -> None:
        """An attempt at this job was admitted."""
        if (known := _KNOWN.get(hashlib.sha384(header).digest())) is not None:
            known.begun[self._receipt_key] += 1

    def _attest(self) -> bool:
        try:
            shown = self._stub.Attest(pb.AttestRequest(nonce=os.urandom(32)), timeout=_ATTEST_SECONDS)
        except grpc.RpcError:
            return False
        self._nonce, self._receipt_key = shown.admission_nonce, thumbprint(parse_verifying(shown.receipt_jwk))
        self._until = time.monotonic() + _NONCE_SECONDS
        return True
