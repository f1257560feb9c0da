"""A machine's word for a request for a certificate: the evidence of a worker for a nonce, and its key's signature.

The evidence is verified as for a submitter (`attested`), and the signature is by the key that it attests.
"""

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker, verify_attestation
from cji_core.format.envelope.enrollment import verify_request
from cji_core.pairs import VerifyingPair
from cji_core.pool.enrollment import read_vouched


def verify_vouched(
    answer: bytes,
    *,
    nonce: bytes,
    pool: str,
    request_sha384: bytes,
    trust: Trust,
    reference: ReferenceValues,
    maa_url: str,
) -> AttestedWorker:
    """The worker whose key vouches for the request with this digest, in this pool, to who made the nonce.

    `answer` has the bytes of a VouchResponse. Raises Unverified, and as `verify_attestation`.
    """
    response = read_vouched(answer)
    attested = verify_attestation(response.attestation, nonce=nonce, trust=trust, reference=reference, maa_url=maa_url)
    key = attested.receipt_key
    p384 = key.p384 if isinstance(key, VerifyingPair) else key
    verify_request(p384, response.signature, nonce=nonce, pool=pool, request_sha384=request_sha384)
    return attested
