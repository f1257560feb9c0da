"""Requests for certificates and their approvals, as machine and approver exchange them in a container of blobs.

    VMID/request       the PKCS#10 request, DER                                         by the machine
    VMID/challenge     SHA-384 of the request, 48 bytes ‖ nonce, 32 bytes               by the approver
    VMID/evidence      nonce, 32 bytes ‖ VouchResponse of the wire                      by the machine
    VMID/certificate   SHA-384 of the request, 48 bytes ‖ certificate and those above it, PEM       by the approver

Each is replaced by the next one of its kind. Nothing in the container is trusted: the machine compares the certificate
with its key, its names and its roots, the approver appraises the evidence. Who may write here can keep a machine from
its certificate, and nothing else.
"""

import hashlib
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from cji_core.errors import Unverified
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError
from cji_core.wire.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from cji_core.pool.store import Blobs

DIGEST_BYTES: Final = 48
NONCE_BYTES: Final = 32
MAX_REQUEST: Final = 8 << 10
MAX_EVIDENCE: Final = 3 << 20
MAX_CERTIFICATES: Final = 64 << 10


class Exchange:
    """The blobs of one machine. Methods raise StoreError if the service fails."""

    def __init__(self, blobs: "Blobs", vm_id: str) -> None:
        self._blobs, self._vm_id = blobs, vm_id

    def request(self) -> bytes | None:
        """The request that waits, if one does."""
        return self._read("request", MAX_REQUEST)

    def ask(self, request: bytes) -> None:
        """Put a request in the place of the last one."""
        self._write("request", request)

    def nonce(self, request: bytes) -> bytes | None:
        """The approver's nonce for this request, once there is one."""
        return self._after(digest_of(request), self._read("challenge", DIGEST_BYTES + NONCE_BYTES), NONCE_BYTES)

    def challenge(self, request: bytes, nonce: bytes) -> None:
        """Ask for evidence for this nonce."""
        self._write("challenge", digest_of(request) + nonce)

    def evidence(self, nonce: bytes) -> bytes | None:
        """The answer to this nonce, once there is one."""
        return self._after(nonce, self._read("evidence", NONCE_BYTES + MAX_EVIDENCE))

    def answer(self, nonce: bytes, response: bytes) -> None:
        """Answer a challenge."""
        self._write("evidence", nonce + response)

    def certificates(self, request: bytes) -> bytes | None:
        """The certificate for this request, once it was issued."""
        return self._after(digest_of(request), self._read("certificate", DIGEST_BYTES + MAX_CERTIFICATES))

    def issue(self, request: bytes, chain: bytes) -> None:
        """Deliver what was issued for this request."""
        self._write("certificate", digest_of(request) + chain)

    def _read(self, kind: str, most: int) -> bytes | None:
        try:
            return self._blobs.read(f"{self._vm_id}/{kind}", most=most)
        except (BlobAbsentError, BlobChangedError, BlobTooLargeError):
            return None

    def _write(self, kind: str, data: bytes) -> None:
        self._blobs.write(f"{self._vm_id}/{kind}", data)

    @staticmethod
    def _after(start: bytes, data: bytes | None, exactly: int | None = None) -> bytes | None:
        if data is None or not data.startswith(start):
            return None
        rest = data[len(start) :]
        return rest if exactly is None or len(rest) == exactly else None


def digest_of(request: bytes) -> bytes:
    """SHA-384 of a request."""
    return hashlib.sha384(request).digest()


def read_vouched(answer: bytes) -> pb.VouchResponse:
    """A worker's answer as it came, nothing verified. Raises Unverified."""
    try:
        return pb.VouchResponse.FromString(answer)
    except DecodeError as error:
        raise Unverified("answer", "not the answer of a worker") from error
