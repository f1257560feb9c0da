"""Checks receipts against the submitter's own knowledge: the attested key, the sealed job, the bytes sent and received.

`Unverified.check` is the wrong claim, as named by `cji_core.trail.verify_receipt`, for example
`outputs[0].sha256`, `header_sha384`, `kid` or `signature`.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from cji_attestation.attested import AttestedWorker
from cji_client.counts import require_consistent, require_sums
from cji_client.errors import Unverified
from cji_client.received import Output, ResultHeader
from cji_core.format.job import Header
from cji_core.strict import b64url, hex_decode
from cji_core.trail import (
    Expected,
    ExpectedFailure,
    PartDigest,
    ReceiptError,
    VerifiedFailure,
    VerifiedReceipt,
    claims_unverified,
    privacy_of,
    verify_failure,
    verify_receipt,
)
from cji_core.trail.used_column_keys import used_column_keys


def verify_result(
    receipt: str,
    *,
    job: Header,
    attested: AttestedWorker,
    sent: Sequence[PartDigest],
    header: ResultHeader,
    outputs: Sequence[Output],
) -> VerifiedReceipt:
    """The receipt of a run, if it vouches for exactly this job, these inputs and these outputs.

    The result header of a job in parts names the pool in place of a worker: then the receipt has a claim `tasks`, and
    one digest for all shards of an input or output. The rows that it states are compared when outputs are opened; here,
    the counts must fit each other and the schemas of the outputs.
    """
    inputs = tuple(sent)
    received = tuple(PartDigest(name=o.name, sha256=o.sha256.hex(), bytes=o.length) for o in outputs)
    in_parts = _has_tasks(receipt)
    expected = msgspec.structs.replace(
        _expected(attested, job),
        worker=UNSET if in_parts else header.worker_id,
        result_header_sha384=header.sha384.hex(),
        inputs=_by_name(inputs) if in_parts else inputs,
        outputs=_by_name(received) if in_parts else received,
    )
    if in_parts and header.worker_id != job.audience:
        raise Unverified("result_header", "the job ran in parts, and its result header names no pool")
    verified = _verify(receipt, attested, expected)
    require_consistent(verified, header)
    return verified


def _by_name(parts: Sequence[PartDigest]) -> tuple[PartDigest, ...]:
    """One digest for each input or output, as a receipt with `tasks` has them; shards of one follow each other."""
    shards: dict[str, list[PartDigest]] = {}
    for part in parts:
        shards.setdefault(part.name, []).append(part)
    return tuple(_joined(own) for own in shards.values())


def _joined(shards: Sequence[PartDigest]) -> PartDigest:
    if len(shards) == 1:
        return shards[0]
    digest = hashlib.sha256(b"".join(hex_decode(shard.sha256) for shard in shards))
    return PartDigest(name=shards[0].name, sha256=digest.hexdigest(), bytes=sum(shard.bytes for shard in shards))


def _has_tasks(receipt: str) -> bool:
    try:
        return claims_unverified(receipt).tasks is not UNSET
    except ReceiptError as error:
        raise Unverified(error.field, "the receipt is not valid") from None


def verify_stored(receipt: str, *, attested: AttestedWorker, header: Header | None = None) -> VerifiedReceipt:
    """Verify a receipt from a file against stored evidence and, if given, the header of its job. No network.

    The evidence must bind the key that signed the receipt; its token may be an earlier or later one of the same boot
    than the one that the receipt names (`names_token`).
    """
    return _verify(receipt, attested, _expected(attested, header))


def names_token(verified: VerifiedReceipt, attested: AttestedWorker) -> bool:
    """Whether the receipt names the token of this evidence; a job that outlived its token names a later one."""
    return verified.claims.maa_token_sha384 == attested.maa_token_sha384


def verify_failed(failure: str, *, attested: AttestedWorker, header: Header | None = None) -> VerifiedFailure:
    """Verify a failure receipt against evidence and, if given, the header of its job. No network."""
    expected = ExpectedFailure(simulated=attested.simulated, tee=attested.verdict.tee)
    if header is not None:
        expected = msgspec.structs.replace(
            expected,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            suite=header.suite,
        )
    try:
        verified = verify_failure(failure, key=attested.receipt_key, expected=expected)
    except ReceiptError as error:
        raise _unverified(error) from None
    if verified.claims.maa_token_sha384 != attested.maa_token_sha384:
        raise Unverified("maa_token_sha384", "the failure and the evidence name different attestation tokens")
    return verified


def _expected(attested: AttestedWorker, job: Header | None) -> Expected:
    machine = Expected(simulated=attested.simulated, tee=attested.verdict.tee)
    if job is None:
        return machine
    return msgspec.structs.replace(
        machine,
        job_id=job.job_id.hex(),
        header_sha384=job.sha384.hex(),
        originating_ori=job.originating_ori,
        requesting_ori=job.requesting_ori,
        suite=job.suite,
        purpose_code=job.purpose_code,
        operations=job.operation_names,
        submitter_key=b64url(job.submitter),
        recipients=tuple(recipient.key_id for recipient in job.recipients),
        kek_id=job.kek_id,
        privacy=privacy_of(job.operations) or None,
        column_keys=used_column_keys(job) or None,
    )


def _verify(receipt: str, attested: AttestedWorker, expected: Expected) -> VerifiedReceipt:
    try:
        verified = verify_receipt(receipt, key=attested.receipt_key, expected=expected)
    except ReceiptError as error:
        raise _unverified(error) from None
    require_sums(verified.claims)
    return verified


def _unverified(error: ReceiptError) -> Unverified:
    reason = f"does not match in {', '.join(error.differing)}" if error.differing else "is not valid"
    return Unverified(error.field, f"the receipt {reason}")
