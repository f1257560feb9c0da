"""Evidence of this worker for a nonce, from the keyholder: for `Attest`, and beside a receipt."""

import asyncio
import contextlib
from typing import Final

from cji_core.errors import Refusal
from cji_core.format.job import LIMITS
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.ipc import take_over
from cji_worker.ipc.messages import Attest, Attested

_MAX_EVIDENCE_BYTES: Final = 1 << 20
_PATIENCE_S: Final = 5.0
"""How long a receipt waits for evidence. It is worth as much without."""


async def evidence_for(keyholder: KeyholderClient, nonce: bytes) -> pb.AttestResponse:
    """Fresh evidence over the nonce. Raises the keyholder's Refusal."""
    response, _ = await _attested(keyholder, nonce, None)
    return response


async def vouched_for(keyholder: KeyholderClient, nonce: bytes, request_sha384: bytes) -> pb.VouchResponse:
    """The same with the signature for the door's request for a certificate. Raises the keyholder's Refusal."""
    response, signature = await _attested(keyholder, nonce, request_sha384)
    response.ClearField("admission_nonce")
    return pb.VouchResponse(attestation=response, signature=signature)


async def _attested(
    keyholder: KeyholderClient, nonce: bytes, request_sha384: bytes | None
) -> tuple[pb.AttestResponse, bytes]:
    with keyholder.pending_call() as pending:
        keyholder.send(Attest(call=pending.number, nonce=nonce, request_sha384=request_sha384))
        message, fds = await pending.answer()
        assert isinstance(message, Attested)  # noqa: S101 - the only answer to Attest
        evidence, token_evidence = (take_over(fd, most=_MAX_EVIDENCE_BYTES) for fd in fds)
    response = pb.AttestResponse(
        evidence=evidence,
        maa_token=message.maa_token,
        receipt_jwk=message.receipt_jwk,
        nonce_path=message.nonce_path,
        token_evidence=token_evidence,
        token_nonce=message.token_nonce,
        admission_nonce=message.admission_nonce,
        bundle_update=message.bundle_update,
    )
    return response, message.vouched


async def evidence_of_job(keyholder: KeyholderClient, header_sha384: bytes) -> pb.AttestResponse | None:
    """Evidence for a job's receipt, None if there is none in time: a drain or a busy TPM takes no receipt away."""
    from cji_core.pool.documents import evidence_nonce  # noqa: PLC0415 - few jobs outlive a token

    with contextlib.suppress(Refusal, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            evidence = await evidence_for(keyholder, evidence_nonce(header_sha384))
        if evidence.ByteSize() <= LIMITS.segment_bytes:
            return evidence
    return None
