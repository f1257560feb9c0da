"""What a receipt says of a job, and the key that signs it.

The key is made at every start, in secret memory; its thumbprint is inside the TPM quote of this start's evidence.
`sequence` and `previous_sha384` go on over restarts: the audit trail has the last receipt.
"""

import dataclasses
import time
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from attestation.release import Attestation
from worker.audit import (
    FIRST_PREVIOUS,
    Attested,
    Claims,
    JobCompleted,
    PartDigest,
    TpmClock,
    Volumes,
    claims_unverified,
    public_jwk,
    receipt_sha384,
    sign,
    thumbprint,
    utc_hundredths,
)
from worker.config import Config
from worker.envelope import sha384
from worker.errors import Reason, Refusal, Stage
from worker.ipc.messages import Summary
from worker.keyholder.custody import Holdings
from worker.keyholder.fips import fips_probe
from worker.keyholder.running import Running
from worker.wire.v1 import worker_pb2 as pb

__all__ = ["ReceiptSigner"]


class ReceiptSigner:
    """Signs the receipts of one start of one worker."""

    def __init__(
        self,
        *,
        config: Config,
        policy_sha384: bytes,
        code_sha384: bytes,
        simulated: bool,
        last: JobCompleted | None,
    ) -> None:
        self._private = ec.generate_private_key(ec.SECP384R1())
        self.public_jwk = public_jwk(self._private.public_key())
        self.thumbprint = thumbprint(self._private.public_key())
        self.simulated = simulated
        self._config = config
        self._policy, self._code = policy_sha384.hex(), code_sha384.hex()
        self._fips = fips_probe()
        self._sequence = claims_unverified(last.receipt).sequence if last else 0
        self._previous = receipt_sha384(last.receipt) if last else FIRST_PREVIOUS

    def attested(self, attestation: Attestation) -> Attested:
        """The audit event of fresh evidence."""
        return Attested(
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            issuer=attestation.token.issuer,
            tee=attestation.verdict.tee,
            accepted_advisories=attestation.verdict.accepted,
            region=self._config.worker.region,
            expires=utc_hundredths(datetime.fromtimestamp(attestation.token.expires, UTC)),
            tpm=_clock(attestation),
        )

    def completion(self, job: Running, summary: Summary, holdings: Holdings) -> JobCompleted:
        """The audit event of a finished job with its receipt; refused when the evidence went stale meanwhile."""
        attestation = holdings.evidence()
        if attestation is None:
            raise Refusal(holdings.why(), stage=Stage.COMMIT)
        header, grant = job.admission.header, job.admission.grant
        outputs = pb.ResultHeader.FromString(summary.result_header).outputs
        if (len(summary.inputs), len(summary.outputs)) != (len(header.inputs), len(outputs)):
            raise Refusal(Reason.INTERNAL, stage=Stage.COMMIT)
        volumes = Volumes(
            rows_in=summary.rows_in,
            rows_out=summary.rows_out,
            bytes_in=sum(p.bytes for p in summary.inputs),
            bytes_out=sum(p.bytes for p in summary.outputs),
            chri_rows_out=summary.chri_rows_out,
            subjects_out=summary.subjects_out,
        )
        claims = Claims(
            version=1,
            worker=self._config.worker.id,
            sequence=self._sequence + 1,
            previous_sha384=self._previous,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            result_header_sha384=sha384(summary.result_header).hex(),
            inputs=tuple(
                PartDigest(name=part.name, sha256=sealed.sha256.hex(), bytes=sealed.bytes)
                for part, sealed in zip(header.inputs, summary.inputs, strict=True)
            ),
            outputs=tuple(
                PartDigest(name=part.name, sha256=sealed.sha256.hex(), bytes=sealed.bytes)
                for part, sealed in zip(outputs, summary.outputs, strict=True)
            ),
            submitter=grant.submitter,
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            operator_id=header.operator_id,
            purpose_code=header.purpose_code,
            operations=header.operation_names,
            recipients=tuple(r.key_id for r in header.recipients),
            kek_id=header.kek_id,
            volumes=volumes,
            started=utc_hundredths(job.admitted_at),
            ended=utc_hundredths(datetime.now(UTC)),
            region=self._config.worker.region,
            tee=attestation.verdict.tee,
            tcb=dataclasses.asdict(attestation.verdict.tcb),
            accepted_advisories=attestation.verdict.accepted,
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            policy_sha384=self._policy,
            config_sha384=self._config.sha384,
            code_sha384=self._code,
            fips=self._fips,
            simulated=self.simulated,
            tpm=_clock(attestation),
        )
        try:
            receipt = sign(claims, self._private)
        except ValueError as error:
            raise Refusal(Reason.INTERNAL, stage=Stage.COMMIT) from error
        return JobCompleted(
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            submitter=grant.submitter,
            requesting_ori=header.requesting_ori,
            purpose_code=header.purpose_code,
            duration_ms=int((time.monotonic() - job.started) * 1000),
            volumes=volumes,
            receipt=receipt,
        )

    def issued(self, receipt: str) -> None:
        """The receipt is on disk; the next one follows it."""
        self._sequence += 1
        self._previous = receipt_sha384(receipt)


def _clock(attestation: Attestation) -> TpmClock:
    clock = attestation.verdict.clock
    return TpmClock(clock=clock.clock, reset_count=clock.reset_count, restart_count=clock.restart_count)
