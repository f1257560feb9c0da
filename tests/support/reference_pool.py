"""The worker's side of a job by reference, for tests of the SDK: one honest attempt, as docs/format.md has it."""

import datetime
import os
from collections.abc import Iterator
from typing import Any

import msgspec

from cji_attestation.evidence import root_of
from cji_core.format.job import Header, parse
from cji_core.jose import public_jwk, thumbprint
from cji_core.pool import names
from cji_core.pool.documents import (
    SUBMISSION_BYTES,
    Failure,
    Progress,
    Published,
    decode_submission,
    encode,
    evidence_nonce,
)
from cji_core.pool.ticket import Ticket, decode
from cji_core.trail import sign, sign_failure, utc_hundredths
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator import Simulation
from tests.support.failures import FAILURE
from tests.support.fleet_storage import Storage
from tests.support.sdk_server import ReferenceWorker

_SEGMENT = 1 << 20


class ReferencePool:
    """A pool of one worker. `worker.twist` alters the messages that it publishes."""

    def __init__(self, storage: Storage, worker: ReferenceWorker, simulation: Simulation) -> None:
        self.storage, self.worker = storage, worker
        worker.attest(simulation)
        self.jobs, self.results = storage.blobs("jobs"), storage.blobs("results")

    @property
    def token(self) -> str:
        """SHA-384 of the worker's attestation token."""
        assert self.worker.attestation is not None
        return self.worker.attestation.token.sha384.hex()

    def ticket(self) -> Ticket | None:
        """Take the next ticket from the queue."""
        queue = self.storage.queue()
        message = queue.receive(lease=30)
        if message is None:
            return None
        queue.delete(message)
        return decode(message.text)

    def header(self, ticket: Ticket) -> Header:
        """The header that lies there, which must be the ticket's."""
        submission = decode_submission(self.jobs.read(names.header(ticket.job), most=SUBMISSION_BYTES))
        header = parse(submission.header)
        assert header.sha384.hex() == ticket.header_sha384
        return header

    def run(self, ticket: Ticket, **claims: Any) -> str:
        """One attempt; returns its name. `claims` are changed in the receipt, whose bytes are those of its parts."""
        header, attempt = self.header(ticket), os.urandom(16).hex()
        progress = Progress(attempt=attempt, stage="rows", per_cent=50, at=utc_hundredths(_now()))
        self.results.write(names.progress(ticket.job), encode(progress))
        parts = [list(self._segments(ticket.job, number)) for number in range(len(header.parts))]
        outputs = dict[int, bytearray]()
        for message in self.worker.twist(list(self.worker.answer(header, parts))):
            match message.WhichOneof("message"):
                case "segment":
                    outputs.setdefault(message.segment.part, bytearray()).extend(message.segment.data)
                case "done":
                    self._put(names.result_header(ticket.job, attempt), message.done.result_header)
                    receipt = self._receipt(message.done.receipt, claims)
        for number, data in outputs.items():
            self._put(names.output(ticket.job, attempt, number), bytes(data))
        self.show_evidence(header)
        self.results.create(names.receipt(ticket.job), encode(Published(attempt=attempt, receipt=receipt)))
        return attempt

    def give_up(self, ticket: Ticket, **claims: Any) -> None:
        """Publish a failure receipt."""
        header = self.header(ticket)
        failure = msgspec.structs.replace(
            FAILURE,
            **{
                "job_id": header.job_id.hex(),
                "header_sha384": header.sha384.hex(),
                "originating_ori": header.originating_ori,
                "requesting_ori": header.requesting_ori,
                "maa_token_sha384": self.token,
                "failed": utc_hundredths(_now()),
                "simulated": True,
                **claims,
            },
        )
        self.show_evidence(header)
        document = encode(Failure(failure=sign_failure(failure, self.worker.receipt_key)))
        self.results.create(names.failure(ticket.job), document)

    def show_evidence(self, header: Header) -> None:
        """Put the evidence for this job beside its results."""
        worker, key = self.worker, self.worker.receipt_key.public_key()
        assert worker.attester is not None
        assert worker.attestation is not None
        root = root_of(evidence_nonce(header.sha384))
        shown = pb.AttestResponse(
            evidence=worker.attester.quote(receipt_key=thumbprint(key), root=root).to_json(),
            maa_token=worker.attestation.token.raw,
            receipt_jwk=public_jwk(key),
            token_evidence=worker.attestation.evidence.to_json(),
            token_nonce=worker.attestation.nonce,
        )
        self.results.create(names.evidence(header.job_id.hex(), self.token), shown.SerializeToString())

    def _receipt(self, receipt: str, claims: dict[str, Any]) -> str:
        now = utc_hundredths(_now())
        changed = msgspec.structs.replace(self.worker.claims_of(receipt), **{"started": now, "ended": now, **claims})
        moved = {
            name: sum(part.bytes for part in parts)
            for name, parts in (("bytes_in", changed.inputs), ("bytes_out", changed.outputs))
        }
        volumes = msgspec.structs.replace(changed.volumes, **moved)
        return sign(msgspec.structs.replace(changed, volumes=volumes), self.worker.receipt_key)

    def _segments(self, job: str, number: int) -> Iterator[bytes]:
        name = names.part(job, number)
        version, start, length = self.jobs.version(name), 0, 74 + _SEGMENT
        while start < version.size:
            length = min(length, version.size - start)
            yield self.jobs.read_range(name, version, offset=start, length=length)
            start, length = start + length, _SEGMENT

    def _put(self, name: str, data: bytes) -> None:
        for number, start in enumerate(range(0, len(data), _SEGMENT)):
            self.results.stage(name, number, data[start : start + _SEGMENT])
        self.results.commit(name, -(-len(data) // _SEGMENT), size=len(data))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
