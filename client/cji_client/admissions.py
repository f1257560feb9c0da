"""The submitter's signature for one attempt of a job at one attested worker (`cji_core.format.envelope.admission`).

A sealed job has a send key of its own, made for it, whose public half the header names. So a machine with the sealed
job can send it without the submitter's key; one that has only recorded the job on its way cannot.
"""

from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.attested import AttestedWorker
from cji_client.errors import WorkerRefused
from cji_core.errors import Reason
from cji_core.format.envelope.admission import MAX_ATTEMPTS, sign_admission
from cji_core.format.job import Header
from cji_core.jose import SigningKey, public_jwk, thumbprint
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb

_ATTEST_AGAIN: Final = frozenset({Reason.ADMISSION_WORKER, Reason.ADMISSION_NONCE})


def new_send_key(suite: Suite) -> SigningKey:
    """A send key for one job of this suite."""
    return SigningPair.generate() if suite is Suite.HYBRID_1 else ec.generate_private_key(ec.SECP384R1())


def admission(header: Header, send_key: SigningKey, attested: AttestedWorker, *, attempt: int) -> pb.Admission:
    """The proof that goes with `open`."""
    receipt_key = thumbprint(attested.receipt_key)
    signature = sign_admission(
        send_key,
        header.suite,
        nonce=attested.admission_nonce,
        receipt_key=receipt_key,
        header_sha384=header.sha384,
        attempt=attempt,
    )
    return pb.Admission(
        nonce=attested.admission_nonce,
        receipt_key=receipt_key,
        attempt=attempt,
        signature=signature,
        send_jwk=public_jwk(send_key.public_key()),
    )


@dataclass(slots=True)
class Bid:
    """The worker for which an attempt is signed, and its number there. `began`: the worker has answered it."""

    attested: AttestedWorker
    attempt: int = 1
    began: bool = False

    def at(self, attested: AttestedWorker) -> "Bid":
        """The bid at the worker that answers now: another one has not counted the attempts of this one."""
        same = attested.receipt_jwk == self.attested.receipt_jwk
        return Bid(attested, self.attempt if same else 1)

    def after(self, refused: WorkerRefused) -> "Bid | None":
        """The bid for the next attempt, None after the last that a worker admits."""
        following = Bid(self.attested, self.attempt + (self.began or refused.reason is Reason.ADMISSION_ATTEMPT))
        if following.attempt > MAX_ATTEMPTS:
            return None
        if refused.reason in _ATTEST_AGAIN:
            following.attested = replace(self.attested, admission_nonce=b"")
        return following
